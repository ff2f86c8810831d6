"""Dots in a colour on one side, with their text: pairs that a decoder learns in a second."""

import networks
import torch
from torch import nn

COLOURS = ("red", "green", "blue")


def dots(n=120, seed=0):
    """Images (n, 3, 16, 16) and texts such as "a red dot left"."""
    random = torch.Generator().manual_seed(seed)
    images = 0.1 * torch.rand(n, 3, 16, 16, generator=random)
    colours = torch.randint(3, (n,), generator=random).tolist()
    sides = torch.randint(2, (n,), generator=random).tolist()
    rows = torch.randint(2, 12, (n,), generator=random).tolist()
    texts = []
    for image, colour, side, row in zip(images, colours, sides, rows, strict=True):
        column = 2 + 8 * side
        image[colour, row : row + 3, column : column + 3] += 0.9
        texts.append(f"a {COLOURS[colour]} dot {('left', 'right')[side]}")
    return images, texts


def network(seed=0):
    """Random convolutions, batch norm, and a head: features of which one can tell colours."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features = [*networks.conv_norm(3, 12), nn.ReLU(), nn.MaxPool2d(2)]
        return networks.settle(
            nn.Sequential(*features, *networks.conv_norm(12, 16), nn.ReLU(), *networks.head(16))
        )
