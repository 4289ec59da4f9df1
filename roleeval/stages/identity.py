"""The identity of a run: everything that determines its transcripts; and the run's folder.

Paths are not part of it: contents are hashed instead. A folder's name has a hash of the identity; a folder written by
an earlier version, with another kind of hash, is found by comparing identities.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from roleeval.config import RunConfig
from roleeval.engines import Engine
from roleeval.errors import ConfigError, ResultError
from roleeval.hashing import digest
from roleeval.identity import class_name, identity_of, with_defaults
from roleeval.results import ResultFolder
from roleeval.results.manifest import BenchmarkRecord, benchmark_record
from roleeval.stages import cast
from roleeval.stages.runtime import Runtime

_QUESTIONS = ("benchmark", "data_hash", "prompt_packs", "limit", "clusters", "seed")


async def run_identity(config: RunConfig, runtime: Runtime, engine: Engine) -> dict[str, Any]:
    """Everything that determines a run's transcripts, as JSON.

    Returns:
        {"benchmark", "data_hash", "prompt_packs", "model", "adapters", "engine", "seed", "limit"}, "clusters" where
        they were chosen, and "helpers" where the benchmark has some. "adapters" are names with hashes: two roles whose
        adapters are swapped are another model.

    Raises:
        ConfigError: the benchmark does not describe itself as a manifest needs it.
    """
    identity = {
        **questions_of(config),
        "model": identity_of(config.model),
        "adapters": sorted([adapter.name, adapter.fingerprint] for adapter in config.model.adapters()),
        "engine": engine.fingerprint,
    }
    if helpers := cast.helpers(config):
        identity["helpers"] = {name: await _helper(asked, runtime) for name, asked in helpers.items()}
    return identity


def questions_of(config: RunConfig) -> dict[str, Any]:
    """The part of a run's identity that says what is asked; needs no engine.

    Raises:
        ConfigError: see `run_identity`.
    """
    facts, chosen = _described(config), config.options.clusters
    return {
        "benchmark": identity_of(config.benchmark),
        "data_hash": facts.data_hash,
        "prompt_packs": {name: pack.sha256 for name, pack in facts.prompt_packs.items()},
        "limit": config.options.limit,
        **({} if chosen is None else {"clusters": list(chosen)}),
        "seed": config.options.seed,
    }


def _described(config: RunConfig) -> BenchmarkRecord:
    """What the manifest will say of the benchmark, before anything is generated for it."""
    benchmark = config.benchmark
    try:
        return benchmark_record(benchmark.name, benchmark.describe(), f"{class_name(type(benchmark))}.describe()")
    except ResultError as error:
        raise ConfigError(f"benchmark: {error} (docs/extending.md)") from error


async def _helper(asked: cast.Asked, runtime: Runtime) -> dict[str, Any]:
    _, model = asked
    return {
        "engine": (await runtime.engine(*asked)).fingerprint,
        "adapters": [adapter.fingerprint for adapter in model.adapters()],
        "sampling": {**asdict(model.sampling), "stop": list(model.sampling.stop)},  # as JSON reads it
    }


def named_folder(config: RunConfig, name: str) -> ResultFolder:
    """The folder of a run with that name."""
    return ResultFolder(Path(config.options.results_dir) / config.benchmark.name / config.model.name / name)


def find_folder(config: RunConfig, identity: Mapping[str, Any]) -> ResultFolder:
    """The folder of the run that a configuration asks for, whether it exists or not.

    Raises:
        ResultError: a folder of the name that was asked for holds another run; names the differences.
    """
    options = config.options
    folder = named_folder(config, options.run_name or f"seed{options.seed}-{digest(identity)[:8]}")
    if options.run_name is None and not folder.path.exists():
        return _of_an_earlier_version(config, folder, identity) or folder
    manifest = folder.manifest()
    if manifest is not None and (keys := _differing(manifest.identity, identity, config)):
        raise ResultError(
            f"{folder.path} contains another run (different: {', '.join(keys)}); choose another run_name or move the"
            " folder away"
        )
    return folder


def _of_an_earlier_version(config: RunConfig, folder: ResultFolder, identity: Mapping[str, Any]) -> ResultFolder | None:
    for place in sorted(folder.path.parent.glob(f"seed{config.options.seed}-*")):
        other = ResultFolder(place)
        try:
            manifest = other.manifest()
        except ResultError:  # a damaged neighbour is no reason to stop
            continue
        if manifest is not None and not _differing(manifest.identity, identity, config):
            return other
    return None


def same_questions(one: Mapping[str, Any], other: Mapping[str, Any], config: RunConfig) -> bool:
    """Whether two runs of the configuration's benchmark were asked the same questions in the same way."""
    one, other = _of_today(one, config), _of_today(other, config)
    return all(one.get(key) == other.get(key) for key in _QUESTIONS)


def _differing(there: Mapping[str, Any], wanted: Mapping[str, Any], config: RunConfig) -> list[str]:
    """The keys in which two identities differ."""
    found = _of_today(there, config)
    return [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]


def _of_today(identity: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    found = dict(identity)
    for key, thing in (("benchmark", config.benchmark), ("model", config.model)):
        if isinstance(found.get(key), Mapping):
            found[key] = with_defaults(found[key], thing)
    return found
