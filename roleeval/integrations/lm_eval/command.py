"""`--model roleeval` on lm-eval's own command line.

lm-eval 0.4.13 finds only the models in its own package, so this module registers ours and then runs lm-eval's command
line:

    python -m roleeval.integrations.lm_eval.command run --model roleeval --model_args model=zoo_shared_lora,...

Imports lm-eval; nothing else in roleeval imports this module.
"""

import atexit
from collections.abc import Mapping
from typing import Any

from lm_eval.api.registry import register_model

from roleeval.benchmarks import Actor
from roleeval.benchmarks.lm_eval.benchmark import LmEval
from roleeval.benchmarks.lm_eval.model import PersonaLM, PlayedRole
from roleeval.config import RunConfig, parse_config
from roleeval.engines import Engine
from roleeval.errors import ConfigError
from roleeval.resources import resource
from roleeval.secrets import refuse_secret_arguments, without_values
from roleeval.stages.runtime import Runtime


@register_model("roleeval")
class RoleEvalLM(PersonaLM):
    """Any of our models for lm-eval. `--model_args` takes what run_eval.py takes, and the role to be played."""

    def __init__(
        self,
        *,
        role: str | None = None,
        description: str = "",
        language: Any = "en",
        config_dir: str | None = None,
        batch_size: object = None,
        max_batch_size: object = None,
        device: object = None,
        **overrides: Any,
    ) -> None:
        """Args:
        role, description, language: see LmEval.
        config_dir: a folder with YAML files of one's own models, as run_eval.py's --config-dir.
        batch_size, max_batch_size, device: lm-eval always sends them; not used, the engine's options say it
            (engine.batch_size, engine.device).
        overrides: model=NAME, engine=NAME, and any key of theirs (engine.dtype=float32).

        Raises:
            ConfigError: a key is unknown, or the model cannot play the role.
        """
        part = LmEval(tasks=("-",), role=role, description=description, language=language)
        config = _composed(overrides, config_dir)
        part.check_role(config.model)
        runtime = Runtime()
        atexit.register(runtime.close)
        engine = runtime.execute(lambda: _engine(config, runtime))
        actor = Actor(config.model, engine, config.options.seed)
        super().__init__(
            actor,
            PlayedRole(part.persona, part.system),
            lambda work: runtime.execute(lambda: work),
            in_flight=config.options.max_in_flight,
        )


async def _engine(config: RunConfig, runtime: Runtime) -> Engine:
    return await runtime.stored(config.engine, config.model, config.options)


def _composed(overrides: Mapping[str, Any], config_dir: str | None) -> RunConfig:
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    given = [f"{name}={_word(value)}" for name, value in overrides.items()]
    refuse_secret_arguments(given)
    if config_dir is not None:
        given.append(f"hydra.searchpath=[file://{config_dir}]")
    with initialize_config_dir(str(resource("conf").resolve()), version_base="1.3"):
        try:
            resolved: Any = OmegaConf.to_container(compose("config", given), resolve=True)
        except HydraException as error:
            names = ", ".join(overrides)
            raise ConfigError(f"--model_args ({names}): {without_values(str(error), given)}") from None
    return parse_config(resolved)


def _word(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def main() -> None:
    """lm-eval's command line, with our models in it."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
