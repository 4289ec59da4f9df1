"""A Regression on the terminal: 100 columns are enough."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from roleeval.plain import plain
from roleeval.report.regress.compare import Regression
from roleeval.report.regress.render import words
from roleeval.stats.gate import GateOutcome

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow", "not tested": "yellow"}
_TEXT = 400
_LISTED = 10


def print_regression(found: Regression, console: "Console", *, links: words.Links | None = None) -> None:
    """Prints the outcome, the metrics of each model, guards, changed texts and the worst items.

    Args:
        found: what the gate found.
        console: where to print.
        links: of the worst items.
    """
    from rich.text import Text

    def line(text: str, style: str = "") -> None:
        console.print(Text(plain(text), style=style))

    line(f"{found.outcome.value}: {words.headline(found)}", _STYLES[found.outcome.value])
    line(words.sides(found), "dim")
    for model in found.models:
        console.print()
        line(words.model_words(model))
        _print_rows(words.cells(words.of_model(found, model)), console)
    console.print()
    line(words.level_words(found), "dim")
    if sequential := words.sequential_words(found):
        line(sequential)
    for need in words.needs(found):
        line(f"INCONCLUSIVE  {need}", "yellow")
    for lost in words.cluster_lines(found):
        line(f"FAIL  {lost}", _STYLES["FAIL"])
    for guard in found.guards:
        if guard.broken:
            line(f"FAIL  {words.guard_words(guard)}", _STYLES["FAIL"])
        elif guard.now > guard.before:
            line(f"guard holds  {words.guard_words(guard)}")
    for texts in found.texts:
        is_failure = found.policy.exact and bool(texts.changed)
        line(words.texts_words(texts), _STYLES["FAIL"] if is_failure else "")
    for difference in words.listed_differences(found)[:_LISTED]:
        line(f"  {words.difference_words(difference)}")
    for note in found.notes:
        line(f"note: {note}", "dim")
    _print_worst(found, console, links or {})


def _print_rows(rows: Iterable[list[str]], console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, head in enumerate(words.HEADS):
        number = 0 < place < len(words.HEADS) - 1
        view.add_column(head, justify="right" if number else "left", overflow="fold", no_wrap=place > 0)
    for row in rows:
        *values, outcome = (plain(cell) for cell in row)
        view.add_row(*map(Text, values), Text(outcome, style=_STYLES[outcome]))
    console.print(view)


def _print_worst(found: Regression, console: "Console", links: words.Links) -> None:
    from rich.padding import Padding
    from rich.text import Text

    if not found.worst or found.outcome is GateOutcome.PASS:
        return
    console.print()
    console.print(Text("Items that lost most", style="bold"))
    for item in found.worst:
        console.print(Text(plain(words.worst_words(item))))
        spoken = item.now or item.before
        question = spoken.question if spoken else ""
        for name, text in (
            ("asked", question),
            ("before", words.said(item.before, length=_TEXT)),
            ("now", words.said(item.now, length=_TEXT)),
        ):
            if text:
                body = Text(f"{name:<7} ", style="dim").append(plain(text), style="not dim")
                console.print(Padding(body, (0, 0, 0, 2), expand=False))
        if link := links.get((item.benchmark, item.model, item.sample)):
            console.print(Text(f"  see     {plain(link)}", style="dim"), soft_wrap=True)
