"""Explains a command line that Hydra refuses: the wrong key, and the allowed keys."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from roleeval.resources import resource


@contextmanager
def composing() -> Iterator[None]:
    from hydra import initialize_config_dir

    with initialize_config_dir(str(resource("conf").resolve()), version_base="1.3"):
        yield


def search_path(arguments: list[str]) -> list[str]:
    """--config-dir DIR as an override."""
    folders = [b for a, b in pairwise(arguments) if a in ("--config-dir", "-cd")]
    return [f"hydra.searchpath=[file://{Path(folder).resolve()}]" for folder in folders]


def explain_override(arguments: list[str]) -> bool:
    """Prints the key that Hydra refuses, and the allowed keys; False if it is not known which."""
    from hydra import compose
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf

    good = search_path(arguments)
    with composing():
        for override in (a for a in arguments if "=" in a and not a.startswith("-")):
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
        print(f"roleeval: {key}: unknown key or value; allowed keys: {names}", file=sys.stderr)
        return True
    return False
