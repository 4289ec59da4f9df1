"""`roleeval adapters`: exports per-role adapters as standard PEFT folders, and checks that each belongs to its role."""

import json
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roleeval.cli._say import say, show, show_json
from roleeval.errors import ConfigError, DataError
from roleeval.jsonfiles import read_json
from roleeval.plain import plain

if TYPE_CHECKING:
    from roleeval.benchmarks.rolebench.adapters_check import AdaptersCheck
    from roleeval.models import PersonaModel

_SAID_EVERY_S = 10.0

# Without rich markup --help does not import rich.
adapters = typer.Typer(
    help="Write and check a model's per-role adapters.",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
)


class FamilyName(StrEnum):
    """The families whose adapters are generated from a checkpoint."""

    hycora = "hycora"


class CheckedFamily(StrEnum):
    """The families with an adapter for each role."""

    hycora = "hycora"
    independent_lora = "independent_lora"


class EngineName(StrEnum):
    """The engines that can score texts."""

    vllm = "vllm"
    hf = "hf"


class DType(StrEnum):
    """See engine.dtype."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class PromptFormat(StrEnum):
    """The prompt format of HyCoRA; see model.prompt_format."""

    chat = "chat"
    llama = "llama"
    qwen2 = "qwen2"
    chatglm2 = "chatglm2"


@adapters.command("export")
def adapters_export(
    family: Annotated[FamilyName, typer.Option(help="The family of the checkpoint.")],
    checkpoint: Annotated[Path, typer.Option(help="The checkpoint's folder.")],
    base: Annotated[Path, typer.Option(help="The base model's folder; only its shapes are read.")],
    roles: Annotated[Path, typer.Option(help="Role manifest: JSON list of names in id order, or roles_desc_*.json.")],
    out: Annotated[Path, typer.Option(help="The folder to write into, one sub-folder per role.")],
    only: Annotated[list[str] | None, typer.Option(help="Export only this role; may be repeated.")] = None,
) -> None:
    """Write one standard PEFT folder per role, named after the role; plain peft and vLLM load them."""
    from roleeval.models.hycora import export

    def told(role: str, folder: Path) -> None:
        print(f"{plain(role)}\t{plain(str(folder))}", flush=True)

    written = export(checkpoint, base, roles, out, only=only or (), each=told)
    say(f"{len(written)} adapters of {family.value} in {out}")


@adapters.command("check")
def adapters_check(
    family: Annotated[CheckedFamily, typer.Option(help="The model's family.")],
    checkpoint: Annotated[
        str, typer.Option(help="HyCoRA's checkpoint, or the folder of independent adapters; a folder or zoo:NAME.")
    ],
    base: Annotated[str, typer.Option(help="The base model: a folder, a hub id or zoo:NAME.")],
    roles: Annotated[
        str | None,
        typer.Option(
            help="HyCoRA's role manifest; for independent adapters JSON {role: folder}, if folders have other names."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A folder in RoleBench's layout; default: the embedded set.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of references per role.")] = 8,
    engine: Annotated[EngineName, typer.Option(help="The engine that scores them.")] = EngineName.vllm,
    dtype: Annotated[
        DType, typer.Option(help="Of the engine's numbers; auto is the model's own, and float32 on the CPU.")
    ] = DType.auto,
    prompt_format: Annotated[PromptFormat, typer.Option(help="HyCoRA only.")] = PromptFormat.chat,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score each role's references under every role's adapter; exit code 1 if another fits as well or better."""
    from roleeval.benchmarks.rolebench.adapters_check import check_adapters
    from roleeval.engines.hf import HfOptions
    from roleeval.engines.vllm import VllmOptions
    from roleeval.stages.runtime import Runtime

    model = _model(family, checkpoint, base, roles, prompt_format)
    options = VllmOptions(dtype=dtype.value) if engine is EngineName.vllm else HfOptions(dtype=dtype.value)
    runtime = Runtime()

    async def check() -> "AdaptersCheck":
        ready = await runtime.ready(options, model)
        return await check_adapters(model, ready, data, limit=limit, scored=_progress(time.monotonic))

    try:
        found = runtime.execute(check)
    finally:
        runtime.close()
    if as_json:
        show_json(json.dumps(found.to_json(), ensure_ascii=False, indent=2))
    else:
        show(_table(found))
    for role in found.unknown:
        say(f"not checked: {role!r} has no references in the data")
    if found.mismatched:
        names = ", ".join(f"{role.role!r} (fits {role.best!r})" for role in found.mismatched)
        say(
            f"roleeval: {len(found.mismatched)} of {len(found.roles)} roles fit another role's adapter: {names};"
            " check the role manifest, or the folders' names"
        )
    if found.tied:
        names = ", ".join(f"{role.role!r} (as {', '.join(map(repr, role.tied))})" for role in found.tied)
        say(
            f"roleeval: {len(found.tied)} of {len(found.roles)} roles have no lead: another role's adapter does exactly"
            f" what theirs does: {names}; the adapters are copies, or have no effect"
        )
    if found.mismatched or found.tied:
        raise typer.Exit(1)


def _progress(clock: Callable[[], float]) -> Callable[[int, int], None]:
    """Says from time to time how many texts have been scored: a check of real models takes minutes."""
    last = clock()

    def scored(done: int, total: int) -> None:
        nonlocal last
        if (now := clock()) - last >= _SAID_EVERY_S:
            last = now
            say(f"adapters check: {done} of {total} texts scored")

    return scored


def _model(
    family: CheckedFamily, checkpoint: str, base: str, roles: str | None, prompt_format: PromptFormat
) -> "PersonaModel":
    from roleeval.engines import ModelSource
    from roleeval.models import HyCora, IndependentLora

    source = ModelSource(base)
    if family is CheckedFamily.hycora:
        if roles is None:
            raise ConfigError("--roles: a HyCoRA checkpoint does not name its roles; give its role manifest")
        return HyCora(
            name="checked", source=source, checkpoint=checkpoint, roles=roles, prompt_format=prompt_format.value
        )
    if roles is None:
        return IndependentLora(name="checked", source=source, adapters_dir=checkpoint)
    try:
        folders = read_json(Path(roles))
    except (OSError, ValueError) as error:
        raise DataError(f"--roles {roles}: cannot be read as JSON ({error})") from error
    if not isinstance(folders, dict) or not all(isinstance(folder, str) for folder in folders.values()):
        raise DataError(f"--roles {roles}: not a JSON object {{role: folder}}; independent adapters need one")
    places = {role: str(Path(checkpoint) / folder) for role, folder in folders.items()}
    return IndependentLora(name="checked", source=source, adapters_map=places)


def _table(found: "AdaptersCheck") -> str:
    """Role, the role whose adapter fits best, the own adapter's loss per token, its lead over the best other one."""
    rows = [("role", "best adapter", "own nll/token", "lead", "references")]
    for role in found.roles:
        margin = "–" if role.margin is None else f"{role.margin:+.4f}"
        best = role.best if role.best == role.role else f"{role.best}  <- another role's"
        if role.tied:
            best = f"{role.role}  <- no lead over {', '.join(role.tied)}"
        rows.append((role.role, best, f"{role.nll[role.role]:.4f}", margin, str(role.references)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
