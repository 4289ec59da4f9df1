"""report.html: the headline tables as one page without scripts, that asks nobody for anything."""

from html import escape as quoted

from roleeval import __version__
from roleeval.plain import plain
from roleeval.report.tables.contents import Contents
from roleeval.report.tables.facts import fact_columns
from roleeval.report.tables.standings import Score, Standings
from roleeval.report.tables.tables import NOTHING

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Results</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: bottom; }
th.n, td.n { text-align: right; white-space: nowrap; }
th.n { white-space: normal; }
thead { border-top: 2px solid; border-bottom: 1px solid; }
tbody { border-bottom: 1px solid color-mix(in srgb, currentColor 30%, transparent); }
tbody th { font-weight: normal; font-style: italic; padding-top: .6rem; }
table { border-bottom: 2px solid; }
small { opacity: .75; }
p.note, ul { font-size: .85rem; opacity: .85; overflow-wrap: anywhere; }
</style>
</head>
<body>
"""


def html(found: Contents) -> str:
    """All headline tables as a page."""
    body = "\n".join(_table(table) for table in found.headlines)
    runs = f"<p>{len(found.collection.runs)} runs, reported by roleeval {__version__}.</p>"
    return f"{_PAGE}<h1>Results</h1>\n{runs}\n{body}\n</body>\n</html>\n"


def escape(text: str) -> str:
    """Text that a browser shows as it is."""
    return quoted(plain(text))


def _table(found: Standings) -> str:
    facts = fact_columns(found)
    heads = [(column.head, column.number) for column in facts] + [(head, True) for head in found.heads]
    lines = [f"<section><h2>{escape(found.title)}</h2>"]
    lines += [f'<p class="note">{escape(text)}</p>' for text in (found.caveat, found.caption) if text]
    cells = "".join(f'<th scope="col"{_number(number)}>{escape(head)}</th>' for head, number in heads)
    lines.append(f'<div class="wide"><table><thead><tr><th scope="col">model</th>{cells}</tr></thead>')
    family = None
    for place, line in enumerate(found.lines):
        if line.row.family != family:
            lines += ["</tbody>"] if family is not None else []
            family = line.row.family
            lines.append(f'<tbody><tr><th scope="rowgroup" colspan="{len(heads) + 1}">{escape(family)}</th></tr>')
        name = line.row.model if found.axes else line.row.label
        told = "".join(f"<td{_number(column.number)}>{escape(column.texts[place])}</td>" for column in facts)
        values = "".join(f'<td class="n">{_value(score)}</td>' for score in line.scores)
        lines.append(f"<tr><td>{escape(name)}</td>{told}{values}</tr>")
    lines.append("</tbody></table></div>")
    notes = "".join(f"<li>{escape(note)}</li>" for note in found.notes)
    return "\n".join([*lines, f"<ul>{notes}</ul></section>"])


def _number(number: bool) -> str:
    return ' class="n"' if number else ""


def _value(score: Score | None) -> str:
    if score is None:
        return NOTHING
    mean = f"<strong>{score.mean}</strong>" if score.mark == "best" else score.mean
    half = f" <small>±{score.half}</small>" if score.half else ""
    return mean + half + (" ≈" if score.mark == "tied" else "")
