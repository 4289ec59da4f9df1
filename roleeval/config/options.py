"""The door: Hydra's dictionaries become typed dataclasses here, and what is wrong is said in one sentence.

Every group of the configuration (benchmark, model, engine, metrics) names a class in `_target_`; the class is a
dataclass and its fields are its options. A third party adds one with a class in its own package and a YAML file.
"""

import dataclasses
import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from roleeval.errors import ConfigError

T = TypeVar("T")
Stage = Literal["generate", "score", "judge"]

# Values that look like a credential. Keys are given as the name of an environment variable.
_SECRET_VALUE = re.compile(
    r"(?:^|[^A-Za-z0-9])(sk-[A-Za-z0-9_-]{8,}|hf_[A-Za-z0-9]{16,}|Bearer\s+\S{8,}|AIza[\w-]{20,})"
)
_SECRET_NAME = re.compile(r"(?:^|[._+~])(?:api_?key|secret|password|auth_?token|access_?token)$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What is not a group: the top-level keys of conf/config.yaml.

    Attributes:
        seed: of the run; every call's seed derives from it.
        seeds: instead of one seed several, each a run of its own (`seed_runs`); None is one run.
        limit: samples per split at most, one from each equal stretch of the split; None is all.
        stages: "generate" asks the model, "score" computes metrics from transcripts, "judge" asks the judge, if any.
        results_dir: where result folders go.
        run_name: the last part of the result folder; None: the seed and a hash of the configuration.
        max_in_flight: episodes under way at once.
        fail_on_error: share of samples whose engine call may fail; above it the run stops.
        store: the completion store's file; None: <results_dir>/.store/completions.sqlite.
        progress: "bar", "quiet" (errors and the final table), or "log" (a line every few seconds).
        log_file: also write the log there.
    """

    seed: int = 1
    seeds: tuple[int, ...] | None = None
    limit: int | None = None
    stages: tuple[Stage, ...] = ("generate", "score", "judge")
    results_dir: str = "results"
    run_name: str | None = None
    max_in_flight: int = 256
    fail_on_error: float = 0.05
    store: str | None = None
    progress: Literal["bar", "quiet", "log"] = "bar"
    log_file: str | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit: {self.limit} is not possible; give a whole number from 1, or null for all")
        if self.seeds is not None:
            _check_seeds(self.seeds, self.run_name)
        if self.max_in_flight < 1:
            raise ConfigError(f"max_in_flight: {self.max_in_flight} is not possible; give a whole number from 1")
        if not 0 <= self.fail_on_error <= 1:
            raise ConfigError(f"fail_on_error: {self.fail_on_error} is not a share; give a number from 0 to 1")
        if not self.stages:
            raise ConfigError("stages: empty; allowed values: generate, score, judge")
        if self.run_name is not None and not re.fullmatch(r"[\w.=-]+", self.run_name):
            raise ConfigError(f"run_name: {self.run_name!r} is not a folder name; use letters, digits and . - _ =")


def _check_seeds(seeds: Sequence[int], run_name: str | None) -> None:
    if not seeds:
        raise ConfigError("seeds: empty; give whole numbers as seeds=[1,2,3], or null for one run")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds: {list(seeds)} has one twice, and the same seed gives the same texts; leave it out")
    if run_name is not None:
        raise ConfigError(f"run_name: {run_name!r} names one folder, and seeds asks for {len(seeds)}; leave it unset")


@dataclass(frozen=True)
class RunConfig:
    """A whole run, typed. `resolved` is the dictionary it came from, for config.yaml."""

    benchmark: Any
    model: Any
    engine: Any
    metrics: Mapping[str, Any]
    options: RunOptions
    resolved: Mapping[str, Any]
    judge: Any = None


def parse_config(config: Mapping[str, Any]) -> RunConfig:
    """Turns a resolved configuration into objects.

    Raises:
        ConfigError: names the key, what is wrong with it, and what is allowed.
    """
    refuse_secrets(config)
    groups = ("benchmark", "model", "engine", "metrics")
    for group in groups:
        if not isinstance(config.get(group), Mapping):
            raise ConfigError(f"{group}: missing; choose one with {group}=NAME (python run_eval.py --help lists them)")
    if config.get("seed") is not None and config.get("seeds") is not None:
        raise ConfigError(
            f"seed={config['seed']} and seeds={config['seeds']} are both set; set the one that is not meant to null"
        )
    unset = {"seed"} if config.get("seed") is None else set()
    options = build(RunOptions, {k: v for k, v in config.items() if k not in {*groups, "judge", *unset}}, "")
    judge = None if config.get("judge") is None else build_target(config["judge"], "judge")
    if judge is None and options.stages == ("judge",):
        raise ConfigError("stages=[judge] needs a judge; choose one with judge=NAME")
    return RunConfig(
        benchmark=build_target(config["benchmark"], "benchmark"),
        model=build_target(config["model"], "model"),
        engine=build_target(config["engine"], "engine"),
        metrics=_metrics(config),
        options=options,
        resolved={**config, "seed": None if options.seeds else options.seed},
        judge=judge,
    )


def _metrics(config: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {name: node for name, node in config["metrics"].items() if node is not None}
    return {name: build_target(node, f"metrics.{name}") for name, node in wanted.items()}


def seed_runs(config: RunConfig) -> list[RunConfig]:
    """The runs that a configuration asks for: one for each of its seeds, or itself.

    They share the model, the engine's options and the benchmark; metrics hold what they have seen and are made anew.
    """
    if config.options.seeds is None:
        return [config]
    return [
        dataclasses.replace(
            config,
            metrics=_metrics(config.resolved),
            options=dataclasses.replace(config.options, seed=seed, seeds=None),
            resolved={**config.resolved, "seed": seed, "seeds": None},
        )
        for seed in config.options.seeds
    ]


def build_target(node: Mapping[str, Any], key: str) -> Any:
    """Builds the dataclass that a node's `_target_` names from the node's other keys."""
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise ConfigError(f"{key}._target_: missing; name a class as package.module.Class")
    module, _, name = node["_target_"].rpartition(".")
    try:
        target = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{key}._target_: cannot load {node['_target_']!r} ({error})") from error
    if not dataclasses.is_dataclass(target) or not isinstance(target, type):
        raise ConfigError(f"{key}._target_: {node['_target_']} is not a dataclass")
    return build(target, {k: v for k, v in node.items() if k != "_target_"}, key)


def build(cls: type[T], values: Mapping[str, Any], key: str) -> T:
    """Builds a dataclass from a dictionary, strictly: no unknown key, no wrong type."""
    from pydantic import ValidationError

    known = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ConfigError(f"{_join(key, name)}: unknown key; allowed keys: {', '.join(sorted(known))}")
    for name, field in known.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if values.get(name, "???" if required else None) == "???":
            raise ConfigError(f"{_join(key, name)}: not set; give it as {_join(key, name)}=VALUE")
    hints = get_type_hints(cls)
    arguments = {}
    for name, value in values.items():
        hint = hints[name]
        if _names_targets(value):
            arguments[name] = _built_targets(value, _join(key, name))
            continue
        if get_origin(hint) in (Union, UnionType) and isinstance(value, Mapping):  # an object that may be null
            if all(part is None for part in value.values()):
                value = None
            else:
                hint = next((part for part in get_args(hint) if dataclasses.is_dataclass(part)), hint)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
            arguments[name] = build(hint, value, _join(key, name))
            continue
        try:
            arguments[name] = _adapter(hint).validate_python(_tuples(value))
        except ValidationError as error:
            raise ConfigError(_sentence(error, _join(key, name))) from error
    return cls(**arguments)


def _names_targets(value: Any) -> bool:
    """Whether a node is an object of its own, or a mapping of nothing but such (a panel's judges)."""
    if not isinstance(value, Mapping) or not value:
        return False
    return "_target_" in value or all(isinstance(part, Mapping) and "_target_" in part for part in value.values())


def _built_targets(node: Mapping[str, Any], key: str) -> Any:
    if "_target_" in node:
        return build_target(node, key)
    return {name: build_target(part, _join(key, str(name))) for name, part in node.items()}


@lru_cache(maxsize=256)
def _adapter(hint: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    if dataclasses.is_dataclass(hint):
        return TypeAdapter(hint)
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _sentence(error: Any, key: str) -> str:
    first = error.errors()[0]
    where = ".".join([key, *(str(part) for part in first["loc"] if not str(part).startswith("function"))])
    given = first.get("input")
    kind = first["type"]
    if kind == "literal_error":
        return f"{where}: {given!r} is not possible; allowed values: {first['ctx']['expected']}"
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{where}: unknown key"
    shown = "" if isinstance(given, (Mapping, Sequence)) and not isinstance(given, str) else f" (given: {given!r})"
    return f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}{shown}"


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def refuse_secrets(node: Any, key: str = "") -> None:
    """Refuses values that look like a credential; the value itself is never repeated.

    Raises:
        ConfigError: names the key and says how to give a credential.
    """
    if isinstance(node, Mapping):
        for name, value in node.items():
            refuse_secrets(value, _join(key, str(name)))
    elif isinstance(node, (list, tuple)):
        for value in node:
            refuse_secrets(value, key)
    elif isinstance(node, str) and (_SECRET_VALUE.search(node) or (_SECRET_NAME.search(key) and node)):
        raise ConfigError(
            f"{key}: holds a literal credential, which would end up in logs and result folders;"
            " put it into an environment variable and give that variable's name (engine.api_key_env=NAME)"
        )


def refuse_secret_arguments(arguments: Sequence[str]) -> None:
    """The same for a command line, before Hydra writes it anywhere."""
    for argument in arguments:
        name, _, value = argument.lstrip("+~").partition("=")
        refuse_secrets(value, name)


def masked(node: Any, key: str = "") -> Any:
    """A copy for config.yaml in which anything that could be a credential is masked."""
    if isinstance(node, Mapping):
        return {name: masked(value, _join(key, str(name))) for name, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [masked(value, key) for value in node]
    secret = isinstance(node, str) and (_SECRET_VALUE.search(node) or (_SECRET_NAME.search(key) and node))
    return "***" if secret else node
