"""The site: a folder that opens from a file, with the leaderboard, every answer, and what judges said of it.

DIR/
  index.html        the page
  app/              its scripts and its style
  plots/            the report's plots
  data/             results as scripts, loaded when they are looked at (shards, runs, sets)

Everything is in the folder: the page asks for nothing from anywhere else, and its Content-Security-Policy forbids it.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from roleeval import __version__
from roleeval.errors import ResultError
from roleeval.report.found.collect import Collection, NotShown, RunResult, collect
from roleeval.report.found.compare import run_sets
from roleeval.report.found.names import with_names
from roleeval.report.found.seeds import with_rows
from roleeval.report.leaderboard.pictures import write_plots
from roleeval.report.leaderboard.runs import run_paths, write_run
from roleeval.report.leaderboard.sets import entries_data, run_data, set_data, table_data
from roleeval.report.leaderboard.shards import ShardWriter
from roleeval.report.tables.ratings import rated, ratings_table
from roleeval.results import ResultFolder

_APP = Path(__file__).parent / "app"
_INDEX = Path("data") / "index.js"


@dataclass(frozen=True, slots=True)
class Site:
    """What was written.

    Attributes:
        page: its index.html.
        runs: how many are in it.
        bytes: of data.
        not_shown: folders that are not in it, and runs whose texts are not, with the reason.
        keys: a run's folder -> what links call its set, and the run.
    """

    page: Path
    runs: int
    bytes: int
    not_shown: tuple[NotShown, ...]
    keys: Mapping[Path, tuple[str, str]] = field(default_factory=dict)

    def side_by_side(self, sample: str, runs: Sequence[Path]) -> str:
        """The address of the page that shows several runs' answers to a sample; "" where they are not comparable.

        Args:
            sample: its id.
            runs: their folders.
        """
        keys = [self.keys[run] for run in runs if run in self.keys]
        if len(keys) < len(runs) or len({of for of, _ in keys}) != 1:
            return ""
        chosen = quote_plus(" ".join(run for _, run in keys))
        return f"{self.page}#/compare/{quote(keys[0][0], safe='')}/{quote(sample, safe='')}?runs={chosen}"


def build_site(paths: Iterable[str | Path], out: Path, *, plots: bool = False) -> Site:
    """Writes the site of all finished runs at or below the paths.

    Args:
        paths: result folders, or folders above them.
        out: a new folder, an empty one, or an earlier site, which is replaced when the new one is complete.
        plots: draw the report's plots as well, a second or two each.

    Raises:
        ResultError: a path is no folder, there is no finished run, `out` holds something else, or a file could not be
            written.
    """
    _check_out(out)
    paths = list(paths)
    collection = with_names(with_rows(collect(paths)))
    if not collection.runs:
        where = ", ".join(map(str, paths))
        raise ResultError(
            f"no finished and scored run in or below {where}; give result folders, or a folder above them"
        )
    part = out.resolve().with_name(f".{out.resolve().name}.{os.getpid()}.part")
    try:
        shutil.copytree(_APP, part / "app", ignore=shutil.ignore_patterns("index.html", "__pycache__"))
        shutil.copy(_APP / "index.html", part / "index.html")
        shards = ShardWriter(part / "data")
        pictures = write_plots(collection, part) if plots else []
        not_shown, keys = _write(collection, shards, pictures)
        _put(part, out)
    except OSError as error:
        raise ResultError(f"{out}: the site could not be written ({error})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Site(out / "index.html", len(collection.runs), shards.written, not_shown, keys)


def _check_out(out: Path) -> None:
    if out.exists() and not (out / _INDEX).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ResultError(f"--out {out}: holds other files; give a new or an empty folder, or an earlier site")


def _put(part: Path, out: Path) -> None:
    """Puts a complete site in its place."""
    out = out.resolve()
    if out.exists():
        before = out.with_name(f".{out.name}.{os.getpid()}.before")
        os.replace(out, before)
        os.replace(part, out)
        shutil.rmtree(before, ignore_errors=True)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, out)


def _write(
    collection: Collection, shards: ShardWriter, pictures: Sequence[Mapping[str, str]]
) -> tuple[tuple[NotShown, ...], dict[Path, tuple[str, str]]]:
    numbers = {run.path: number for number, run in enumerate(collection.runs)}
    languages: dict[str, dict[str, set[str]]] = {}
    not_shown = list(collection.not_shown)
    runs, keys = [], Counter[str]()
    for number, run in enumerate(collection.runs):
        data = run_data(run)
        keys[data["key"]] += 1
        if keys[data["key"]] > 1:  # the same run below two of the paths
            data["key"] += f"~{keys[data['key']]}"
        try:
            told = write_run(run, f"r{number}", shards)
            data |= {"samples": told["samples"]}
            for split, spoken in told["languages"].items():
                languages.setdefault(run.benchmark, {}).setdefault(split, set()).update(spoken)
        except ResultError as error:
            data |= {"samples": 0, "trouble": _told(error, run.path)}
            not_shown.append(NotShown(run.path, f"its texts are not shown: {error}"))
        runs.append(data)
    sets, places, seen = [], dict[Path, tuple[str, str]](), Counter[str]()
    for number, run_set in enumerate(run_sets(collection.rows)):
        seen[run_set.benchmark] += 1  # app/results.js counts in the same way
        key = run_set.benchmark + (f"~{seen[run_set.benchmark]}" if seen[run_set.benchmark] > 1 else "")
        places |= {run.path: (key, runs[numbers[run.path]]["key"]) for run in run_set.runs}
        data = set_data(run_set, numbers, languages.get(run_set.benchmark, {}))
        data["ratings"] = _ratings(collection, run_set.runs)
        for row, shown in zip(run_set.rows, data["rows"], strict=True):
            shown["entries"] = entries_data(row, data["headline"])
        shards.write(f"s{number}", [entries_data(row) for row in run_set.rows])
        sets.append(data)
    shards.write(
        "index",
        {
            "roleeval": __version__,
            "sets": sets,
            "runs": runs,
            "plots": pictures,
            "notShown": [{"path": run_paths(each.path), "reason": _told(each.reason, each.path)} for each in not_shown],
        },
    )
    return tuple(not_shown), places


def _told(error: object, path: Path) -> str:
    """What is wrong, without the folders of whoever ran it."""
    return str(error).replace(str(path.parent.parent), "…")


def _ratings(collection: Collection, runs: Sequence[RunResult]) -> list[dict[str, Any]]:
    """Tables of ratings by pairwise judges, where there are such: only then all judgements are read at once."""
    manifests = [manifest for run in runs if (manifest := ResultFolder(run.path).manifest())]
    if not any(record.form == "pairs" for manifest in manifests for record in manifest.judge_records.values()):
        return []
    paths = {run.path for run in runs}
    rows = tuple(row for row in collection.rows if {run.path for run in row.members or (row,)} <= paths)
    found, _ = rated(replace(collection, runs=tuple(runs), rows=rows), None)
    return [table_data(ratings_table(each)) for each in found]
