"""Explains a command line that Hydra refuses: the wrong key, and the allowed keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from roleeval.cli._say import say
from roleeval.errors import RoleEvalError
from roleeval.resources import resource
from roleeval.secrets import without_values

_SEARCH_PATH = "hydra.searchpath="


@contextmanager
def composing() -> Iterator[None]:
    from hydra import initialize_config_dir

    with initialize_config_dir(str(resource("conf").resolve()), version_base="1.3"):
        yield


def overrides(arguments: list[str]) -> list[str]:
    """The overrides of a command line; the first one names further configuration folders (--config-dir DIR too)."""
    given = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    places = [a.partition("=")[2].strip("[]") for a in given if a.startswith(_SEARCH_PATH)]
    places += [f"file://{Path(b).resolve()}" for a, b in pairwise(arguments) if a in ("--config-dir", "-cd")]
    rest = [argument for argument in given if not argument.startswith(_SEARCH_PATH)]
    return [f"{_SEARCH_PATH}[{','.join(places)}]", *rest] if places else rest


def explain(error: Exception, arguments: list[str]) -> None:
    """Prints why Hydra refuses a command line: the key and what is allowed, else Hydra's words without given values."""
    from yaml import YAMLError

    if isinstance(error, RoleEvalError):
        say(f"roleeval: {error}")
        return
    if isinstance(error, YAMLError):
        # its own words quote the file, which may hold a secret
        mark = getattr(error, "problem_mark", None)
        where = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}" if mark else "a configuration file"
        say(f"roleeval: {where}: not valid YAML")
        return
    if _explain_override(arguments):
        return
    reasons = [str(error), *([str(error.__cause__)] if error.__cause__ is not None else [])]
    text = without_values("\n".join(reasons), arguments)
    say(f"roleeval: {text}")


def _explain_override(arguments: list[str]) -> bool:
    """Prints the key that Hydra refuses, and the allowed keys; False if it is not known which."""
    from hydra import compose
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf

    good: list[str] = []
    with composing():
        for override in overrides(arguments):
            try:
                compose("config", [*good, override])
            except HydraException:
                break
            good.append(override)
        else:
            return False
        key = override.lstrip("+~").partition("=")[0]
        config = compose("config", good)
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(config, parent) if parent else config
    if isinstance(node, DictConfig) and key not in ("benchmark", "model", "engine", "metrics", "judge", "experiment"):
        names = ", ".join(sorted(str(k) for k in node if k != "_target_"))
        say(f"roleeval: {key}: unknown key or value; allowed keys: {names}")
        return True
    return False
