"""How far maps of evidence can be trusted.

A map looks convincing whether or not it is right.  These measures ask what can be asked: does
the score follow the pixels that it names (`insertion_deletion`); does the evidence lie on the
object (`pointing_game`, `evidence_share`); does it depend on what the network learned
(`randomisation`); does it stay as it is when the image hardly changes (`stability`).  `trust`
asks all of them of several methods.  Every figure is an `Estimate`, a float with the 95%
confidence interval of the mean over images like those given: Wilson's where values have two
bounds, Student's where they have not.
"""

from ._estimate import Estimate
from ._map_curves import Curve, Curves, deletion, insertion, insertion_deletion
from ._map_evaluate import trust
from ._map_randomisation import Randomisation, randomisation
from ._map_regions import evidence_share, pointing_game
from ._map_result import MapMeasure
from ._map_stability import Stability, stability
from ._map_trust import Trust, TrustRow

__all__ = [
    "Curve",
    "Curves",
    "Estimate",
    "MapMeasure",
    "Randomisation",
    "Stability",
    "Trust",
    "TrustRow",
    "deletion",
    "evidence_share",
    "insertion",
    "insertion_deletion",
    "pointing_game",
    "randomisation",
    "stability",
    "trust",
]
