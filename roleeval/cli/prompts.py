"""`roleeval prompts`: imports official prompts as local packs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from roleeval.cli._say import show

# Without rich markup --help does not import rich.
prompts = typer.Typer(
    help="Import official prompts as local packs.", rich_markup_mode=None, no_args_is_help=True, add_completion=False
)


class OfficialName(StrEnum):
    """The repositories whose judge prompts can be read."""

    coser = "coser"
    her = "her"


@prompts.callback()
def _group() -> None:
    # with a single command typer would omit its name
    pass


@prompts.command("import")
def prompts_import(
    official: Annotated[OfficialName, typer.Argument(help="The repository that was cloned.")],
    clone: Annotated[Path, typer.Option("--from", help="The root of your clone; its code is not executed.")],
    out: Annotated[Path | None, typer.Option(help="The pack's folder; default: .prompt_packs/NAME.")] = None,
) -> None:
    """Copy the official judge prompts from your own clone into a pack that git ignores."""
    from roleeval.benchmarks.coser.official_prompts import import_prompts

    folder = out or Path(".prompt_packs", official.value)
    dimensions = import_prompts(official.value, clone, folder)
    show(f"imported: {', '.join(dimensions)} into {folder}")
