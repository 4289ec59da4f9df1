"""The Hydra application behind run_eval.py and `roleeval run`: exit codes, sweeps, interruption.

Exit codes: 0 all done; 1 a job failed or a write was lost; 2 the command line is wrong; 130 (143) interrupted.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roleeval.errors import RoleEvalError
from roleeval.resources import resource

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from roleeval.runtime import Runtime

log = logging.getLogger("roleeval")


class Session:
    """What the jobs of one command share and leave behind."""

    def __init__(self) -> None:
        self.jobs = 0
        self.failures: list[str] = []
        self.folders: list[str] = []
        self._runtime: Runtime | None = None

    @property
    def runtime(self) -> "Runtime":
        if self._runtime is None:
            from roleeval.runtime import Runtime

            self._runtime = Runtime()
        return self._runtime

    def close(self) -> None:
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None


@lru_cache(maxsize=1)
def session() -> Session:
    return Session()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the Hydra application on a command line and returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments in (["--help"], ["-h"]):
        from roleeval.usage import help_page

        print(help_page())
        return 0
    try:
        from roleeval.config import refuse_secret_arguments

        refuse_secret_arguments(arguments)
    except RoleEvalError as error:
        print(f"roleeval: {error}", file=sys.stderr)
        return 2
    terminated = _route_sigterm()
    here = session()
    try:
        code = _hydra(arguments, here)
    except KeyboardInterrupt:
        print(
            "\nroleeval: interrupted; every finished answer is kept. Run the same command again to go on.",
            file=sys.stderr,
        )
        code = 143 if terminated else 130
    finally:
        here.close()
    return code


def _route_sigterm() -> list[bool]:
    # SIGTERM (a batch system's preemption) takes Ctrl-C's way out, with an exit code of its own.
    seen: list[bool] = []

    def interrupt(number: int, frame: object) -> None:
        seen.append(True)
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGTERM, interrupt)
    return seen


def _hydra(arguments: list[str], here: Session) -> int:
    import hydra

    application = hydra.main(version_base="1.3", config_path=str(resource("conf")), config_name="config")(_job)
    sys.argv = [sys.argv[0], *arguments]
    try:
        application()
    except SystemExit as stop:
        if not here.jobs and stop.code not in (0, None):
            _explain_override(arguments)
            return 2
        return int(stop.code or 0) if not isinstance(stop.code, str) else 1
    if here.folders:
        from roleeval.report import print_report

        print_report(here.folders)
    if here.failures:
        jobs = f"{len(here.failures)} of {here.jobs} jobs failed" if here.jobs > 1 else "failed"
        print(f"roleeval: {jobs}:", *(f"  {failure}" for failure in here.failures), sep="\n", file=sys.stderr)
        return 1
    return 0


def _job(config: "DictConfig") -> None:
    """One job: never raises, so that a sweep goes on; what went wrong is logged and in the exit code."""
    from omegaconf import OmegaConf

    here = session()
    here.jobs += 1
    name = _job_name()
    try:
        resolved: Any = OmegaConf.to_container(config, resolve=True)
        _run(resolved, here)
    except RoleEvalError as error:
        log.error("%s: %s", name, error)
        here.failures.append(f"{name}: {error}")
    except Exception as error:  # a bug in a plugin ends its own job, with its traceback, and not the sweep
        log.exception("%s: unexpected error", name)
        here.failures.append(f"{name}: {type(error).__name__}: {error}")


def _run(resolved: dict[str, Any], here: Session) -> None:
    from roleeval.config import parse_config
    from roleeval.logs import set_up_logs
    from roleeval.run import run

    config = parse_config(resolved)
    set_up_logs(config.options.progress, config.options.log_file)
    outcome = here.runtime.execute(lambda: run(config, here.runtime))
    path = str(outcome.folder.path)
    here.folders.append(path)
    log.info("already done, skipped: %s" if outcome.skipped else "done: %s", path)
    if outcome.failed_samples:
        log.warning("%d samples failed and are missing; the same command asks for them again", outcome.failed_samples)


def _job_name() -> str:
    from hydra.core.hydra_config import HydraConfig

    overrides = HydraConfig.get().overrides.task
    return " ".join(overrides) or "run"


def _explain_override(arguments: list[str]) -> None:
    """Hydra has refused the command line; says in our words which key it was and which keys there are."""
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf

    good: list[str] = []
    for before, argument in pairwise(["", *arguments]):
        if before in ("--config-dir", "-cd"):
            good.append(f"hydra.searchpath=[file://{Path(argument).resolve()}]")
    with initialize_config_dir(str(resource("conf").resolve()), version_base="1.3"):
        for override in (a for a in arguments if "=" in a and not a.startswith("-")):
            try:
                compose("config", [*good, override])
            except HydraException:
                break
            good.append(override)
        else:
            return
        key = override.lstrip("+~").partition("=")[0]
        config = compose("config", good)
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(config, parent) if parent else config
    if isinstance(node, DictConfig) and key not in ("benchmark", "model", "engine", "metrics"):
        names = ", ".join(sorted(str(k) for k in node if k != "_target_"))
        print(f"roleeval: {key}: unknown key or value; allowed keys: {names}", file=sys.stderr)
