"""The site at MiniMax's size: how fast it is built and in how much memory, and how fast a browser is with it.

    python -m bench.site [--share 1.0] [--keep DIR]

3135 sessions of 102 messages (11 models, about 171 MB of text) and 10,000 single answers of one model, synthetic. The
build runs in a process of its own, and again with a quarter of the sessions: its peak must not grow with them. The
browser is headless Chromium through playwright; without them only the build is measured.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.overhead import peak_mb
from tests.support import site_results as made

MODELS, SEEDS, RUNS, MESSAGES = 11, 95, 3, 102
MESSAGE_BYTES = 535  # 171 MB over all messages
ANSWERS = 10_000
PHRASES = (
    "the lamp turns and the sea answers",
    "upon my word what a night",
    "she said he set down the cup and listened for rain",
    "on the stairs nobody had counted the steps since April",
    "but the fourth was loose and the rope still held",
)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the sessions and answers")
    parser.add_argument("--keep", help="write everything into this folder and keep it")
    parser.add_argument("--build", nargs=2, metavar=("RESULTS", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.build:
        print(json.dumps(built(Path(given.build[0]), Path(given.build[1]))))
        return
    folder = Path(given.keep or tempfile.mkdtemp(prefix="roleeval-site-"))
    try:
        for share in (given.share / 4, given.share):
            results, site = folder / f"results-{share}", folder / f"site-{share}"
            size = write(results, share)
            command = [sys.executable, "-m", "bench.site", "--build", str(results), str(site)]
            row = json.loads(
                subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
            )
            print(
                f"build: {size / 1e6:.0f} MB of text in {row['seconds']:.1f} s"
                f" ({size / 1e6 / row['seconds']:.0f} MB/s; {row['cpu']:.1f} s of one core),"
                f" peak {row['peak']:.0f} MB ({row['peak'] - row['before']:.0f} MB above the imports),"
                f" {row['bytes'] / 1e6:.0f} MB of data in {row['files']} files",
                flush=True,
            )
        for line in browsed(site / "index.html"):
            print(line, flush=True)
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)


def write(results: Path, share: float) -> int:
    """Writes the result folders; the bytes of text in them."""
    rng = random.Random(1)
    text = " ".join(rng.choices(PHRASES, k=100_000))
    total = 0

    def said(size: int) -> str:
        nonlocal total
        start = rng.randrange(len(text) - size)
        total += size
        return text[start : start + size]

    def sessions() -> Iterator[made.Episode]:
        for number in range(int(SEEDS * RUNS * share)):
            seed = f"dialogue_{number // RUNS:03}"
            turns = [
                made.turn(
                    said(MESSAGE_BYTES),
                    part=made.MODEL if place % 2 == 0 else "user",
                    speaker="Nils" if place % 2 == 0 else "Iris",
                )
                for place in range(MESSAGES)
            ]
            errors = [
                made.error(turns[place].visible[40:120], rng.randint(1, 3), turn=place)
                for place in rng.sample(range(0, MESSAGES, 2), 5)
            ]
            yield made.conversation(f"{seed}/run_{number % RUNS + 1}", number, turns, errors=errors, cluster=seed)

    def answers() -> Iterator[made.Episode]:
        for number in range(int(ANSWERS * share)):
            persona = made.HER if number % 2 else made.HIM
            yield made.single(
                number, said(200), persona=persona, likeness=rng.random(), question=f"{number}: {said(60)}?"
            )

    shutil.rmtree(results, ignore_errors=True)
    for model in range(MODELS):
        made.write(
            results,
            made.Run("sessions", f"model-{model:02}", sessions(), cluster=("seed", "seeds"), splits={"eng": 285}),
        )
    made.write(results, made.Run("answers", "model-00", answers(), splits={"eng": int(ANSWERS * share)}))
    return total


def built(results: Path, out: Path) -> dict[str, float]:
    """Builds the site in this process."""
    import pandas
    import pyarrow.parquet

    from roleeval.report.leaderboard import build_site

    assert pandas and pyarrow.parquet
    before, start, busy = peak_mb(), time.perf_counter(), time.process_time()
    site = build_site([results], out)
    seconds, cpu = time.perf_counter() - start, time.process_time() - busy
    files = sum(1 for _ in out.rglob("*.js"))
    return {"seconds": seconds, "cpu": cpu, "before": before, "peak": peak_mb(), "bytes": site.bytes, "files": files}


def browsed(page: Path) -> Iterator[str]:
    """What a reader waits for, in lines."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        yield "browser: playwright is not installed"
        return
    if program is None:
        yield "browser: no Chromium"
        return
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=list(FLAGS))
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.goto(page.as_uri())
        opened.wait_for_selector("#page[data-ready]")
        usable = opened.evaluate("() => performance.getEntriesByName('usable')[0].startTime")
        yield f"browser: usable after {usable:.0f} ms"
        yield _line("open the board of 11 models", [_went(opened, "#/board/sessions")])
        yield _line("list of 10,000 answers", [_went(opened, "#/run/answers/model-00/seed1-0123abcd")])
        yield _line(
            "filter the list (80 ms of it wait for the next key)",
            [_filtered(opened, text) for text in ("99", "sea", "cup and", "zzz")],
        )
        views = [
            f"#/sample/sessions/model-{model:02}/seed1-0123abcd/dialogue_{seed:03}%2Frun_2"
            for seed in (3, 11, 15, 20, 22)
            for model in range(MODELS)
        ]
        yield _line(
            f"{len(views)} transcripts of 102 messages, each read the first time",
            [_went(opened, view) for view in views],
        )
        session = opened.context.new_cdp_session(opened)
        session.send("Performance.enable")
        grown = _heap(session)
        session.send("HeapProfiler.enable")
        session.send("HeapProfiler.collectGarbage")
        yield f"browser: heap {grown:.0f} MB, {_heap(session):.0f} MB after a collection"
        browser.close()


def _heap(session: Any) -> float:
    """MB of JavaScript's heap in use."""
    found: dict[str, float] = {row["name"]: row["value"] for row in session.send("Performance.getMetrics")["metrics"]}
    return found["JSHeapUsedSize"] / 1e6


def _went(page: Any, view: str) -> float:
    """Milliseconds from the click to the painted view."""
    taken: float = page.evaluate(
        """async view => {
          const page = document.getElementById('page');
          const before = page.dataset.ready;
          const start = performance.now();
          location.hash = view;
          while (page.dataset.ready === before) await new Promise(done => setTimeout(done, 2));
          await new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
          return performance.now() - start;
        }""",
        view,
    )
    return taken


def _filtered(page: Any, text: str) -> float:
    """Milliseconds from a key in the field to the painted list."""
    taken: float = page.evaluate(
        """async text => {
          const fields = [...document.querySelectorAll('label.field')];
          const label = fields.find(each => each.firstChild.textContent === 'Find');
          const said = document.querySelector('p[role=status]');
          const field = label.querySelector('input');
          let changed = false;
          const observed = {childList: true, characterData: true, subtree: true};
          new MutationObserver(() => { changed = true; }).observe(said, observed);
          const start = performance.now();
          field.value = text;
          field.dispatchEvent(new Event('input', {bubbles: true}));
          while (!changed) await new Promise(done => setTimeout(done, 2));
          await new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
          return performance.now() - start;
        }""",
        text,
    )
    return taken


def _line(what: str, taken: Sequence[float]) -> str:
    middle = sorted(taken)[len(taken) // 2]
    return f"browser: {what}: {middle:.0f} ms" + (f" (median; most {max(taken):.0f} ms)" if len(taken) > 1 else "")


if __name__ == "__main__":
    main()
