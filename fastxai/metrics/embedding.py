"""How much of the data an embedding keeps: classes, neighbours, the order of distances.

Points without coordinates (isolated ones, NaN in the embedding) are judged by none of these
measures and are nobody's neighbours.  All take float32 vectors and are exact for small n;
of many points a seeded sample is judged, exactly, so that the same input gives the same
figure, and the figure (an `Estimate`: a float) knows its confidence interval.
"""

from ._divergence import kl_divergence
from ._estimate import Estimate
from ._evaluate import Evaluator, evaluate
from ._global import distance_correlation, random_triplet_accuracy
from ._labels import label_accuracy
from ._local import continuity, neighbor_preservation, trustworthiness
from ._outliers import outlier_fraction

__all__ = [
    "Estimate",
    "Evaluator",
    "continuity",
    "distance_correlation",
    "evaluate",
    "kl_divergence",
    "label_accuracy",
    "neighbor_preservation",
    "outlier_fraction",
    "random_triplet_accuracy",
    "trustworthiness",
]
