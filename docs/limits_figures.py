"""The figures of docs/limits.md: ``python docs/limits_figures.py [FOLDER]`` (two minutes).

Each function makes one picture and prints the numbers that the page names.
"""

from __future__ import annotations

import copy
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import binomtest, spearmanr

import fastxai
from fastxai import datasets, plot
from fastxai.explain import networks
from fastxai.explain.networks.demo import train_digits
from fastxai.metrics import maps

_OCCLUSION = {"occlusion": {"window": 6, "stride": 2}}
_GROUPS = ("train", "missing", "foreign")  # of `networks.shortcut_images`
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#9E9E9E"


# --- local is not global -----------------------------------------------------------------


def local(folder: Path) -> None:
    """Twelve sevens: how well the numbers of one foretell the scores of another."""
    net = networks.digits_cnn()
    images, labels = networks.digit_images(held_out=True)
    sevens = images[labels == 7][:12]
    cells = np.arange(16).reshape(4, 4).repeat(8, 0).repeat(8, 1)
    found = fastxai.LIME(net.model, segments=cells).explain(sevens, target=7)
    coefficients = np.stack([detail.coefficients for detail in found.details])
    intercepts = np.array([detail.intercept for detail in found.details])

    z = np.random.default_rng(1).integers(0, 2, (500, 16)).astype(np.float32)
    hidden = torch.from_numpy(z[:, cells])[:, None]
    with torch.no_grad():
        truth = [net.model(one * hidden).softmax(1)[:, 7].numpy() for one in sevens]

    def r2(said: Any, scores: Any) -> float:
        return float(1 - np.square(scores - said).mean() / scores.var())

    said = z @ coefficients.T + intercepts  # (500, 12): what each seven's numbers say
    table = np.array([[r2(said[:, i], scores) for scores in truth] for i in range(12)])
    own, others = np.diag(table), table[~np.eye(12, dtype=bool)]
    mean = np.array([r2(said.mean(1), scores) for scores in truth])
    print(f"local: R² own {own.mean():.2f}, another's median {np.median(others):.2f}, ", end="")
    print(f"mean {mean.mean():.2f}; {(others < 0).mean():.0%} below 0; ", end="")
    pairs = np.corrcoef(coefficients)[np.triu_indices(12, 1)]
    print(f"weights correlate {pairs.mean():.2f}")

    figure = Figure(figsize=(8.4, 2.1), layout="constrained")
    axes = figure.subplots(1, 5, width_ratios=[1, 1, 1, 1, 1.9])
    for k in range(4):
        _lay(axes[k], sevens[k], found.maps[k], f"R² {own[k]:.2f}")
    rows = (
        ("its own", own, _BLUE),
        ("the mean of 12", mean, _GREY),
        ("another's", others, _ORANGE),
    )
    _dots(axes[4], rows, "R² of foretold scores")
    _save(figure, folder, "local")


def _dots(axes: Any, rows: Any, label: str) -> None:
    """A row of dots for each kind; what is below -1 stands at -1."""
    spread = np.random.default_rng(0)
    for place, (_, values, colour) in enumerate(rows):
        up = place + spread.uniform(-0.18, 0.18, len(values))
        axes.plot(np.maximum(values, -1), up, "o", color=colour, ms=4, alpha=0.6, mew=0)
        axes.plot(2 * [np.median(values)], [place - 0.32, place + 0.32], color="black", lw=1.5)
    axes.axvline(0, color="#BDBDBD", zorder=0)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(-1.08, 1), xlabel=label)
    axes.set_xticks([-1, 0, 1], ["≤ −1", "0", "1"])
    axes.spines[["top", "right"]].set_visible(False)


# --- correlation is not causation --------------------------------------------------------


def causes(folder: Path) -> None:
    """A mark that goes with the digit: what follows it, and what erasing it does."""
    net = networks.shortcut_cnn()
    data = networks.shortcut_images(groups=["train", "missing", "foreign"])
    answers = net.model(data.images).argmax(1)
    group = np.array(data.groups)
    digit = [float((answers == data.labels)[group == one].float().mean()) for one in _GROUPS]
    mark = [float((answers == data.marks)[group == one].float().mean()) for one in _GROUPS]
    print("causes: the digit", np.round(digit, 3), "the mark", np.round(mark, 3))

    rows = group == "train"
    found = fastxai.explain(net.model, data.images[rows], _OCCLUSION)["occlusion"]
    share = maps.evidence_share(found.maps, data.boxes[rows])
    erased = data.images[rows].clone()
    erased[:, :, :9, :9] = 0
    right = (net.model(erased).argmax(1) == data.labels[rows]).float().mean()
    print(f"causes: {share}, right without the corner {right:.3f}")

    figure = Figure(figsize=(8.4, 2.5), layout="constrained")
    axes = figure.subplots(1, 4, width_ratios=[1, 1, 1, 2.0])
    one = int(((answers != data.labels) & (answers == data.marks)).nonzero()[0]) % 360
    titles = ("mark of its class", "no mark", "mark of another")
    for k, title in enumerate(titles):
        image = data.images[one + 360 * k]
        answer = int(answers[one + 360 * k])
        map_ = fastxai.explain(net.model, image[None], _OCCLUSION)["occlusion"].maps[0]
        _lay(axes[k], image / image.max(), map_, f"{title}\nanswer: {answer}")
    mark[1] = np.nan  # there is none
    places = np.arange(3)
    axes[3].bar(places - 0.2, digit, 0.38, color=_BLUE, label="= the digit")
    axes[3].bar(places + 0.2, mark, 0.38, color=_ORANGE, label="= the mark")
    for place, height in zip([*(places - 0.2), *(places + 0.2)], [*digit, *mark], strict=True):
        if np.isfinite(height):
            axes[3].text(place, height + 0.02, f"{height:.0%}", ha="center", fontsize=7)
    axes[3].set_xticks(places, ["as in\ntraining", "no\nmark", "mark of\nanother"], fontsize=8)
    axes[3].set(ylim=(0, 1.35), yticks=[0, 0.5, 1], ylabel="share of answers")
    axes[3].spines[["top", "right"]].set_visible(False)
    axes[3].legend(frameon=False, fontsize=8, ncols=2, loc="upper center")
    _save(figure, folder, "causes")


# --- what a map can not show -------------------------------------------------------------


def blind(folder: Path) -> None:
    """One photo: maps of three classes, and of a network that has forgotten its upper half."""
    lite = networks.efficientnet_lite0()
    image, shown = lite.preprocess([networks.read_photo(networks.photo_files()[0])])
    with torch.no_grad():
        likely = lite.model(image).softmax(1)[0]
    classes = {282: "tiger cat", 285: "Egyptian cat", 967: "espresso"}
    titles = [f"{name}, {float(likely[k]):.0%}" for k, name in classes.items()]
    titles.append("tiger cat,\nupper half random")

    methods = {"guided_backprop": "guided backprop", "gradcam": "Grad-CAM"}
    known = fastxai.explain(lite.model, image, [*methods], target=[[*classes]])
    with warnings.catch_warnings():  # one of Grad-CAM's maps is empty, which the page says
        warnings.simplefilter("ignore", fastxai.errors.FastxaiWarning)
        random = [
            fastxai.explain(_forgetful(lite.model, seed), image, [*methods], target=[[282]])
            for seed in range(4)
        ]
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    for row, (method, name) in zip(figure.subplots(2, 5), methods.items(), strict=True):
        drawn = [*known[method].maps[0], *(one[method].maps[0, 0] for one in random)]
        alike = [_alike(drawn[0], other) for other in drawn[1:]]
        print(
            f"blind: {method} like the tiger cat's: other classes {np.round(alike[:2], 2)}, ",
            end="",
        )
        print(f"four times random {np.round(alike[2:], 2)}")
        row[0].imshow(shown[0])
        row[0].set(xticks=[], yticks=[])
        row[0].set_ylabel(name, fontsize=9)
        chosen = [*drawn[:3], drawn[4]]
        for axes, map_, title in zip(row[1:], chosen, titles, strict=True):
            plot.overlay(shown[0], map_, ax=axes, colorbar=False)
            axes.set_title(title if method == "guided_backprop" else "", fontsize=8)
    _save(figure, folder, "blind", colours=128)


def _forgetful(model: Any, seed: int) -> Any:
    """A copy with random weights from the tenth block up, of each tensor's mean and spread."""
    model = copy.deepcopy(model)
    torch.manual_seed(seed)
    with torch.no_grad():
        for block in (*model._blocks[9:], model._conv_head, model._bn1, model._fc):
            for weights in block.parameters():
                weights.normal_(float(weights.mean()), float(weights.std()))
    return model


def _alike(one: Any, other: Any) -> float:
    """The rank correlation of two maps' magnitudes; NaN where one of them is empty."""
    flat = [np.abs(np.asarray(map_)).reshape(-1, 224 * 224).sum(0) for map_ in (one, other)]
    return float(spearmanr(*flat).statistic) if all(np.ptp(map_) for map_ in flat) else np.nan


# --- shifted data ------------------------------------------------------------------------


def shifted(folder: Path) -> None:
    """Digits as trained, moved, inverted and noisy: accuracy, certainty, evidence, features."""
    net = networks.digits_cnn()
    images, labels = networks.digit_images(held_out=True)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    kinds = {
        "as trained": images,
        "noisy": (images + 0.3 * noise).clamp(0, 1),
        "moved by 6": torch.roll(images, 6, -1),
        "inverted": 1 - images,
    }
    ink = images[:, 0] > 0.3
    inked = {**dict.fromkeys(kinds, ink), "moved by 6": torch.roll(ink, 6, -1)}
    with tempfile.TemporaryDirectory() as scratch:
        bank = fastxai.FeatureBank.build(
            net.model, torch.cat(list(kinds.values())), out=Path(scratch, "bank"),
            labels=labels.repeat(4).tolist(), groups=[name for name in kinds for _ in labels],
        )  # fmt: skip
        group = bank.table["group"].to_numpy()
        near = bank.neighbors(15).indices
        places = bank.embed().embedding
        table = bank.table
    figure = Figure(figsize=(8.4, 3.5), layout="constrained")
    sides: Any = figure.subfigures(1, 2, width_ratios=[1.25, 1])
    plot.scatter(places, labels=group, ax=sides[0].subplots(), point_size=7, palette=list(_PALETTE))
    axes = sides[1].subplots(2, 2).ravel()
    asked = torch.cat([kind[:1] for kind in kinds.values()])
    for k, (name, kind) in enumerate(kinds.items()):
        some = table[group == name]
        right_ = some["correct"].mean()
        found = fastxai.explain(net.model, kind, _OCCLUSION)["occlusion"]
        share = maps.evidence_share(found.maps, masks=inked[name])
        alone = (group[near[group == name]] == name).mean()
        print(f"shifted: {name}: right {right_:.3f}, score {some['score'].mean():.3f}, ", end="")
        print(f"{share}, neighbours of the same kind {alone:.2f}")
        answer = int(net.model(asked[k : k + 1]).argmax())
        _lay(
            axes[k],
            asked[k],
            found.maps[0],
            f"{name}: says {answer},\n{right_:.0%} of all right",
            8,
        )
    _save(figure, folder, "shifted")


_PALETTE = ("#0072B2", "#D55E00", "#56B4E9", "#CC79A7")


# --- fairness ----------------------------------------------------------------------------


def fair(folder: Path) -> None:
    """Pale and dark clothes: the same accuracy in all, and not by class."""
    clothes = datasets.fashion_mnist()
    images, labels, groups = _pale_and_dark(clothes)
    net = train_digits(images[:4000], torch.tensor(labels[:4000]), seed=0)
    with tempfile.TemporaryDirectory() as scratch:
        results = fastxai.explain_dataset(
            net._replace(names=clothes.names), images[4000:].numpy(), ["hirescam"],
            Path(scratch, "run"), labels=labels[4000:], groups=groups[4000:],
        )  # fmt: skip
        table = results.table
        coats = table[table["label_class"] == 4].groupby("group").groups
        mean = {name: results.take(rows, "hirescam").mean(0) for name, rows in coats.items()}
    alike = spearmanr(mean["pale"].ravel(), mean["dark"].ravel()).statistic
    learnt = Counter(zip(groups[:4000], labels[:4000], strict=True))
    print(table.groupby("group")["correct"].mean())
    print(table.groupby(["label_class", "group"])["correct"].agg(["mean", "size"]).unstack())
    print("fair: learnt from", {pair: learnt[pair] for pair in learnt if pair[1] in (4, 6)})
    print(f"fair: the mean maps of pale and dark coats correlate {alike:.2f}")

    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    axes = figure.subplot_mosaic("aab;aac")
    _by_class(axes["a"], table, clothes.names)
    for key, name in (("b", "pale"), ("c", "dark")):
        rows = coats[name].to_numpy().copy()
        share = table.loc[rows, "correct"].mean()
        title = f"{len(rows)} {name} coats, {share:.0%}"
        _lay(axes[key], images[4000:][rows].mean(0), mean[name], title)
    _save(figure, folder, "fair")


def _by_class(axes: Any, table: Any, names: Any) -> None:
    """The accuracy of both groups in all and class by class, with intervals."""
    for name, colour, aside in (("pale", "#F0A35E", -0.14), ("dark", "#5B2C83", 0.14)):
        some = table[table["group"] == name]
        parts = [some, *(some[some["label_class"] == k] for k in range(10))]
        for place, part in enumerate(parts):
            hits = binomtest(int(part["correct"].sum()), len(part))
            ends = hits.proportion_ci(method="wilson")
            axes.plot([ends.low, ends.high], 2 * [place + aside], color=colour, lw=1.5)
            label = name if place == 0 else None
            axes.plot(hits.statistic, place + aside, "o", color=colour, ms=5, label=label)
    axes.set_yticks(range(11), ["all", *names])
    axes.axhline(0.5, color="#BDBDBD", lw=0.8)
    axes.set(ylim=(10.6, -0.6), xlim=(0.38, 1.01), xlabel="named rightly, with 95% interval")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")


def _pale_and_dark(clothes: Any) -> tuple[torch.Tensor, list[int], list[str]]:
    """2,000 pale and 2,000 dark clothes to learn from, and as many to be judged."""
    pixels = clothes.data.reshape(-1, 28, 28)
    # The data set is negated: much in a pixel is dark cloth.
    tone = np.array([one[one > 25].mean() for one in pixels])
    low, high = np.quantile(tone, [1 / 3, 2 / 3])
    learnt = [
        np.flatnonzero(tone[:60000] < low)[:2000],
        np.flatnonzero(tone[:60000] >= high)[:2000],
    ]
    new = [np.flatnonzero(tone[60000:] < low)[:2000], np.flatnonzero(tone[60000:] >= high)[:2000]]
    rows = np.concatenate([*learnt, *(60000 + one for one in new)])
    images = np.pad(pixels[rows] / np.float32(255), ((0, 0), (2, 2), (2, 2)))
    names = (["pale"] * 2000 + ["dark"] * 2000) * 2
    return torch.from_numpy(images)[:, None], clothes.target[rows].astype(int).tolist(), names


# --- drawing -----------------------------------------------------------------------------


def _lay(axes: Any, image: Any, map_: Any, title: str, size: int = 9) -> None:
    """A map over its image, ink dark on paper."""
    plot.overlay(1 - image[0], map_, ax=axes, colorbar=False)
    axes.set_title(title, fontsize=size)


def _save(figure: Figure, folder: Path, name: str, colours: int = 0) -> None:
    path = folder / f"limits-{name}.png"
    figure.savefig(path, dpi=100)
    if colours:
        from PIL import Image

        Image.open(path).convert("RGB").quantize(colours).save(path, optimize=True)


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
    for make in (local, causes, blind, shifted, fair):
        make(out)
