"""What comes back: maps, and how far each of them can be looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .description.text import Descriptions

OK = "ok"
_REMEDIES = {
    "empty_after_relu": "no place at this layer has a positive sum; relu=False shows what speaks "
    "against the target, and hirescam, which keeps the gradient of each place where gradcam takes "
    "the mean over places, may show what speaks for it",
    "zero_gradient": "the target's score does not depend on what is looked at (patch tokens after "
    "the last attention, a saturated output, units that are off); their maps are NaN: choose "
    "an earlier layer or another target",
    "nonfinite": "the score, activations or gradients hold NaN or inf: look for the first layer "
    "that gives them, and at the range of the images",
}
_ALIASES = {
    "gradcampp": "gradcam++",
    "gradcamplusplus": "gradcam++",
    "grad_cam++": "gradcam++",
    "grad_cam": "gradcam",
    "kernelshap": "kernel_shap",
    "guided": "guided_backprop",
    "guided_backpropagation": "guided_backprop",
    "guided_grad_cam": "guided_gradcam",
}


def canonical(method: Any) -> str:
    """The name of a method, however it is written: Grad-CAM, GradCAM, grad_cam."""
    method = getattr(method, "name", method)  # a class of a method, too
    name = str(method).strip().lower().replace("-", "_").replace(" ", "_")
    return _ALIASES.get(name.replace("_plus_plus", "++"), name.replace("_plus_plus", "++"))


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """The maps of one method.

    With several layers ``maps``, ``status``, ``minimum`` and ``maximum`` are dicts by layer.

    Attributes
    ----------
    method : str
        Its name.
    maps : Tensor or ndarray
        float32, of the kind and on the device that the images were given in: (N, H, W) with
        one target an image, (N, K, H, W) with several; methods by channel have a C before H.
        Raw: never scaled, the sign kept.
    status : ndarray of str
        (N,) or (N, K): ``"ok"``; ``"empty_after_relu"``: nothing positive was left;
        ``"zero_gradient"``: the score does not depend on the layer, and the map is NaN;
        ``"nonfinite"``: NaN or inf came out.
    minimum, maximum : Tensor or ndarray
        (N,) or (N, K): the map's extremes before a ReLU cut it.
    signed : bool
        Whether negative values mean evidence against the target.
    layers : tuple of str
        Names of the layers that were looked at; of methods without layers none.
    details : tuple
        What a method tells of each image beside its map: of LIME and KernelSHAP a
        `LocalSurrogate`, of others nothing.
    """

    method: str
    maps: Any
    status: Any
    minimum: Any
    maximum: Any
    signed: bool
    layers: tuple[str, ...] = ()
    details: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        """Method, shapes and the number of maps of each status; no numbers."""
        by_layer = self.maps if isinstance(self.maps, dict) else {"": self.maps}
        shapes = ", ".join(f"{name} {tuple(maps.shape)}".strip() for name, maps in by_layer.items())
        tables = self.status.values() if isinstance(self.status, dict) else [self.status]
        counts = Counter(status for table in tables for status in table.ravel().tolist())
        listed = ", ".join(f"{count} {status}" for status, count in counts.items())
        where = "" if isinstance(self.maps, dict) or not self.layers else f" at {self.layers[0]!r}"
        return f"Explanation({self.method!r}{where}, maps {shapes}; {listed})"

    def problems(self) -> list[str]:
        """A line for each status other than ok: how many maps, and what to do."""
        return _problems([self])

    def describe(
        self,
        model: Any = None,
        images: Any = None,
        *,
        target: Any = None,
        names: Sequence[str] | None = None,
        baseline: Any = 0.0,
        boxes: int = 8,
        sanity: bool | str = "auto",
        method_options: Mapping[str, Any] | None = None,
        random_state: int = 0,
        **options: Any,
    ) -> Descriptions:
        """Say in sentences what the maps show, each computed from numbers that it names.

        Parameters
        ----------
        model : Module or callable, optional
            The network that was explained; it is left as it came.  Without one only the maps are
            described, and the last sentence says what was not checked.
        images : Tensor, ndarray, or tuple or mapping of them, optional
            What was explained; needed with a model.
        target : optional
            What the maps were made for, as of `fastxai.explain`; None is the predicted class.
        names : sequence of str, optional
            Names of the classes.
        baseline : baseline, default 0.0
            What stands where a box is hidden, as of `fastxai.metrics.maps.deletion`.
        boxes : int, default 8
            How many boxes elsewhere are hidden to compare with.
        sanity : {"auto", True, False}, default "auto"
            Whether to make the maps again with random weights: two more explanations.  "auto"
            leaves it out for methods that ask the network hundreds of times.
        method_options : mapping, optional
            Options of the method that were not its defaults, to make the same map again.
        random_state : int, default 0
            Seed of the boxes and of the random weights.
        **options
            ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``, as the maps were made
            with; see `Explainer`.

        Returns
        -------
        Descriptions
            A list with one `Description` a map: image by image, target by target, layer by
            layer.  Printed it is the text; ``[0].facts`` holds the numbers, and each of
            ``[0].sentences`` the facts it is made of.

        Raises
        ------
        InvalidInputError
            If images or target are not those of the maps.
        ModelError
            If the model's own forward raises.

        Examples
        --------
        >>> import torch, fastxai
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(243, 5))
        >>> images = torch.rand(2, 3, 9, 9)
        >>> found = fastxai.Saliency(net).explain(images).describe(net, images)
        >>> len(found), 0 < found[0].facts["box_share"] < 1
        (2, True)
        """
        from .describe import describe

        return describe(
            self,
            model,
            images,
            target=target,
            names=names,
            baseline=baseline,
            boxes=boxes,
            sanity=sanity,
            method_options=method_options,
            random_state=random_state,
            **options,
        )

    def _count(self, status: str) -> list[str]:
        """In words how many maps have a status, layer by layer."""
        tables = self.status.items() if isinstance(self.status, dict) else [("", self.status)]
        words = []
        for layer, table in tables:
            # Runners-up often have nothing positive: that is no news.
            seen = table[:, :1] if table.ndim == 2 and status == "empty_after_relu" else table
            if count := int((seen == status).sum()):
                name = f"{self.method} at {layer!r}" if layer else self.method
                words.append(f"{name} {count} of {seen.size}")
        return words


def _problems(explanations: Iterable[Explanation]) -> list[str]:
    counts = {s: [w for e in explanations for w in e._count(s)] for s in _REMEDIES}
    return [
        f"maps with status {status!r}: {', '.join(words)}: {_REMEDIES[status]}"
        for status, words in counts.items()
        if words
    ]


@dataclass(frozen=True, eq=False, repr=False)
class Explanations(Mapping[str, Explanation]):
    """What several methods made of the same images: a mapping from a method's name to its maps.

    Attributes
    ----------
    classes : ndarray of int64
        (N, K): the explained classes, -1 where the target was a function.
    scores : ndarray of float32
        (N, K): their probabilities by the task, or values of a regression or a function.
    images : Tensor or ndarray
        The explained images, in the precision of the model.
    single : bool
        Whether each image has one target, so that maps have no axis of targets.
    """

    results: dict[str, Explanation]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]
    images: Any
    single: bool = True

    def __repr__(self) -> str:
        """The methods, and how many images and targets."""
        n, k = self.classes.shape
        return f"Explanations({', '.join(self.results)}; {n} images, {k} targets each)"

    def __getitem__(self, name: str) -> Explanation:
        try:
            return self.results[canonical(name)]
        except KeyError:
            raise KeyError(f"{name!r}: there is {', '.join(self.results)}") from None

    def __getattr__(self, name: str) -> Any:
        """Say where the maps are, which one looks for here first."""
        if name in ("maps", "status", "minimum", "maximum", "signed"):
            raise AttributeError(f"each method has its own: out[{next(iter(self))!r}].{name}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def problems(self) -> list[str]:
        """A line for each kind of map that can not be looked at as it is."""
        return _problems(self.results.values())

    def describe(self, model: Any = None, images: Any = None, **options: Any) -> Descriptions:
        """Say in sentences what the maps of all methods show; see `Explanation.describe`.

        Parameters
        ----------
        model : Module or callable, optional
            The network that was explained.
        images : optional
            By default those that were explained; of models with several inputs all of them.
        **options
            As of `Explanation.describe`; ``method_options`` is a mapping by method.  The target
            is by default the recorded classes.

        Returns
        -------
        Descriptions
            A list: image by image, target by target, method by method.

        Raises
        ------
        InvalidInputError
            If the model does not give the recorded scores.
        """
        from .describe import describe_all

        return describe_all(self, model, images, **options)

    def contact_sheet(
        self,
        path: Any = None,
        *,
        display: Any = None,
        names: Sequence[str] | None = None,
        scale: Any = "image",
        **options: Any,
    ) -> Figure:
        """Draw image, classes and scores, one panel a method and a row a class.

        Parameters
        ----------
        path : str or Path, optional
            Where to write it: .png, .pdf or .svg.
        display : array, optional
            The images to show, of any size, where the explained ones are not fit to be seen
            (normalised, many channels): (N, H, W, 3), (N, 3, H, W) or (N, H, W).
        names : sequence of str, optional
            Names of the classes.
        scale : {"image", "set"} or (low, high), default "image"
            Whether each map has its own scale of colours, all maps of a method have one, or
            which one.
        **options
            Further ones of `fastxai.plot.contact_sheet`.

        Returns
        -------
        Figure
        """
        from ..plot import contact_sheet

        if display is not None and len(display) != len(self.classes):
            raise InvalidInputError(
                f"display= holds {len(display)} images, and {len(self.classes)} were explained"
            )
        panels, signed, status = {}, {}, {}
        for name, explanation in self.results.items():
            for layer in explanation.maps if isinstance(explanation.maps, dict) else ("",):
                title = f"{name}\n{layer}" if layer else name
                panels[title] = self._by_target(_part(explanation.maps, layer))
                status[title] = _part(explanation.status, layer).reshape(self.classes.shape)
                signed[title] = explanation.signed
        return contact_sheet(
            self.images if display is None else display,
            panels,
            self.classes,
            self.scores,
            signed=signed,
            status=status,
            names=names,
            scale=scale,
            path=path,
            **options,
        )

    def _by_target(self, maps: Any) -> NDArray[np.float32]:
        """(N, K, ...) whether or not there were several targets."""
        array: NDArray[np.float32] = maps if isinstance(maps, np.ndarray) else maps.cpu().numpy()
        return array[:, None] if self.single else array


def _part(value: Any, layer: str) -> Any:
    return value[layer] if layer else value
