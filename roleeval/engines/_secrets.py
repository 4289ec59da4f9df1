"""Recognises secrets: engines refuse them in their options, and never pass them on to a manifest or a message."""

import re
from urllib.parse import urlsplit, urlunsplit

KEY_PREFIXES = ("sk-", "sk_", "hf_", "gsk_", "ghp_", "AIza")
_NAME = re.compile(r"api_?key|secret|password|passwd|authorization|(?:access|auth)_?token|bearer", re.IGNORECASE)
_VALUE = re.compile(
    r"(?:^|[^A-Za-z0-9])(?:sk[-_][A-Za-z0-9_-]{8,}|(?:hf|gsk|ghp)_[A-Za-z0-9]{16,}|AIza[\w-]{20,}|Bearer\s+\S{8,})"
)
_MASK = "***"


def secret_name(name: str) -> bool:
    """Whether a key, field or variable is called as those are that hold secrets."""
    return _NAME.search(name) is not None


def secret_value(value: object) -> bool:
    """Whether a value is, or holds, what looks like a vendor's key."""
    return isinstance(value, str) and (value.startswith(KEY_PREFIXES) or _VALUE.search(value) is not None)


def shown(value: str, *, name: str = "") -> str:
    """A value as it may be written down: masked where it looks like a secret, a URL without user and query."""
    if secret_name(name) or secret_value(value):
        return _MASK
    if "://" not in value:
        return value
    try:
        parts = urlsplit(value)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return _MASK
