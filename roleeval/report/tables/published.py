"""Published numbers (results/published/*.yaml): in separate tables, never among measured rows.

results/published/<paper>.yaml
  benchmark, title, source, judge, protocol, remarks
  columns     heading -> metric
  units       heading -> unit of the metric, if it is not a fraction
  times_100   headings whose printed values are 100 times the metric's
  rows        {model, <heading>: value as printed, remark}
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from roleeval.errors import DataError
from roleeval.metrics import Unit
from roleeval.report.tables.columns import value_text
from roleeval.report.tables.tables import NOTHING, Notes, Table

_NEEDED = ("benchmark", "title", "source", "judge", "protocol", "columns", "rows")


def published_tables(benchmarks: Iterable[str]) -> list[Table]:
    """The shipped tables about these benchmarks, in the files' order.

    Raises:
        DataError: a file is not what the module's first lines show.
    """
    from roleeval.resources import resource

    wanted = set(benchmarks)
    files = sorted(resource("results/published").glob("*.yaml"))
    return [reported(file) for file in files if _read(file)["benchmark"] in wanted]


def reported(file: Path) -> Table:
    """One file as a table; values are in the metrics' own units, like measured ones.

    Raises:
        DataError: the file is not what the module's first lines show.
    """
    data = _read(file)
    columns: Mapping[str, str] = data["columns"]
    units: Mapping[str, Unit] = data.get("units", {})
    scale = {heading: 100.0 if heading in data.get("times_100", ()) else 1.0 for heading in columns}
    if odd := [unit for unit in units.values() if unit not in get_args(Unit)]:
        raise DataError(f"{file}: units has {odd[0]!r}; give one of {', '.join(get_args(Unit))}")
    notes, rows = Notes(), []
    for row in data["rows"]:
        if unknown := set(row) - {"model", "remark", *columns}:
            raise DataError(
                f"{file}: the row of {row.get('model')!r} has {sorted(unknown)[0]!r}, which is not in columns"
            )
        mark = notes.mark(row["remark"]) if row.get("remark") else ""
        cells = [
            (value_text(units.get(heading, "fraction"), row[heading] / scale[heading]),)
            if heading in row
            else (NOTHING,)
            for heading in columns
        ]
        rows.append(((f"{row['model']}{mark}",), *cells))
    percent = "".join(f"; {heading}, printed times 100 there" for heading in columns if scale[heading] != 1.0)
    return Table(
        title=f"Reported elsewhere: {data['title']}",
        caption=(
            f"Not measured here. Source: {data['source']}; judge: {data['judge']}; protocol: {data['protocol']}."
            " Other judges, prompts or protocols give other numbers: not directly comparable. Columns:"
            f" {', '.join(f'{heading} is {metric}' for heading, metric in columns.items())}{percent}."
        ),
        columns=("model", *columns),
        rows=tuple(rows),
        notes=(*notes.lines(), *data.get("remarks", ())),
    )


def published_values(file: Path) -> dict[str, dict[str, float]]:
    """Metric -> model -> value in the metric's own unit, of one file; models as they are printed.

    Raises:
        DataError: the file is not what the module's first lines show.
    """
    data = _read(file)
    found: dict[str, dict[str, float]] = {}
    for heading, metric in data["columns"].items():
        scale = 100.0 if heading in data.get("times_100", ()) else 1.0
        values = {str(row.get("model")): row[heading] for row in data["rows"] if heading in row}
        if odd := [model for model, value in values.items() if not isinstance(value, (int, float))]:
            raise DataError(f"{file}: the row of {odd[0]!r} has no number for {heading!r}")
        found[metric] = {model: value / scale for model, value in values.items()}
    return found


@lru_cache(maxsize=32)
def _read(file: Path) -> Mapping[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error
    if not isinstance(data, dict):
        raise DataError(f"{file}: expected a mapping")
    if absent := [key for key in _NEEDED if key not in data]:
        raise DataError(f"{file}: lacks {absent[0]!r}")
    return data
