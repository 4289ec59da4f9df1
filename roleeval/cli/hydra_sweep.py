"""Hydra's side of a sweep: what all jobs need from their engines, and the outcomes of jobs in other processes.

With the basic launcher all jobs run in this process and share engines. With another (joblib, SLURM) every job runs in
its own process, loads its own engine, and writes its outcome to <hydra.sweep.dir>/outcomes/<job>.json.
"""

import contextlib
import importlib
import os
from pathlib import Path
from typing import Any, NoReturn

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from roleeval.cli.invocation import invocation
from roleeval.config import RunConfig, parse_config, seed_runs
from roleeval.errors import ConfigError, RoleEvalError
from roleeval.stages.cast import everyone


class ShareEngines(Callback):
    """Before a sweep's first job: expands the sweep and tells the runtime what every job needs.

    So a sweep over models with the same base loads the engine once, in whatever order its jobs run.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        given: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        jobs = _expanded(given)
        invocation().know(jobs)
        here_too = _in_this_process(config)
        try:
            for job in jobs if here_too else jobs[:1]:
                with contextlib.suppress(RoleEvalError):  # the job itself will report it
                    _expect(job)
        except HydraException as error:  # before the sweep's folder keeps the command line
            _refuse(error)
        if not here_too and invocation().dry_run:
            _refuse(ConfigError("--dry-run asks nothing and needs no other processes; leave hydra/launcher out"))
        if not here_too and invocation().chosen is not None:
            _refuse(ConfigError("roleeval gate runs all batches on the same engines; leave hydra/launcher out"))
        if not here_too:
            invocation().outcomes, invocation().launched = _outcomes(config), len(jobs)
            # joblib's processes would repeat the warning that hydra_app filters, once per job
            os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.process")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        here = invocation()
        if here.leads:
            return
        here.leave(_outcomes(config) / f"{config.hydra.job.num:06}.json")
        here.close()
        invocation.cache_clear()


def _in_this_process(config: DictConfig) -> bool:
    module = str(config.hydra.launcher._target_).rpartition(".")[0]
    if module.startswith("hydra._internal."):
        return True
    try:
        importlib.import_module(module)
    except ImportError as error:
        _refuse(
            ConfigError(
                f"hydra/launcher={config.hydra.runtime.choices['hydra/launcher']}: its plugin is not installed"
                f" ({error}); install it with: pip install 'roleeval[launchers]'"
            )
        )
    return False


def _refuse(error: Exception) -> NoReturn:
    invocation().refused = error
    raise SystemExit(2) from None  # Hydra turns any other exception of a callback into a warning


def _outcomes(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir) / "outcomes"


def expect(overrides: list[str]) -> list[list[str]]:
    """Tells the runtime what a command needs before it runs; Hydra must be initialised with the config folder.

    Returns:
        The overrides of its jobs.

    Raises:
        HydraException: it cannot be composed.
    """
    jobs = _expanded(overrides)
    for job in jobs:
        with contextlib.suppress(RoleEvalError):  # the job itself will report it
            _expect(job)
    return jobs


def _expanded(overrides: list[str]) -> list[list[str]]:
    batches = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(overrides), max_batch_size=None)
    return [list(job) for batch in batches for job in batch]


def _expect(job: list[str]) -> None:
    invocation().runtime.expect(*everyone(_config(job)))


def configs(overrides: list[str]) -> list[RunConfig]:
    """The runs of a command; Hydra must be initialised with the config folder.

    Raises:
        HydraException: it cannot be composed.
        ConfigError: a run is not possible.
    """
    return [run for job in _expanded(overrides) for run in seed_runs(_config(job))]


def _config(job: list[str]) -> RunConfig:
    resolved: Any = OmegaConf.to_container(compose("config", job), resolve=True)
    return parse_config(resolved)
