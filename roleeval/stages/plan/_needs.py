"""What a plan's calls need: memory, time, money; and how exact their results will be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from roleeval.benchmarks import SelfScored
from roleeval.config import RunConfig
from roleeval.engines import EngineOptions, ModelSource, serving
from roleeval.engines.shape import context_of, kv_shape, stored_weights
from roleeval.errors import RoleEvalError
from roleeval.metrics import MetricInfo
from roleeval.models import PersonaModel, base_parameters
from roleeval.results import ResultFolder
from roleeval.results.infos import summary_infos
from roleeval.stages.asked import asked_samples
from roleeval.stages.plan._rehearsal import Asked
from roleeval.stages.plan._replies import finished, is_of
from roleeval.stats import WIDEST, Foreseen, Spread, foreseen, spread_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_SHARE = MetricInfo("share", label="any share (0 to 1)", unit="fraction", recipe="", low=0.0, high=1.0)


@dataclass(frozen=True, slots=True)
class Range:
    """At least (where that is short), expected, at most."""

    low: float
    expected: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Range":
        """Three values, of which the ends may be in another order."""
        low, expected, most = values
        return cls(min(low, expected, most), expected, max(low, expected, most))

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.expected + other.expected, self.most + other.most)

    def times(self, factor: float) -> "Range":
        return Range(self.low * factor, self.expected * factor, self.most * factor)


NOTHING = Range(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Memory:
    """What one engine holds, in bytes; None is not known before it is loaded.

    Attributes:
        model: the base's path.
        weights: as stored, and in float32 at most (dtype=auto on the CPU).
        adapters: of all adapters, as stored.
        kv: of keys and values: of one longest call, of all calls in flight, and of those at their longest.
        split: GPUs that weights and cache are split over (tensor_parallel_size); the numbers are of all together.
        copies: of the model; each holds all of it.
    """

    model: str
    weights: Range | None
    adapters: int
    kv: Range | None
    split: int = 1
    copies: int = 1


def memory(options: EngineOptions, models: Sequence[PersonaModel], asked: Sequence[Asked], in_flight: int) -> Memory:
    """Of an engine that serves these models; reads headers and config.json.

    Args:
        options: of the engine.
        models: with the same base.
        asked: what they are asked in the scenarios LOW, EXPECTED and MOST.
        in_flight: calls at once.
    """
    source = models[0].source
    workers: int = getattr(options, "max_workers", None) or getattr(options, "min_workers", None) or 1
    options = serving(options)
    adapters = {adapter.path for model in models for adapter in model.adapters() if adapter.path}
    return Memory(
        source.path,
        _weights(source, options),
        sum(stored_weights(Path(path)) for path in adapters),
        _kv(source, options, asked, min(in_flight, getattr(options, "max_num_seqs", in_flight))),
        getattr(options, "tensor_parallel_size", 1),
        getattr(options, "data_parallel_size", 1) * workers,
    )


def _weights(source: ModelSource, options: EngineOptions) -> Range | None:
    folder = Path(source.path)
    stored = stored_weights(folder) if folder.is_dir() else 0
    if not stored:
        return None
    parameters, dtype = base_parameters(source), getattr(options, "dtype", "auto")
    if parameters is None or getattr(options, "quantization", None):
        return Range(stored, stored, stored)
    if dtype in _BYTES:
        size = parameters * _BYTES[dtype]
        return Range(size, size, size)
    return Range.of((stored, stored, max(stored, parameters * 4)))


def _kv(source: ModelSource, options: EngineOptions, asked: Sequence[Asked], in_flight: int) -> Range | None:
    shape = kv_shape(source)
    if shape is None:
        return None
    dtype = getattr(options, "dtype", "auto")
    few, usual, many = (shape[0] * _BYTES.get(dtype, size) for size in (2, 2, 4))
    low, expected, most = asked
    context = getattr(options, "max_model_len", None) or context_of(source) or most.longest
    mean = (expected.prompt + expected.new) / max(expected.calls, 1)
    at_most = min(context, most.longest or context)
    return Range.of((few * low.longest, usual * mean * in_flight, many * at_most * in_flight))


@dataclass(frozen=True, slots=True)
class Exactness:
    """How exact a run's results will be, with its whole budget and with half of it.

    Attributes:
        metric: its label.
        unit: of the numbers.
        whole, half: with all samples, and with half of them.
        basis: what says how much values vary.
    """

    metric: str
    unit: str
    whole: Foreseen
    half: Foreseen
    basis: str


def exactness(config: RunConfig, clusters: Sequence[str]) -> Exactness:
    """From earlier scores of the same model, else of another one, else the widest that a share can be.

    Args:
        config: of the run.
        clusters: of its samples.
    """
    earlier = _earlier_spread(config)
    spread, info, basis = earlier or (WIDEST, _SHARE, "no earlier scores: the widest that such values can be spread")
    span = inf if info.low is None or info.high is None else info.high - info.low
    whole, half = (
        foreseen(spread, clusters=len(set(each)), samples=len(each), span=span)
        for each in (clusters, _half(config, clusters))
    )
    return Exactness(info.label, info.unit, whole, half, basis)


def _half(config: RunConfig, clusters: Sequence[str]) -> Sequence[str]:
    """The clusters of half the samples, as a limit draws them."""
    benchmark, limit = config.benchmark, config.options.limit
    if isinstance(benchmark, SelfScored):
        return clusters[: max(1, len(clusters) // 2)]
    if config.options.clusters is not None:
        return clusters[::2]
    splits = max(1, len({sample.split for sample in benchmark.samples(limit=1)}))
    half = max(1, (limit or -(-len(clusters) // splits)) // 2)
    return [sample.cluster for sample in asked_samples(benchmark, limit=half, clusters=config.options.clusters)]


def _earlier_spread(config: RunConfig) -> tuple[Spread, MetricInfo, str] | None:
    for folder, _ in sorted(finished(config), key=lambda each: not is_of(each[1], config)):
        try:
            infos = summary_infos(folder.summary())
        except RoleEvalError:
            continue
        of_samples = [info for info in infos.values() if info.per == "sample" and not info.habit]
        headline = [info for info in of_samples if info.headline] or of_samples
        for info in sorted(headline, key=lambda info: (not info.judged, info.position, info.name)):
            rows = _rows(folder, info.name)
            if rows is not None and (spread := spread_of(*rows)) is not None:
                return spread, info, f"scores of {folder.run_id}"
    return None


def _rows(folder: ResultFolder, metric: str) -> "tuple[NDArray[np.float64], NDArray[np.intp]] | None":
    """Values and clusters of a metric in the group that has the most."""
    import numpy as np
    import pyarrow.parquet as pq

    if not folder.scores.is_file():
        return None
    columns = ["cluster", "group", "value"]
    rows = pq.read_table(folder.scores, columns=columns, filters=[("metric", "==", metric)]).to_pylist()
    if not rows:
        return None
    groups = [row["group"] for row in rows]
    largest = max(sorted(set(groups)), key=groups.count)
    kept = [row for row in rows if row["group"] == largest]
    names = sorted({row["cluster"] for row in kept})
    values = np.array([np.nan if row["value"] is None else row["value"] for row in kept], dtype=float)
    return values, np.array([names.index(row["cluster"]) for row in kept], dtype=np.intp)
