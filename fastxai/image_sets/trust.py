"""The maps of a set put to the test, on some of its images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks import check_whole
from ..errors import InvalidInputError
from ..explain.methods import method_class
from ..explain.networks.loading import load_network
from ..explain.networks.photos import Preprocess
from ..io import atomic_write
from ..metrics.maps import Trust, trust
from ..progress import open_progress, silenced
from .decoding import read_photo_file
from .results import Results
from .settings import identity
from .sources import from_text

TRUST = "trust.json"
_BUILT = ("efficientnet-lite0", "torchvision:", "timm:")
_STEPS = 20  # of the curves: the area under 50 differs by less than its interval
_CURVES = ("insertion", "deletion")


def network_of(results: Results, spec: str | None = None, weights: str | None = None) -> Any:
    """Build the network that a set was explained with.

    Raises
    ------
    InvalidInputError
        If it was no named one, is code that nobody has named again, or has other weights now.
    """
    recorded = results.settings["model"]["spec"]
    wanted = spec or recorded
    if wanted is None:
        raise InvalidInputError(
            f"{results.path} was explained with a network that has no name: in Python, "
            "fastxai.metrics.maps.trust(network, images, methods) measures, and "
            "fastxai.report.write(results, trust=...) shows it"
        )
    if spec is None and not wanted.startswith(_BUILT):
        raise InvalidInputError(f"its network is code: name it again, --model {wanted}, to run it")
    network = load_network(wanted, weights).model
    check_network(results, network)
    return network


def check_network(results: Results, network: Any) -> None:
    """Refuse a network with other weights than the one whose maps these are."""
    now, then = identity(network, None).get("sha256"), results.settings["model"].get("sha256")
    if now != then:
        raise InvalidInputError(
            f"the network has other weights than the one that {results.path} was explained with: "
            "give those weights (--weights FILE)"
        )


def trust_of(
    results: Results,
    network: Any,
    *,
    sample: int = 16,
    random_state: int = 0,
    verbose: bool = False,
) -> Trust:
    """Measure how far the maps of a set can be trusted, and keep the figures beside them.

    Parameters
    ----------
    results : Results
        Whose images came from files.
    network : Module
        That they were explained with.
    sample : int, default 16
        Images, drawn at random among those that were explained.
    random_state : int, default 0
    verbose : bool, default False

    Returns
    -------
    Trust
        Of every method the areas under the curves of insertion and deletion; of methods that
        compute with gradients how they react to random weights and to noise, too.
    """
    check_whole("sample", sample, 2)
    check_network(results, network)
    rows = _some(results, sample, random_state)
    with open_progress(verbose) as progress:
        with progress.stage("photos"):
            images = _images(results, rows)
        parts: list[Trust] = []
        given = _given(results, rows, random_state)
        for names, measures in _parts(results):
            with progress.stage(f"trust: {', '.join(names)}"), silenced():
                methods = {name: results.settings["methods"][name] for name in names}
                options = {**given, "measures": measures, "random": not parts}
                parts.append(trust(network, images, methods, **options))
    found = Trust(tuple(row for part in parts for row in part.rows), parts[0].settings)
    with atomic_write(results.path / TRUST) as temporary:
        temporary.write_text(found.to_json() + "\n", "utf-8")
    return found


def read_trust(path: Path) -> Trust | None:
    """The figures of a run, if its maps were put to the test."""
    file = path / TRUST
    if not file.is_file():
        return None
    try:
        return Trust.from_json(file.read_bytes())
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error}; fastxai report --trust makes it anew") from None


def _some(results: Results, sample: int, seed: int) -> NDArray[np.int64]:
    table = results.table
    rows = table.index[(table["status"] == "ok") & table["path"].ne("")].to_numpy()
    if len(rows) < 2:
        raise InvalidInputError(
            f"{results.path} has {len(rows)} explained images from files, and two are needed: give "
            "images of an array or a Dataset to fastxai.metrics.maps.trust"
        )
    drawn = np.random.default_rng([seed, 17]).permutation(len(rows))[:sample]
    return np.sort(rows[drawn])


def _images(results: Results, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The images as the network got them.

    Raises
    ------
    InvalidInputError
        If they were prepared by a function that is not known here, or files have changed.
    """
    source = results.settings["source"]
    prepare = source.get("preprocess")
    if not isinstance(prepare, dict) or source["kind"] == "dataset":
        raise InvalidInputError(
            f"how photos were prepared for {results.path} is not known ({prepare}): they can not "
            "be read again"
        )
    given: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in prepare.items()}
    found = []
    for row in rows:
        path = from_text(results.table.loc[row, "path"])
        image = read_photo_file(path, Preprocess(**given)).image
        if image is None or image.shape != results.manifest.layout.image_shape:
            raise InvalidInputError(f"{path} can no longer be read as when it was explained")
        found.append(image)
    return np.stack(found)


def _given(results: Results, rows: NDArray[np.int64], seed: int) -> dict[str, Any]:
    settings = results.settings
    if _replaced([settings["methods"], settings["output"]]):
        raise InvalidInputError(
            f"{results.path} was explained with arrays or functions among its options, which are "
            "not kept: use fastxai.metrics.maps.trust(network, images, methods, ...) with them"
        )
    target = np.stack([np.atleast_1d(t) for t in results.table.loc[rows, "target"]]).astype(int)
    common = {name: settings[name] for name in ("task", "output", "layer")}
    target = target[:, 0] if results.single else target
    return {**common, "target": target, "random_state": seed, "steps": _STEPS}


def _replaced(value: Any) -> bool:
    """Whether something stands for an array or a function."""
    if isinstance(value, dict):
        return "sha256" in value or any(_replaced(inner) for inner in value.values())
    return isinstance(value, list) and any(_replaced(inner) for inner in value)


def _parts(results: Results) -> list[tuple[list[str], tuple[str, ...] | None]]:
    """Methods that are asked for the same measures.

    Black boxes take hundreds of forwards a map: they are not made again for every stage.
    """
    names = list(results.settings["methods"])
    boxes = [name for name in names if method_class(name).black_box]
    rest = [name for name in names if name not in boxes]
    found: list[tuple[list[str], tuple[str, ...] | None]] = []
    if rest:
        found.append((rest, None))
    if boxes:
        found.append((boxes, _CURVES))
    return found
