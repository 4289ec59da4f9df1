"""The typed configuration of a run, made from Hydra's dictionaries; an error is one sentence.

Every group of the configuration (benchmark, model, engine, metrics) names a class in `_target_`; the class is a
dataclass and its fields are its options. A third party adds one with a class in its own package and a YAML file.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from roleeval.benchmarks import Benchmark, SelfScored
from roleeval.config.build import as_node, build, build_target, checked
from roleeval.engines import BudgetOptions, EngineOptions, Price
from roleeval.errors import ConfigError
from roleeval.judging import Judge, Panel, members
from roleeval.metrics import CorpusMetric, Metric
from roleeval.models import PersonaModel
from roleeval.ranges import check_range
from roleeval.secrets import refuse_secrets

Stage = Literal["generate", "score", "judge"]
_LONGEST_NAME = 200  # bytes; file systems take 255, and names of parts and locks are longer
_GROUPS = ("benchmark", "model", "engine", "metrics")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What is not a group: the top-level keys of conf/config.yaml.

    Attributes:
        seed: of the run; every call's seed derives from it.
        seeds: instead of one seed several, each a run of its own (`seed_runs`); None is one run.
        limit: samples per split at most, one from each equal stretch of the split; None is all.
        clusters: names of the clusters (roles, books, seeds) whose samples are asked, after `limit`; None is all.
        stages: "generate" asks the model, "score" computes metrics from transcripts, "judge" asks the judge, if any.
        results_dir: where result folders go.
        run_name: the last part of the result folder; None: the seed and a hash of the configuration.
        max_in_flight: parallel episodes.
        fail_on_error: share of samples whose engine call may fail; above it the run stops (`failures_allowed`).
        store: the completion store's file; None: <results_dir>/.store/completions.sqlite.
        progress: "bar" (without a terminal a line every 30 seconds), "quiet" (errors and the final table), or "log" (a
            line every 10 seconds).
        log_file: also write the log there.
        budget: what the whole command may spend on new calls; at its end the rest is left out (over_budget).
        prices: model's source.path -> price of its tokens; judges may have others (judge.prices).
    """

    seed: int = 1
    seeds: tuple[int, ...] | None = None
    limit: int | None = None
    clusters: tuple[str, ...] | None = None
    stages: tuple[Stage, ...] = ("generate", "score", "judge")
    results_dir: str = "results"
    run_name: str | None = None
    max_in_flight: int = 256
    fail_on_error: float = 0.05
    store: str | None = None
    progress: Literal["bar", "quiet", "log"] = "bar"
    log_file: str | None = None
    budget: BudgetOptions = field(default_factory=BudgetOptions)
    prices: Mapping[str, Price] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_range(self, "limit", "max_in_flight", low=1)
        check_range(self, "fail_on_error", low=0, high=1)
        if self.seeds is not None:
            _check_seeds(self.seeds, self.run_name)
        if self.clusters is not None:
            if not self.clusters:
                raise ConfigError("clusters: empty; give names as clusters=[NAME,...], or null for all")
            # in whatever order they are given, it is the same run
            object.__setattr__(self, "clusters", tuple(sorted(set(self.clusters))))
        if not self.stages:
            raise ConfigError("stages: empty; allowed values: generate, score, judge")
        if self.run_name is not None and not re.fullmatch(r"[\w=-][\w.=-]*", self.run_name):
            raise ConfigError(
                f"run_name: {self.run_name!r} is not a folder name; use letters, digits and . - _ =, and no dot at the"
                " beginning"
            )
        if self.run_name is not None:
            _check_length(self.run_name, "run_name")

    def failures_allowed(self, total: int) -> int:
        """How many of `total` items may fail before a run stops: the share `fail_on_error` of them.

        One failure is always allowed where any is (a share above 0), for one is no share of a few samples; all of
        them never are.
        """
        if not self.fail_on_error:
            return 0
        return min(max(1, int(self.fail_on_error * total)), max(0, total - 1))


def _check_seeds(seeds: Sequence[int], run_name: str | None) -> None:
    if not seeds:
        raise ConfigError("seeds: empty; give whole numbers as seeds=[1,2,3], or null for one run")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds: {list(seeds)} contains a duplicate; equal seeds give equal texts, so remove it")
    if run_name is not None:
        raise ConfigError(f"run_name: {run_name!r} is one folder, but seeds needs {len(seeds)}; leave run_name unset")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A whole run, typed: the one source of truth on what was asked for.

    Attributes:
        benchmark: what is asked.
        model: the model under test.
        engine: what serves it.
        metrics: name -> metric; empty for a benchmark that scores itself.
        options: everything that is not a group.
        judge: a judge or a panel of judges; None is no judge.
    """

    benchmark: Benchmark
    model: PersonaModel
    engine: EngineOptions
    metrics: Mapping[str, Metric | CorpusMetric]
    options: RunOptions
    judge: Judge | Panel | None = None

    def __post_init__(self) -> None:
        if self.options.clusters is not None and isinstance(self.benchmark, SelfScored):
            raise ConfigError(f"clusters: {self.benchmark.name} scores itself, always in full; leave clusters out")


def parse_config(config: Mapping[str, Any]) -> RunConfig:
    """Turns a resolved configuration into objects.

    Raises:
        ConfigError: names the key, what is wrong with it, and what is allowed.
    """
    refuse_secrets(config)
    for group in _GROUPS:
        if not isinstance(config.get(group), Mapping):
            raise ConfigError(f"{group}: missing; choose one with {group}=NAME (python run_eval.py --help lists them)")
    if config.get("seed") is not None and config.get("seeds") is not None:
        raise ConfigError(f"seed={config['seed']} and seeds={config['seeds']} are both set; set one of them to null")
    unset = {"seed"} if config.get("seed") is None else set()
    options = build(RunOptions, {k: v for k, v in config.items() if k not in {*_GROUPS, "judge", *unset}}, "")
    judge = None if config.get("judge") is None else build_target(config["judge"], "judge")
    if judge is None and options.stages == ("judge",):
        raise ConfigError("stages=[judge] needs a judge; choose one with judge=NAME")
    if judge is not None:
        members(judge)  # says what is no judge
    metrics = {name: node for name, node in config["metrics"].items() if node is not None}
    return RunConfig(
        benchmark=_benchmark(build_target(config["benchmark"], "benchmark")),
        model=_named(checked(build_target(config["model"], "model"), PersonaModel, "model._target_"), "model"),
        engine=checked(build_target(config["engine"], "engine"), EngineOptions, "engine._target_"),
        metrics={
            name: _metric(build_target(node, f"metrics.{name}"), f"metrics.{name}") for name, node in metrics.items()
        },
        options=options,
        judge=judge,
    )


def _metric(thing: Any, key: str) -> Metric | CorpusMetric:
    """A metric of samples, of clusters, or both."""
    protocol = CorpusMetric if hasattr(thing, "collector") else Metric
    found: Metric | CorpusMetric = checked(thing, protocol, f"{key}._target_")
    return found


def _benchmark(thing: Any) -> Benchmark:
    """A benchmark that scores itself needs neither samples nor episodes."""
    itself = isinstance(thing, SelfScored)
    without = ("samples", "episode") if itself else ()
    found: Benchmark = _named(checked(thing, Benchmark, "benchmark._target_", without=without), "benchmark")
    return found


def _named(thing: Any, key: str) -> Any:
    """The object itself, if its name can be a folder's."""
    name = thing.name
    if not isinstance(name, str) or not name.strip() or re.search(r"[/\\]", name) or name.startswith("."):
        raise ConfigError(f"{key}.name: {name!r} is not a valid folder name; give a name without '/'")
    if not name.isprintable():
        raise ConfigError(f"{key}.name: {name!r} holds control or invisible characters; leave them out")
    _check_length(name, f"{key}.name")
    return thing


def _check_length(name: str, key: str) -> None:
    if len(name.encode(errors="replace")) > _LONGEST_NAME:
        raise ConfigError(
            f"{key}: {name[:20]!r}... is too long for a folder's name; give {_LONGEST_NAME} bytes at most"
        )


def seed_runs(config: RunConfig) -> list[RunConfig]:
    """The runs that a configuration asks for: one for each of its seeds, or itself."""
    if config.options.seeds is None:
        return [config]
    return [
        dataclasses.replace(config, options=dataclasses.replace(config.options, seed=seed, seeds=None))
        for seed in config.options.seeds
    ]


def as_config(config: RunConfig) -> dict[str, Any]:
    """The dictionary that `parse_config` makes the same run of; secrets are not masked."""
    options = as_node(config.options)
    del options["_target_"]
    return {
        "benchmark": as_node(config.benchmark),
        "model": as_node(config.model),
        "engine": as_node(config.engine),
        "metrics": as_node(config.metrics),
        "judge": as_node(config.judge),
        **options,
    }
