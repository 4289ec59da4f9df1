"""Finds the declarative parts (conf/, tasks/, judges/) in a checkout or in an installed package."""

import os
from importlib.util import find_spec
from pathlib import Path

from roleeval.errors import ConfigError

_PACKAGE = Path(__file__).parent
_PKG = "pkg://"
ZOO_WEIGHTS = _PACKAGE / "zoo" / "weights"


def resource(relative: str) -> Path:
    """Path of a shipped file or folder, such as "tasks/rolebench/embedded".

    A checkout has conf/, tasks/ and judges/ next to roleeval/; a wheel carries them inside it.
    """
    inside = _PACKAGE / relative
    return inside if inside.exists() else _PACKAGE.parent / relative


def located(place: str) -> Path:
    """Path of a file or folder that an option names, whether it exists or not.

    Args:
        place: a path; "pkg://PACKAGE/path" in an installed package, which is how a third party's YAML names a file that
            comes with it; or a shipped one, such as "judges/rubric".

    Raises:
        ConfigError: there is no such package.
    """
    if not place.startswith(_PKG):
        return Path(place) if Path(place).exists() else resource(place)
    package, _, rest = place.removeprefix(_PKG).partition("/")
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{place}: no package {package!r}; install it, or add its folder to PYTHONPATH")
    return Path(spec.submodule_search_locations[0]) / rest


def user_cache() -> Path:
    """The user's cache folder of this project."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "roleeval"


def fetched_models() -> Path:
    """Where `roleeval zoo fetch` puts real models, a folder each."""
    return user_cache() / "models"


def zoo_names() -> list[str]:
    """Names of the project's own small models and adapters."""
    return sorted(p.name for p in ZOO_WEIGHTS.iterdir() if p.is_dir()) if ZOO_WEIGHTS.is_dir() else []


def zoo_path(name: str) -> Path:
    """Folder of one of the project's own small models or adapters, of a fetched model, or a file in one
    ("hycora/roles.json").

    Raises:
        ConfigError: there is none of that name; lists those there are.
    """
    first = name.partition("/")[0]
    if first and ".." not in Path(name).parts:
        for place in (ZOO_WEIGHTS, fetched_models()):
            if (place / first).is_dir() and (place / name).exists():
                return place / name
    raise ConfigError(
        f"zoo:{name}: no such model in the zoo; there are: {', '.join(zoo_names()) or 'none'}; real models come by"
        " `roleeval zoo fetch NAME`"
    )
