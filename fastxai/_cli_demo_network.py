"""``fastxai demo --network``: a small network of the digits, asked in all the other ways."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ._cli_explain import torch_set
from ._cli_shared import save_picture

_UNITS = 16
_WORDS = 6


class Digits(NamedTuple):
    """The trained network, and what it was trained on and not."""

    network: Any
    images: Any
    labels: Any
    new: Any
    truth: Any


def ask_digits(out: Path, seed: int, threads: int | None, quiet: bool) -> str:
    """One picture of each kind into a folder; a line a picture.

    Raises
    ------
    MissingDependencyError
        If torch or what whole sets need is not installed.
    """
    from .explain.networks import digit_images, digits_cnn
    from .progress import open_progress

    begun = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    with open_progress(verbose=not quiet) as progress, torch_set(threads, seed):
        with progress.stage("training"):
            network = digits_cnn(seed)
        known, new = (digit_images(held_out=held, seed=seed) for held in (False, True))
        digits = Digits(network.model, *known, *new)
        for name, show in _PICTURES.items():
            with progress.stage(name):
                lines.append(show(digits, out, seed))
    return "\n".join([*lines, f"all of it in {time.perf_counter() - begun:.1f} s: {out}"])


def _dream(digits: Digits, out: Path, seed: int) -> str:
    from . import FeatureVisualizer

    file = out / "dream.png"
    make = FeatureVisualizer(
        digits.network, size=32, steps=128, total_variation=1.0, random_state=seed
    )
    found = make.classes(range(10))
    found.save(file)
    return f"what each class wants to see, made by climbing its logit: {file}"


def _units(digits: Digits, out: Path, seed: int) -> str:
    from . import scan_units

    file = out / "units.png"
    scan = scan_units(digits.network, digits.images, out=out / "units", labels=digits.labels)
    layer = scan.layers[-1]
    save_picture(file, lambda: scan.figure(layer, scan.chosen(layer, _UNITS)))
    dead = sum(len(found.dead) for found in scan.dead_units().values())
    return f"the digits that excite units of {layer} most ({dead} units are dead): {file}"


def _examples(digits: Digits, out: Path, seed: int) -> str:
    from . import FeatureBank, explain_by_example

    bank = FeatureBank.build(
        digits.network, digits.images, out=out / "bank", labels=np.asarray(digits.labels)
    )
    bank.embed(random_state=seed).plot(out / "features.png")
    wrong = np.flatnonzero(_answers(digits) != np.asarray(digits.truth))
    row = int(wrong[0]) if len(wrong) else 0
    found = explain_by_example(bank, digits.new[row], k=5, model=digits.network)
    found.plot(out / "examples.png")
    chosen = bank.prototypes(10, 10)
    chosen.plot(bank.images, path=out / "prototypes.png")
    return (
        f"how the network sees its digits: {out / 'features.png'}; those most like "
        f"{'one it gets wrong' if len(wrong) else 'a new one'}: {out / 'examples.png'}; "
        f"prototypes and criticisms: {out / 'prototypes.png'}"
    )


def _answers(digits: Digits) -> Any:
    import torch

    with torch.no_grad():
        return digits.network(digits.new).argmax(1).numpy()


def _stand_ins(digits: Digits, out: Path, seed: int) -> str:
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    from . import explain, surrogate

    iris = load_iris(as_frame=True)
    forest = RandomForestClassifier(random_state=seed).fit(iris.data, iris.target)
    tree = surrogate(
        forest, iris.data, "tree", y=iris.target, class_names=iris.target_names, max_leaves=3,
        random_state=seed,
    )  # fmt: skip
    save_picture(out / "surrogate.png", lambda: tree.plot())
    found = explain(digits.network, digits.new[:5], {"lime": {"random_state": seed}})
    save_picture(out / "lime.png", lambda: found.contact_sheet(display=1 - digits.new[:5]))
    first = str(tree).splitlines()[0]
    return (
        f"a tree in the place of a forest, on irises ({first[0].lower()}{first[1:]}): "
        f"{out / 'surrogate.png'}; a sum over segments in the place of the network: "
        f"{out / 'lime.png'}"
    )


def _described(digits: Digits, out: Path, seed: int) -> str:
    from . import explain
    from .io import atomic_write

    file = out / "described.txt"
    found = explain(digits.network, digits.new[:5], "hirescam")
    names = [f"digit {k}" for k in range(10)]
    text = str(found.describe(digits.network, names=names, random_state=seed))
    with atomic_write(file) as unfinished:
        unfinished.write_text(text + "\n")
    return f"what the maps of five digits say, in sentences: {file}"


def _words(digits: Digits, out: Path, seed: int) -> str:
    from . import TextExplainer
    from .words import TextExplanations, scenes

    file = out / "words.png"
    network = scenes.network(seed)
    known, new = scenes.scenes(3400, seed=1), scenes.scenes(200, seed=2, unseen=True)
    writer = TextExplainer(network.model, random_state=seed).fit(known.images, known.texts)
    found = writer.explain(new.images)
    share = scenes.attribute_accuracy(found.texts, new.texts)
    some = [row for row, things in enumerate(new.things) if len(things) == 2][:_WORDS]
    TextExplanations(tuple(found[row] for row in some), new.images[some]).picture(file)
    return f"scenes in words, and where each word looked ({share:.1%} of attributes right): {file}"


_PICTURES: dict[str, Callable[[Digits, Path, int], str]] = {
    "feature visualisation": _dream,
    "units": _units,
    "examples": _examples,
    "stand-ins": _stand_ins,
    "descriptions": _described,
    "words": _words,
}
