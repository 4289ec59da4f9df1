"""Where the declarative parts lie: conf/, tasks/ and judges/, in a checkout or in an installed package."""

from pathlib import Path

from roleeval.errors import ConfigError

_PACKAGE = Path(__file__).parent
ZOO_WEIGHTS = _PACKAGE / "zoo" / "weights"


def resource(relative: str) -> Path:
    """Path of a shipped file or folder, such as "tasks/rolebench/embedded".

    A checkout has conf/, tasks/ and judges/ beside roleeval/; a wheel carries them inside it.
    """
    inside = _PACKAGE / relative
    return inside if inside.exists() else _PACKAGE.parent / relative


def zoo_names() -> list[str]:
    """Names of the project's own small models and adapters."""
    return sorted(p.name for p in ZOO_WEIGHTS.iterdir() if p.is_dir()) if ZOO_WEIGHTS.is_dir() else []


def zoo_path(name: str) -> Path:
    """Folder of one of the project's own small models or adapters, or a file in it ("hycora/roles.json").

    Raises:
        ConfigError: there is none of that name; lists those there are.
    """
    known = zoo_names()
    if name.partition("/")[0] not in known or not (ZOO_WEIGHTS / name).exists():
        raise ConfigError(f"zoo:{name}: the zoo has no such model; it has: {', '.join(known) or 'none'}")
    return ZOO_WEIGHTS / name
