"""`roleeval gate`: runs an evaluation in batches of clusters, and ends as soon as the regression gate is decided.

Each batch's run has the clusters of all batches up to its own; answers of the earlier ones come from the completion
store. Exit codes: those of `roleeval regress`; 2 also where a run failed; 130 (143) interrupted.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roleeval.cli._say import say
from roleeval.cli.regress import (
    CANNOT,
    Allowed,
    Files,
    GateFormat,
    Kind,
    PolicyFile,
    check_files,
    chosen_policy,
    exit_code_2,
    print_and_write,
    refuse,
)
from roleeval.errors import ConfigError, ResultError

if TYPE_CHECKING:
    from roleeval.cli.invocation import Invocation
    from roleeval.config import RunConfig
    from roleeval.report.regress import Policy, Regression
    from roleeval.report.regress.batches import Batches
    from roleeval.report.regress.kept import Side

_NAMED = 10  # clusters in a line


def gate(
    arguments: Annotated[
        list[str], typer.Argument(metavar="-- ARGS", help="The arguments of run_eval.py, with -m and --then if needed.")
    ],
    baseline: Annotated[Path, typer.Option(help="A file of roleeval regress --save, or a result folder.")],
    policy: PolicyFile = None,
    allow: Allowed = [],  # noqa: B006 (typer reads it)
    kind: Kind = GateFormat.terminal,
    out: Files = [],  # noqa: B006
) -> None:
    """Run an evaluation only until it is clear whether it is worse than a baseline; exit codes as regress."""
    from roleeval.cli.hydra_app import guarded

    with exit_code_2():
        check_files(out)
        planned = _planned(arguments, baseline, chosen_policy(policy, allow=allow))
        code = CANNOT if planned is None else guarded(lambda here: _run(planned, here, kind, out))
    raise typer.Exit(code)


@dataclass(frozen=True)
class _Plan:
    """What is run and decided, before anything is.

    Attributes:
        commands: of ARGS.
        baseline: its runs of the models that ARGS name.
        policy: of the gate.
        batches: their clusters; the same at every look.
        first: the number of batches that are run before the first look.
        samples: that are asked if all batches run.
    """

    commands: list[list[str]]
    baseline: "Side"
    policy: "Policy"
    batches: "Batches"
    first: int
    samples: int

    def chosen(self, number: int) -> Mapping[str, tuple[str, ...]] | None:
        """Benchmark -> its clusters in the first so many batches; None for all, which is the ordinary run."""
        from roleeval.report.regress.batches import chosen

        if number == len(self.batches):
            return None
        return {benchmark: chosen(benchmark, self.batches[:number]) for benchmark, _ in self.baseline.runs}


def _planned(arguments: list[str], baseline: Path, policy: "Policy") -> _Plan | None:
    """The plan; None where Hydra refuses the arguments, whose cause is printed.

    Raises:
        RoleEvalError: the baseline cannot be read, or cannot be compared with what ARGS run.
    """
    from roleeval.cli.hydra_app import commands_of, jobs_of
    from roleeval.report.regress.batches import first_look, planned_batches
    from roleeval.report.regress.compare import read_side

    commands = commands_of(arguments)
    before = read_side(baseline)
    jobs = jobs_of(commands)
    if jobs is None:
        return None
    _refuse_options(jobs)
    runs = Counter((job.benchmark.name, job.model.name) for job in jobs)
    if unknown := [key for key in runs if key not in before.runs]:
        there, here = (", ".join(f"{model} on {name}" for name, model in keys) for keys in (before.runs, unknown))
        raise ResultError(f"{baseline}: has no run of {here}; leave it out of ARGS. There are: {there}")
    before = replace(before, runs={key: before.runs[key] for key in before.runs if key in runs})
    batches = planned_batches(before)
    samples = sum(len(before.runs[key][0].asked_samples) * count for key, count in runs.items())
    return _Plan(commands, before, policy, batches, first_look(before, policy, batches), samples)


def _refuse_options(jobs: "Sequence[RunConfig]") -> None:
    from roleeval.benchmarks import SelfScored

    for job in jobs:
        if isinstance(job.benchmark, SelfScored):
            raise ConfigError(
                f"{job.benchmark.name} scores itself, always in full; use run_eval.py, then roleeval regress"
            )
        if job.options.clusters is not None:
            raise ConfigError("clusters: roleeval gate chooses them; leave clusters out")
        if job.options.run_name is not None:
            raise ConfigError(f"run_name={job.options.run_name}: each batch has its own folder; leave run_name out")


def _run(plan: _Plan, here: "Invocation", kind: GateFormat, out: list[Path]) -> int:
    from roleeval.cli.hydra_app import run_all
    from roleeval.report.regress import NotComparableError, regress
    from roleeval.report.regress.read import read_folders

    for number in range(plan.first, len(plan.batches) + 1):
        here.begin(plan.chosen(number))
        if run_all(plan.commands, here) or here.failures or here.partial or not here.folders:
            refuse([*here.failures, *here.partial] or ["ARGS ran nothing; the cause is above"], kind, out)
            return CANNOT
        folders = list(map(Path, here.folders))
        now = read_folders(folders, os.path.commonpath(folders))
        try:
            found = regress(plan.baseline, now, plan.policy, sequential=True, batches=plan.batches)
        except NotComparableError as error:
            refuse(error.reasons, kind, out)
            return CANNOT
        asked = sum(len(run.asked_samples) for run in now)
        say(_batch_words(plan, number, found, asked))
        if found.decided:
            break
    print_and_write(found, kind, out, links={})
    left = plan.samples - asked
    say(f"roleeval: {left} of {plan.samples} samples were not asked: {left / plan.samples:.0%} of the calls saved")
    return found.exit_code


def _batch_words(plan: _Plan, number: int, found: "Regression", asked: int) -> str:
    batches = plan.batches[:number] if number == plan.first else plan.batches[number - 1 : number]
    names = [name.partition("/")[2] for batch in batches for name in batch]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (
        f"roleeval: batch {number} of {len(plan.batches)} ({', '.join(names[:_NAMED])}{more}): {found.outcome.value} so"
        f" far; {asked} of {plan.samples} samples asked ({asked / plan.samples:.0%})"
    )
