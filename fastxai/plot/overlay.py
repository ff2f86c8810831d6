"""A map of evidence on its image: red speaks for the class, blue against it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from . import canvas, pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

Limits = tuple[float, float]
Scale = Literal["image"] | Limits

# Weak evidence lets the image through, strong evidence covers most of it.  The two sides are as
# dark as each other at the same distance from zero, and differ to every kind of eye.
_FOR = ("#FFE9A8", "#FDBB5B", "#F2722E", "#CF1B1F", "#7A0022")
_AGAINST = ("#CFE3F2", "#8FBEDF", "#4A90C8", "#1F62A5", "#08306B")
_COLOURS = 256
_FRAME = "#D4D4D4"
_LETTER = 0.062  # inches of a letter of a status, about
_RISE = 0.6  # the power by which a map becomes opaque
_STATUS = {
    "empty_after_relu": "nothing positive",
    "zero_gradient": "zero gradient",
    "nonfinite": "not finite",
    "zero": "zero everywhere",
}
BACKGROUNDS = ("grey", "faded", "colour")


class Shades(NamedTuple):
    """How the values of a map become colours: where they begin and end, and what zero is."""

    limits: Limits
    signed: bool
    cmap: Colormap

    def scale(self) -> Any:
        """The colours as matplotlib's colour bars want them."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        return ScalarMappable(Normalize(*self.limits), self.cmap)


def evidence_colours(signed: bool, alpha: float, cmap: Any = None) -> Colormap:
    """Return colours that are transparent at zero and ``alpha`` opaque at the ends.

    A matplotlib colour map of one's own is ``alpha`` opaque everywhere.
    """
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap, ListedColormap

    if cmap is not None:
        if isinstance(cmap, str) and cmap not in matplotlib.colormaps:
            raise InvalidInputError(f"cmap={cmap!r} is no matplotlib colour map")
        given = matplotlib.colormaps[cmap] if isinstance(cmap, str) else cmap
        colours = given(np.linspace(0.0, 1.0, _COLOURS))
        colours[:, 3] *= alpha
    else:
        names = (*_AGAINST[::-1], *_FOR) if signed else _FOR
        ramp = LinearSegmentedColormap.from_list("ramp", names)
        place = np.linspace(0.0, 1.0, _COLOURS)
        colours = ramp(place)
        colours[:, 3] = alpha * np.abs(2 * place - 1 if signed else place) ** _RISE
    return ListedColormap(colours).with_extremes(bad=(1.0, 1.0, 1.0, 0.0))


def read_status(status: Any, map: NDArray[Any]) -> str:
    """What is to be written on a panel instead of a map; "" where there is a map to draw."""
    if status is None or status == "":
        known = map[np.isfinite(map)]
        status = "nonfinite" if not known.size else "ok" if known.any() else "zero"
    name = str(status)
    if name == "ok" and not map.any():
        name = "zero"
    return "" if name == "ok" else _STATUS.get(name, name.replace("_", " "))


def is_signed(map: NDArray[Any]) -> bool:
    """Whether some value is below zero."""
    return bool((map < 0).any())


def check_scale(scale: Any, names: tuple[str, ...]) -> None:
    """Refuse what is neither one of the names nor a lower and an upper value."""
    if isinstance(scale, str) and scale in names:
        return
    try:
        low, high = map(float, scale)
    except (TypeError, ValueError):
        low = high = np.nan
    if not (np.isfinite([low, high]).all() and low < high):
        listed = ", ".join(map(repr, names))
        raise InvalidInputError(f"scale={scale!r}: choose {listed} or (low, high) with low < high")


def check_look(background: Any, alpha: Any, channels: Any) -> None:
    """Refuse options that have no meaning."""
    if background not in BACKGROUNDS:
        raise InvalidInputError(f"background={background!r}: choose one of {BACKGROUNDS}")
    if not 0 < alpha <= 1:
        raise InvalidInputError(f"alpha={alpha!r}: choose more than 0 and at most 1")
    if channels not in ("sum", "absmax"):
        raise InvalidInputError(f"channels={channels!r}: choose 'sum' or 'absmax'")


def draw_image(axes: Axes, image: pictures.Pixels) -> None:
    """Show an image in bare axes."""
    axes.imshow(image, interpolation=_grain(image.shape[:2]), aspect="equal")
    _bare(axes)


def draw_map(
    axes: Axes,
    image: pictures.Pixels | None,
    map: NDArray[Any],
    shades: Shades,
    status: str,
    background: str = "faded",
) -> None:
    """Draw a map (H, W) over its image, or (C, H, W) beside it; or write why there is none."""
    size = map.shape[-2:] if image is None else image.shape[:2]
    extent = (-0.5, size[1] - 0.5, size[0] - 0.5, -0.5)
    place: dict[str, Any] = {"extent": extent, "aspect": "equal", "zorder": 2}
    if status:
        blank = np.ones((*size, 3)) if image is None else pictures.faded(image, "faded")
        axes.imshow(0.5 + 0.5 * blank, interpolation=_grain(size), aspect="equal")
        _write(axes, status)
    elif map.ndim == 3:
        pixels = pictures.colour_map(map, shades.limits, shades.signed)
        axes.imshow(pixels, interpolation=_grain(map.shape[-2:]), **place)
    else:
        if image is not None:
            below = pictures.faded(image, background)
            axes.imshow(below, interpolation=_grain(size), aspect="equal")
        look: Any = {"cmap": shades.cmap, "vmin": shades.limits[0], "vmax": shades.limits[1]}
        axes.imshow(map, interpolation=_grain(map.shape), **look, **place)
    axes.set(xlim=extent[:2], ylim=extent[2:])
    _bare(axes)


def _write(axes: Axes, status: str) -> None:
    text = textwrap.fill(status, max(6, int(canvas.inches(axes)[0] / _LETTER)))
    middle: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes}
    box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    axes.text(0.5, 0.5, text, fontsize=7.5, color=canvas.INK, bbox=box, zorder=3, **middle)


def _grain(size: tuple[int, ...]) -> str:
    """Few pixels are shown as such, many are smoothed only where they would flicker."""
    return "nearest" if max(size) <= 64 else "antialiased"


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=_FRAME, linewidth=0.5)


def overlay(
    image: Any,
    map: Any,
    *,
    signed: bool | None = None,
    scale: Scale = "image",
    status: str | None = None,
    title: str | None = None,
    label: str | None = None,
    background: Literal["grey", "faded", "colour"] = "faded",
    alpha: float = 0.8,
    cmap: str | Colormap | None = None,
    channels: Literal["sum", "absmax"] = "sum",
    mean: Any = None,
    std: Any = None,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draw one explanation: a map over its image, or a map with colours of its own.

    Maps (H, W) lie over the faded image, red where they speak for the class and blue where
    against it, and let it through where they say little.  Maps (3, H, W) are pictures
    themselves: signed ones red, green and blue around mid-grey by one scale for all channels.
    Maps of other numbers of channels are folded to (H, W).

    Parameters
    ----------
    image : array or tensor of shape (H, W), (H, W, 3), (3, H, W), or None
        What was explained, as the eye knows it; it may have another size than the map, which
        is drawn to its extent.  uint8 counts to 255 and floats in 0..1 are shown as they are.
        Other floats are taken back by ``mean`` and ``std`` if given, and else stretched from
        their least to their greatest value.
    map : array or tensor of shape (h, w) or (C, h, w)
        Raw values, on any scale.  NaN is transparent.
    signed : bool, optional
        Whether values below zero mean evidence against; by default whether there are any.
    scale : "image" or (low, high), default "image"
        The values at the ends of the colours; "image" takes the 99.5th percentile of the
        absolute values (the 98th where three channels are colours), and zero (where signed
        the negative of it) at the other end.  Signed maps keep zero in the middle.
    status : str, optional
        What fastxai says of the map; anything but "ok" is written instead of it.  By default
        found out: maps without a finite value, or zero everywhere.
    title : str, optional
        Above the picture.
    label : str, optional
        Of the colour bar.
    background : {"faded", "grey", "colour"}, default "faded"
        The image beneath: its grey values moved towards white, its grey values, or itself.
    alpha : float, default 0.8
        How much of the image the strongest evidence covers.
    cmap : str or Colormap, optional
        Other colours, ``alpha`` opaque everywhere.
    channels : {"sum", "absmax"}, default "sum"
        How channels are folded where there are not three of them: added, or the one farthest
        from zero.
    mean, std : float or sequence of float, optional
        With which the image was normalised, channel by channel.
    colorbar : bool, default True
        Show the scale.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure, made without pyplot.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        If the image or the map can not be shown, or an option has no meaning.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai import plot
    >>> image = np.random.default_rng(0).random((32, 32, 3))
    >>> figure = plot.overlay(image, np.linspace(-1, 1, 64).reshape(8, 8), title="tabby")
    """
    check_scale(scale, ("image",))
    check_look(background, alpha, channels)
    shown = None if image is None else pictures.read_image(image, mean, std)
    values = pictures.read_map(map, channels)
    if signed is None:
        signed = is_signed(values)
    if isinstance(scale, str):
        limits = pictures.reach(values, signed, values.ndim)
    else:
        limits = given_limits(scale, signed)
    shades = Shades(limits, signed, evidence_colours(signed, alpha, cmap))
    if ax is None:
        high, wide = values.shape[-2:] if shown is None else shown.shape[:2]
        side = canvas.SIDE / 1.4 / max(high, wide)
        size = (max(wide * side, 1.0) + 0.9 * colorbar, max(high * side, 1.0) + 0.3)
        ax = canvas.MapFigure(figsize=size, layout="constrained").add_subplot()
    written = read_status(status, values)
    draw_map(ax, shown, values, shades, written, background)
    canvas.set_title(ax, title)
    if colorbar and not written and values.ndim == 2:
        bar = canvas.root_figure(ax).colorbar(shades.scale(), ax=ax, shrink=0.8, aspect=25)
        dress_bar(bar)
        if label is not None:
            bar.set_label(label, fontsize=9, color=canvas.INK)
    return canvas.root_figure(ax)


def dress_bar(bar: Any, size: float = 8.0) -> None:
    """Give a colour bar the look of the house; as light beneath as an image is."""
    bar.outline.set_visible(False)
    bar.ax.set_facecolor("#E4E4E4")
    bar.ax.tick_params(labelsize=size, colors=canvas.INK, width=0.5, length=2.5, pad=1.5)


def given_limits(scale: Any, signed: bool) -> Limits:
    """The limits that were asked for; zero stays in the middle where signed."""
    low, high = map(float, scale)
    return (-max(-low, high), max(-low, high)) if signed else (low, high)
