"""What the gate knows of a run, read from a result folder or from a baseline file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from roleeval.metrics import MetricInfo


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was asked and what the model under test said: (speaker, visible text, raw text) of each of its turns."""

    question: str
    turns: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class KeptSample:
    """One sample of a run.

    Attributes:
        id: of the sample.
        cluster: it belongs to.
        status: of its transcript; "" where only scores are known.
        breaks: the guards that it would trip ("empty", "cut_off").
        texts: hash of the model's raw texts; "" where they are not known.
    """

    id: str
    cluster: str
    status: str = ""
    breaks: tuple[str, ...] = ()
    texts: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """The rows of one metric in one group: positions in the run's samples, values (None: missing), odd statuses."""

    samples: tuple[int, ...]
    values: tuple[float | None, ...]
    statuses: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """One run.

    Attributes:
        benchmark, model, name: as in the result folder's path.
        seed: of the run; None where it is not known.
        asked: aspect -> key -> value as text: what two runs must share to be compared.
        made: the same of what may differ: weights, adapters, the model's options, the engine.
        not_exact: why its texts cannot be expected to repeat; "" for greedy float32 on the CPU.
        elsewhere: a server made them, whose weights nobody here has seen.
        cluster: what its clusters are called, one and several.
        infos: metric -> what it is.
        groups: the headline groups -> the groups of rows that each one averages.
        samples: all of them.
        series: (metric, group) -> rows.
        path: its folder; None where it comes from a baseline file.
        spoken: sample -> texts, where a baseline file has them.
    """

    benchmark: str
    model: str
    name: str
    seed: int | None
    asked: Mapping[str, Mapping[str, str]]
    made: Mapping[str, Mapping[str, str]]
    not_exact: str
    cluster: tuple[str, str]
    infos: Mapping[str, MetricInfo]
    groups: Mapping[str, tuple[str, ...]]
    samples: tuple[KeptSample, ...]
    series: Mapping[tuple[str, str], Series]
    elsewhere: bool = False
    path: Path | None = None
    spoken: Mapping[str, Spoken] = field(default_factory=dict)

    @property
    def asked_samples(self) -> tuple[KeptSample, ...]:
        """Those with a transcript, without what stands for a whole cluster; all where there are no transcripts."""
        return tuple(sample for sample in self.samples if sample.status) or self.samples


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two things that are compared: runs by (benchmark, model), several where only their seeds differ.

    Attributes:
        name: for people: the folder or the file.
        runs: of each model.
        not_read: folders that were left out, with the reason.
    """

    name: str
    runs: Mapping[tuple[str, str], Sequence[KeptRun]]
    not_read: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[KeptRun]:
        return (run for runs in self.runs.values() for run in runs)
