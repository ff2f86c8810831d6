"""`FeatureVisualizer`: images of what the units of a network want to see."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._checks import check_flag, check_whole
from .._warn import warn
from ..errors import InvalidInputError, ModelError
from ..explain.black_box.folding import fast_copy
from ..explain.explainer import check_reading
from ..explain.forward import run_model
from ..explain.halving import Batches
from ..explain.inputs import Inputs
from ..explain.layers.layers import Layer, resolve_layers
from ..explain.model import caller, plain_mode, untouched, unwrap
from ..image_sets.memory import kept_memory
from ..progress import Progress, open_progress
from .ascent import Ascent, Climbed
from .frame import Frame, read_frame
from .objectives import Objectives, of_channels, of_directions
from .options import read_options
from .upto import Found, UpTo, check_calls
from .visualization import Visualization

_OWN = (
    *("size", "image_channels", "mean", "std", "preprocess"),
    *("output", "fast", "batch_size", "verbose"),
)
# What lies in the caches of a CPU is quicker than what fills its memory.
_BATCHES, _BATCH = {"cpu": 16}, 64
_CLASS, _CHANNEL, _UNIT = range(3)  # first number of a unit's key; 3 is of directions


class FeatureVisualizer:
    """Images of what classes, channels, units and directions of a network want to see.

    Each image climbs the activation a of its own unit by gradient ascent,

        maximise   a(view(x)) - |a| (w_tv TV(x) + w_2 |x - 1/2|^2 + w_d likeness(x))

    x written by Fourier coefficients and principal colours, seen in each step from another view:
    Erhan et al. 2009; Simonyan et al. 2014; Olah, Mordvintsev and Schubert, "Feature
    visualization", Distill 2017.  Many images climb together, the forward pass ends at the layer,
    and the model leaves as it came.

    Parameters
    ----------
    model : Module
        Any network for images of two axes; run in eval mode.
    size : int or (int, int), optional
        Height and width of the images, by default those of ``preprocess``, else 128.
    image_channels : int, optional
        By default what the first convolution takes.
    mean, std : float or sequence of float, optional
        The network is given (image - mean) / std of values in 0..1; by default those of
        ``preprocess``, else the values as they are.
    preprocess : Preprocess, optional
        Of a `fastxai.explain.networks.Network`: size, mean and std.
    output : str, int, tuple or callable, optional
        Which part of what the model returns holds the classes.
    fast : bool, default True
        Run a copy with norms folded into convolutions, if it gives the same activations.
    batch_size : int, optional
        Images that climb together, by default 16 on a CPU, else 64; halved where memory does not
        suffice.
    verbose : bool, default False
        Show progress.
    **options
        How images are made: see `Options`.

    Raises
    ------
    InvalidInputError
        If an option has no meaning, or the model takes no images of two axes.

    Examples
    --------
    >>> import torch, fastxai
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5), torch.nn.ReLU())
    >>> found = fastxai.FeatureVisualizer(model, size=32, steps=4).channels("1", [0, 5])
    >>> found.images.shape, found.titles
    ((2, 3, 32, 32), ('channel 0', 'channel 5'))
    """

    def __init__(
        self,
        model: Any,
        *,
        size: Any = None,
        image_channels: int | None = None,
        mean: Any = None,
        std: Any = None,
        preprocess: Any = None,
        output: Any = None,
        fast: bool = True,
        batch_size: int | None = None,
        verbose: bool = False,
        **options: Any,
    ) -> None:
        self.model = unwrap(model)
        self.options = read_options(type(self).__name__, options, _OWN)
        check_flag("fast", fast)
        if batch_size is not None:
            check_whole("batch_size", batch_size, 1)
        self.output, self.fast, self.verbose = output, fast, verbose
        self.batch_size = batch_size
        self._given = (size, image_channels, mean, std, preprocess)
        frame = self._frame()  # what has no meaning is refused at once
        if self.options.decorrelate and frame.channels != 3:
            raise InvalidInputError(
                f"decorrelate=True is for images of three channels, red, green and blue, not of "
                f"{frame.channels}"
            )

    def _frame(self) -> Frame:
        return read_frame(self.model, *self._given)

    def classes(self, classes: Any) -> Visualization:
        """Images of classes: their logits, whatever the image's place in the batch.

        Parameters
        ----------
        classes : int or sequence of int
            Of outputs with pixels the mean over all of them is climbed.

        Raises
        ------
        InvalidInputError
            If there is no such class.
        """
        objectives = of_channels(classes, "class", _CLASS)
        return self._climb(lambda shape: objectives, lambda inputs: None)

    def channels(
        self, layer: Any = None, channels: Any = None, *, call: int | None = None,
        reshape: Any = None,
    ) -> Visualization:  # fmt: skip
        """Images of a layer's channels: the mean of each over all places.

        Parameters
        ----------
        layer : str or Module, optional
            By default the last convolution's feature map.
        channels : int or sequence of int, optional
            By default all.
        call : int, optional
            Which run of the layer, where it runs several times in a forward pass.
        reshape : callable, optional
            Makes (N, C, *spatial) of what the layer returns, where that is not plain.

        Raises
        ------
        InvalidInputError
            If there is no such layer (the message lists near ones) or no such channel, or the
            layer runs several times and ``call`` does not say which is meant.
        """
        given = None if channels is None else of_channels(channels, "channel", _CHANNEL)

        def make(shape: tuple[int, ...]) -> Objectives:
            return given or of_channels(range(shape[1]), "channel", _CHANNEL)

        return self._climb(make, self._finder(layer, call, reshape))

    def units(
        self, layer: Any, channels: Any, positions: Any = None, *, call: int | None = None,
        reshape: Any = None,
    ) -> Visualization:  # fmt: skip
        """Images of single units: a channel at one place of its map, or a neuron.

        Parameters
        ----------
        layer, channels, call, reshape
            As of `channels`.
        positions : (int, int) or sequence of (int, int), optional
            Row and column in the map, for all or one for each; by default the middle.  Layers
            that give a number a channel (linear ones) have none.

        Raises
        ------
        InvalidInputError
            As of `channels`, or if there is no such place.
        """
        places = "centre" if positions is None else positions
        objectives = of_channels(channels, "unit", _UNIT, places)
        return self._climb(lambda shape: objectives, self._finder(layer, call, reshape))

    def directions(
        self, layer: Any, vectors: Any, positions: Any = None, *, call: int | None = None,
        reshape: Any = None,
    ) -> Visualization:  # fmt: skip
        """Images of directions in a layer's feature space: the features' product with a vector.

        Parameters
        ----------
        layer, call, reshape
            As of `channels`.
        vectors : array-like of shape (n, C) or (C,)
            Brought to unit length.  Minus a unit vector is what a channel wants least.
        positions : (int, int) or sequence of (int, int), optional
            By default the mean over all places.

        Raises
        ------
        InvalidInputError
            As of `channels`, or if vectors are zero or of another length.
        """
        objectives = of_directions(vectors, positions)
        return self._climb(lambda shape: objectives, self._finder(layer, call, reshape))

    def _finder(self, layer: Any, call: int | None, reshape: Any) -> Callable[[Inputs], Layer]:
        """What finds a layer, once there is something to run the model with."""
        check_reading(call, reshape)
        if isinstance(layer, (list, tuple, set, frozenset)):
            raise InvalidInputError(f"layer={layer!r}: give one layer; for others, call again")

        def find(inputs: Inputs) -> Layer:
            return resolve_layers(self.model, layer, inputs, call, reshape)[0]

        return find

    def _climb(
        self,
        make: Callable[[tuple[int, ...]], Objectives],
        find: Callable[[Inputs], Layer | None],
    ) -> Visualization:
        """Images of the objectives that ``make`` makes for activations of a shape."""
        frame, options = self._frame(), self.options
        seed = options.seed()
        with plain_mode(), untouched(self.model), kept_memory(), ExitStack() as stack:
            progress = stack.enter_context(open_progress(self.verbose))
            trial = frame.inputs(frame.trial())
            with torch.no_grad():
                layer = find(trial)
            if layer is not None:
                check_calls(self.model, layer, trial)
            network = stack.enter_context(UpTo(self.model, layer, self.output))
            with torch.no_grad():
                found = self._found(network, trial)
            shape = tuple(found.activation.shape)
            name = "the model's output" if layer is None else f"layer {layer.name!r}"
            objectives = make(shape).checked(shape, name)
            if options.diversity and len(shape) == 2:
                network = stack.enter_context(self._with_features(trial, layer))
            run = self._runner(network, trial, found.activation)
            climbed = self._batches(run, objectives, seed, frame, progress)
        return _put_together(climbed, objectives, layer, options.copies, seed)

    def _found(self, network: UpTo, trial: Inputs) -> Found:
        """The trial run; an error says that the images' size was chosen here, if it was."""
        try:
            found: Found = run_model(network, trial)
        except ModelError as error:
            size, _, _, _, preprocess = self._given
            if size is not None or preprocess is not None:
                raise
            raise ModelError(
                f"{error}; no size was given: size= is that of the images it was trained on"
            ) from error
        return found

    def _with_features(self, trial: Inputs, layer: Layer | None) -> UpTo:
        """For units without a map: copies are compared by the last convolution's."""
        return UpTo(self.model, layer, self.output, resolve_layers(self.model, None, trial)[0])

    def _runner(self, network: UpTo, trial: Inputs, activation: Tensor) -> Callable[..., Any]:
        copied = self.fast and fast_copy(network, trial, activation, _activation)
        return caller(copied[0] if copied else network)

    def _batches(
        self,
        run: Callable[..., Any],
        objectives: Objectives,
        seed: int,
        frame: Frame,
        progress: Progress,
    ) -> list[Climbed]:
        """Batch by batch, the copies of a unit in the same."""
        options = self.options

        def climb(first: int, last: int) -> Climbed:
            rows = torch.arange(first, last).repeat_interleave(options.copies)
            part = objectives.part(rows)
            seeds = [(seed, *key, row % options.copies) for row, key in enumerate(part.keys)]
            with progress.stage("steps", options.steps) as advance:
                placed = part.to(frame.device, frame.dtype)
                return Ascent(run, placed, seeds, options, frame).climb(advance)

        together = self.batch_size or _BATCHES.get(frame.device.type, _BATCH)
        size = max(1, together // options.copies)
        return Batches(len(objectives), size).run(climb, progress, "units")


def _activation(found: Found) -> Tensor:
    return found.activation


def _put_together(
    climbed: list[Climbed], objectives: Objectives, layer: Layer | None, copies: int, seed: int
) -> Visualization:
    images, activations, history, moved = (
        torch.cat(list(column)).numpy() for column in zip(*climbed, strict=True)
    )
    titles = tuple(title for title in objectives.titles for _ in range(copies))
    status = np.where(moved | (history.shape[1] == 0), "ok", "no_gradient")
    if stuck := [t for t, s in zip(titles, status, strict=True) if s != "ok"]:
        listed = ", ".join(dict.fromkeys(stuck[:6])) + (", ..." if len(stuck) > 6 else "")
        warn(
            f"no gradient came for {len(stuck)} of {len(titles)} images, which are noise: "
            f"{listed} (units that are off whatever they see; fastxai.dead_units lists them)"
        )
    name = "" if layer is None else layer.name
    return Visualization(images, activations, history, status, titles, name, copies, seed)
