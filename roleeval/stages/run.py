"""One run: plays a benchmark's episodes with a model, scores them, has them judged, and writes a result folder.

A run is idempotent. Its identity (stages/identity.py) names what it would generate; a folder that already has it is not
generated again, and replies come from the completion store if possible.
"""

import json
import logging
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from roleeval.benchmarks import SelfScored
from roleeval.config import RunConfig
from roleeval.errors import ConfigError, ResultError
from roleeval.judging import members
from roleeval.metrics import infos_of
from roleeval.results import ResultFolder
from roleeval.results.integrity import TRANSCRIPTS, damages, without
from roleeval.results.manifest import Manifest
from roleeval.stages import cast
from roleeval.stages.generate import Job, generate
from roleeval.stages.identity import find_folder, named_folder, run_identity
from roleeval.stages.judge import judge_folder
from roleeval.stages.lock import locked
from roleeval.stages.outcome import RunOutcome
from roleeval.stages.runtime import Runtime
from roleeval.stages.score import is_scored, rescore

log = logging.getLogger("roleeval")


async def run(config: RunConfig, runtime: Runtime) -> RunOutcome:
    """Does what a configuration asks for and is not done yet.

    Raises:
        RoleEvalError: bad input, a dead engine, too many failed samples, a write that failed. What was generated
            is in the store; the same command goes on from there.
    """
    _refuse_impossible(config)
    options = config.options
    if "generate" not in options.stages and options.run_name is not None:  # the name says which; no model is needed
        job, folder = None, named_folder(config, options.run_name)
    else:
        job = await _job(config, runtime)
        folder = job.folder
    async with locked(folder.path) if job or folder.path.is_dir() else nullcontext():
        outcome = await _generated_and_scored(config, job, folder)
        if config.judge is None or "judge" not in options.stages:
            return outcome
        judged = await judge_folder(config, runtime, folder)
        return replace(outcome, skipped=outcome.skipped and not judged)


def _refuse_impossible(config: RunConfig) -> None:
    """What can be known before anything is generated."""
    for judge in members(config.judge) if config.judge is not None and "judge" in config.options.stages else ():
        infos_of(judge, ("another/run",) if judge.compares else (), key="judge")
        assert judge.prompts  # says what is wrong with the pack, if anything
    name = config.benchmark.name
    if not isinstance(config.benchmark, SelfScored):
        return
    if config.judge is not None:
        raise ConfigError(f"judge: {name} scores itself and cannot be judged; set judge=null")
    if "generate" not in config.options.stages:
        raise ConfigError(
            f"stages: {name} scores while it generates; use stages=[generate,score] (stored replies are not requested"
            " again)"
        )


async def _generated_and_scored(config: RunConfig, job: Job | None, folder: ResultFolder) -> RunOutcome:
    generates, scores = "generate" in config.options.stages, "score" in config.options.stages
    before = folder.manifest()
    manifest = _sound(folder, generates=generates)
    if job is None or not generates:
        lost = before is not None and manifest is not None and "score" in before.stages.keys() - manifest.stages.keys()
        return _from_folder(config, folder, again=lost)
    if manifest is None or manifest.failed_samples or manifest.unasked_samples or _has_other_room(manifest, job):
        return await generate(job)
    if not scores or is_scored(folder, manifest, config):
        return RunOutcome(folder, skipped=True)
    return await generate(job) if isinstance(config.benchmark, SelfScored) else rescore(config, folder)


def _has_other_room(manifest: Manifest, job: Job) -> bool:
    """Whether samples outgrew the context of an engine with other options: they may fit into this one's."""
    if not manifest.outgrown_samples:
        return False
    now = json.loads(json.dumps(job.engine.describe().get("options"), default=str))
    return bool(manifest.engine.get("options") != now)


def _sound(folder: ResultFolder, *, generates: bool) -> Manifest | None:
    """The manifest of a folder that is what its run wrote; what is damaged is removed, and made anew by the stages.

    Returns:
        None where nothing is finished there, or the answers themselves are damaged.

    Raises:
        ResultError: the answers are damaged, and this command does not generate.
    """
    manifest = folder.manifest()
    damaged = damages(folder, manifest) if manifest is not None else {}
    if manifest is None or not damaged:
        return manifest
    if TRANSCRIPTS in damaged and not generates:
        raise ResultError(
            f"{folder.transcripts}: {damaged[TRANSCRIPTS]}; run the same command with stages=[generate,score]: the"
            " answers come from the completion store, and what is not in it is asked again"
        )
    what = ", ".join(f"{name} {wrong}" for name, wrong in damaged.items())
    log.warning("%s: damaged (%s). It is made anew from the completion store", folder.path, what)
    if TRANSCRIPTS in damaged:
        return None
    sound = without(manifest, damaged)
    if lost := manifest.judges.keys() - sound.judges.keys():
        log.warning("%s: these judges are to be run again: %s", folder.path, ", ".join(sorted(lost)))
    folder.begin_changes(sound)
    for name in damaged:
        _remove(folder.path / name)
    folder.write_manifest(sound)
    return folder.manifest()


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise ResultError(
            f"{file}: damaged, and cannot be removed ({error.strerror}); remove it and run the same command again"
        ) from error


def _from_folder(config: RunConfig, folder: ResultFolder, *, again: bool) -> RunOutcome:
    """Scores a folder from its transcripts where that is asked for, or where what was scored has been lost."""
    if again:
        config = replace(config, options=replace(config.options, stages=("score",)))
    if "score" in config.options.stages:
        return rescore(config, folder)
    return RunOutcome(folder, skipped=True)


async def _job(config: RunConfig, runtime: Runtime) -> Job:
    """The run's engine, identity and folder; loads nothing."""
    runtime.expect(*cast.everyone(config))
    engine = await runtime.engine(config.engine, config.model)
    identity = await run_identity(config, runtime, engine)
    return Job(config, runtime, engine, identity, find_folder(config, identity))
