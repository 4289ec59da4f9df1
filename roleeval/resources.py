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


def zoo_path(name: str) -> Path:
    """Folder of one of the project's own small models or adapters.

    Raises:
        ConfigError: there is none of that name; lists those there are.
    """
    known = sorted(p.parent.name for p in ZOO_WEIGHTS.glob("*/*.safetensors"))
    if name not in known:
        raise ConfigError(f"zoo:{name}: the zoo has no such model; it has: {', '.join(known) or 'none'}")
    return ZOO_WEIGHTS / name
