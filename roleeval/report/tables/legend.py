"""What the metrics of a set are, in the words of whoever declared them (MetricInfo)."""

from roleeval.metrics import MetricInfo
from roleeval.report.found.compare import RunSet, clusters_word
from roleeval.report.tables.columns import ordered
from roleeval.report.tables.tables import NOTHING, Cell, Table

_BETTER = {True: "higher", False: "lower", None: NOTHING}


def legend(run_set: RunSet) -> Table:
    """One row for each metric that a run of the set has: label, name, unit, range, direction, recipe, source."""
    infos = run_set.infos
    names = ordered((name for run in run_set.rows for name in run.entries), infos)
    columns = ("metric", "name in files", "unit", "range", "better", "one value per", "recipe")
    return Table("Metrics", "", columns, tuple(_row(infos[name], run_set) for name in names), ())


def _row(info: MetricInfo, run_set: RunSet) -> tuple[Cell, ...]:
    per = clusters_word(run_set, 1) if info.per == "cluster" else "answer"
    recipe = f"{info.recipe} Source: {info.source}." if info.source else info.recipe
    return (
        (info.label,),
        (info.name,),
        (info.unit,),
        (_range(info),),
        (_BETTER[info.higher_is_better],),
        (per,),
        (recipe or NOTHING,),
    )


def _range(info: MetricInfo) -> str:
    low, high = (None if end is None else f"{end:g}" for end in (info.low, info.high))
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"from {low}" if low is not None else f"up to {high}" if high is not None else NOTHING
