"""Runs in trackers of experiments, through their own clients: MLflow, Weights & Biases, trackio.

A finished run becomes a run there: its options without secrets and paths, its headline means with the ends of their
intervals, n and coverage, and its report as an artifact. Where it goes is what the client is configured to (for example
MLFLOW_TRACKING_URI, WANDB_MODE, TRACKIO_DIR). Exported again, it is the same run there, as far as the client can.
"""

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from roleeval.errors import ConfigError, ResultError
from roleeval.hashing import digest
from roleeval.report import write_report
from roleeval.report.found.collect import Collection, RunResult, collect
from roleeval.results import ResultFolder
from roleeval.secrets import masked, masked_text

Name = Literal["mlflow", "wandb", "trackio"]
_LETTERS = re.compile(r"[^\w\-. /]")  # other ones are in no name of a metric at MLflow


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """What a tracker is told of a run.

    Attributes:
        key: tells it from all others, the same whenever it is exported.
        name, group: how it is listed: model and run, below its benchmark.
        options: parameters, by dotted name.
        values: metric/group/mean -> value, with ci_low, ci_high, n and coverage beside it.
        path: its folder.
    """

    key: str
    name: str
    group: str
    options: Mapping[str, str | int | float | bool]
    values: Mapping[str, float]
    path: Path


def track(paths: Iterable[str | Path], tracker: Name, *, project: str) -> Collection:
    """Tells a tracker of every finished run at or below the paths.

    Args:
        paths: result folders, or folders above them.
        tracker: which.
        project: what runs are listed below there: MLflow's experiment, the others' project.

    Returns:
        The runs that it was told of, and the folders that it was not, with the reason.

    Raises:
        ConfigError: the client is not installed, or says that it cannot.
        ResultError: a path is no folder, or there is no finished run.
    """
    try:
        client = importlib.import_module(tracker)
    except ImportError as error:
        raise ConfigError(f"the export needs {tracker}: pip install {tracker}") from error
    paths = list(paths)
    found = collect(paths)
    if not found.runs:
        raise ResultError(
            f"no finished and scored run in or below {', '.join(map(str, paths))};"
            " give result folders, or a folder above them"
        )
    for run in found.runs:
        with TemporaryDirectory(prefix="roleeval-report-") as folder:
            write_report([run.path], Path(folder))
            try:
                _TELL[tracker](client, tracked(run), Path(folder), project)
            except _errors(client) as error:
                raise ConfigError(f"{tracker}: {run.path} could not be logged ({masked_text(str(error))})") from error
    return found


def _errors(client: Any) -> tuple[type[Exception], ...]:
    """What a client raises: its own exceptions, and those of files and connections."""
    found: list[type[Exception]] = [OSError, RuntimeError, ValueError]
    for holder in (client, getattr(client, "exceptions", None)):
        for name in ("MlflowException", "Error"):
            kind = getattr(holder, name, None)
            if isinstance(kind, type) and issubclass(kind, Exception):
                found.append(kind)
    return tuple(found)


def tracked(run: RunResult) -> TrackedRun:
    """What there is to tell of a run."""
    manifest = ResultFolder(run.path).manifest()
    assert manifest is not None  # collect found it
    facts = run.facts
    told = {
        "benchmark": run.benchmark,
        "model": run.model,
        "family": run.family,
        "seed": facts.seed,
        "limit": facts.limit,
        **({} if facts.chosen is None else {"clusters": ", ".join(facts.chosen)}),
        "data": facts.data,
        "data_hash": facts.data_hash,
        "samples": facts.planned,
        "engine": manifest.engine.get("package") or manifest.engine.get("kind"),
        "engine_fingerprint": manifest.engine.get("fingerprint"),
        "roleeval": manifest.provenance.get("roleeval"),
        "sampling": dict(facts.sampling),
        "splits": dict(facts.splits),
        "prompts": {pack.name: pack.sha256 for pack in facts.prompt_packs},
        "judges": dict(facts.judges),
        "setup": dict(facts.setup),
        "parameters": {
            "base": facts.parameters.base,
            "adapters": facts.parameters.adapters,
            "per_added_role": facts.parameters.per_added_role,
        },
    }
    key = digest(run.benchmark, run.model, run.name)[:16]
    return TrackedRun(key, f"{run.model}/{run.name}", run.benchmark, dict(_flat(masked(told))), _values(run), run.path)


def _flat(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str | int | float | bool]]:
    for key, value in node.items():
        name = _LETTERS.sub("-", f"{above}{key}")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, (str, int, float)):
            yield name, value
        elif value:
            yield name, str(value)


def _values(run: RunResult) -> dict[str, float]:
    """Headline values; one that is missing is not there, as no number says that."""
    found: dict[str, float] = {}
    for metric, groups in run.entries.items():
        if not run.infos[metric].headline:
            continue
        for group, entry in groups.items():
            name = _LETTERS.sub("-", f"{metric}/{group}")
            told = {"mean": entry.mean, "ci_low": entry.ci_low, "ci_high": entry.ci_high, "n": entry.n}
            if rows := entry.n + entry.missing:
                told["coverage"] = entry.n / rows
            found |= {f"{name}/{word}": float(value) for word, value in told.items() if value is not None}
    return found


def _mlflow(mlflow: Any, run: TrackedRun, report: Path, project: str) -> None:
    mlflow.set_experiment(project)
    tag = "roleeval.run"
    there = mlflow.search_runs(filter_string=f"tags.`{tag}` = '{run.key}'", output_format="list")
    again = there[0].info.run_id if there else None
    tags = {tag: run.key, "benchmark": run.group}
    with mlflow.start_run(run_id=again, run_name=f"{run.group}/{run.name}", tags=tags):
        mlflow.log_params({name: str(value) for name, value in run.options.items()})
        mlflow.log_metrics(dict(run.values))
        mlflow.log_artifacts(str(report), "report")


def _wandb(wandb: Any, run: TrackedRun, report: Path, project: str) -> None:
    options = {"id": run.key, "name": run.name, "group": run.group, "config": dict(run.options), "resume": "allow"}
    with wandb.init(project=project, **options) as logged:
        logged.log(dict(run.values))
        artifact = wandb.Artifact(f"report-{run.key}", type="report")
        artifact.add_dir(str(report))
        logged.log_artifact(artifact)


def _trackio(trackio: Any, run: TrackedRun, report: Path, project: str) -> None:
    quiet = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
    name = f"{run.group}/{run.name}"
    trackio.init(project, name=name, group=run.group, config=dict(run.options), resume="allow", **quiet)
    try:
        trackio.log(dict(run.values))
        trackio.log_artifact(report, name=f"report-{run.key}", type="report")
    finally:
        trackio.finish()


_TELL: Mapping[Name, Callable[[Any, TrackedRun, Path, str], None]] = {
    "mlflow": _mlflow,
    "wandb": _wandb,
    "trackio": _trackio,
}
