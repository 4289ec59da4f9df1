"""Roles as folders: maps a role's name to a folder name and back; resolves paths that start with "zoo:"."""

import re
import unicodedata
from pathlib import Path

from roleeval.errors import AdapterError, ConfigError
from roleeval.resources import zoo_path

_ZOO = "zoo:"
# What a file system or a shell would misread; "%" itself, so that no two roles meet in one folder.
_UNSAFE = re.compile(r'[%/\\:*?"<>|\x00-\x1f\x7f]|^[. ]|[. ]$')
_ESCAPED = re.compile(r"%([0-9A-F]{2})")
_LONGEST = 255  # bytes; what common file systems allow


def role_folder(role: str) -> str:
    """The folder name of a role: the name itself, with percent escapes for characters that cannot be in one.

    Raises:
        AdapterError: the name is empty or too long for a folder.
    """
    name = _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", role)
    if not name or len(name.encode()) > _LONGEST:
        raise AdapterError(
            f"role {role!r}: not a valid folder name ({len(name.encode())} bytes; 1 to {_LONGEST} are possible)"
        )
    return name


def folder_role(folder: str) -> str:
    """The role that a folder name stands for: the inverse of role_folder."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), folder)


def nfc(role: str) -> str:
    """A role's name in Unicode's composed form: by it, names that people read as the same are the same."""
    return unicodedata.normalize("NFC", role)


def located(path: str, key: str) -> Path:
    """A configured path; "zoo:NAME" is one of the project's own small models.

    Args:
        path: what the configuration says.
        key: the configuration's key, for the error.

    Raises:
        ConfigError: the zoo has nothing of that name.
    """
    if not path.startswith(_ZOO):
        return Path(path).expanduser()
    try:
        return zoo_path(path.removeprefix(_ZOO))
    except ConfigError as error:
        raise ConfigError(f"model.{key}: {error}") from None
