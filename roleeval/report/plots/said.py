"""Captions: what a plot shows, how many values, on what data, whose judgement."""

from collections.abc import Iterable, Sequence

from roleeval.metrics import MetricInfo
from roleeval.report.found.collect import Entry, judge_words
from roleeval.report.found.compare import RunSet, clusters_word, data_name, interval_words


def caption(run_set: RunSet, what: str, infos: Sequence[MetricInfo], entries: Iterable[Entry]) -> str:
    """A sentence on what is shown, and one on n, clusters, data, intervals and judges.

    Args:
        run_set: whose runs.
        what: the plot shows, as a sentence.
        infos: its metrics.
        entries: the values that are drawn.
    """
    counts = sorted({entry.n for entry in entries})
    clusters = sorted({entry.clusters for entry in entries})
    facts = run_set.rows[0].facts
    parts = [
        f"n {_span(counts)} a model" if counts else "",
        f"{_span(clusters)} {clusters_word(run_set)}" if clusters else "",
        f"data {data_name(facts.data)} (hash {facts.data_hash[:12] or 'unknown'})",
        interval_words(run_set) if entries else "",
        *judges(run_set, infos),
    ]
    return f"{run_set.title}: {what} {'; '.join(part for part in parts if part)}."


def judges(run_set: RunSet, infos: Iterable[MetricInfo]) -> list[str]:
    """Who judged these metrics."""
    names = [info.name for info in infos]
    said = judge_words(run_set.runs)
    return [f"{prefix}: {words}" for prefix, words in said.items() if any(n.startswith(f"{prefix}/") for n in names)]


def _span(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
