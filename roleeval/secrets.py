"""Secrets in configurations and texts: refused where they come in, masked where anything is printed or written.

A credential is given as the name of an environment variable. What looks like one (a vendor's key, a URL with a user or
a query, a value under a name such as api_key or a header) is recognised here and nowhere else.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from roleeval.errors import ConfigError

_MASK = "***"
_KEY_PREFIXES = ("sk-", "sk_", "hf_", "gsk_", "ghp_", "AIza")
_VALUE = re.compile(
    r"(?<![A-Za-z0-9])(?:sk[-_][A-Za-z0-9_-]{8,}|(?:hf|gsk|ghp)_[A-Za-z0-9]{16,}|AIza[\w-]{20,}"
    r"|(?:Bearer|Basic)\s+(?!\*\*\*)[^\s\"']{8,})"
)
_NAME = re.compile(
    r"(?:^|_)(?:(?:api|access|subscription|account|private|secret|auth)_?key|secrets?|passw(?:or)?d|passphrase"
    r"|(?:proxy_)?authori[sz]ation|bearer|(?:access|auth|refresh|session|bearer|api|hf|id)_?token|cookies?)(?:_|$)|^token$|^(?:x_)?auth$"
)
_NO_SECRET = re.compile(r"key_(?:env|required)$")  # engine.api_key_env and api_key_required name a variable
# Misspelt ones are told by the nearest of these.
_SPELT = ("api_key", "access_key", "access_token", "auth_token", "authorization", "passwd", "password", "secret")
_SPELT_OTHERS = ("api_key_env", "api_key_required")
_NEAR = 0.85
_HEADERS = re.compile(r"(?:^|_)headers?$")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
# Where a URL may stand, up to the end of its user (which may hold the interpolation of a variable) and of its query.
# The whole run is matched and then searched, so that a long text takes time in proportion to its length.
_WITH_USER = re.compile(r"[^\s\"'\]]+")
_WITH_QUERY = re.compile(r"[^\s\"'\]},]+")
_QUERY = re.compile(r"[?#;]")  # and the parameters of a path
_SCHEME = re.compile(r"[A-Za-z][\w+.-]{0,31}://")
_DATA_SET = re.compile(r"hf://[\w.-]+/[\w.-]+@")  # what follows is a revision, and no host
_DEEPEST = 12  # values within values; beyond, all is masked
_MISSPELT = range(5, 22)  # letters of a name that may be near one of those above
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_NEXT = r"[\w.+~-]+\s*[=:]"  # a name, where a value of several words ends
# NAME=VALUE anywhere, and NAME: VALUE as a dictionary has it.
_PAIR = re.compile(
    rf"(?:(?<![\w.+~-])([\w.+~-]+)=|(?<=[{{,\[ ])([\w.-]+)\s*:(?!//)\s*|([\"'])([\w.-]+)\3\s*[:=]\s*)"
    rf"({_QUOTED}|(?i:bearer|basic)\s+[^\s\"',&{{}}]+|\{{(?:[^{{}}]|\{{[^{{}}]*\}})*\}}|\$\{{[^}}]{{0,400}}\}}"
    rf"|[^\s\"',&{{}}\[\]()]+(?: (?!{_NEXT})[^\s\"',&{{}}\[\]():=]+)*)"
)


def secret_name(name: str) -> bool:
    """Whether a key, field or variable (or a part of a dotted one) is called as those are that hold secrets."""
    return any(_secret_part(part) for part in re.split(r"[.\[\]]", name.lstrip("+~")))


def _secret_part(part: str) -> bool:
    words = _WORDS.sub("_", part).lower().strip("_")
    if _NAME.search(words) or _HEADERS.search(words):
        return not _NO_SECRET.search(words)
    if len(words) not in _MISSPELT:
        return False
    near = difflib.get_close_matches(words, (*_SPELT, *_SPELT_OTHERS), n=1, cutoff=_NEAR)
    return bool(near) and near[0] in _SPELT


def secret_value(value: object) -> bool:
    """Whether a value is, or holds, what looks like a vendor's key."""
    return isinstance(value, str) and _VALUE.search(value) is not None


def literal_key(name: str) -> bool:
    """Whether what should be the name of an environment variable looks like a key itself."""
    if len(name) > 64 or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith(_KEY_PREFIXES):
        return True
    # Keys that are identifiers by chance; environment variables that long are written in capitals.
    return len(name) >= 20 and bool(re.search("[a-z]", name)) and bool(re.search("[0-9]", name))


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


def masked_text(text: str) -> str:
    """A text (a message, a command line, a traceback) in which whatever could be a secret is masked."""
    text = _WITH_QUERY.sub(_without_query, _WITH_USER.sub(_without_user, text))
    return _VALUE.sub(_without_key, _without_values(text))


def _without_user(found: "re.Match[str]") -> str:
    run, user_ends = found[0], found[0].rfind("@")
    for scheme in _SCHEME.finditer(run) if user_ends >= 0 else ():
        if _DATA_SET.match(run, scheme.start()):
            continue
        if user_ends >= scheme.end() and not run.startswith(f"{_MASK}@", scheme.end()):
            return f"{run[: scheme.end()]}{_MASK}{run[user_ends:]}"
    return run


def _without_query(found: "re.Match[str]") -> str:
    run, end = found[0], 0
    while scheme := _SCHEME.search(run, end):
        query = _QUERY.search(run, scheme.end())
        if query is None or query.end() == len(run):
            return run
        if not run.startswith(_MASK, query.end()):
            return f"{run[: query.end()]}{_MASK}"
        end = query.end()
    return run


def _without_key(found: "re.Match[str]") -> str:
    return _MASK


def _without_values(text: str, depth: int = 0) -> str:
    return _PAIR.sub(lambda found: _without_value(found, depth), text)


def _without_value(found: "re.Match[str]", depth: int) -> str:
    name = next(part for part in (found[1], found[2], found[4]) if part)
    value = found[5].strip("\"'")
    variable = re.search(r"api_?key_?env$", name) and not value.startswith("${")
    literal = variable and any(literal_key(part) for part in value.split(",") if part not in ("null", _MASK))
    secret = secret_name(name) and value not in ("", "null", "None", _MASK)
    before = found[0][: found.start(5) - found.start()]
    hidden = literal or secret or depth == _DEEPEST
    return before + (_MASK if hidden else _without_values(found[5], depth + 1))


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
    elif _is_secret(node, key):
        raise _refused(key)


def refuse_secret_arguments(arguments: Sequence[str]) -> None:
    """The same for a command line, before Hydra prints it or writes it anywhere.

    Raises:
        ConfigError: names the key.
    """
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, given, value = argument.lstrip("+~").partition("=")
        option = not given and name.startswith("--") and secret_name(name) and following
        if option or _is_secret(value, name) or masked_text(argument) != argument:
            raise _refused(masked_text(name))


def without_values(text: str, arguments: Sequence[str]) -> str:
    """Another program's message on a command line, without the values that it repeats."""
    for argument in arguments:
        key, given, value = argument.partition("=")
        text = text.replace(f"{key}={value}", f"{key}=...") if given and value else text
    return masked_text(text)


def _refused(key: str) -> ConfigError:
    return ConfigError(
        f"{key}: contains a literal credential, which would end up in logs and result folders; put it into an"
        " environment variable and give that variable's name (engine.api_key_env=NAME). URLs are given without user"
        " and query"
    )


def masked(node: Any, key: str = "") -> Any:
    """A copy for config.yaml in which anything that could be a credential is masked."""
    if isinstance(node, Mapping):
        return {name: masked(value, (f"{key}.{name}" if key else str(name))) for name, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [masked(value, key) for value in node]
    return _MASK if _is_secret(node, key) else node


def _is_secret(value: object, key: str) -> bool:
    if not isinstance(value, str) or not value:
        return False
    if secret_name(key) or secret_value(value):
        return True
    url = re.match(r"[A-Za-z][\w+.-]*://\S+$", value)
    return url is not None and masked_text(value) != value
