"""The models of a run and their engines: the model under test, the benchmark's helpers, the judges."""

from collections.abc import Iterator

from roleeval.benchmarks import Staged
from roleeval.config import RunConfig
from roleeval.engines import EngineOptions
from roleeval.judging import Judge, members
from roleeval.models import Base, OptionalLora, PersonaModel

Asked = tuple[EngineOptions, PersonaModel]


def helpers(config: RunConfig) -> dict[str, Asked]:
    """The models that the benchmark's episodes need besides the one under test, by name."""
    if not isinstance(config.benchmark, Staged):
        return {}
    return {
        name: (
            helper.engine or config.engine,
            helper.model or Base(name=name, source=config.model.source, sampling=helper.sampling),
        )
        for name, helper in config.benchmark.helpers().items()
    }


def judge_model(judge: Judge, config: RunConfig) -> Asked:
    """A judge's model; without a source of its own it is the run's base model."""
    source = judge.source or config.model.source
    return judge.engine_options(config.engine), OptionalLora(
        name="judge", source=source, adapter_path=judge.adapter_path
    )


def everyone(config: RunConfig) -> Iterator[Asked]:
    """All models that a run asks, so that an engine which several share is loaded once, with room for all."""
    yield config.engine, config.model
    yield from helpers(config).values()
    if config.judge is not None and "judge" in config.options.stages:
        for judge in members(config.judge):
            yield judge_model(judge, config)
