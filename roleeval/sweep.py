"""Hydra's side of a sweep: what all jobs need of their engines is known before the first one loads."""

from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from roleeval.app import session
from roleeval.config import parse_config
from roleeval.errors import RoleEvalError


class ShareEngines(Callback):
    """Before a sweep's first job: expands the sweep and tells the runtime what every job needs.

    So one engine load serves a sweep over models with the same base, whatever order its jobs come in.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        overrides = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
        for jobs in BasicSweeper.split_arguments(overrides, max_batch_size=None):
            for job in jobs:
                try:
                    resolved: Any = OmegaConf.to_container(compose("config", list(job)), resolve=True)
                    parsed = parse_config(resolved)
                    session().runtime.expect(parsed.engine, parsed.model)
                except (RoleEvalError, HydraException):
                    continue  # the job itself will say so
