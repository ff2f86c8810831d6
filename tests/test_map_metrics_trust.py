"""The table of all figures: what stands in it, and that it comes back from text as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import networks
import numpy as np
import pytest

torch = pytest.importorskip("torch")
import fastxai  # noqa: E402
from fastxai.errors import InvalidInputError  # noqa: E402
from fastxai.metrics import maps  # noqa: E402
from fastxai.metrics._map_result import over_set  # noqa: E402

RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


BUILD = networks.plain_cnn
BOXES = [[4, 4, 16, 16]] * 3
FEW = {"steps": 4, "stages": 2, "draws": 1}


@pytest.fixture(scope="module")
def table() -> maps.Trust:
    methods = {"gradcam": {"relu": False}, "guided_backprop": {}}
    return maps.trust(BUILD(), networks.images(BUILD, 3), methods, boxes=BOXES, **FEW)


def test_the_table_holds_what_each_measure_finds(table: maps.Trust) -> None:
    model, x = BUILD(), networks.images(BUILD, 3)
    methods = {"gradcam": {"relu": False}, "guided_backprop": {}}
    out = fastxai.explain(model, x, methods)
    classes = out.classes[:, 0]
    for name, by_channel in (("gradcam", False), ("guided_backprop", True)):
        own = out[name].maps
        both = maps.insertion_deletion(model, x, own, target=classes, steps=4)
        places = {"boxes": BOXES, "by_channel": by_channel}
        expected = {
            "insertion": both.insertion.estimate,
            "deletion": both.deletion.estimate,
            "pointing_game": maps.pointing_game(own, **places).estimate,
            "evidence_share": maps.evidence_share(own, **places).estimate,
        }
        moved = maps.randomisation(model, x, methods, stages=2)[name]
        noise = maps.stability(model, x, methods, draws=1)[name]
        expected |= {"randomisation": moved.estimate, "stability": noise.estimate}
        expected |= {"randomisation_signed": moved.estimate_signed}
        expected |= {"change": noise.change.estimate}
        for measure, figure in expected.items():
            row = table[name, measure]
            assert (row.value, row.low, row.high) == pytest.approx(
                (figure.value, figure.low, figure.high), abs=1e-5, nan_ok=True
            ), measure
            assert (row.n, row.total) == (3, 3)
            assert row.estimate == row.value


def test_noise_stands_beside_the_methods(table: maps.Trust) -> None:
    assert table.methods == ("gradcam", "guided_backprop", "random")
    assert table["random", "evidence_share"].value == pytest.approx(144 / 576)
    assert {row.measure for row in table.rows if row.method == "random"} == {
        "insertion", "deletion", "pointing_game", "evidence_share",
    }  # fmt: skip
    without = maps.trust(BUILD(), networks.images(BUILD, 2), random=False, **FEW)
    assert without.methods == ("gradcam",)


def test_tables_can_be_put_together_and_noise_is_the_last_line(table: maps.Trust) -> None:
    other = maps.TrustRow("rise", "insertion", 0.5, 0.4, 0.6, 3, 3, "higher")
    both = maps.Trust((*table.rows, other), table.settings)
    assert both.methods == ("gradcam", "guided_backprop", "rise", "random")
    assert repr(both).splitlines()[-1].startswith("random")


def test_the_settings_tell_how_it_was_measured(table: maps.Trust) -> None:
    assert table.settings["steps"] == 4
    assert table.settings["images"] == 3
    assert table.settings["insertion_baseline"] == "blur"
    assert 0 <= table.settings["score_change"] < 1


def test_the_table_comes_back_from_text(table: maps.Trust) -> None:
    again = maps.Trust.from_json(table.to_json())
    assert again == table
    assert again.rows[0] == table.rows[0]
    assert str(again) == str(table)


def test_what_is_unknown_is_null() -> None:
    nan = float("nan")
    row = maps.TrustRow("cam", "change", nan, nan, nan, 0, 4, "lower")
    table = maps.Trust((row,), {"score_change": nan})
    assert json.loads(table.to_json())["rows"][0]["value"] is None
    again = maps.Trust.from_json(table.to_json())
    assert again == table
    assert np.isnan(again.rows[0].high)
    assert repr(table).splitlines()[1].split() == ["cam", "–"]


def test_tables_differ_where_a_figure_does(table: maps.Trust) -> None:
    assert table != maps.Trust(table.rows[1:], table.settings)
    assert table != "text"


def test_the_printed_table_has_a_line_a_method(table: maps.Trust) -> None:
    lines = repr(table).splitlines()
    assert len(lines) == 4
    assert lines[0].split()[:4] == ["insertion", "↑", "deletion", "↓"]
    cell = table["gradcam", "insertion"]
    assert f"{cell.value:.2f} [{cell.low:.2f}, {cell.high:.2f}]" in lines[1]


def test_images_that_do_not_count_are_told() -> None:
    row = maps.TrustRow("cam", "insertion", 0.5, 0.4, 0.6, 3, 4, "higher")
    assert repr(maps.Trust((row,))).endswith("0.50 [0.40, 0.60] of 3")


def test_a_data_frame_has_a_line_a_figure(table: maps.Trust) -> None:
    pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert len(frame) == len(table.rows)
    assert list(frame.columns[:3]) == ["method", "measure", "value"]
    wide = frame.pivot(index="method", columns="measure", values="value")
    assert wide.loc["gradcam", "insertion"] == table["gradcam", "insertion"].value


def test_a_row_that_is_not_there_names_those_that_are(table: maps.Trust) -> None:
    with pytest.raises(KeyError, match="gradcam, guided_backprop"):
        _ = table["rise", "insertion"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("hello", "no table", id="text"),
        pytest.param("[]", "no table", id="list"),
        pytest.param('{"rows": []}', "version", id="no version"),
        pytest.param('{"version": 99, "rows": [], "settings": {}}', "99", id="newer"),
        pytest.param('{"version": 1, "rows": [{"a": 1}], "settings": {}}', "no table", id="rows"),
    ],
)
def test_what_is_no_table_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        maps.Trust.from_json(text)


def test_several_targets_and_one_image() -> None:
    found = maps.trust(BUILD(), networks.images(BUILD, 1), target="top2", **FEW)
    assert found.settings["targets"] == 2
    assert found["gradcam", "insertion"].total == 1


def test_a_baseline_that_is_an_image_is_told_by_its_kind() -> None:
    found = maps.trust(
        BUILD(), networks.images(BUILD, 1), measures=["deletion"], steps=2,
        deletion_baseline=torch.zeros(3, 24, 24),
    )  # fmt: skip
    assert maps.Trust.from_json(found.to_json()).settings["deletion_baseline"] == "Tensor"


def test_a_function_has_no_weights_to_make_random() -> None:
    def brightness(images: Any) -> Any:
        return images.mean((2, 3))

    methods = {"occlusion": {"window": 4}}
    found = maps.trust(brightness, torch.rand(2, 3, 8, 8), methods, **FEW)
    assert "randomisation" not in found.measures
    with pytest.raises(InvalidInputError, match=r"torch\.nn\.Module"):
        maps.trust(brightness, torch.rand(2, 3, 8, 8), methods, measures=["randomisation"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"measures": ["faith"]}, "insertion, deletion", id="measure"),
        pytest.param({"measures": []}, "empty", id="none"),
        pytest.param({"measures": "pointing_game"}, "boxes= or masks=", id="no boxes"),
        pytest.param({"boxes": [[0, 0, 1, 1]]}, "holds 1 for 2", id="too few boxes"),
        pytest.param({"tolerance": -1}, "tolerance", id="tolerance"),
        pytest.param({"random": 3}, "random", id="random"),
    ],
)
def test_bad_options_are_refused(options: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        maps.trust(BUILD(), networks.images(BUILD, 2), **{**FEW, **options})


def test_only_what_is_asked_for_is_measured() -> None:
    x = networks.images(BUILD, 2)
    assert maps.trust(BUILD(), x, measures=["deletion"], steps=2).measures == ("deletion",)
    found = maps.trust(BUILD(), x, measures=["stability"], draws=1)
    assert found.measures == ("stability", "change")


# --- intervals over the set ---------------------------------------------------------------


def test_the_interval_of_zeros_and_ones_is_wilsons() -> None:
    hits = np.array([1.0] * 8 + [0.0] * 2)
    found = over_set(hits, 0, 1)
    assert (found.low, found.high) == pytest.approx((0.490162, 0.943317), abs=1e-5)
    scaled = over_set(2 * hits - 1, -1, 1)
    assert (scaled.low, scaled.high) == pytest.approx((2 * found.low - 1, 2 * found.high - 1))


def test_the_interval_of_unbounded_values_is_students() -> None:
    values = RNG.normal(size=12)
    found = over_set(values)
    half = 2.200985160082949 * values.std(ddof=1) / np.sqrt(12)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))


@pytest.mark.parametrize("n", [3, 5, 20, 80])
@pytest.mark.parametrize(("a", "b"), [(2, 5), (8, 1), (30, 30)])
def test_intervals_cover_the_truth(n: int, a: float, b: float) -> None:
    draws = np.random.default_rng(n).beta(a, b, (500, n))
    found = [over_set(sample, 0, 1) for sample in draws]
    covered = np.mean([one.low <= a / (a + b) <= one.high for one in found])
    assert 0.91 <= covered <= 1


def test_one_image_has_a_wide_interval_or_an_unknown_one() -> None:
    bounded, free = over_set(np.array([0.7]), 0, 1), over_set(np.array([0.7]))
    assert bounded.low < 0.3
    assert bounded.high > 0.9
    assert np.isnan([free.low, free.high]).all()


def test_importing_the_measures_does_not_load_torch() -> None:
    program = "import sys, fastxai.metrics.maps as m; print('torch' in sys.modules, m.trust)"
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ran.stdout.startswith("False")
