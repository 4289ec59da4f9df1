"""Configuration: turns Hydra's dictionaries into typed dataclasses; an error is one sentence."""

from roleeval.config.build import build, build_target, checked
from roleeval.config.options import RunConfig, RunOptions, as_config, parse_config, seed_runs
from roleeval.secrets import masked, refuse_secret_arguments, refuse_secrets

__all__ = [
    "RunConfig",
    "RunOptions",
    "as_config",
    "build",
    "build_target",
    "checked",
    "masked",
    "parse_config",
    "refuse_secret_arguments",
    "refuse_secrets",
    "seed_runs",
]
