"""`roleeval adapters`: per-role adapters as folders that any tool loads."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

# Without rich markup --help does not import rich.
adapters = typer.Typer(
    help="Write a model's per-role adapters.", rich_markup_mode=None, no_args_is_help=True, add_completion=False
)


class FamilyName(StrEnum):
    """The families whose adapters are made from something else."""

    hycora = "hycora"


@adapters.callback()
def _group() -> None:
    pass


@adapters.command("export")
def adapters_export(
    family: Annotated[FamilyName, typer.Option(help="The family of the checkpoint.")],
    checkpoint: Annotated[Path, typer.Option(help="The checkpoint's folder.")],
    base: Annotated[Path, typer.Option(help="The base model's folder; only its shapes are read.")],
    roles: Annotated[Path, typer.Option(help="Role manifest: JSON list of names in id order, or roles_desc_*.json.")],
    out: Annotated[Path, typer.Option(help="The folder to write into, one sub-folder per role.")],
    only: Annotated[list[str] | None, typer.Option(help="This role only; may be given several times.")] = None,
) -> None:
    """Write one standard PEFT folder per role, named by the role; plain peft and vLLM load them."""
    from roleeval.models.hycora import export

    written = export(
        checkpoint, base, roles, out, only=only or (), each=lambda role, folder: print(f"{role}\t{folder}", flush=True)
    )
    typer.echo(f"{len(written)} adapters of {family.value} in {out}", err=True)
