"""Which groups of scores get a table, and which entry of a run is in which cell.

A group is "split" or "split/protocol", or an average of groups ("eng/AVG"). Metrics without references have one entry
per split; they are shown with every protocol of the split.
"""

from collections.abc import Iterable, Sequence

from roleeval.report.found.collect import Entry, RunResult


def table_groups(runs: Sequence[RunResult]) -> list[str]:
    """The groups that get a table: protocols and averages; splits only where nothing else covers them."""
    groups = {group for run in runs for entries in run.entries.values() for group in entries}
    covering = [group for group in groups if "/" in group]
    covered = {split for group in covering for split in splits_of(runs, group)}
    averaged = [set(splits_of(runs, group)) for group in covering if parts_of(runs, group)]

    def stands_alone(group: str) -> bool:
        splits = set(splits_of(runs, group))
        return splits not in averaged if parts_of(runs, group) else not splits <= covered

    plain = [group for group in groups if "/" not in group and stands_alone(group)]
    order = {split: place for run in reversed(runs) for place, split in enumerate(run.facts.splits)}

    def place(group: str) -> tuple[int, bool, str]:
        places = [order.get(split, len(order)) for split in splits_of(runs, group)]
        return max(places), bool(parts_of(runs, group)), group

    return sorted([*covering, *plain], key=place)


def headline_groups(runs: Sequence[RunResult]) -> list[str]:
    """The averages, and the groups that are in none."""
    groups = table_groups(runs)
    averaged = {part for group in groups for part in parts_of(runs, group)}
    return [group for group in groups if group not in averaged]


def parts_of(runs: Iterable[RunResult], group: str) -> tuple[str, ...]:
    """The groups that an average is made of; () for any other group."""
    # A metric without references has the splits as its parts; the others' protocols say more.
    found = [entries[group].mean_of for run in runs for entries in run.entries.values() if group in entries]
    return max(found, key=lambda parts: ("/" in "".join(parts), len(parts)), default=())


def splits_of(runs: Sequence[RunResult], group: str) -> list[str]:
    """The splits whose answers a group is about."""
    return list(dict.fromkeys(part.partition("/")[0] for part in parts_of(runs, group) or (group,)))


def cell_entries(run: RunResult, metric: str, group: str, splits: Sequence[str]) -> list[tuple[str, Entry]]:
    """The entries of a run to show for a metric in a group's table, each with a label ("" for the group's own).

    A metric without references has no entry for a protocol. Its entry for the split is shown; for an average over
    several splits the average over the same splits where the summary has one, else one entry per split.
    """
    entries = run.entries.get(metric, {})
    if group in entries:
        return [("", entries[group])]
    if any("/" in name and not entry.mean_of for name, entry in entries.items()):
        return []
    if len(splits) == 1:
        return [("", entries[splits[0]])] if splits[0] in entries else []
    for entry in entries.values():
        if entry.mean_of and set(entry.mean_of) == set(splits):
            return [("", entry)]
    return [(split, entries[split]) for split in splits if split in entries]


def planned_rows(run: RunResult, group: str, entry: Entry) -> int | None:
    """How many values a group should have: the rows of its splits, up to the limit, for every seed; None: unknown.

    What a split has of chosen clusters is not known here.
    """
    if run.facts.chosen is not None:
        return None
    total = 0
    for part in entry.mean_of or (group,):
        rows = run.facts.splits.get(part.partition("/")[0])
        if rows is None:
            return None
        total += rows if run.facts.limit is None else min(rows, run.facts.limit)
    return total * max(1, len(run.members))
