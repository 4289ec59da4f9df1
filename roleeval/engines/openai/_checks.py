"""Checks the openai engine's options: they may not contain a secret, and no message repeats one."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import SplitResult, urlsplit

from roleeval.errors import ConfigError
from roleeval.secrets import literal_key, secret_name, secret_value

_USER_AT = re.compile(r":[^@\s]*@")  # user:password@host, without a scheme


def checked_url(url: str) -> str:
    """A base URL without a slash at its end.

    Raises:
        ConfigError: it is none, or carries credentials or a query.
    """
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            "engine.base_urls: expected http(s)://host[:port]/path with a port from 1 to 65535, for example"
            " http://127.0.0.1:8000/v1"
        )
    if " " in url or not url.isprintable():
        raise ConfigError(f"engine.base_urls: the URL of {parts.hostname} holds white space or control characters")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment or ";" in parts.path:
        raise ConfigError(
            f"engine.base_urls: the URL of {parts.hostname} carries credentials or a query; keys go in the environment"
            " variable that engine.api_key_env names"
        )
    return url.rstrip("/")


def _split(url: str) -> SplitResult | None:
    """The parts of a URL; None where it has none, or a port that is none."""
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:
        return None


def check_key_variable(name: str) -> None:
    """Checks that engine.api_key_env is the name of a variable and not a key.

    Raises:
        ConfigError: it looks like a key.
    """
    if literal_key(name):
        raise ConfigError(
            "engine.api_key_env is the name of an environment variable, not a key (the given value is not repeated"
            " here). Export the key (OPENAI_API_KEY=...) and give the variable's name"
        )


def check_extra_body(extra_body: Mapping[str, object]) -> None:
    """Checks that engine.extra_body holds no secret.

    Raises:
        ConfigError: names the field that looks like one.
    """
    for path, value in _leaves("engine.extra_body", extra_body):
        if secret_name(path) or secret_value(value):
            raise ConfigError(f"{path} looks like a secret; only the key that engine.api_key_env names is sent")


def check_name(option: str, name: str | None) -> None:
    """Checks a name for what an endpoint serves: it goes into manifests, and an address changes.

    Raises:
        ConfigError: it is empty, an address, or looks like a secret.
    """
    if name is None:
        return
    if not name.strip():
        raise ConfigError(f"{option} is empty; give a name, or leave it out")
    if "://" in name or _USER_AT.search(name) or secret_value(name):
        raise ConfigError(f"{option} is a name for what is served, such as qwen-7b-may, not an address and not a key")


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}", inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _leaves(f"{path}[{number}]", inner)
    else:
        yield path, value
