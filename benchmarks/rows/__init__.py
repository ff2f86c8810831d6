"""What is compared.  A row takes a `Bench` and returns its checks, runs and notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..harness import Bench
from . import (
    embedding,
    explain,
    image_sets,
    kernels,
    neighbours,
    prototypes,
    stages,
    superpixels,
    text,
    tsne,
    tsne_parts,
    visualize,
)

Measure = Callable[[Bench], dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """A row of the table; ``minutes`` as measured or expected on two cores."""

    name: str
    title: str
    measure: Measure
    minutes: tuple[float, float]
    quick: bool = True
    explains: bool = False  # both sides in the environment of the explanation peers
    plain: bool = False  # the other side is torch alone, in our environment


_EXPLAINED = "8 photos of 224×224"


def _explains(name: str, title: str, measure: Measure, minutes: tuple[float, float]) -> Row:
    return Row(name, title, measure, minutes, quick=False, explains=True)


def _sets(name: str, title: str, measure: Measure, minutes: tuple[float, float]) -> Row:
    return Row(name, title, measure, minutes, quick=False, plain=True)


ROWS = (
    Row("umap", "UMAP, Fashion-MNIST 70,000×784, whole process", embedding.umap, (6, 11)),
    Row("first-process", "the very first process after install", embedding.first_process, (3, 3)),
    Row("knn", "kNN, k=15, Fashion-MNIST", neighbours.knn, (7, 12)),
    Row("fuzzy-set", "fuzzy set on the same kNN", stages.fuzzy_set, (1, 1)),
    Row("spectral", "spectral start, same graph", stages.spectral, (1.5, 1.5)),
    Row("layout", "layout, same graph, 200 epochs", stages.layout, (2.5, 6)),
    Row("transform", "transform of 10,000 held-out points", embedding.transform, (2.5, 2.5)),
    Row("words", "400,000×50 word vectors, cosine", embedding.words, (12, 12), quick=False),
    Row(
        "words-50k",
        "the 50,000 most frequent word vectors, cosine",
        embedding.few_words,
        (2.5, 2.5),
    ),
    Row("crops", "1,050,000×196 crops", embedding.crops, (35, 35), quick=False),
    Row(
        "tsne",
        "t-SNE, Fashion-MNIST 70,000×784, perplexity 30, whole process",
        tsne.tsne,
        (11, 17),
        quick=False,
    ),
    Row(
        "tsne-sklearn",
        "t-SNE to scikit-learn's divergence after 1000 iterations",
        tsne.against_sklearn,
        (20, 20),
        quick=False,
    ),
    Row("perplexity", "t-SNE, perplexity search 70,000×90", tsne_parts.perplexity, (2, 2)),
    Row(
        "bh-gradient",
        "t-SNE, one Barnes-Hut gradient, same points",
        tsne_parts.barnes_hut,
        (10, 10),
        quick=False,
    ),
    Row(
        "mesh-gradient",
        "t-SNE, one particle-mesh gradient, same points",
        tsne_parts.particle_mesh,
        (4, 4),
        quick=False,
    ),
    Row(
        "tsne-scaling",
        "t-SNE of 10,000 to 1,050,000×196 crops",
        tsne.scaling,
        (35, 35),
        quick=False,
    ),
    Row("tsne-3d", "t-SNE in three dimensions, 70,000×784", tsne.in_space, (15, 15), quick=False),
    Row(
        "prototypes",
        "prototypes and criticisms, Fashion-MNIST, against the matrix in NumPy",
        prototypes.prototypes,
        (1.5, 3),
        quick=False,
    ),
    Row("kernels", "each hot kernel beside its limit", kernels.kernels, (1.5, 1.5)),
    _explains(
        "gradcam-resnet50",
        f"Grad-CAM, ResNet-50, {_EXPLAINED}",
        partial(explain.gradcam, network="resnet50"),
        (1.5, 3),
    ),
    _explains(
        "gradcam-vgg16",
        f"Grad-CAM, VGG-16, {_EXPLAINED}",
        partial(explain.gradcam, network="vgg16"),
        (5, 9),
    ),
    _explains(
        "gradcam-lite0",
        f"Grad-CAM, EfficientNet-Lite0, {_EXPLAINED}",
        partial(explain.gradcam, network="efficientnet-lite0"),
        (1, 1.5),
    ),
    _explains(
        "gradcam-memory",
        "Grad-CAM, peak memory above the loaded model",
        explain.memory,
        (2.5, 2.5),
    ),
    _explains(
        "explain-resnet50",
        f"five methods together, ResNet-50, {_EXPLAINED}",
        partial(explain.together, network="resnet50"),
        (2, 3.5),
    ),
    _explains(
        "explain-vgg16",
        f"five methods together, VGG-16, {_EXPLAINED}",
        partial(explain.together, network="vgg16"),
        (4, 8),
    ),
    _explains(
        "occlusion-resnet50",
        "occlusion, ResNet-50, 169 windows",
        partial(explain.occlusion, network="resnet50"),
        (4, 7),
    ),
    _explains(
        "occlusion-vgg16",
        "occlusion, VGG-16, 169 windows",
        partial(explain.occlusion, network="vgg16"),
        (8, 14),
    ),
    _explains(
        "gradcam-occlusion",
        "Grad-CAM beside occlusion, EfficientNet-Lite0",
        explain.agreement,
        (0.5, 0.5),
    ),
    _explains(
        "lime-lite0",
        "LIME, EfficientNet-Lite0, 256 masks of one photo",
        partial(superpixels.lime, network="efficientnet-lite0"),
        (1, 1.5),
    ),
    _explains(
        "visualize-lite0",
        "feature visualisation of 64 channels, EfficientNet-Lite0",
        visualize.channels,
        (10, 15),
    ),
    _sets(
        "set-gradcam-lite0",
        "Grad-CAM of a folder of JPEG crops, EfficientNet-Lite0, against loader and plain forward",
        image_sets.gradcam,
        (4.5, 7),
    ),
    _sets("set-memory", "an image set's peak memory", image_sets.memory, (1, 1)),
    _sets("set-resume", "start of a run that is 90% done", image_sets.resume, (1, 1)),
    _sets("insertion-deletion", "insertion and deletion curves", image_sets.curves, (1, 2)),
    _sets("text-scenes", "words about scenes with unseen combinations", text.scenes, (4, 6)),
)
