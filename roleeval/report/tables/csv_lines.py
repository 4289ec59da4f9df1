"""Lines of a CSV file: numbers with full precision, and texts that no spreadsheet takes for a formula."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

_FORMULA = ("=", "+", "-", "@")


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, str | float | None]]) -> str:
    """A head and one line a row.

    Args:
        columns: names, in order.
        rows: column -> a text, a number, or None for an empty cell.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])
    return stream.getvalue()


def _cell(value: str | float | None) -> str | float:
    """A name such as "=1+1" is the name of a model, and in a spreadsheet a formula: an apostrophe makes it text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    text = value.replace("\r", " ")  # it would end a line
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith("\t") else text
