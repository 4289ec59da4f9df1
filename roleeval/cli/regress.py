"""`roleeval regress`: is a model worse than its baseline? For CI, and before a merge.

Exit codes: 0 PASS; 1 FAIL; 2 the two cannot be compared, or the command line is wrong; 3 INCONCLUSIVE, where the policy
blocks on it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roleeval.cli._say import say, show, show_json
from roleeval.errors import ConfigError, RoleEvalError

if TYPE_CHECKING:
    from roleeval.report.regress import Policy, Regression
    from roleeval.report.regress.kept import Side

CANNOT = 2


class GateFormat(StrEnum):
    """What `--format` takes."""

    terminal = "terminal"
    markdown = "markdown"
    junit = "junit"
    json = "json"


_SUFFIXES = {".md": GateFormat.markdown, ".xml": GateFormat.junit, ".json": GateFormat.json}

# Options that `roleeval gate` has too.
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="YAML with margins, guards and what blocks (docs/regression.md).")
]
Allowed = Annotated[
    list[str],
    typer.Option(
        "--allow", help="What may differ between the two, beside what the policy allows: decoding, items, ..."
    ),
]
Kind = Annotated[GateFormat, typer.Option("--format", help="What is printed.")]
Files = Annotated[
    list[Path], typer.Option("--out", help="Also write this file; its end says what: .md, .xml (JUnit) or .json.")
]


def regress(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[BASELINE] RESULTS",
            help="Result folders, or folders above them: the current results, after the baseline's if those are a"
            " folder too.",
        ),
    ],
    save: Annotated[
        Path | None, typer.Option(help="Write a baseline of RESULTS to this file, and compare nothing.")
    ] = None,
    baseline: Annotated[Path | None, typer.Option(help="The baseline: a file of --save, or a result folder.")] = None,
    policy: PolicyFile = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Any changed text fails; for greedy float32 runs on the CPU.")
    ] = False,
    sequential: Annotated[
        bool,
        typer.Option(
            "--sequential", help="Decide after each batch of clusters; RESULTS may lack the clusters of later batches."
        ),
    ] = False,
    texts: Annotated[
        bool, typer.Option("--texts", help="With --save: keep questions and answers too, to show them later.")
    ] = False,
    allow: Allowed = [],  # noqa: B006 (typer reads it)
    kind: Kind = GateFormat.terminal,
    out: Files = [],  # noqa: B006
    site: Annotated[
        Path | None, typer.Option(help="Also write both folders as a site, and link the worst items to it.")
    ] = None,
) -> None:
    """Test whether results are worse than a baseline; exit code 0 PASS, 1 FAIL, 2 cannot compare, 3 INCONCLUSIVE."""
    with exit_code_2():
        if save:
            code = _save(paths, save, texts=texts)
        else:
            chosen = chosen_policy(policy, exact=exact, allow=allow)
            sides = [*([baseline] if baseline else []), *paths]
            code = _compare(sides, chosen, sequential=sequential, kind=kind, out=out, site=site)
    raise typer.Exit(code)


@contextmanager
def exit_code_2() -> Iterator[None]:
    """Says what a user can fix in one line, and exits."""
    try:
        yield
    except RoleEvalError as error:
        say(f"roleeval: {' '.join(str(error).split())}")
        raise typer.Exit(CANNOT) from None


def _save(paths: list[Path], file: Path, *, texts: bool) -> int:
    from roleeval.report.regress import read_folder, save_baseline

    if len(paths) != 1:
        raise ConfigError("--save FILE takes one folder: roleeval regress --save FILE RESULTS")
    runs = read_folder(paths[0])
    size = save_baseline(file, runs, texts=texts)
    for each in runs.not_read:
        say(f"left out: {each}")
    for run in runs:
        show(f"{run.model} on {run.benchmark}: {len(run.asked_samples)} samples, {len(run.infos)} metrics ({run.name})")
    say(f"written: {file} ({size / 1000:.0f} kB)")
    return 0


def _compare(
    sides: list[Path], policy: "Policy", *, sequential: bool, kind: GateFormat, out: list[Path], site: Path | None
) -> int:
    from roleeval.report.regress import NotComparableError
    from roleeval.report.regress import regress as compare
    from roleeval.report.regress.compare import read_side

    check_files(out)
    if len(sides) != 2:
        raise ConfigError("give --baseline FILE RESULTS, or two folders: the baseline's and the current one")
    before, now = map(read_side, sides)
    try:
        found = compare(before, now, policy, sequential=sequential)
    except NotComparableError as error:
        refuse(error.reasons, kind, out)
        return CANNOT
    print_and_write(found, kind, out, links=_site(before, now, found, site) if site else {})
    return found.exit_code


def check_files(out: list[Path]) -> None:
    """Refuses files of `--out` whose names do not say what to write.

    Raises:
        ConfigError: names the first.
    """
    for file in out:
        if file.suffix not in _SUFFIXES:
            raise ConfigError(f"--out {file}: what to write is told by the end of its name; give .md, .xml or .json")


def chosen_policy(file: Path | None, *, exact: bool = False, allow: list[str]) -> "Policy":
    """The policy of a file, or the default one, with what the command line adds.

    Raises:
        ConfigError: it is not possible.
    """
    from roleeval.report.regress import Policy, policy_of, read_policy

    policy = read_policy(file) if file else Policy()
    more = policy_of({"allow": allow}, "--allow").allow
    return replace(policy, exact=policy.exact or exact, allow=(*policy.allow, *more))


def print_and_write(
    found: "Regression", kind: GateFormat, out: list[Path], *, links: Mapping[tuple[str, str, str], str]
) -> None:
    """Prints what the gate found, and writes the files of `--out`."""
    _print(found, kind, links)
    for file in out:
        _write(file, _text(found, _SUFFIXES[file.suffix], links))


def _print(found: "Regression", kind: GateFormat, links: Mapping[tuple[str, str, str], str]) -> None:
    from roleeval.report.regress.render.terminal import print_regression
    from roleeval.report.render.console import standard_output

    if kind is GateFormat.terminal:
        print_regression(found, standard_output(), links=links)
    elif kind is GateFormat.json:
        show_json(_text(found, kind, links).rstrip("\n"))
    else:
        show(_text(found, kind, links).rstrip("\n"))


def _text(found: "Regression", kind: GateFormat, links: Mapping[tuple[str, str, str], str]) -> str:
    from roleeval.report.regress.render.as_json import as_json
    from roleeval.report.regress.render.junit import junit
    from roleeval.report.regress.render.markdown import markdown

    if kind is GateFormat.markdown:
        return markdown(found, links=links)
    return junit(found) if kind is GateFormat.junit else as_json(found, links=links)


def refuse(reasons: Sequence[str], kind: GateFormat, out: list[Path]) -> None:
    """Says why nothing can be compared, in the formats that were asked for."""
    from roleeval.report.regress.render import as_json, junit, markdown

    texts = {
        GateFormat.markdown: markdown.refused,
        GateFormat.junit: junit.refused,
        GateFormat.json: as_json.refused,
    }
    say("roleeval: the two cannot be compared:")
    for reason in reasons:
        say(f"  {reason}")
    if kind in texts:
        show(texts[kind](reasons).rstrip("\n"))
    for file in out:
        _write(file, texts[_SUFFIXES[file.suffix]](reasons))


def _write(file: Path, text: str) -> None:
    from roleeval.results import write_atomically

    write_atomically(file, text.encode(errors="backslashreplace"))
    say(f"written: {file}")


def _site(before: "Side", now: "Side", found: "Regression", out: Path) -> dict[tuple[str, str, str], str]:
    """The site of all runs on both sides; worst item -> the page with both answers."""
    from roleeval.report.leaderboard import build_site

    folders = [run.path for side in (before, now) for run in side if run.path is not None]
    written = build_site(folders, out)
    say(f"written: {written.page}")
    links = {}
    for item in found.worst:
        runs = [side.runs[item.benchmark, item.model][0].path for side in (before, now)]
        links[item.benchmark, item.model, item.sample] = written.side_by_side(
            item.sample, [path for path in runs if path]
        )
    return {key: link for key, link in links.items() if link}
