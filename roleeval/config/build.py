"""Builds the dataclass that a configuration node names in `_target_`; an error is one sentence."""

import dataclasses
import importlib
import math
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from roleeval.errors import ConfigError, OptionError
from roleeval.identity import class_name
from roleeval.ranges import check_range
from roleeval.types import Sampling

T = TypeVar("T")


def build_target(node: Mapping[str, Any], key: str) -> Any:
    """Builds the dataclass that a node's `_target_` names from the node's other keys."""
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise ConfigError(f"{key}._target_: missing; give a class as package.module.Class")
    module, _, name = node["_target_"].rpartition(".")
    try:
        target = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{key}._target_: cannot load {node['_target_']!r} ({error})") from error
    if not dataclasses.is_dataclass(target) or not isinstance(target, type):
        raise ConfigError(f"{key}._target_: {node['_target_']} is not a dataclass")
    return build(target, {k: v for k, v in node.items() if k != "_target_"}, key)


def build(cls: type[T], values: Mapping[str, Any], key: str) -> T:
    """Builds a dataclass from a dictionary, strictly: no unknown key, no wrong type."""
    from pydantic import PydanticSchemaGenerationError, ValidationError

    known = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ConfigError(f"{_join(key, name)}: unknown key; allowed keys: {', '.join(sorted(known))}")
    for name, field in known.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if values.get(name, "???" if required else None) == "???":
            raise ConfigError(f"{_join(key, name)}: not set; give it as {_join(key, name)}=VALUE")
    hints = get_type_hints(cls)
    arguments = {}
    for name, value in values.items():
        hint = hints[name]
        if isinstance(value, Mapping) and "_target_" in value:
            arguments[name] = _of_protocol(build_target(value, _join(key, name)), hint, _join(key, name))
            continue
        if get_origin(hint) in (Union, UnionType) and isinstance(value, Mapping):  # an object that may be null
            hint = next((part for part in get_args(hint) if dataclasses.is_dataclass(part)), hint)
            if _says_nothing(value, hint):
                hint, value = hints[name], None
        if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
            arguments[name] = build(hint, value, _join(key, name))
            continue
        if _names_targets(value):
            arguments[name] = {part: build_target(value[part], f"{_join(key, name)}.{part}") for part in value}
            continue
        if _is_bool_for_number(value, hint):
            raise ConfigError(f"{_join(key, name)}: {value!r} is invalid; give numbers, not true or false")
        try:
            arguments[name] = _adapter(hint).validate_python(_tuples(value))
        except ValidationError as error:
            raise ConfigError(_sentence(error, _join(key, name))) from error
        except PydanticSchemaGenerationError as error:  # its type is one of ours that no single value makes
            raise ConfigError(
                f"{_join(key, name)}: {value!r} is invalid; set its keys, as {_join(key, name)}.KEY=VALUE"
            ) from error
        except OptionError as error:
            raise ConfigError(f"{_join(key, name)}: {error}") from error
        _check_finite(arguments[name], _join(key, name))
    try:
        thing = cls(**arguments)
        if isinstance(thing, Sampling):
            _check_sampling(thing)
        return thing
    except OptionError as error:
        raise ConfigError(f"{_join(key, error.option)}: {error.reason}") from error


def checked(thing: Any, protocol: Any, where: str, *, without: Collection[str] = ()) -> Any:
    """The object itself, if it has all that a protocol asks for.

    Args:
        thing: of a class that may be a third party's.
        protocol: whose members it needs.
        where: the key that names the class ("engine._target_"), or whoever made the object.
        without: members that it does not need.

    Raises:
        ConfigError: names the class and what it lacks.
    """
    wanted = sorted(name for name in vars(protocol) if not name.startswith("_") and name not in without)
    if lacking := [name for name in wanted if not hasattr(type(thing), name) and not hasattr(thing, name)]:
        kind, path = class_name(type(thing)), f"{protocol.__module__.rpartition('.')[0]}.{protocol.__name__}"
        raise ConfigError(
            f"{where}: {kind} does not implement {protocol.__name__}: missing {', '.join(lacking)}. Add them"
            f" ({path}; docs/extending.md)"
        )
    return thing


def _says_nothing(value: Mapping[str, Any], hint: Any) -> bool:
    """Whether an object that may be null has nothing but nulls and defaults, as a key that a preset leaves open."""
    defaults = (
        {field.name: _default(field) for field in dataclasses.fields(hint)} if dataclasses.is_dataclass(hint) else {}
    )
    return all(part is None or part == defaults.get(name) for name, part in value.items())


def _default(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _of_protocol(thing: Any, hint: Any, key: str) -> Any:
    """An option's object, if it is what its type asks for: a Helper's model, a judge's engine."""
    protocol = next((part for part in (hint, *get_args(hint)) if getattr(part, "_is_protocol", False)), None)
    return thing if protocol is None else checked(thing, protocol, f"{key}._target_")


def _check_sampling(sampling: Sampling) -> None:
    """Refuses what no engine can decode with."""
    check_range(sampling, "temperature", "top_k", low=0)
    check_range(sampling, "top_p", low=0, high=1, above=True)
    check_range(sampling, "repetition_penalty", low=0, above=True)
    check_range(sampling, "max_tokens", low=1)
    if not all(sampling.stop):
        raise OptionError("stop", "contains an empty string, which would end every text at once; leave it out")


def _is_bool_for_number(value: Any, hint: Any) -> bool:
    """Whether true or false is given where a number is wanted; it would be read as 1 or 0."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if isinstance(value, bool):
        return bool not in parts and any(part in (int, float) for part in parts)
    inner = [get_args(part)[0] for part in parts if get_origin(part) is tuple and get_args(part)]
    return isinstance(value, list | tuple) and any(_is_bool_for_number(each, part) for each in value for part in inner)


def _check_finite(value: Any, key: str) -> None:
    """No option is infinite or not a number: YAML's .inf and .nan, and the words in a text."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key}: {value} is invalid; give a finite number")
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, tuple | list) else ()
    for name, part in parts:
        _check_finite(part, f"{key}.{name}")


def _names_targets(value: Any) -> bool:
    """Whether a node is a mapping of nothing but objects of their own (a panel's judges)."""
    parts = list(value.values()) if isinstance(value, Mapping) else []
    return bool(parts) and all(isinstance(part, Mapping) and "_target_" in part for part in parts)


@lru_cache(maxsize=256)
def _adapter(hint: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    if dataclasses.is_dataclass(hint):
        return TypeAdapter(hint)
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _sentence(error: Any, key: str) -> str:
    first = error.errors()[0]
    where = ".".join([key, *(str(part) for part in first["loc"] if not str(part).startswith("function"))])
    given = first.get("input")
    kind = first["type"]
    if kind == "literal_error":
        return f"{where}: {given!r} is invalid; allowed values: {first['ctx']['expected']}"
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{where}: unknown key"
    shown = "" if isinstance(given, (Mapping, Sequence)) and not isinstance(given, str) else f" (given: {given!r})"
    return f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}{shown}"


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def as_node(thing: Any, hint: Any = None) -> Any:
    """The configuration that `build_target` makes an object of: its options, and its class as `_target_`.

    Args:
        thing: an object, or a value of an option.
        hint: the option's type; where it names the object's class, `_target_` is left out.
    """
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        cls = type(thing)
        hints = get_type_hints(cls)
        values = {f.name: as_node(getattr(thing, f.name), hints[f.name]) for f in dataclasses.fields(thing) if f.init}
        return values if cls in (hint, *get_args(hint)) else {"_target_": _target(cls), **values}
    if isinstance(thing, Mapping):
        part = next(iter(get_args(hint)[1:]), None)
        return {str(name): as_node(value, part) for name, value in thing.items()}
    return [as_node(value) for value in thing] if isinstance(thing, (list, tuple)) else thing


def _target(cls: type[Any]) -> str:
    """A class by the shortest package that exports it: roleeval.models.Base, not roleeval.models.families.Base."""
    package = ""
    for part in cls.__module__.split("."):
        package = f"{package}.{part}" if package else part
        if getattr(importlib.import_module(package), cls.__qualname__, None) is cls:
            return f"{package}.{cls.__qualname__}"
    return f"{cls.__module__}.{cls.__qualname__}"
