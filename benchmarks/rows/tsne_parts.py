"""t-SNE's parts: one gradient, one search for the bandwidths, on the same input."""

from __future__ import annotations

from typing import Any

from ..checks import Check, faster, holds, not_above, recorded
from ..harness import Bench
from .data import fashion
from .tsne import exact_neighbors, perplexity_of, warm_tsne

_ITERATIONS = (250, 500)
_REPEATS = 5
_ANGLE = 0.5  # scikit-learn's default
_ANGLES = (0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25)
_TOLERANCES = (0.01, 0.005, 0.002, 0.001, 0.0005)
_WHEN = ("after exaggeration", "at the end")


def _affinities(bench: Bench) -> str:
    """The file with the joint affinities of the exact neighbours."""
    file = bench.file("affinities.npz")
    given = {"knn": exact_neighbors(bench), "out": file, "perplexity": perplexity_of(bench)}
    bench.once("affinities", lambda: bench.ours("affinities", tasks="ours_tsne", **given))
    return file


def _snapshots(bench: Bench, components: int) -> list[str]:
    """Files of the layout after exaggeration and at the end, of our run."""
    data, _ = fashion(bench)
    outs = [bench.file(f"snapshot-{components}d-{i}.npy") for i in range(2)]
    given = {"data": data, "knn": exact_neighbors(bench), "outs": outs}
    given |= {"components": components, "perplexity": perplexity_of(bench)}
    given["iterations"] = _ITERATIONS
    make = lambda: bench.ours("snapshots", tasks="ours_tsne", **given)  # noqa: E731
    bench.once(f"snapshots-{components}d", make)
    return outs


def _errors(bench: Bench, points: str, found: str, dof: float, as_sklearn: bool) -> dict[str, Any]:
    """RMS and 99th percentile of the error of forces against those of all pairs."""
    exact = f"{points}.exact{'-sklearn' if as_sklearn else ''}.npy"
    given = {"points": points, "out": exact, "dof": dof, "as_sklearn": as_sklearn}
    bench.once(exact, lambda: bench.ours("exact_forces", tasks="ours_tsne", **given))
    return bench.evaluator("force_errors", exact=exact, found=found)


def _ours(
    bench: Bench, points: str, method: str, dof: float, settings: tuple[float, ...], limit: Any
) -> dict[str, Any]:
    """Our gradient at the first setting at which neither error is larger than theirs."""
    run: dict[str, Any] = {}
    for setting in settings:
        out = bench.file(f"our-forces-{method}.npy")
        given = {"points": points, "graph": _affinities(bench), "out": out, "method": method}
        given |= {"dof": dof, "setting": setting, "repeats": _REPEATS}
        run = bench.ours("gradient", tasks="ours_tsne", **given)
        run |= {"setting": setting, **_errors(bench, points, out, dof, False)}
        bench.log(f"    {setting}: RMS {run['rms']:.2e}, 99th percentile {run['p99']:.2e}")
        if limit is None or (run["rms"] <= limit["rms"] and run["p99"] <= limit["p99"]):
            break
    return run


def _compare(
    bench: Bench, method: str, components: int, at_least: float
) -> tuple[list[Check], dict[str, Any]]:
    tree = method == "barnes_hut"
    settings = _ANGLES if tree else _TOLERANCES
    dof = max(components, 2) / 2
    checks: list[Check] = []
    runs: dict[str, Any] = {}
    for when, points in zip(_WHEN, _snapshots(bench, components), strict=True):
        theirs: dict[str, Any] | None = None
        if not bench.ours_only:
            out = bench.file("their-forces.npy")
            given = {"points": points, "graph": _affinities(bench), "out": out}
            given |= {"repeats": _REPEATS, **({"angle": _ANGLE} if tree else {})}
            theirs = bench.theirs("barnes_hut" if tree else "fft", tasks="peers_tsne", **given)
            theirs |= _errors(bench, points, out, dof, tree)
        elif tree:
            settings = (_ANGLE,)
        ours = _ours(bench, points, method, dof, settings, theirs)
        name = f"{components}-D, {when}" if tree else when
        of = {key: None if theirs is None else 100 * theirs[key] for key in ("rms", "p99")}
        what = f"angle {ours['setting']:g}" if tree else f"spacing {ours['spacing']:.3g}"
        best = None if theirs is None else min(theirs["calls"])
        checks += [
            faster(f"{name} (ours at {what})", min(ours["calls"]), best, at_least),
            not_above(f"{name}: RMS force error", 100 * ours["rms"], of["rms"], "%"),
            not_above(f"{name}: its 99th percentile", 100 * ours["p99"], of["p99"], "%"),
            recorded(f"{name}: repulsion alone", min(ours["repulsion"]), None, "s"),
        ]
        runs[name] = {"ours": ours, "theirs": theirs}
    return checks, runs


_NOTE = (
    "A whole gradient: attraction along the exact neighbours' affinities, and repulsion; the "
    "best of 5 calls. Errors are of the repulsion f / Z against all pairs: RMS error over RMS "
    "force, and the 99th percentile of each point's error over its force. "
)


def barnes_hut(bench: Bench) -> dict[str, Any]:
    """Against scikit-learn's at angle 0.5, tree included."""
    fashion(bench)
    warm_tsne(bench)
    plane, runs = _compare(bench, "barnes_hut", 2, 12)
    space, more = _compare(bench, "barnes_hut", 3, 8)
    note = (
        "Ours takes the largest angle at which neither error is larger. In three dimensions "
        "scikit-learn's forces are held against the sum of w² (y_i − y_j) that it approximates, "
        "which is not quite the gradient there."
    )
    return {"checks": plane + space, "notes": [_NOTE + note], "runs": {**runs, **more}}


def particle_mesh(bench: Bench) -> dict[str, Any]:
    """Against openTSNE's interpolation at its default settings."""
    fashion(bench)
    warm_tsne(bench)
    checks, runs = _compare(bench, "particle_mesh", 2, 5)
    note = (
        "Ours promises an RMS error of 1% (the default is 0.3%), or less where one of its "
        "errors would be larger than theirs."
    )
    return {"checks": checks, "notes": [_NOTE + note], "runs": runs}


def perplexity(bench: Bench) -> dict[str, Any]:
    """The search alone, on the exact neighbours; the best of 3 calls."""
    given = {"knn": exact_neighbors(bench), "perplexity": perplexity_of(bench), "repeats": 3}
    out = bench.file("our-conditional.npy")
    ours = bench.ours("perplexity", tasks="ours_tsne", out=out, **given)
    error = bench.evaluator("perplexity_error", found=out, perplexity=given["perplexity"])["error"]
    checks, runs = [], {"ours": [{**ours, "error": error}]}
    for library in ("openTSNE", "sklearn"):
        best = None
        if not bench.ours_only:
            theirs_out = bench.file(f"{library}-conditional.npy")
            more = {"library": library, "out": theirs_out, **given}
            theirs = bench.theirs("perplexity", tasks="peers_tsne", **more)
            runs[library], best = [theirs], min(theirs["calls"])
        checks.append(faster(f"against {library}", min(ours["calls"]), best, 10))
    checks.append(holds("the perplexity of every row within 1e-3", error < 1e-3))
    return {"checks": checks, "notes": [f"Largest error of a perplexity: {error:.1e}."]} | {
        "runs": runs
    }
