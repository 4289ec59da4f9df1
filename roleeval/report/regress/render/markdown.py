"""A Regression as a comment on a pull request. Everything that a model, a file or a folder says is escaped."""

from collections.abc import Sequence

from roleeval.report.regress.compare import Regression
from roleeval.report.regress.render import words
from roleeval.report.render.markdown import escape
from roleeval.stats.gate import GateOutcome

_MARKS = {"FAIL": "**FAIL**", "INCONCLUSIVE": "*INCONCLUSIVE*", "not tested": "*not tested*"}
_TEXT = 600
_LISTED = 20
_LONGEST = 60_000  # characters: GitHub refuses comments of more than 65 536


def markdown(found: Regression, *, links: words.Links | None = None) -> str:
    """The comment's text.

    Args:
        found: what the gate found.
        links: of the worst items.
    """
    lines = [f"### roleeval regress: {found.outcome.value}", ""]
    lines += [f"{escape(words.headline(found))}. {escape(words.sides(found))}.", ""]
    for model in found.models:
        lines += [f"**{escape(words.model_words(model))}**", ""]
        lines += _table(words.cells(words.of_model(found, model)))
    lines += [escape(words.level_words(found)), ""]
    if sequential := words.sequential_words(found):
        lines += [escape(sequential), ""]
    lines += _items("Inconclusive", words.needs(found))
    lines += _items("Single clusters", words.cluster_lines(found))
    lines += _items("Broken guards", [words.guard_words(guard) for guard in found.guards if guard.broken])
    lines += _items(
        "Guards that hold, with a rise",
        [words.guard_words(guard) for guard in found.guards if not guard.broken and guard.now > guard.before],
    )
    lines += _items("Texts", [words.texts_words(texts) for texts in found.texts])
    differences = [words.difference_words(each) for each in words.listed_differences(found)]
    lines += _folded("First differing tokens", [f"- {escape(each)}" for each in differences[:_LISTED]])
    lines += _items("Notes", found.notes)
    if found.outcome is not GateOutcome.PASS:
        lines += _folded("Items that lost most", _worst(found, links or {}))
    return _shortened(lines)


def refused(reasons: Sequence[str]) -> str:
    """The comment where nothing could be compared."""
    return "\n".join(["### roleeval regress: cannot compare", "", *(f"- {escape(each)}" for each in reasons), ""])


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    numbers = len(words.HEADS) - 2
    lines = [f"| {' | '.join(words.HEADS)} |", f"| --- |{' --: |' * numbers} --- |"]
    for *values, outcome in rows:
        lines.append(f"| {' | '.join([*map(escape, values), _MARKS.get(outcome, outcome)])} |")
    return [*lines, ""]


def _items(title: str, items: Sequence[str]) -> list[str]:
    return [f"**{title}**", "", *(f"- {escape(each)}" for each in items), ""] if items else []


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""] if lines else []


def _worst(found: Regression, links: words.Links) -> list[str]:
    lines = []
    for item in found.worst:
        link = links.get((item.benchmark, item.model, item.sample))
        lines.append(f"- **{escape(words.worst_words(item))}**" + (f" ([side by side](<{link}>))" if link else ""))
        spoken = item.now or item.before
        if spoken is not None and spoken.question:
            lines.append(f"  - asked: {escape(spoken.question)}")
        for name, said in (("before", item.before), ("now", item.now)):
            lines.append(f"  - {name}: {escape(words.said(said, length=_TEXT))}")
    return lines


def _shortened(lines: Sequence[str]) -> str:
    """The whole text, or as many of its lines as a comment takes."""
    kept, length = [], 0
    for line in lines:
        length += len(line) + 1
        if length > _LONGEST:
            kept += ["", "(shortened: a comment takes no more; the job's artifact has all of it)", ""]
            break
        kept.append(line)
    text = "\n".join(kept)
    return text + "\n</details>\n" if text.count("<details>") > text.count("</details>") else text
