"""`report --plots`: all plots that the data allow, each as SVG, PDF and PNG (or some of them), with a caption.

plots/
  means_<set>_<group>, differences_..., roles_..., parameters_..., length_..., dimensions_..., course_..., agreement_...
  captions.md       what each shows, how many values, on what data, whose judgement
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from roleeval.errors import ResultError
from roleeval.metrics import MetricInfo
from roleeval.report.found.collect import Entry, RunResult
from roleeval.report.found.compare import RunSet
from roleeval.report.found.frames import Frames
from roleeval.report.found.groups import cell_entries, headline_groups, splits_of
from roleeval.report.plots.canvas import Cast, Drawing, Look, Plot, looks, styled
from roleeval.report.plots.heatmap import by_cluster, heatmap
from roleeval.report.plots.judges import agreement, controls
from roleeval.report.plots.lines import Course, course_plot, dimensions
from roleeval.report.plots.means import Panel, forest, means
from roleeval.report.plots.rounds import quotes_by_round, words_by_round
from roleeval.report.plots.tradeoff import length, parameters
from roleeval.report.tables.contents import Contents, Section
from roleeval.report.tables.differences import Comparison, comparisons
from roleeval.report.tables.heads import labels

__all__ = ["Plot", "headline_picture", "plots"]

_LENGTHS = ("words", "characters")


def plots(found: Contents, *, kinds: Sequence[str] = ()) -> list[Plot]:
    """All plots of a report.

    Args:
        found: what the report holds.
        kinds: of files ("svg"); () is all.
    """
    drawn: list[Plot] = []
    styles = looks(row.label for section in found.sections for row in section.run_set.rows)
    with styled():
        for section in found.sections:
            for drawing in chain(_of_section(section, found, styles), _of_judges(section)):
                drawn.append(drawing.saved(kinds))
    return _apart(drawn)


def _apart(drawn: Sequence[Plot]) -> list[Plot]:
    """The plots with names of their own: two judges may have criteria of one name. Captions say which is which."""
    seen: Counter[str] = Counter()
    found = []
    for plot in drawn:
        key = plot.name.casefold()  # some file systems do not tell cases apart
        seen[key] += 1
        found.append(plot if seen[key] == 1 else replace(plot, name=f"{plot.name}_{seen[key]}"))
    return found


def headline_picture(found: Contents) -> bytes:
    """report.png: the means that represent the largest set; b"" where nothing represents one."""
    with styled():
        for section in sorted(found.sections, key=lambda section: -len(section.run_set.rows)):
            run_set, rows = section.run_set, _rows(section)
            panels = [
                Panel(f"{run_set.title}: {group}", infos[0], _values(run_set, rows, infos[0].name, group))
                for group, infos in _represented(section).items()
            ]
            if panels:
                cast = Cast(run_set, tuple(rows), looks(row.label for row in run_set.rows))
                return means(cast, panels, "report").saved(("png",)).files["png"]
    return b""


def _rows(section: Section) -> list[RunResult]:
    return section.choice.rows(section.run_set.rows)


def _represented(section: Section) -> dict[str, list[MetricInfo]]:
    """Headline group -> the metrics that represent it; without the groups that have none."""
    run_set, found = section.run_set, {}
    for group in headline_groups(run_set.runs):
        splits = splits_of(run_set.runs, group)
        there = {n for row in run_set.rows for n in row.entries if len(cell_entries(row, n, group, splits)) == 1}
        names = section.choice.representing(there, run_set.infos)
        if names:
            found[group] = [run_set.infos[name] for name in names]
    return found


def _values(run_set: RunSet, rows: Sequence[RunResult], name: str, group: str) -> tuple[Entry | None, ...]:
    splits = splits_of(run_set.runs, group)
    cells = [cell_entries(row, name, group, splits) for row in rows]
    return tuple(cell[0][1] if len(cell) == 1 and cell[0][1].mean is not None else None for cell in cells)


def _of_section(section: Section, found: Contents, styles: Mapping[str, Look]) -> Iterator[Drawing]:
    run_set, rows = section.run_set, _rows(section)
    represented = _represented(section)
    if not rows:
        return
    cast = Cast(run_set, tuple(rows), styles)
    compared = section.compared or _against_base(section, found)
    frames = Frames({info.name for infos in represented.values() for info in infos})
    for standing in section.standings:
        directed = [name for name in standing.names if run_set.infos[name].higher_is_better is not None]
        panels = [Panel("", run_set.infos[name], _values(run_set, rows, name, standing.group)) for name in directed]
        apart = [panel for panel in panels if len({entry.mean for entry in panel.entries if entry}) > 1]
        panels = apart or panels  # where all values are the same, there is nothing to see
        where = f"{run_set.title} {standing.group}"
        if panels:
            yield means(cast, _titled(panels, standing.title), _file("means", where))
        if compared is not None and compared.others:
            differences = [
                Panel("", panel.info, _values(run_set, compared.others, panel.info.name, standing.group))
                for panel in panels
            ]
            shown = [panel for panel in differences if any(panel.entries)]
            if shown:
                others = replace(cast, rows=compared.others)
                yield forest(others, compared, _titled(shown, standing.title), _file("differences", where))
    for group, infos in represented.items():
        where = f"{run_set.title} {group}"
        yield from _costs(cast, infos[0], group, where)
        for info in infos:
            yield from _roles(run_set, rows, info, group, frames)
        yield from _dimensions(cast, infos, group, where)
    yield from _courses(cast)


def _titled(panels: Sequence[Panel], group: str) -> list[Panel]:
    return [Panel(group if not place else "", panel.info, panel.entries) for place, panel in enumerate(panels)]


def _against_base(section: Section, found: Contents) -> Comparison | None:
    """Differences from a model that adds nothing to its base, where nobody named a reference."""
    plain = [row for row in section.run_set.rows if row.facts.parameters.adapters == 0]
    if found.reference is not None or not plain:
        return None
    try:
        mine = replace(found.collection, rows=section.run_set.rows)
        compared = comparisons(mine, plain[0].label)
    except ResultError:  # its score rows cannot be read
        return None
    return replace(compared[0], run_set=section.run_set)


def _costs(cast: Cast, info: MetricInfo, group: str, where: str) -> Iterator[Drawing]:
    run_set, rows = cast.run_set, cast.rows
    values, title = _values(run_set, rows, info.name, group), f"{run_set.title}: {group}"
    if len({row.facts.parameters.adapters for row in rows} - {None}) > 1:
        yield parameters(cast, info, values, title, _file("parameters", where))
    sizes = [
        size for size in run_set.infos.values() if size.unit in _LENGTHS or (size.unit == "rate" and size.headline)
    ]
    for size in sorted(sizes, key=lambda each: (not each.headline, each.position, each.name)):
        lengths = _values(run_set, rows, size.name, group)
        if sum(one is not None and other is not None for one, other in zip(values, lengths, strict=True)) > 1:
            yield length(cast, (info, size), (values, lengths), title, _file("length", where))
            return


def _roles(
    run_set: RunSet, rows: Sequence[RunResult], info: MetricInfo, group: str, frames: Frames
) -> Iterator[Drawing]:
    entries = [entry for entry in _values(run_set, rows, info.name, group) if entry]
    parts = next((entry.mean_of for entry in entries if entry.mean_of), ()) or tuple(
        dict.fromkeys(
            name for row in rows for name, entry in row.entries.get(info.name, {}).items() if entry in entries
        )
    )
    try:
        read = [frames.of(row) for row in rows]
    except ResultError:
        return
    cells = by_cluster(read, info.name, parts)
    if len(cells) > 1:
        name = _file("roles", f"{run_set.title} {group} {info.name.rpartition('/')[2]}")
        yield heatmap(run_set, rows, info, cells, entries, f"{run_set.title}: {group}", name)


def _dimensions(cast: Cast, infos: Sequence[MetricInfo], group: str, where: str) -> Iterator[Drawing]:
    """The criteria of a judge that has at least three on one scale."""
    known = cast.run_set.infos
    for prefix in {info.name.rpartition("/")[0]: None for info in infos if info.judged}:
        mine = [
            info
            for name, info in known.items()
            if name.rpartition("/")[0] == prefix and info.unit == "points" and not info.primary and not info.series
        ]
        shown = [info for info in mine if info.headline and any(_values(cast.run_set, cast.rows, info.name, group))]
        if len(shown) < 3:
            continue
        names = [info.name for info in shown]
        columns = [_values(cast.run_set, cast.rows, name, group) for name in names]
        said = [label.replace("(points)", "").strip(" ,") for label in labels(names, known).values()]
        course = Course(group, tuple(said), tuple(zip(*columns, strict=True)), "", "points")
        yield dimensions(cast, course, shown, _file("dimensions", f"{where} {prefix.partition('@')[0]}"))


def _courses(cast: Cast) -> Iterator[Drawing]:
    """Series of a judge's points, and what transcripts say by round."""
    run_set, rows = cast.run_set, cast.rows
    series: dict[tuple[str, str], list[MetricInfo]] = {}
    for info in run_set.infos.values():
        if info.series:
            series.setdefault((info.name.rpartition("/")[0], info.series), []).append(info)
    for group in headline_groups(run_set.runs):
        for (prefix, along), infos in series.items():
            infos = sorted(infos, key=lambda info: info.place)
            columns = [_values(run_set, rows, info.name, group) for info in infos]
            if len(infos) > 1 and any(entry for column in columns for entry in column):
                ticks = tuple(str(info.place) for info in infos)
                course = Course(f"{run_set.title}: {group}", ticks, tuple(zip(*columns, strict=True)), along, "points")
                name = _file("course", f"{run_set.title} {group} {prefix.partition('@')[0]} {along}")
                what = f"A judge's points over {along}."
                yield course_plot(cast, course, infos, name, what=what)
    try:
        words = words_by_round(rows)
        if words is not None:
            what = "Words of the model's turns over the turns' numbers; empty where no episode is so long."
            words = replace(words, title=f"{run_set.title}: {words.title}")
            yield course_plot(cast, words, (), _file("course", f"{run_set.title} words"), what=what)
        for prefix in {prefix: None for row in rows for prefix in row.facts.judges}:
            quotes = quotes_by_round(rows, prefix)
            if quotes is not None:
                what = f"Faults that {prefix} lists with a quotation, by the turn of the model that holds it."
                infos = [info for name, info in run_set.infos.items() if name.startswith(f"{prefix}/")]
                quotes = replace(quotes, title=f"{run_set.title}: {quotes.title}")
                name = _file("course", f"{run_set.title} {prefix.partition('@')[0]} faults")
                yield course_plot(cast, quotes, infos, name, what=what)
    except ResultError:  # transcripts are not there, or damaged
        return


def _of_judges(section: Section) -> Iterator[Drawing]:
    from roleeval.report.judge_card.measure import measure
    from roleeval.results import ResultFolder
    from roleeval.results.verdicts import judge_columns

    if not any(run.facts.judges for run in section.run_set.runs):
        return
    try:
        cards = measure(judge_columns(ResultFolder(run.path) for run in section.run_set.runs))
    except ResultError:
        return
    title = section.run_set.title
    drawn = [agreement(cards, _file("agreement", title))] if cards else []
    drawn += [controls(card, _file("controls", f"{title} {card.column.removeprefix('judge/')}")) for card in cards]
    yield from (plot for plot in drawn if plot is not None)


def _file(kind: str, where: str) -> str:
    """A file's name without anything that a file system or a shell could take for more."""
    return "_".join([kind, *re.findall(r"[A-Za-z0-9.-]+|[^\x00-\x7f]+", where)])
