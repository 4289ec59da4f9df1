"""What the third party of tests/support/third_party might get wrong, one class a mistake."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from inn import Company, ErrorJudge, Inn, Slips

from roleeval.engines import LoraNeed, ModelSource
from roleeval.judging import Case, Judge, Judgement
from roleeval.metrics import MetricInfo
from roleeval.types import Sample, Score, Transcript


@dataclass(frozen=True)
class Shapeless:
    """Is nothing that roleeval asks for."""


@dataclass(frozen=True)
class UndeclaredMetric:
    """Has no infos."""

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        return [Score("inn/odd", 1.0)]


@dataclass(frozen=True)
class EmptyMetric(UndeclaredMetric):
    """Declares nothing."""

    def infos(self) -> Sequence[MetricInfo]:
        return []


@dataclass(frozen=True)
class StrayMetric(Slips):
    """Scores what it does not declare."""

    def infos(self) -> Sequence[MetricInfo]:
        return [replace(super().infos()[0], name="inn/spilt")]


@dataclass(frozen=True)
class Undescribed(Inn):
    """Does not say what its data is."""

    def describe(self) -> Mapping[str, Any]:
        return {name: value for name, value in super().describe().items() if name != "data_hash"}


@dataclass(frozen=True)
class Misdescribed(Inn):
    """Describes its splits as a list."""

    def describe(self) -> Mapping[str, Any]:
        return {**super().describe(), "splits": ["en", "zh"]}


@dataclass(frozen=True)
class Unwritable(Inn):
    """Describes something that no file can hold."""

    def describe(self) -> Mapping[str, Any]:
        return {**super().describe(), "opened": {object()}}


@dataclass(frozen=True)
class Twins(Inn):
    """Numbers all of its samples 0."""

    def samples(self, *, limit: int | None) -> Iterator[Sample]:
        return (replace(sample, index=0) for sample in super().samples(limit=limit))


@dataclass(frozen=True)
class Slashed(Inn):
    """Has a split that reads like a protocol of another one."""

    def samples(self, *, limit: int | None) -> Iterator[Sample]:
        return (replace(sample, split=f"inn/{sample.split}") for sample in super().samples(limit=limit))


@dataclass(frozen=True)
class Homeless(Inn):
    """Has a name that is no folder's."""

    @property
    def name(self) -> str:
        return "inn/grey_heron"


@dataclass(frozen=True, kw_only=True)
class NamelessCompany(Company):
    """Has a name that is no folder's, which its base class does not see."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", "")


@dataclass(frozen=True, kw_only=True)
class HalfJudge(Judge):
    """Asks, and says nothing of the answers."""

    name: str = "half"
    pack: str = "pkg://inn/judge_pack"

    def questions(self, case: Case) -> list[Any]:
        return []


@dataclass(frozen=True, kw_only=True)
class EmptyJudge(ErrorJudge):
    """Declares nothing."""

    def infos(self, opponents: Sequence[str]) -> Sequence[MetricInfo]:
        return []


@dataclass(frozen=True, kw_only=True)
class StrayJudge(ErrorJudge):
    """Scores what it does not declare."""

    def scores(self, judged: Sequence[tuple[Case, Sequence[Judgement]]]) -> list[tuple[Sample, list[Score]]]:
        return [(sample, [*rows, Score("charm", 1.0)]) for sample, rows in super().scores(judged)]


@dataclass(frozen=True)
class DeafOptions:
    """Builds an engine that cannot answer."""

    def build(self, source: ModelSource, lora: LoraNeed) -> Any:
        return Deaf()


class Deaf:
    """An engine without generate and describe."""

    likelihoods = False
    fingerprint = "deaf"

    def check(self, adapter: Any) -> None: ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...
