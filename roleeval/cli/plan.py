"""`roleeval plan`: what a command would ask, hold, take and cost, before anything is loaded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from roleeval.cli._columns import print_columns
from roleeval.cli._say import say, show, show_json
from roleeval.plain import duration

if TYPE_CHECKING:
    from roleeval.stages.plan import Exactness, Memory, Plan, Range, RunPlan
    from roleeval.stats import Foreseen

_EPISODES = 24


def plan(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Ask the local models: play some of the run's own conversations, and have some judged. Measures how"
            " long replies are and how fast models write; the answers are kept.",
        ),
    ] = False,
    tokens_per_second: Annotated[
        float | None, typer.Option(help="New tokens a second of local models, where that is known.")
    ] = None,
    episodes: Annotated[
        int, typer.Option(min=0, help="Scenes or sessions that are played for a run's plan, spread over it; 0: all.")
    ] = _EPISODES,
) -> None:
    """Say what a run or sweep will ask, hold, take and cost; takes the arguments of run_eval.py. Loads no model."""
    from dataclasses import asdict

    from roleeval.cli.hydra_app import commands_of, jobs_of
    from roleeval.cli.invocation import invocation
    from roleeval.errors import ConfigError
    from roleeval.stages.plan import plan as planned
    from roleeval.stages.plan_file import keep

    if tokens_per_second is not None and not 0 < tokens_per_second < float("inf"):
        raise ConfigError(f"--tokens-per-second: {tokens_per_second:g} is invalid; give a number above 0")
    if tokens_per_second is not None and probe:
        raise ConfigError("--probe and --tokens-per-second both say how fast models are; give one of them")
    # where the jobs of a sweep would run changes nothing of what they ask
    given = [word for word in context.args if not word.startswith(("hydra/launcher=", "hydra.launcher."))]
    configs = jobs_of(commands_of(given))
    if configs is None:
        raise typer.Exit(2)
    here = invocation()
    try:
        found = here.runtime.execute(
            lambda: planned(
                configs,
                here.runtime,
                episodes=episodes or None,
                tokens_per_second=tokens_per_second,
                probes=probe,
                tell=say,
            )
        )
    finally:
        here.close()
        invocation.cache_clear()
    for config, run in zip(configs, found.runs, strict=True):
        keep(config, asdict(run))
    if as_json:
        import json

        show_json(json.dumps(found.to_json(), ensure_ascii=False, indent=1))
    else:
        _show(found, probed=probe)
    say("The plan is kept beside the results: each run's manifest will have it next to what the run asked.")


def _show(found: "Plan", *, probed: bool) -> None:
    for number, run in enumerate(found.runs):
        if number:
            show("")
        _show_run(run)
    if len(found.runs) > 1:
        rows = [("all runs", *_heads()), ("", *(_span(found.total(name)) for name in _NAMES), _money(found.usd))]
        print_columns(rows)
    show("")
    if any(not model.elsewhere for run in found.runs for model in run.models):
        way_out = (
            "the store has what a probe asks, so give --tokens-per-second N"
            if probed
            else "give --tokens-per-second N, or --probe"
        )
        unpaced = f"unknown for {', '.join(found.unpaced)}: {way_out}"
        show(f"time of local models   {unpaced if found.seconds is None else _time(found.seconds)}")
        for pace in filter(None, found.pace.split("; ")):
            show(f"  {pace}")
    show(f"cost                   {_cost(found)}")
    for memory in found.memory:
        show(_memory(memory))
    for exactness in dict.fromkeys(run.exactness for run in found.runs):
        _show_exactness(exactness)
    for note in found.notes:
        show(f"note: {note}")


_NAMES = ("calls", "prompt_tokens", "new_tokens")


def _heads() -> tuple[str, ...]:
    return ("new calls", "prompt tokens", "new tokens", "US dollars")


def _show_run(run: "RunPlan") -> None:
    limit = "" if run.limit is None else f", limit {run.limit}"
    show(f"{run.benchmark} {run.model} (seed {run.seed}{limit}): {run.conversations} conversations")
    if run.rehearsed < run.conversations:
        show(f"  planned by {run.rehearsed} of them, spread over all; --episodes 0 plays all")
    rows: list[Sequence[str]] = [("  who", *_heads(), "stored calls")]
    for model in run.models:
        spans = [_span(getattr(model, name)) for name in _NAMES]
        unknown = "unknown" if model.elsewhere else "-"
        usd = unknown if model.usd is None else _money(model.usd)
        rows.append((f"  {model.who} ({_short(model.model)})", *spans, usd, _number(model.stored[0])))
    print_columns(rows)
    for model in run.models:
        counted = f"; prompts counted {model.counted}" if model.counted else ""
        show(f"  {model.who}: expected replies from {model.basis}{counted}")


def _short(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] or path


def _number(value: float) -> str:
    return f"{round(value):,}"


def _span(value: "Range") -> str:
    """Expected, with the range where there is one."""
    if _number(value.low) == _number(value.most):
        return _number(value.expected)
    return f"{_number(value.expected)} ({_number(value.low)} to {_number(value.most)})"


def _money(value: "Range | None") -> str:
    if value is None:
        return "-"
    return f"{value.expected:,.4g} ({value.low:,.4g} to {value.most:,.4g})"


def _cost(found: "Plan") -> str:
    parts = [] if found.usd is None else [f"${_money(found.usd)}"]
    if found.unpriced:
        parts.append(f"unknown for {', '.join(found.unpriced)}: enter prices in conf/price/usd.yaml")
    return "; ".join(parts) or "nothing: no model is behind an endpoint, and none has a price"


def _time(seconds: "Range") -> str:
    return f"{duration(seconds.expected)} ({duration(seconds.low)} to {duration(seconds.most)})"


def _memory(memory: "Memory") -> str:
    def size(value: "Range | None") -> str:
        if value is None:
            return "unknown"
        ends = [_gib(each) for each in (value.low, value.expected, value.most)]
        return ends[1] if ends[0] == ends[2] else f"{ends[1]} ({ends[0]} to {ends[2]})"

    split = f", over {memory.split} GPUs" if memory.split > 1 else ""
    copies = f", {memory.copies} times" if memory.copies > 1 else ""
    return (
        f"memory of {_short(memory.model)}   weights {size(memory.weights)}, adapters {_gib(memory.adapters)}, KV cache"
        f" {size(memory.kv)}{split}{copies}"
    )


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**27 else f"{size / 2**20:.1f} MiB"


def _show_exactness(found: "Exactness") -> None:
    def said(each: "Foreseen") -> str:
        width = "unknown" if each.half_width is None else f"+/-{each.half_width:.3g}"
        least = "none" if each.difference is None else f"{each.difference:.3g}"
        return f"interval {width}, smallest difference found four times out of five {least}"

    show(f"exactness of {found.metric} [{found.unit}], from {found.basis}")
    for name, each in (("whole budget", found.whole), ("half of it", found.half)):
        show(f"  {name}: {each.samples} samples in {each.clusters} clusters: {said(each)}")
