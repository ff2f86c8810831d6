"""Write the golden files of this release: fitted models, and what they must still say when loaded.

python tests/data/make_golden.py

Run once for each release and kept for good: later versions must load it.
"""

import pickle
import re
from pathlib import Path

import numpy as np

import fastxai


def golden(name):
    """Sixty points in three clusters, their map, and where five new ones come to lie."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4)).astype(np.float32)
    X[:, 0] += 6 * (np.arange(60) % 3)
    new = X[:5] + np.float32(0.25)
    if name == "umap":
        model = fastxai.UMAP(n_neighbors=6, n_epochs=60).fit(X, np.arange(60) % 3)
    else:
        model = fastxai.TSNE(perplexity=6, max_iter=100, early_exaggeration_iter=50).fit(X)
    return {
        "model": model,
        "X": X,
        "new": new,
        "embedding": model.embedding_.copy(),
        "places": model.transform(new),
        "weights": model.graph_.data.copy() if name == "umap" else None,
        "parameters": model.get_params(),
    }


if __name__ == "__main__":
    release = re.match(r"[0-9.]+", fastxai.__version__).group().rstrip(".")
    for name in ("umap", "tsne"):
        file = Path(__file__).with_name(f"{name}-{release}.pkl")
        file.write_bytes(pickle.dumps(golden(name), protocol=4))
        print(f"{file}: {file.stat().st_size:,} bytes")
