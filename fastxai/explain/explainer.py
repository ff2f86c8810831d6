"""The base of every method: what they share, and what each declares."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import torch

from .._checks import check_whole
from .._warn import warn
from ..errors import InvalidInputError
from ..progress import Progress, open_progress
from .explanation import Explanation
from .inputs import Inputs, read_inputs, spatial_axes
from .layers.layers import Layer, resolve_layers
from .model import place_of, plain_mode, untouched, unwrap
from .session import Maps, Session
from .targets.request import check_task

BATCH = 32  # images that run together, unless told


class Explainer:
    """What all methods share.

    Parameters
    ----------
    model : Module
        Any network for images; it is run in eval mode and left as it came.
    output : str, int, tuple or callable, optional
        Which part of what the model returns is explained, where that is not plain.
    task : {"softmax", "binary", "multilabel", "regression"}, default "softmax"
        What the output means: how classes are chosen and turned into probabilities.
    wrt : str or int, optional
        Which input is explained, for models with several.
    batch_size : int, optional
        Images that run together, by default 32; halved where memory does not suffice.
    verbose : bool, default False
        Show progress, the chosen layer, and what the rules covered.
    """

    name: str = ""
    signed: ClassVar[bool] = False
    __signature__: ClassVar[inspect.Signature]
    cut_by_relu: bool = False
    several_layers: bool = False  # layers were given as a sequence: results are dicts
    pixels: ClassVar[bool] = False  # wants gradients by the images
    rule: ClassVar[str] = ""  # by which it wants ReLUs differentiated; "" is the plain gradient
    black_box: ClassVar[bool] = False  # wants only the model's answers

    def __init_subclass__(cls) -> None:
        """Show the options that go to the base classes in the signature, too."""
        own = inspect.signature(cls.__init__).parameters.values()
        named = {p.name: p for p in own if p.kind is not p.VAR_KEYWORD and p.name != "self"}
        inherited = inspect.signature(cls.__base__ or cls).parameters
        open_ended = inspect.Parameter.VAR_KEYWORD
        named |= {n: p for n, p in inherited.items() if n not in named and p.kind != open_ended}
        cls.__signature__ = inspect.Signature(sorted(named.values(), key=lambda p: p.kind))

    def __init__(
        self,
        model: Any,
        *,
        output: Any = None,
        task: str = "softmax",
        wrt: Any = None,
        batch_size: int | None = None,
        verbose: bool = False,
        **strange: Any,
    ) -> None:
        if strange:
            known = ", ".join(list(self.__signature__.parameters)[1:])
            raise TypeError(f"{type(self).__name__} has no option {min(strange)!r}; it has {known}")
        check_task(task)
        if batch_size is not None:
            check_whole("batch_size", batch_size, 1)
        self.model = _answering(model) if self.black_box else unwrap(model)
        self.output, self.task, self.wrt = output, task, wrt
        self.batch_size, self.verbose = batch_size, verbose

    def __call__(self, images: Any, target: Any = None) -> Any:
        """Return the maps; warn of those that can not be looked at as they are.

        Parameters
        ----------
        images : Tensor, ndarray, or tuple or mapping of them
            (N, C, *spatial), floating, prepared as for the model.
        target : optional
            What is explained; None is the predicted class.  A class index, one an image
            (N,), several an image (N, K), ``"top5"``, a function of one image's output, or
            (class, mask) for outputs with a value at each pixel.

        Returns
        -------
        Tensor or ndarray, or dict by layer where there are several
            float32, (N, H, W) or (N, K, H, W); methods by channel have a C before H.
        """
        explanation = self.explain(images, target)
        tell_problems(explanation.problems())
        return explanation.maps

    def explain(self, images: Any, target: Any = None) -> Explanation:
        """Return the maps with a status each; parameters as when called."""
        from .engine import run

        return run([self], images, target).explanations[self.name]

    def resolve(self, inputs: Inputs) -> list[Layer]:
        """The layers to record; methods without layers have none."""
        return []

    def taps(self) -> Sequence[AbstractContextManager[Any]]:
        """Modes to enter around the forward."""
        return ()

    def by_target(self, session: Session) -> Iterator[dict[str, Maps]] | None:
        """Target by target the maps of one batch, (N, 1, ...), by layer name.

        "" stands where a method has no layers.  Methods ask together for the gradients of one
        target, which are forgotten before those of the next.  None: see `compute`.
        """
        return None

    def compute(self, session: Session) -> dict[str, Maps]:
        """The maps of one batch, (N, K, ...), of a method that does not go target by target."""
        raise NotImplementedError


class LayerExplainer(Explainer):
    """A method that looks at a layer; ``layer``, ``call`` and ``reshape`` say at which and how."""

    def __init__(
        self, model: Any, layer: Any = None, *, call: int | None = None, reshape: Any = None,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(model, **options)
        check_reading(call, reshape)
        self.layer, self.call, self.reshape = layer, call, reshape
        self.several_layers = isinstance(layer, (list, tuple, set, frozenset))

    def resolve(self, inputs: Inputs) -> list[Layer]:
        """The layers asked for, or the last convolution's feature map."""
        return resolve_layers(self.model, self.layer, inputs, self.call, self.reshape, self.output)


def check_reading(call: Any, reshape: Any) -> None:
    """Refuse what is no number of a call, or no function."""
    if call is not None:
        check_whole("call", call, 0)
    if reshape is not None and not callable(reshape):
        raise InvalidInputError(
            f"reshape={reshape!r}: give a function that makes (N, C, *spatial) of the "
            "layer's output"
        )


def _answering(model: Any) -> Any:
    """A model of which only answers are wanted: scripted ones and functions will do."""
    if isinstance(model, torch.nn.Module) and not isinstance(model, torch.jit.ScriptModule):
        return unwrap(model)
    if not callable(model):
        if isinstance(getattr(model, "model", None), torch.nn.Module):
            return unwrap(model)  # says what to give instead
        raise InvalidInputError(f"the model is a {type(model).__name__} and can not be called")
    return model


@contextmanager
def opened(explainer: Explainer, images: Any) -> Iterator[tuple[Inputs, Progress]]:
    """The images as read for the model, which is in eval mode and untouched after the block."""
    model = explainer.model
    with plain_mode(), untouched(model), open_progress(explainer.verbose) as progress:
        device, dtype = place_of(model)
        axes = spatial_axes(model) if isinstance(model, torch.nn.Module) else None
        wrt = explainer.wrt
        yield read_inputs(images, wrt, device=device, dtype=dtype, spatial=axes), progress


def tell_problems(lines: Sequence[str]) -> None:
    """One warning a call."""
    if lines:
        warn("; ".join(lines))
