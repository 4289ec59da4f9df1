"""Names and paths on the command line: what Hydra's grammar refuses is quoted for it, where that is what was meant.

    model.source.path=/m/模型=1            model.source.path='/m/模型=1'
    -m model.name=模型,b                   model.name='模型',b
    benchmark.splits=[a=1,b]               benchmark.splits=['a=1',b]
    model.adapters_map={福尔摩斯: /a}      model.adapters_map='{福尔摩斯: /a}', read by the family

Options come first (`model=a,b -m` is `-m model=a,b`): Hydra's parser takes none behind an override before Python 3.12.
An argument that Hydra can read stays as it is. `judge=null` and `experiment=null`, which Hydra refuses, are left out
(none is the default), and `metrics=null` is `~metrics`.
"""

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise

from roleeval.config import masked
from roleeval.errors import ConfigError
from roleeval.resources import resource

_SWEEPS = ("-m", "--multirun")
_FOLDERS = ("--config-dir", "-cd", "--config-path", "-cp")  # a path follows
_VALUED = (*_FOLDERS, "--config-name", "-cn", "--cfg", "-c", "--package", "-p")  # something follows
_NONE: dict[str, tuple[str, ...]] = {"judge": (), "experiment": (), "metrics": ("~metrics",)}  # what says so to Hydra
_NEEDED = ("benchmark", "model", "engine")
_KEY = re.compile(r"[+~]*[^=\s'\"{}\[\]]+")


def quoted(arguments: Sequence[str]) -> list[str]:
    """The arguments of one command, as Hydra can read them.

    Raises:
        ConfigError: a comma stands where no sweep was asked for, a key holds what no key can, or a part that a run
            needs is null; says what to write.
    """
    sweeps = any(argument in _SWEEPS or argument.startswith("hydra.mode=") for argument in arguments)
    found: list[str] = []
    for before, argument in pairwise(("", *arguments)):
        key, _, value = argument.partition("=")
        if before in _FOLDERS:
            found.append(argument)
        elif "null" in value.split(",") and _is_part(key):
            found += _without(key, value, arguments)
        else:
            found.append(_readable(argument, sweeps=sweeps))
    return _options_first(found)


def _options_first(arguments: Sequence[str]) -> list[str]:
    options: list[str] = []
    rest: list[str] = []
    for before, argument in pairwise(("", *arguments)):
        (options if argument.startswith("-") or before in _VALUED else rest).append(argument)
    return [*options, *rest]


def _is_part(key: str) -> bool:
    """Whether a key chooses a file of a part (judge, price@judge.prices, hydra/launcher) and sets no value."""
    group = key.lstrip("+").partition("@")[0]
    return group.startswith("hydra/") or ("." not in group and group != "" and (resource("conf") / group).is_dir())


def _without(part: str, value: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """What `PART=null` means: Hydra refuses it with a traceback.

    Raises:
        ConfigError: it means nothing; says what to write.
    """
    if value != "null":
        raise ConfigError(f"{part}={value}: null cannot be swept over; give it a command of its own, after --then")
    if part in _NEEDED:
        raise ConfigError(f"{part}=null: every run has one {part}; give a name or leave this out")
    if part == "judge" and any(each.startswith("experiment=") and each != "experiment=null" for each in arguments):
        raise ConfigError("judge=null: cannot remove an experiment's judge; skip judging with stages=[generate,score]")
    if part not in _NONE:
        raise ConfigError(f"{part}=null: leave it out, or remove it with ~{part.lstrip('+')}")
    return _NONE[part]


def _readable(argument: str, *, sweeps: bool) -> str:
    key, sign, value = argument.partition("=")
    if not sign or argument.startswith("-") or not _KEY.fullmatch(key):
        return argument
    if _is_read(argument):
        if not sweeps and _is_sweep(argument):
            shown = str(masked(value, key))
            raise ConfigError(
                f"{key}={shown}: several values are a sweep; add -m. For one value that contains a comma write"
                f" {shlex.quote(f'{key}={_quote(shown, double=True)}')}"
            )
        return argument
    if not _is_read(f"{key}=x"):
        raise ConfigError(
            f"{key}: cannot be a key on the command line; give the mapping that it is in as one value"
            " ('KEY={NAME: VALUE}'), or put it into a YAML file (--config-dir)"
        )
    fitting = (each for each in _candidates(value, sweeps=sweeps) if _is_read(f"{key}={each}"))
    found = next(fitting, None)
    return argument if found is None else f"{key}={found}"


def _candidates(value: str, *, sweeps: bool) -> list[str]:
    """Values in Hydra's grammar that say what this one says, the likeliest first."""
    plain = not re.search(r"['\"\[\]{}()]", value)
    found = []
    if sweeps and plain and "," in value:
        found.append(",".join(map(_part, value.split(","))))
    if inner := re.fullmatch(r"\[([^'\"\[\]{}()]*)\]", value):
        found.append(f"[{','.join(map(_part, inner[1].split(',')))}]")
    if value[:1] not in ("'", '"', "["):
        found.append(_quote(value))
    return found


def _part(text: str) -> str:
    return text if _is_read(f"key={text}") else _quote(text.strip())


def _quote(text: str, *, double: bool = False) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    return str(QuotedString(text=text, quote=Quote.double if double else Quote.single).with_quotes())


def _is_read(argument: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True


def _is_sweep(argument: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return bool(OverridesParser.create().parse_override(argument).is_sweep_override())
