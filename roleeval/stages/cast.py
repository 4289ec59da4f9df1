"""The models of a run and their engines: the model under test, the benchmark's helpers, the judges."""

from collections.abc import Iterator

from roleeval.benchmarks import Helper, Keys, Staged
from roleeval.config import RunConfig
from roleeval.engines import EngineOptions
from roleeval.judging import Judge, Panel, members
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


def helper_keys(config: RunConfig) -> dict[str, Keys]:
    """Where the settings of the benchmark's helpers stand, by name."""
    found = config.benchmark.helpers() if isinstance(config.benchmark, Staged) else {}
    return {name: _keys(name, helper) for name, helper in found.items()}


def _keys(name: str, helper: Helper) -> Keys:
    engine = f"benchmark.{name}.engine" if helper.engine is not None else "engine"
    if helper.model is not None:
        model = f"benchmark.{name}.model"
        return Keys(engine, f"{model}.sampling.max_tokens", f"{model}.source")
    return Keys(engine, helper.tokens_key or f"benchmark.{name}.sampling.max_tokens")


def judge_model(judge: Judge, config: RunConfig) -> Asked:
    """A judge's model; without a source of its own it is the run's base model."""
    source = judge.source or config.model.source
    return judge.engine_options(config.engine), OptionalLora(
        name="judge", source=source, adapter_path=judge.adapter_path
    )


def judge_source(judge: Judge, config: RunConfig) -> str:
    """Where the source of a judge's model stands in the configuration, for messages."""
    if judge.source is None:
        return "model.source"
    return f"judge.judges.{judge.name}.source" if isinstance(config.judge, Panel) else "judge.source"


def playing(config: RunConfig) -> Iterator[Asked]:
    """The models that are asked in turn while episodes are played."""
    yield config.engine, config.model
    yield from helpers(config).values()


def everyone(config: RunConfig) -> Iterator[Asked]:
    """All models that a run asks, so that an engine which several share is loaded once, with room for all."""
    yield from playing(config)
    if config.judge is not None and "judge" in config.options.stages:
        for judge in members(config.judge):
            yield judge_model(judge, config)
