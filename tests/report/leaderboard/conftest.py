"""A results tree with every kind of text that the site has to show, the site of it, and a browser to look with."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import site_results as made
from site_texts import ODD, odd, scenes, sessions, singles

from roleeval.report.leaderboard import Site, build_site, pictures
from roleeval.report.plots import Plot

PICTURE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="30" onload="alert(1)">'
    b'<script>alert(2)</script><style>rect {fill: red}</style><rect width="90" height="30"/></svg>'
)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three benchmarks of two models each, a second seed, and a run whose transcripts are damaged."""
    folder = tmp_path_factory.mktemp("site") / "results"
    for model in ("alpha", "beta"):
        family = "hycora" if model == "alpha" else "base"
        splits = {"eng": 66, "zh": 1}
        made.write(folder, made.Run("answers", model, singles(model), family=family, splits=splits))
        made.write(folder, made.Run("scenes", model, scenes(model), family=family, cluster=("book", "books")))
        made.write(folder, made.Run("sessions", model, sessions(model), family=family))
    made.write(folder, made.Run("odd", ODD, odd(), family=ODD, splits={"a b&c": 3}))
    made.write(folder, made.Run("scenes", "damaged", scenes("damaged"), cluster=("book", "books")))
    broken = folder / "scenes" / "damaged" / "seed1-0123abcd" / "transcripts.jsonl"
    content = broken.read_bytes()
    broken.write_bytes(b"{" + content[1:200].replace(b'"sample"', b'"sampel"') + content[200:])
    return folder


@pytest.fixture(scope="session")
def built(results: Path) -> Site:
    """The site, with one plot that would like to be more than a picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "plots", lambda found, kinds: [Plot("means", "Means <b>of all</b>.", {"svg": PICTURE})])
        return build_site([results], results.parent / "site", plots=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium; a module's own, because playwright's loop must not run beside other tests' loops."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements/, extra dev)")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium on this machine (apt install chromium)")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with api.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=program, args=flags)
        yield opened
        opened.close()
