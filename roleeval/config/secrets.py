"""Credentials are given as the name of an environment variable: literal ones are refused, or masked."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from roleeval.errors import ConfigError

# Values that look like a credential. Keys are given as the name of an environment variable.
_SECRET_VALUE = re.compile(
    r"(?:^|[^A-Za-z0-9])(sk-[A-Za-z0-9_-]{8,}|hf_[A-Za-z0-9]{16,}|Bearer\s+\S{8,}|AIza[\w-]{20,})"
)
_SECRET_NAME = re.compile(r"(?:^|[._+~])(?:api_?key|secret|password|auth_?token|access_?token)$", re.IGNORECASE)


def refuse_secrets(node: Any, key: str = "") -> None:
    """Refuses values that look like a credential; the value itself is never repeated.

    Raises:
        ConfigError: names the key and says how to give a credential.
    """
    if isinstance(node, Mapping):
        for name, value in node.items():
            refuse_secrets(value, (f"{key}.{name}" if key else str(name)))
    elif isinstance(node, (list, tuple)):
        for value in node:
            refuse_secrets(value, key)
    elif isinstance(node, str) and (_SECRET_VALUE.search(node) or (_SECRET_NAME.search(key) and node)):
        raise ConfigError(
            f"{key}: contains a literal credential, which would end up in logs and result folders; put it into an"
            " environment variable and give that variable's name (engine.api_key_env=NAME)"
        )


def refuse_secret_arguments(arguments: Sequence[str]) -> None:
    """The same for a command line, before Hydra writes it anywhere."""
    for argument in arguments:
        name, _, value = argument.lstrip("+~").partition("=")
        refuse_secrets(value, name)


def masked(node: Any, key: str = "") -> Any:
    """A copy for config.yaml in which anything that could be a credential is masked."""
    if isinstance(node, Mapping):
        return {name: masked(value, (f"{key}.{name}" if key else str(name))) for name, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [masked(value, key) for value in node]
    secret = isinstance(node, str) and (_SECRET_VALUE.search(node) or (_SECRET_NAME.search(key) and node))
    return "***" if secret else node
