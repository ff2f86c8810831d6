"""What images pay for: roughness, contrast, likeness to the other images of their unit."""

from __future__ import annotations

import torch
from torch import Tensor

from .options import Options

_TINY = 1e-12


def penalty(options: Options, images: Tensor, features: Tensor | None) -> Tensor | None:
    """The weighted sum of what each image pays for, (n,); None where nothing has a weight.

    Parameters
    ----------
    options : Options
        The weights.
    images : Tensor of shape (n, C, H, W)
        In 0..1.
    features : Tensor of shape (n, C', *spatial), optional
        By which copies of a unit, which follow each other, are compared.
    """
    parts = []
    if options.total_variation:
        parts.append(options.total_variation * total_variation(images))
    if options.l2:
        parts.append(options.l2 * (images - 0.5).square().flatten(1).mean(1))
    if options.diversity and features is not None:
        parts.append(options.diversity * likeness(features, options.copies))
    return torch.stack(parts).sum(0) if parts else None


def total_variation(images: Tensor) -> Tensor:
    """The mean absolute difference of neighbouring pixels, down plus across; (n,).

    Rudin, Osher and Fatemi, "Nonlinear total variation based noise removal algorithms", 1992;
    anisotropic.
    """
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().flatten(1)
    across = (images[..., 1:] - images[..., :-1]).abs().flatten(1)
    found = images.new_zeros(len(images))
    for part in (down, across):
        if part.shape[1]:
            found = found + part.mean(1)
    return found


def likeness(features: Tensor, copies: int) -> Tensor:
    """Of each image the mean cosine of its Gram matrix to those of its unit's other images; (n,).

        G = F F^T,   F the features (C, places), less their mean over the places

    Gram matrices tell which channels go together, wherever that is: textures (Gatys, Ecker and
    Bethge 2015), and so what Olah et al. (2017, section "Diversity") push apart.  Behind a
    ReLU they are nearly alike whatever is seen, unless the mean is taken off.
    """
    found = features.flatten(2) if features.ndim > 2 else features[..., None]
    if found.shape[2] > 1:
        found = found - found.mean(2, keepdim=True)
    found = found.unflatten(0, (-1, copies))  # units, copies, channels, places
    channels, places = found.shape[2:]
    if channels <= places:
        gram = (found @ found.transpose(2, 3)).flatten(2)
        products = gram @ gram.transpose(1, 2)
    else:  # tr(G_k G_l) = |F_k^T F_l|^2
        rows = found.transpose(2, 3).flatten(1, 2)
        products = (rows @ rows.transpose(1, 2)).square()
        products = products.unflatten(2, (copies, places)).unflatten(1, (copies, places))
        products = products.sum((2, 4))
    sizes = products.diagonal(dim1=1, dim2=2).clamp(min=_TINY).sqrt()
    cosines = products / (sizes[:, :, None] * sizes[:, None])
    others = cosines.sum(2) - cosines.diagonal(dim1=1, dim2=2)
    return (others / (copies - 1)).flatten()
