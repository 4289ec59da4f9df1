"""The protocol of a judge: questions about answers, and scores from the verdicts.

A judge never calls an engine itself: `_calls.ask` does it for all judges.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from roleeval.engines import EngineOptions, ModelSource, Price
from roleeval.errors import ConfigError
from roleeval.identity import OUTSIDE_IDENTITY, options
from roleeval.judging._view import Answer, View
from roleeval.metrics import MetricInfo
from roleeval.prompts import PromptPack, load_prompt_pack
from roleeval.ranges import check_range
from roleeval.types import FinishReason, Message, Sample, Sampling, Score

# In the place of a run id: the benchmark's reference answers, where they are an opponent.
REFERENCES = "references"
# What a judge's verdicts are to whoever reads them in result folders; see Judge.form.
Form = Literal["points", "pairs", "ranking"]
# `Judge.arithmetic` of judges whose repeats stats.settled brings together.
REPEATS_SETTLED = "settled"


class UnusableReplyError(Exception):
    """A judge's reply holds no verdict that counts; says why in a few words. Ends an attempt, never a run."""


@dataclass(frozen=True, slots=True)
class Case:
    """A sample and its answers, each with the turns that the judge's view lets through.

    Attributes:
        sample: what was asked.
        own: run id of the run whose scores are wanted.
        answers: run id -> answer; run ids never reach a judge.
    """

    sample: Sample
    own: str
    answers: Mapping[str, Answer]

    @property
    def opponents(self) -> tuple[str, ...]:
        return tuple(run_id for run_id in self.answers if run_id != self.own)


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that a judge is asked.

    Attributes:
        item: names it among all questions of the judge; seeds derive from it.
        sample_id: what it is about.
        messages: the chat.
        schema: JSON text of the reply's schema; None for a free text.
        read: takes the verdict out of a reply, or raises UnusableReplyError.
        slots: run ids of the answers in the order in which they are shown.
    """

    item: str
    sample_id: str
    messages: tuple[Message, ...]
    schema: str | None
    read: Callable[[str], Mapping[str, Any]]
    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of a judge; `error` says why its reply was not used, or why there is none."""

    seed: int
    temperature: float
    raw: str
    finish_reason: FinishReason
    prompt_tokens: int
    output_tokens: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of a question.

    Attributes:
        item, sample_id, slots: see Question.
        repeat: which of `samples_per_item`.
        verdict: None where there is none.
        status: "ok" or "judge_failed".
        reason: why it failed.
        answered: False where the last call brought no reply at all; the same command asks it again.
        attempts: every call, the last one last.
    """

    item: str
    sample_id: str
    slots: tuple[str, ...]
    repeat: int
    verdict: Mapping[str, Any] | None
    status: Literal["ok", "judge_failed"]
    reason: str
    answered: bool
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The options that all judges share, and what a judge has to say for itself.

    Attributes:
        name: part of its columns' names.
        pack: folder of its prompts, rubric and schema (judges/NAME, or a path).
        source: the judge model; None is the run's own base model, without an adapter.
        adapter_path: a PEFT adapter on that model, or "zoo:NAME"; None is the model as it is.
        engine: what serves it; None is the run's engine options.
        sampling: of the first attempt.
        attempts: calls at most until a reply is usable.
        retry_temperature: of further attempts, unless `sampling` is warmer.
        samples_per_item: how often each question is asked.
        aggregate: of those answers.
        constrain: have the engine constrain replies to the schema; false for engines that cannot.
        thoughts: "shown" gives the judge inner thoughts in brackets, for protocols that say so.
        seed: every call's seed derives from it; not the run's, so that two runs that are compared share their calls.
        max_in_flight: parallel questions.
        prices: model name -> price; a model that is not in it has no cost.
        controls: good answers to put faults into, to see whether the judge ranks their doses in order; 0 is none.
    """

    name: str = field(metadata=OUTSIDE_IDENTITY)
    pack: str = field(metadata=OUTSIDE_IDENTITY)
    source: ModelSource | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    adapter_path: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    engine: EngineOptions | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=1024))
    attempts: int = field(default=3, metadata=OUTSIDE_IDENTITY)
    retry_temperature: float = 0.7
    samples_per_item: int = 1
    aggregate: Literal["median", "mean"] = "median"
    constrain: bool = True
    thoughts: Literal["hidden", "shown"] = "hidden"
    seed: int = 0
    max_in_flight: int = field(default=64, metadata=OUTSIDE_IDENTITY)
    prices: Mapping[str, Price] = field(default_factory=dict, metadata=OUTSIDE_IDENTITY)
    controls: int = field(default=0, metadata=OUTSIDE_IDENTITY)

    # Whether it is asked about several runs' answers at once.
    compares: ClassVar[bool] = False
    # "pairs": questions have two slots, and a verdict is {criterion: {"winner": "A", "B" or "tie"}}; ratings, flips and
    # win rates are made of it. "ranking": {criterion: {"ranking": letters of the slots, the best first}}. "points":
    # anything else.
    form: ClassVar[Form] = "points"
    # Where its metrics are about different faults: fault of a control -> its own metric, then others that it may move.
    # A fault that is not in it is measured on the primary metric.
    hits: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __post_init__(self) -> None:
        if not self.name or not self.name.replace("_", "").replace("-", "").isalnum():
            raise ConfigError(f"judge.name: {self.name!r} is not a valid name; use letters, digits, - and _")
        check_range(self, "attempts", "samples_per_item", "max_in_flight", low=1, owner="judge")
        check_range(self, "controls", "retry_temperature", low=0, owner="judge")
        if self.samples_per_item > 1 and self.sampling.temperature == 0:
            raise ConfigError(
                f"judge.samples_per_item={self.samples_per_item} with sampling.temperature=0 asks for the same text"
                " several times; set judge.sampling.temperature"
            )
        if self.source is not None and self.source.path.startswith("zoo:"):
            from roleeval.resources import zoo_path

            path = str(zoo_path(self.source.path.removeprefix("zoo:")))
            object.__setattr__(self, "source", replace(self.source, path=path, revision=None))
        if self.engine is not None and not hasattr(self.engine, "build"):
            raise ConfigError("judge.engine: not an engine; give it a _target_ (see conf/engine/*.yaml), or null")

    @property
    def prompts(self) -> PromptPack:
        return load_prompt_pack(self.pack)

    @property
    def scope(self) -> str:
        """Who asks, in the store's keys."""
        return f"judge:{self.name}:{self.prompts.sha256}"

    @property
    def arithmetic(self) -> str:
        """What names the way from verdicts to scores in the column's hash, where it once was another; "" is nothing."""
        return ""

    @property
    def view(self) -> View:
        """What of a transcript the judge may see; the answers of its cases hold that and no more."""
        return View(thoughts=self.thoughts)

    def excerpt(self, answer: Answer) -> Answer:
        """The part of an answer that controls are made of, where the whole would cost too much; here all of it."""
        return answer

    def engine_options(self, default: EngineOptions) -> EngineOptions:
        return default if self.engine is None else self.engine

    def identity(self) -> Mapping[str, Any]:
        """The settings that determine replies and how they are counted; part of the judge's column name.

        The pack, the model and its adapter are left out: their hashes are in the column's name as well.
        """
        return options(self) | ({"arithmetic": self.arithmetic} if self.arithmetic else {})

    def questions(self, case: Case) -> list[Question]:
        """What has to be asked about a case; [] where its outcome needs no judge."""
        raise NotImplementedError

    def scores(self, judged: Sequence[tuple[Case, Sequence[Judgement]]]) -> list[tuple[Sample, list[Score]]]:
        """The rows of all cases; a Score's metric is the part after the judge's column name."""
        raise NotImplementedError

    def infos(self, opponents: Sequence[str]) -> Sequence[MetricInfo]:
        """Declares every metric that `scores` may return a row of.

        Those with a worst and a best possible value (and no habits) get bounds where judgements are missing, and are
        pooled by a panel.

        Args:
            opponents: run ids of the runs that a judged run is compared with; empty for judges of single answers.
        """
        return ()

    def numbers(self, verdict: Mapping[str, Any]) -> Mapping[str, float]:
        """A verdict as one number for each thing that was asked, kept beside it: what repeats and their noise are
        measured on. Here the "score" of every part that has one; {} leaves it unmeasured.
        """
        parts = {name: part["score"] for name, part in verdict.items() if isinstance(part, Mapping) and "score" in part}
        return {name: float(score) for name, score in parts.items()}

    def aggregated(self, values: Sequence[float]) -> float | None:
        """One value for several answers to the same question; None for none."""
        import statistics

        if not values:
            return None
        return statistics.median(values) if self.aggregate == "median" else statistics.fmean(values)


def mean_or_none(values: Sequence[float | None]) -> float | None:
    """The mean; None where a value is missing, because a mean over fewer would be another quantity."""
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present and len(present) == len(values) else None
