"""Configuration: Hydra's dictionaries become typed dataclasses here, and what is wrong is said in one sentence."""

from roleeval.config.options import (
    RunConfig,
    RunOptions,
    build,
    build_target,
    masked,
    parse_config,
    refuse_secret_arguments,
    refuse_secrets,
    seed_runs,
)

__all__ = [
    "RunConfig",
    "RunOptions",
    "build",
    "build_target",
    "masked",
    "parse_config",
    "refuse_secret_arguments",
    "refuse_secrets",
    "seed_runs",
]
