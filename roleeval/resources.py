"""Where the declarative parts lie: conf/, tasks/ and judges/, in a checkout or in an installed package."""

from pathlib import Path

from roleeval.errors import ConfigError

_PACKAGE = Path(__file__).parent


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
    weights = _PACKAGE / "zoo" / "weights"
    if not (weights / name / "config.json").is_file() and not (weights / name / "adapter_config.json").is_file():
        known = sorted(p.name for p in weights.glob("*") if p.is_dir())
        raise ConfigError(f"zoo:{name}: the zoo has no such model; it has: {', '.join(known) or 'none'}")
    return weights / name
