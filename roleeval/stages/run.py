"""One run: plays a benchmark's episodes with a model, scores them, has them judged, and writes a result folder.

A run is idempotent. Its identity (stages/identity.py) names what it would generate; a folder that already has it is not
generated again, and replies come from the completion store if possible.
"""

from dataclasses import replace

from roleeval.benchmarks import SelfScored
from roleeval.config import RunConfig
from roleeval.errors import ConfigError
from roleeval.judging import members
from roleeval.metrics import infos_of
from roleeval.results import ResultFolder
from roleeval.stages import cast
from roleeval.stages.generate import Job, generate
from roleeval.stages.identity import find_folder, named_folder, run_identity
from roleeval.stages.judge import judge_folder
from roleeval.stages.outcome import RunOutcome
from roleeval.stages.runtime import Runtime
from roleeval.stages.score import is_scored, rescore


async def run(config: RunConfig, runtime: Runtime) -> RunOutcome:
    """Does what a configuration asks for and is not done yet.

    Raises:
        RoleEvalError: bad input, a dead engine, too many failed samples, a write that failed. What was generated
            is in the store; the same command goes on from there.
    """
    _refuse_impossible(config)
    outcome = await _generated_and_scored(config, runtime)
    if config.judge is None or "judge" not in config.options.stages:
        return outcome
    judged = await judge_folder(config, runtime, outcome.folder)
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


async def _generated_and_scored(config: RunConfig, runtime: Runtime) -> RunOutcome:
    options = config.options
    generates, scores = "generate" in options.stages, "score" in options.stages
    if not generates and options.run_name is not None:  # the name says which folder; no model is needed
        return _from_folder(config, named_folder(config, options.run_name))
    job = await _job(config, runtime)
    if not generates:
        return _from_folder(config, job.folder)
    manifest = job.folder.manifest()
    if manifest is None or manifest.failed_samples:
        return await generate(job)
    if not scores or is_scored(job.folder, manifest, config):
        return RunOutcome(job.folder, skipped=True)
    return await generate(job) if isinstance(config.benchmark, SelfScored) else rescore(config, job.folder)


def _from_folder(config: RunConfig, folder: ResultFolder) -> RunOutcome:
    return rescore(config, folder) if "score" in config.options.stages else RunOutcome(folder, skipped=True)


async def _job(config: RunConfig, runtime: Runtime) -> Job:
    """The run's engine, identity and folder; loads nothing."""
    runtime.expect(*cast.everyone(config))
    engine = await runtime.engine(config.engine, config.model)
    identity = await run_identity(config, runtime, engine)
    return Job(config, runtime, engine, identity, find_folder(config, identity))
