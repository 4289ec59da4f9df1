"""What determines an object's texts, as JSON: stated by the object itself, or all of its options.

An object states its identity in a method `identity()`; most return `options(self)`. Fields that
affect only location (contents are hashed separately), routing, retries or cost, not the reply, are declared with
`metadata=OUTSIDE_IDENTITY`. A class that declares nothing is in the identity with all its options.
"""

import dataclasses
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

# Metadata of a dataclass field that affects only location, routing, retries or cost, not the reply.
OUTSIDE_IDENTITY: Mapping[str, bool] = MappingProxyType({"identity": False})


def options(thing: Any) -> dict[str, Any]:
    """A dataclass's options as JSON values, without its places."""
    return {field.name: _plain(getattr(thing, field.name)) for field in _stated(thing)}


def places(thing: Any) -> dict[str, str]:
    """Where an object's parts lie, or who has them: options outside the identity that are texts."""
    if not dataclasses.is_dataclass(thing):
        return {}
    outside = [field.name for field in dataclasses.fields(thing) if not _in_identity(type(thing), field.name)]
    return {name: value for name in outside if isinstance(value := getattr(thing, name), str)}


def identity_of(thing: Any) -> dict[str, Any]:
    """What identifies an object: its class, and its own `identity()` or else all of its options."""
    stated = thing.identity() if callable(getattr(thing, "identity", None)) else options(thing)
    return {"class": class_name(type(thing)), **_plain(stated)}


def class_name(cls: type[Any]) -> str:
    """A class without its module, so that moving it changes nothing; a third party's keeps its package."""
    package = cls.__module__.partition(".")[0]
    return cls.__qualname__ if package == "roleeval" else f"{package}.{cls.__qualname__}"


def with_defaults(there: Mapping[str, Any], thing: Any) -> dict[str, Any]:
    """An identity written by an earlier version, as today's version would write it.

    Options that were added since have their default, which is what was done before there was a choice; fields that are
    no longer part of the identity are left out.

    Args:
        there: what `identity_of` (or `options`) once gave for an object like `thing`.
        thing: the object of today.
    """
    left_out = {field.name for field in dataclasses.fields(thing)} if dataclasses.is_dataclass(thing) else set()
    left_out -= {field.name for field in _stated(thing)}
    found = {name: value for name, value in there.items() if name not in left_out}
    for field in _stated(thing):
        value = getattr(thing, field.name)
        if field.name not in there:
            if (default := _default(field)) is not dataclasses.MISSING:
                found[field.name] = _plain(default)
        elif dataclasses.is_dataclass(value) and isinstance(there[field.name], Mapping):
            found[field.name] = with_defaults(there[field.name], value)
    return found


def _stated(thing: Any) -> list["dataclasses.Field[Any]"]:
    if not dataclasses.is_dataclass(thing):
        return []
    return [field for field in dataclasses.fields(thing) if field.init and _in_identity(type(thing), field.name)]


def _in_identity(cls: type[Any], name: str) -> bool:
    """As the nearest class says that says anything: a subclass that gives a field another default changes no more."""
    for base in cls.__mro__:
        field = getattr(base, "__dataclass_fields__", {}).get(name)
        if field is not None and "identity" in field.metadata:
            return bool(field.metadata["identity"])
    return True


def _default(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return identity_of(value) if callable(getattr(value, "identity", None)) else options(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(part) for part in value)
    if isinstance(value, Enum):
        return _plain(value.value)
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
