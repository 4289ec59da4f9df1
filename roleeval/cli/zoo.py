"""roleeval zoo: trains and lists the small models."""

from pathlib import Path
from typing import Annotated

import typer

from roleeval.cli._columns import OPTIONS
from roleeval.cli._say import show

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


@zoo.command("list")
def zoo_list() -> None:
    """List the small models and their sizes."""
    from roleeval.resources import zoo_names, zoo_path

    for name in zoo_names():
        size = sum(file.stat().st_size for file in zoo_path(name).rglob("*") if file.is_file()) / 1e6
        show(f"zoo:{name}  {size:.1f} MB in {zoo_path(name)}")
