"""A sweep over a group whose choices have different keys: every job gets the keys that its choice has.

    -m model=base,shared_lora model.adapter_path=X   ->   -m model=base
                                                          -m model=shared_lora model.adapter_path=X

A key that no choice has is left for Hydra to refuse.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from roleeval.cli.explain import composing, overrides

if TYPE_CHECKING:
    from omegaconf import DictConfig


def split_sweep(arguments: Sequence[str]) -> tuple[list[list[str]], list[str]]:
    """One command for each set of keys that a sweep's choices have, and a sentence for each key that one lacks.

    Args:
        arguments: a command, as Hydra can read it.
    """
    commands = [list(arguments)]
    notes: list[str] = []
    if not {"-m", "--multirun"} & set(arguments):
        return commands, notes
    with composing():
        for swept in arguments:
            choices = _choices(swept)
            lacking = _lacking(swept, choices, arguments) if choices else {}
            if not any(lacking.values()):
                continue
            group = _key(swept)
            notes += [f"{group}={choice} does not use {_key(key)}" for choice, keys in lacking.items() for key in keys]
            commands = [part for command in commands for part in _split(command, swept, lacking)]
    return commands, notes


def _lacking(swept: str, choices: Sequence[str], arguments: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Choice of a swept group -> the overrides whose keys it lacks and another choice has; {} where it is no group."""
    from hydra import compose
    from hydra.errors import HydraException

    group = _key(swept)
    everything = overrides(list(arguments))
    places = [each for each in everything if each.startswith("hydra.searchpath=")]
    begins = ("",) if group == "experiment" else (f"{group}.", f"{group}/")
    keyed = [each for each in everything if each not in (swept, *places) and _key(each).startswith(begins)]
    has: dict[str, set[str]] = {}
    for choice in choices if keyed else ():
        chosen = [*places, f"{group}={choice}"]
        try:
            config = compose("config", chosen)
        except HydraException:
            return {}
        has[choice] = {each for each in keyed if _fits(each, config, chosen)}
    somewhere = set().union(*has.values())
    return {choice: tuple(each for each in keyed if each in somewhere - there) for choice, there in has.items()}


def _fits(override: str, config: "DictConfig", chosen: Sequence[str]) -> bool:
    """Whether a configuration has the key of an override, or the group whose choice it is."""
    from hydra import compose
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf

    parent, _, key = _key(override).rpartition(".")
    if "/" in key or "@" in key or not parent:
        try:
            compose("config", [*chosen, override])
        except HydraException:
            return False
        return True
    node = OmegaConf.select(config, parent)
    return isinstance(node, DictConfig) and key in list(node)


def _choices(argument: str) -> list[str]:
    """The values of a swept argument; none for one that is not swept, or by a pattern."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        return []
    return list(override.sweep_string_iterator()) if override.is_discrete_sweep() else []


def _split(command: Sequence[str], swept: str, lacking: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    parts: dict[tuple[str, ...], list[str]] = {}
    for choice, keys in lacking.items():
        parts.setdefault(keys, []).append(choice)
    some = {each for keys in lacking.values() for each in keys}
    return [
        [
            f"{_key(swept)}={','.join(choices)}" if each == swept else _forced(each) if each in some else each
            for each in command
            if each not in keys
        ]
        for keys, choices in parts.items()
    ]


def _forced(override: str) -> str:
    """The override for choices that have its key, where "+" (add it) would be refused."""
    return f"+{override}" if override.startswith("+") and not override.startswith("++") else override


def _key(argument: str) -> str:
    return argument.partition("=")[0].lstrip("+~")
