"""The page in a browser that can reach nothing: it is whole, and asks for nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from small_sets import CLASSES, images, small_net

import fastxai

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
# Written into the page of the test alone: what the browser made of it, as text of the page.
PROBE = """<script>addEventListener("load", () => {
  const images = [...document.images];
  const broken = images.filter(image => !image.complete || !image.naturalWidth).length;
  const asked = performance.getEntriesByType("resource").filter(r => !r.name.startsWith("data:"));
  const wide = document.documentElement.scrollWidth > innerWidth;
  document.title = `images ${images.length} broken ${broken} asked ${asked.length} wide ${wide}`;
});</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of forty images in two groups."""
    folder = tmp_path_factory.mktemp("set")
    results = fastxai.explain_dataset(
        small_net(),
        images(40),
        ["gradcam", "saliency"],
        folder / "run",
        labels=[i % 4 for i in range(40)],
        groups=["train" if i % 2 else "new" for i in range(40)],
        names=CLASSES,
    )
    return fastxai.report.write(results)


def browse(page: Path, width: int, probe: bool) -> tuple[str, str]:
    """The document as the browser holds it, and what its console said."""
    text = page.read_text("utf-8")
    if probe:
        policy = "script-src 'unsafe-inline'; default-src"
        text = text.replace("</head>", f"{PROBE}</head>").replace("default-src", policy, 1)
    file = page.with_name(f"browsed-{width}.html")
    file.write_text(text, "utf-8")
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0"),
            *(f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},900"),
            *("--virtual-time-budget=5000", "--dump-dom", file.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("width", [1280, 500])
def test_every_picture_is_there_and_nothing_is_asked_for(page: Path, width: int) -> None:
    document, _ = browse(page, width, probe=True)
    found = re.search(r"<title>images (\d+) broken (\d+) asked (\d+) wide (\w+)", document)
    assert found is not None
    assert int(found[1]) > 20
    assert found.groups()[1:] == ("0", "0", "false")


def test_the_console_is_silent(page: Path) -> None:
    document, said = browse(page, 1280, probe=False)
    assert "<h2>Groups</h2>" in document
    assert "CONSOLE" not in said
