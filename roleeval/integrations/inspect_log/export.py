"""Writes runs in Inspect's log format, through inspect-ai's own classes.

    OUT/<time>_<benchmark>_<model>_<run>.eval    one log a run (or .json)

A log's results are our means with their intervals, in each split and average; its samples hold the conversation, with
thoughts as reasoning, and every value. Paths of the machine are left out.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from roleeval.errors import ConfigError, ResultError
from roleeval.hashing import digest
from roleeval.integrations.inspect_log.sample import SampleMaker, in_order
from roleeval.report.found.collect import Entry, NotShown, RunResult, collect
from roleeval.report.found.names import with_names
from roleeval.report.found.seeds import with_rows
from roleeval.results import ResultFolder, read_transcripts
from roleeval.results.integrity import JUDGEMENTS, TRANSCRIPTS, require_sound
from roleeval.results.manifest import Manifest

Format = Literal["eval", "json"]


def export(paths: Iterable[str | Path], out: Path, *, format: Format = "eval") -> tuple[list[Path], list[NotShown]]:
    """Writes a log for each finished run at or below the paths.

    Args:
        paths: result folders, or folders above them.
        out: the folder for the logs; a log of the same run is replaced.
        format: Inspect's compressed format, or its JSON.

    Returns:
        The logs, and the folders without one, with the reason.

    Raises:
        ConfigError: inspect-ai is not installed.
        ResultError: a path is no folder, there is no finished run, or a log could not be written.
    """
    inspect = _inspect()
    paths = list(paths)
    found = with_names(with_rows(collect(paths)))
    if not found.runs:
        raise ResultError(
            f"no finished and scored run in or below {', '.join(map(str, paths))};"
            " give result folders, or a folder above them"
        )
    written, left_out = [], list(found.not_shown)
    for run in found.runs:
        file = out / f"{_file_name(run)}.{format}"
        try:
            log = _log(run)
        except ResultError as error:
            left_out.append(NotShown(run.path, str(error)))
            continue
        try:
            out.mkdir(parents=True, exist_ok=True)
            inspect.write_eval_log(log, str(file), format=format)
        except OSError as error:
            raise ResultError(f"{file}: could not be written ({error})") from error
        written.append(file)
    return written, left_out


def _inspect() -> Any:
    try:
        import inspect_ai.log
    except ImportError as error:
        raise ConfigError("the export needs inspect-ai: pip install 'roleeval[inspect]'") from error
    return inspect_ai.log


def _written_at(run: RunResult) -> datetime:
    """When the run was finished: a manifest holds no date, so that equal runs are equal files."""
    return datetime.fromtimestamp((run.path / "manifest.json").stat().st_mtime, UTC).replace(microsecond=0)


def _file_name(run: RunResult) -> str:
    """The pattern by which Inspect finds logs in a folder: time, task, id."""
    stamp = _written_at(run).isoformat().replace(":", "-")
    return "_".join((stamp, *(re.sub(r"[^\w.-]+|_", "-", part) for part in (run.benchmark, run.model, run.name))))


def _log(run: RunResult) -> Any:
    from inspect_ai.log import EvalLog, EvalStats
    from inspect_ai.model import ModelUsage

    folder = ResultFolder(run.path)
    manifest = folder.manifest()
    assert manifest is not None  # collect found it
    require_sound(folder, manifest, sizes_of=(TRANSCRIPTS, JUDGEMENTS))
    with SampleMaker(folder, run) as maker:
        samples = [maker.made(sample, transcript) for sample, transcript in read_transcripts(folder.transcripts)]
    ended, tokens = _written_at(run), manifest.tokens
    began = ended - timedelta(seconds=manifest.session.get("seconds") or 0)
    usage = ModelUsage(
        input_tokens=tokens.get("prompt", 0),
        output_tokens=tokens.get("output", 0),
        total_tokens=sum(tokens.values()),
    )
    return EvalLog(
        status="success",
        eval=_spec(run, manifest, [sample.id for sample in samples]),
        results=_results(run, manifest, samples),
        stats=EvalStats(started_at=began.isoformat(), completed_at=ended.isoformat(), model_usage={run.label: usage}),
        samples=samples,
    )


def _spec(run: RunResult, manifest: Manifest, ids: list[str]) -> Any:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalRevision, EvalSpec
    from inspect_ai.model import GenerateConfig

    key = digest([run.benchmark, run.model, run.name])[:22]
    sampling, provenance = manifest.model.sampling, manifest.provenance
    commit = (provenance.get("git") or {}).get("commit")
    return EvalSpec(
        eval_id=key,
        run_id=key,
        task_id=key,
        created=_written_at(run).isoformat(),
        task=run.benchmark,
        model=run.label,
        model_generate_config=GenerateConfig(
            temperature=sampling.get("temperature"),
            top_p=sampling.get("top_p"),
            top_k=sampling.get("top_k") or None,
            max_tokens=sampling.get("max_tokens"),
            stop_seqs=list(sampling.get("stop", ())) or None,
            seed=manifest.seed,
        ),
        dataset=EvalDataset(name=run.facts.data, samples=manifest.samples.planned, sample_ids=ids),
        config=EvalConfig(limit=manifest.limit, epochs=1),
        revision=EvalRevision(type="git", origin="", commit=commit) if commit else None,
        packages={"roleeval": str(provenance.get("roleeval", "")), **provenance.get("packages", {})},
        metadata={
            "family": run.family,
            "seed": manifest.seed,
            "data_hash": run.facts.data_hash,
            "engine": manifest.engine.get("package", manifest.engine.get("kind", "")),
            "parameters": {"base": run.facts.parameters.base, "adapters": run.facts.parameters.adapters},
            "splits": dict(run.facts.splits),
            "judges": dict(run.facts.judges),
            **dict(run.facts.setup),
        },
    )


def _results(run: RunResult, manifest: Manifest, samples: list[Any]) -> Any:
    from inspect_ai.log import EvalResults

    failed = sum(sample.error is not None for sample in samples)
    return EvalResults(
        total_samples=manifest.samples.planned,
        completed_samples=len(samples) - failed,
        scores=list(_scores(run)),
    )


def _scores(run: RunResult) -> Iterator[Any]:
    """Headline metrics: Inspect's lists show the first, of the first group, which is an average where there is one."""
    from inspect_ai.log import EvalScore

    for info in in_order(info for info in run.infos.values() if info.headline and info.name in run.entries):
        groups = dict(sorted(run.entries[info.name].items(), key=lambda item: not item[1].mean_of))
        known = [entry for entry in groups.values() if not entry.mean_of]
        yield EvalScore(
            name=info.name,
            scorer=info.name,
            scored_samples=sum(entry.n for entry in known),
            unscored_samples=sum(entry.missing for entry in known),
            metrics={
                f"{group}/{metric.name}": metric for group, entry in groups.items() for metric in _metrics(group, entry)
            },
            metadata={
                "label": info.label,
                "unit": info.unit,
                "recipe": info.recipe,
                "higher_is_better": info.higher_is_better,
            },
        )


def _metrics(group: str, entry: Entry) -> Iterator[Any]:
    """A mean and the ends of its interval; nothing where there is no value, as 0 would be wrong."""
    from inspect_ai.log import EvalMetric

    said: Mapping[str, Any] = {"n": entry.n, "missing": entry.missing, "clusters": entry.clusters}
    for name, value in (("mean", entry.mean), ("ci_low", entry.ci_low), ("ci_high", entry.ci_high)):
        if value is not None:
            yield EvalMetric(name=name, group=group, value=value, metadata={**said, "method": entry.method})
