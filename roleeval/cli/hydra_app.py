"""The Hydra application behind run_eval.py and `roleeval run`: exit codes, sweeps, interruption.

A command line may contain several commands separated by --then: all run in this process, on the same engines.
Exit codes: 0 all done; 1 a job failed or a file could not be written; 2 the command line is wrong; 3 the budget is
spent and results are partial; 130 (143) interrupted.
"""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from roleeval.cli._say import say, show, shown
from roleeval.cli.explain import composing, explain, overrides
from roleeval.cli.invocation import Invocation, invocation
from roleeval.errors import NoOpponentError, ResultError, RoleEvalError
from roleeval.resources import resource

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from roleeval.config import RunConfig
    from roleeval.results import ResultFolder

log = logging.getLogger("roleeval")
_THEN = "--then"
_DRY_RUN = "--dry-run"
_RAISE = "HYDRA_FULL_ERROR"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the Hydra application on a command line and returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments in (["--help"], ["-h"]):
        from roleeval.cli.usage import help_page

        show(help_page())
        return 0
    dry_run = _DRY_RUN in arguments
    arguments = [argument for argument in arguments if argument != _DRY_RUN]
    try:
        commands = commands_of(arguments)
    except RoleEvalError as error:
        say(f"roleeval: {error}")
        return 2
    return guarded(partial(_all, commands), dry_run=dry_run)


def guarded(jobs: Callable[[Invocation], int], *, dry_run: bool = False) -> int:
    """Runs what returns an exit code; stops it when interrupted, and frees engines and stores at the end."""
    here = invocation()
    terminated = _route_sigterm(here)
    here.leads, here.dry_run = True, dry_run
    try:
        code = jobs(here)
    except KeyboardInterrupt:
        say("\nroleeval: interrupted; all finished answers are stored. Run the same command again to resume.")
        code = 143 if terminated else 130
    finally:
        here.close()
    return code


def _route_sigterm(here: Invocation) -> list[bool]:
    # SIGTERM (a batch system's preemption) is handled like Ctrl-C, with another exit code; not by way of SIGINT, which
    # a script's background jobs ignore.
    seen: list[bool] = []

    def interrupt(number: int, frame: object) -> None:
        seen.append(True)
        here.interrupt()

    signal.signal(signal.SIGTERM, interrupt)
    return seen


def commands_of(arguments: list[str]) -> list[list[str]]:
    """The commands of a command line.

    Raises:
        ConfigError: it holds a secret, or see `quoted`.
    """
    from roleeval.config import refuse_secret_arguments

    # a launcher's preset in conf/ has the same name as its plugin's own, which causes a warning of Hydra
    warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")
    refuse_secret_arguments(arguments)
    return _commands(arguments)


def _commands(arguments: list[str]) -> list[list[str]]:
    """The commands of a command line, as Hydra can read and run them.

    Raises:
        ConfigError: see `quoted`.
    """
    from roleeval.cli.quoting import quoted
    from roleeval.cli.sweeps import split_sweep

    ends = [number for number, argument in enumerate(arguments) if argument == _THEN]
    found = []
    for a, b in pairwise([-1, *ends, len(arguments)]):
        commands, notes = split_sweep(quoted(arguments[a + 1 : b]))
        for note in notes:
            say(f"roleeval: {note}")
        found += commands
    return found


def run_all(commands: list[list[str]], here: Invocation) -> int:
    """Runs all commands; what became of their jobs is in `here`. An exit code above 0 where one could not begin."""
    from roleeval.cli.hydra_sweep import expect

    jobs: list[list[str]] = []
    for command in commands:
        if len(commands) > 1 and not _composed(command, lambda given: jobs.extend(expect(given))):
            return 2
    here.know(jobs)
    for command in commands:
        if code := _hydra(command, here):
            return code
        here.gather()
    _judge_again(here)
    return 0


def _all(commands: list[list[str]], here: Invocation) -> int:
    if code := run_all(commands, here):
        return code
    if here.folders:
        from roleeval.report import print_report

        print_report(here.folders, published=False)
    if here.failures and here.jobs == 1 and not here.folders and not here.unsaid:
        return 1  # the error is the last line already
    if here.failures:
        jobs = f"{len(here.failures)} of {here.jobs} jobs failed" if here.jobs > 1 else "failed"
        say("\n".join([f"roleeval: {jobs}:", *(f"  {failure}" for failure in here.failures)]))
        return 1
    if here.partial:
        say("\n".join(["roleeval: the budget is spent; these results are partial:", *map("  {}".format, here.partial)]))
        say("Nothing is lost: run the same command with a larger budget to go on.")
        return 3
    return 0


def jobs_of(commands: list[list[str]]) -> "list[RunConfig] | None":
    """Every run that some commands ask for; None where Hydra refuses one, whose cause is printed.

    Raises:
        ConfigError: a run is not possible.
    """
    from roleeval.cli.hydra_sweep import configs

    found: list[RunConfig] = []
    for command in commands:
        if not _composed(command, lambda given: found.extend(configs(given))):
            return None
    return found


def _composed(arguments: list[str], use: Callable[[list[str]], None]) -> bool:
    """Uses a command's overrides with Hydra at hand; prints the cause and returns False if Hydra refuses them."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    with composing():
        try:
            use(overrides(arguments))
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            refused: Exception = error
        else:
            return True
    explain(refused, arguments)
    return False


def _hydra(arguments: list[str], here: Invocation) -> int:
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    if not {"-m", "--multirun"} & set(arguments):
        here.know([overrides(arguments)])
    application = hydra.main(version_base="1.3", config_path=str(resource("conf")), config_name="config")(_job)
    sys.argv = [sys.argv[0], *arguments]
    try:
        with _own_errors():
            application()
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        explain(error, arguments)
        return 2
    except OSError as error:  # of a sweep's own folder
        say(f"roleeval: {error}")
        return 1
    except SystemExit as stop:
        if here.refused is not None:
            explain(here.refused, arguments)
            return 2
        return int(stop.code or 0) if not isinstance(stop.code, str) else 1
    return 0


@contextmanager
def _own_errors() -> Iterator[None]:
    """Hydra raises what it refuses, instead of printing it with everything that the command line says."""
    before = os.environ.get(_RAISE)
    os.environ[_RAISE] = "1"
    try:
        yield
    finally:
        os.environ.pop(_RAISE)
        if before is not None:
            os.environ[_RAISE] = before


def _job(config: "DictConfig") -> None:
    """One job: never raises, so that a sweep continues; errors are logged and set the exit code."""
    here, name = invocation(), _job_name()
    runs: list[RunConfig] = []
    with _recorded(name, here):
        runs = _configured(config)
    here.jobs += max(1, len(runs))
    for run_config in runs:
        with _recorded(name if len(runs) == 1 else f"{name} (seed {run_config.options.seed})".lstrip(), here):
            _run(run_config, here)


@contextmanager
def _recorded(name: str, here: Invocation) -> Iterator[None]:
    try:
        yield
    except RoleEvalError as error:
        failure = shown(f"{name}: {error}" if name else str(error))
        if log.handlers:
            log.error("%s", failure)
        else:  # before the options are read that say where logs go
            say(f"roleeval: {failure}")
        here.failures.append(failure)
    except Exception as error:  # a bug in a plugin ends its own job, with a traceback, not the sweep
        log.exception("%sunexpected error", f"{name}: " if name else "")
        here.failures.append(shown(f"{f'{name}: ' if name else ''}{type(error).__name__}: {error}"))


def _configured(config: "DictConfig") -> "list[RunConfig]":
    from omegaconf import OmegaConf

    from roleeval.cli.logs import set_up_logs
    from roleeval.config import parse_config, seed_runs

    resolved: Any = OmegaConf.to_container(config, resolve=True)
    parsed = parse_config(resolved)
    set_up_logs(parsed.options.progress, parsed.options.log_file)
    runs = [invocation().restricted(each) for each in seed_runs(parsed)]
    if len(runs) > 1 and parsed.model.sampling.temperature == 0:
        log.warning(
            "model.sampling.temperature=0 is greedy: all %d seeds will give the same texts; give a higher temperature",
            len(runs),
        )
    return runs


def _run(config: "RunConfig", here: Invocation) -> None:
    from roleeval.stages.run import run

    if here.dry_run:
        _preview(config, here)
        return
    budget = here.runtime.budget(config.options)
    refused = budget.refused
    try:
        outcome = here.runtime.execute(lambda: run(config, here.runtime))
    except NoOpponentError as error:
        if not here.leads:
            raise
        log.info("%s: judged at the end of the command: %s", config.model.name, error)
        here.waiting.append(config)
        return
    path = str(outcome.folder.path)
    here.folders.append(path)
    if config.judge is not None and "judge" in config.options.stages:
        here.judged.append(config)
    if budget.refused > refused or outcome.unasked_samples:
        here.partial.append(f"{path}: {_left_out(outcome.folder)}: {budget.spent} is spent")
        log.warning("partial: %s", here.partial[-1])
        return
    if nothing := _nothing_answered(outcome.folder):
        raise ResultError(f"{path}: {nothing}")
    log.info("already done, skipped: %s" if outcome.skipped else "done: %s", path)
    if outcome.failed_samples:
        log.warning(
            "%d samples failed and are missing; run the same command again to retry them", outcome.failed_samples
        )


def _preview(config: "RunConfig", here: Invocation) -> None:
    from roleeval.stages.preview import preview

    able, prompts = here.runtime.execute(lambda: preview(config, here.runtime))
    if able:
        show(f"{able}\n")
    sent = 0
    for found in prompts:
        who = f"== {found.sample}: {found.part} {found.role}, by {found.model}"
        if found.error:
            show(f"{who}: cannot be sent: {found.error}\n")
            continue
        sent += 1
        facts = [
            "counted by the endpoint" if found.tokens is None else f"{found.tokens} prompt tokens",
            f"at most {found.max_tokens} new",
            *([f"adapter {found.adapter}"] if found.adapter else []),
            *([f"the answer begins with {found.begins!r}"] if found.begins else []),
        ]
        show(f"{who} ({', '.join(facts)})")
        show(f"{found.text}\n")
    if not sent:
        raise ResultError("--dry-run: none of these prompts can be sent")


def _left_out(folder: "ResultFolder") -> str:
    """What is missing in a run that a budget ended."""
    manifest = folder.manifest()
    if manifest is None:
        return "unfinished"
    questions = sum(record.unanswered for record in manifest.judge_records.values())
    parts = [f"{manifest.unasked_samples} of {manifest.samples.planned} samples"]
    parts += [f"{questions} questions to judges"] if questions else []
    return f"{' and '.join(parts)} were not asked"


def _nothing_answered(folder: "ResultFolder") -> str:
    """Why a finished run is no success: asked, and not a single answer; "" where there is one.

    Roles that a model cannot play are never asked; they have been named before the run.
    """
    manifest = folder.manifest()
    statuses = {} if manifest is None else manifest.samples.statuses
    if statuses.get("ok") or not statuses.keys() - {"unsupported_role"}:
        return ""
    counts = ", ".join(f"{status} {count}" for status, count in sorted(statuses.items()))
    return (
        f"nothing was answered ({counts}). The folder is kept and its table shown; see its transcripts.jsonl for what"
        " came instead"
    )


def _judge_again(here: Invocation) -> None:
    """After several runs: compares runs that were judged early with the opponents that finished after them.

    Calls that two runs share are in the store; judges of single answers have nothing left to do.
    """
    from dataclasses import replace

    from roleeval.stages.run import run

    for config in here.waiting:  # whose opponents had not finished, and may have by now
        with _recorded(config.model.name, here):
            here.folders.append(str(here.runtime.execute(partial(run, config, here.runtime)).folder.path))
    for config in here.judged if len(here.judged) > 1 else ():
        judging = replace(config, options=replace(config.options, stages=("judge",)))
        with _recorded(f"judging {config.model.name} again", here):
            here.runtime.execute(partial(run, judging, here.runtime))


def _job_name() -> str:
    """What is special about a job: the overrides that not all of the command have; "" of one job alone."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    # as they were given: an interpolation may stand for a secret
    given: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    shared = invocation().shared or ()
    own = [each.replace("\\:", ":") for each in given if each not in shared]
    return shown(" ".join(own))
