"""The record of a judge in a folder's manifest, and a panel's pooled column."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from roleeval.engines import StoredEngine
from roleeval.judging import Judge, Judgement, Price, mean_or_none
from roleeval.metrics import MetricInfo
from roleeval.results.manifest import JudgeModel, JudgeRecord, Manifest, Pack
from roleeval.secrets import masked
from roleeval.stages.opponents import Opponents
from roleeval.types import AdapterRef, Sample, Score, Status

# What a judge has to say of each sample.
JudgeRows = list[tuple[Sample, list[Score]]]


@dataclass(frozen=True)
class Task:
    """A judge and all that it needs for one folder.

    Attributes:
        column: "judge/<judge>@<pack hash>-<model and settings hash>".
        prefix: of its metrics: the column, with the hash of the runs compared where it compares.
        work: hash of everything that it is asked about.
        parameters: of the judge model; None where not known.
        price: of the judge model's tokens; None where not known.
    """

    judge: Judge
    engine: StoredEngine
    adapter: AdapterRef | None
    opponents: Opponents
    column: str
    prefix: str
    work: str
    parameters: int | None
    price: Price | None = None

    def is_done(self, manifest: Manifest, summary: Mapping[str, Any] | None) -> bool:
        """Whether the folder holds all that the judge would say, controls included."""
        rows = (summary or {}).get("metrics", {})
        if not any(name.startswith(f"{self.prefix}/") for name in rows):
            return False
        record = manifest.judge_records.get(self.column)
        if record is None or record.work != self.work or record.unanswered:
            return False
        controls = record.controls or {"asked": 0, "unanswered": 0}
        return not self.judge.controls or (controls["asked"] == self.judge.controls and not controls["unanswered"])


def judge_record(
    task: Task,
    judgements: Sequence[Judgement],
    *,
    infos: Mapping[str, MetricInfo],
    controls: Mapping[str, Any] | None,
    session: Mapping[str, Any],
) -> JudgeRecord:
    """The judge's record.

    Args:
        task: what was asked.
        judgements: of the folder's samples, without controls.
        infos: metric -> what it is, as the judge declares it.
        controls: what the positive controls found.
        session: time and calls of this invocation.
    """
    judge, pack = task.judge, task.judge.prompts
    return JudgeRecord(
        judge=judge.name,
        prefix=task.prefix,
        work=task.work,
        pack=Pack(name=pack.name, version=pack.version, sha256=pack.sha256),
        model=JudgeModel(
            source=masked(asdict(judge.source)) if judge.source else "the run's own base model",
            fingerprint=task.engine.fingerprint,
            parameters=task.parameters,
            adapter=task.adapter.fingerprint if task.adapter else None,
        ),
        engine=dict(task.engine.describe()),
        sampling=asdict(judge.sampling),
        attempts=judge.attempts,
        samples_per_item=judge.samples_per_item,
        aggregate=judge.aggregate,
        seed=judge.seed,
        opponents=tuple(task.opponents.ids),
        **counted(judgements, task.price),
        infos=infos,
        form=judge.form,
        controls=controls,
        session=session,
    )


def counted(judgements: Sequence[Judgement], price: Price | None) -> dict[str, Any]:
    """Counts of judgements' outcomes, tokens and cost."""
    attempts = [attempt for judgement in judgements for attempt in judgement.attempts]
    prompt, output = sum(a.prompt_tokens for a in attempts), sum(a.output_tokens for a in attempts)
    failures = Counter(j.reason for j in judgements if j.status != "ok")
    unusable = Counter(a.error for a in attempts if a.error and a.finish_reason != "error")
    return {
        "questions": len(judgements),
        "statuses": dict(sorted(Counter(j.status for j in judgements).items())),
        "unanswered": sum(not j.answered for j in judgements),
        "failures": dict(sorted(failures.items())),
        "unusable_replies": dict(sorted(unusable.items())),
        "tokens": {"prompt": prompt, "output": output},
        "cost": None if price is None else (prompt * price.input + output * price.output) / 1e6,
    }


def shared_infos(infos: Sequence[Mapping[str, MetricInfo]]) -> dict[str, MetricInfo]:
    """What all of a panel's judges score on the same scale, as the first of them has it."""
    scales = [{name: info.ends for name, info in each.items() if info.ends and not info.habit} for each in infos]
    return {name: infos[0][name] for name, ends in scales[0].items() if all(each.get(name) == ends for each in scales)}


def pooled_rows(found: Mapping[str, JudgeRows], names: Iterable[str], column: str) -> JudgeRows:
    """The mean over a panel's judges; missing where one of them has none.

    Args:
        found: prefix -> rows of each judge, all in the same order.
        names: metrics after the prefix that are pooled.
        column: beginning of the pooled metrics' names.
    """
    pooled: JudgeRows = []
    for parts in zip(*found.values(), strict=True):
        by_judge = [{score.metric: score for score in scores} for _, scores in parts]
        rows = []
        for name in names:
            there = [scores.get(f"{prefix}/{name}") for prefix, scores in zip(found, by_judge, strict=True)]
            each = [score for score in there if score is not None]
            if len(each) < len(there):
                continue  # a metric that has no value here, and nothing is missing
            status: Status = next((score.status for score in each if score.status != "ok"), "ok")
            rows.append(Score(f"{column}/{name}", mean_or_none([score.value for score in each]), status))
        pooled.append((parts[0][0], rows))
    return pooled
