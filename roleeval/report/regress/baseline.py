"""A baseline: what the gate needs of finished runs, in one small file that can be committed.

    gzip of {"kind": "roleeval baseline", "format": 1, "roleeval": version, "runs": [run, ...]}

A run has its samples (ids, clusters, statuses, hashes of texts), every metric's values, and what it was made from.
Texts are in it only if they were asked for. The same runs give the same bytes.
"""

import gzip
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from roleeval import __version__
from roleeval.errors import ConfigError, ResultError
from roleeval.metrics import MetricInfo
from roleeval.report.regress.kept import KeptRun, KeptSample, Series, Side, Spoken
from roleeval.report.regress.read import side, spoken
from roleeval.results import write_atomically

KIND, FORMAT = "roleeval baseline", 1


def save_baseline(file: Path, runs: Side, *, texts: bool = False) -> int:
    """Writes a baseline.

    Args:
        file: to write; a baseline that is there is replaced.
        runs: what `read_folder` gave.
        texts: also the questions and answers, so that the worst items can be shown with both answers.

    Returns:
        Its size in bytes.

    Raises:
        ResultError: the file could not be written, or transcripts are damaged.
    """
    node = {
        "kind": KIND,
        "format": FORMAT,
        "roleeval": __version__,
        "runs": [_to_json(run, texts=texts) for run in runs],
    }
    text = json.dumps(node, ensure_ascii=True, allow_nan=False, separators=(",", ":"), sort_keys=True)
    content = gzip.compress(text.encode(), mtime=0)
    write_atomically(file, content)
    return len(content)


def read_baseline(file: Path) -> Side:
    """Reads a baseline.

    Raises:
        ResultError: it cannot be read, is damaged, is no baseline, or has another version's format.
    """
    try:
        node = json.loads(gzip.decompress(file.read_bytes()))
    except OSError as error:
        why = error.strerror or "it is no gzip file"
        raise ResultError(f"{file}: cannot be read as a baseline ({why}); {_AGAIN}") from error
    except (EOFError, zlib.error, ValueError, RecursionError) as error:
        raise ResultError(f"{file}: damaged ({error}); {_AGAIN}") from error
    if not isinstance(node, Mapping) or node.get("kind") != KIND:
        raise ResultError(f"{file}: is no baseline; {_AGAIN}")
    if node.get("format") != FORMAT:
        written = f"format {node.get('format')!r:.20}, of roleeval {node.get('roleeval')!r:.20}"
        raise ResultError(
            f"{file}: a baseline in {written}; this is roleeval {__version__}, which reads format {FORMAT}. Either use"
            f" that version, or {_AGAIN}"
        )
    try:
        runs = [_of_json(run) for run in node["runs"]]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ConfigError) as error:
        raise ResultError(f"{file}: damaged ({type(error).__name__}: {error}); {_AGAIN}") from error
    return side(str(file), runs)


_AGAIN = "write it again with roleeval regress --save FILE RESULTS"


def _to_json(run: KeptRun, *, texts: bool) -> dict[str, Any]:
    clusters = list(dict.fromkeys(sample.cluster for sample in run.samples))
    numbers = {cluster: number for number, cluster in enumerate(clusters)}
    kept = spoken(run, [sample.id for sample in run.samples]) if texts else {}
    return {
        "benchmark": run.benchmark,
        "model": run.model,
        "name": run.name,
        "seed": run.seed,
        "asked": run.asked,
        "made": run.made,
        "not_exact": run.not_exact,
        "elsewhere": run.elsewhere,
        "cluster": run.cluster,
        "infos": [info.to_json() for info in run.infos.values()],
        "groups": run.groups,
        "clusters": clusters,
        "samples": {
            "id": [sample.id for sample in run.samples],
            "cluster": [numbers[sample.cluster] for sample in run.samples],
            "texts": [sample.texts for sample in run.samples],
            "odd": {
                str(place): [sample.status, *sample.breaks]
                for place, sample in enumerate(run.samples)
                if sample.breaks or sample.status not in _PLAIN
            },
            "transcripts": sum(sample.status != "" for sample in run.samples),
        },
        "series": [_series(metric, group, rows) for (metric, group), rows in run.series.items()],
        "texts": {name: [each.question, [_turn(turn) for turn in each.turns]] for name, each in kept.items()},
    }


_PLAIN = ("ok", "")  # samples with a transcript come first; the others stand for whole clusters


def _turn(turn: tuple[str, str, str]) -> list[str]:
    speaker, visible, raw = turn
    return [speaker, visible] if raw == visible else [speaker, visible, raw]


def _series(metric: str, group: str, rows: Series) -> dict[str, Any]:
    numbers = [int(value) if value is not None and value.is_integer() else value for value in rows.values]
    odd = {str(place): status for place, status in rows.statuses.items()}
    return {"metric": metric, "group": group, "samples": _runs(rows.samples), "values": numbers, "statuses": odd}


def _runs(places: Sequence[int]) -> list[int]:
    """Positions as differences: mostly 1, which compresses to nothing."""
    return [place - before for before, place in zip((0, *places), places, strict=False)]


def _of_json(node: Mapping[str, Any]) -> KeptRun:
    clusters, table = node["clusters"], node["samples"]
    samples = []
    for place, (name, cluster, texts) in enumerate(zip(table["id"], table["cluster"], table["texts"], strict=True)):
        status, *breaks = table["odd"].get(str(place), ["ok" if place < table["transcripts"] else ""])
        samples.append(KeptSample(str(name), str(clusters[cluster]), str(status), tuple(breaks), str(texts)))
    infos = [_info(info) for info in node["infos"]]
    one, several = node["cluster"]
    return KeptRun(
        benchmark=str(node["benchmark"]),
        model=str(node["model"]),
        name=str(node["name"]),
        seed=None if node["seed"] is None else int(node["seed"]),
        asked=_facts(node["asked"]),
        made=_facts(node["made"]),
        not_exact=str(node["not_exact"]),
        elsewhere=bool(node.get("elsewhere", False)),
        cluster=(str(one), str(several)),
        infos={info.name: info for info in infos},
        groups={str(group): tuple(parts) for group, parts in node["groups"].items()},
        samples=tuple(samples),
        series={(str(each["metric"]), str(each["group"])): _rows(each, len(samples)) for each in node["series"]},
        spoken={str(name): _spoken(each) for name, each in node["texts"].items()},
    )


def _info(node: Mapping[str, Any]) -> MetricInfo:
    from pydantic import TypeAdapter

    info: MetricInfo = TypeAdapter(MetricInfo).validate_python(asdict(MetricInfo.from_json(node)))
    return info


def _facts(node: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {str(aspect): {str(k): str(v) for k, v in values.items()} for aspect, values in node.items()}


def _rows(node: Mapping[str, Any], samples: int) -> Series:
    places, place = [], 0
    for step in node["samples"]:
        place += step
        places.append(place)
    if len(places) != len(node["values"]) or not all(0 <= place < samples for place in places):
        raise ValueError(f"the rows of {node['metric']!r:.60} are not of its samples")
    values = tuple(None if value is None else float(value) for value in node["values"])
    if not all(value is None or math.isfinite(value) for value in values):
        raise ValueError(f"the rows of {node['metric']!r:.60} hold a value that is no number")
    return Series(tuple(places), values, {int(place): str(status) for place, status in node["statuses"].items()})


def _spoken(node: Sequence[Any]) -> Spoken:
    question, turns = node
    return Spoken(str(question), tuple((str(turn[0]), str(turn[1]), str(turn[-1])) for turn in turns))
