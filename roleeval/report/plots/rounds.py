"""What happens in the course of an episode: the model's turns by their number, read from transcripts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from roleeval.report.found.collect import Entry, RunResult
from roleeval.report.plots.lines import Course
from roleeval.results import ResultFolder, read_judgements, read_transcripts
from roleeval.stats import cluster_codes, clustered_mean
from roleeval.types import MODEL, Sample, Transcript

FEW = 3  # with fewer turns there is no course
_PLACES = 10
_QUOTE_LETTERS = 12
_WORDS = re.compile(r"[\u3400-\u9fff]|[^\W_]+")
# (cluster, the place of a turn among the model's, value)
Points = list[tuple[str, int, float]]


def words_by_round(rows: Sequence[RunResult]) -> Course | None:
    """Words of the model's turns (letters, in Chinese) over the turns' numbers; None where episodes are short.

    Raises:
        ResultError: transcripts are damaged.
    """
    return _course(rows, [_words(row) for row in rows], "Length of turns", "words a turn")


def quotes_by_round(rows: Sequence[RunResult], column: str) -> Course | None:
    """Faults that a judge lists with a quotation, over the number of the turn that holds it; None where there are none.

    Only what a turn of the model holds letter by letter has a place.

    Args:
        rows: of a table.
        column: the judge's.

    Raises:
        ResultError: transcripts or judgements are damaged.
    """
    points = [_quotes(row, column) for row in rows]
    if not any(value for each in points for _, _, value in each):
        return None
    return _course(rows, points, "Where faults are found", "quoted faults a turn")


def _course(rows: Sequence[RunResult], points: Sequence[Points], title: str, measured: str) -> Course | None:
    most = max((place for each in points for _, place, _ in each), default=-1) + 1
    if most < FEW:
        return None
    step = -(-most // _PLACES)
    places = -(-most // step)
    ticks = [_tick(place * step + 1, min((place + 1) * step, most)) for place in range(places)]
    entries = tuple(tuple(_entry(each, place, step) for place in range(places)) for each in points)
    return Course(title, tuple(ticks), entries, "turn of the model", measured)


def _tick(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"


def _entry(points: Points, place: int, step: int) -> Entry | None:
    """The mean of a place, with an interval over clusters; None where no episode is so long."""
    import numpy as np

    there = [(cluster, value) for cluster, at, value in points if at // step == place]
    if not there:
        return None
    values = np.array([value for _, value in there], dtype=float)
    found = clustered_mean(values, cluster_codes([cluster for cluster, _ in there]), within=(0.0, None))
    ends = (found.ci_low, found.ci_high)
    return Entry(found.mean, *ends, found.n, found.missing, found.clusters, {}, method=found.method)


def _episodes(row: RunResult) -> Iterator[tuple[Sample, Transcript]]:
    for run in row.members or (row,):
        yield from read_transcripts(ResultFolder(run.path).transcripts)


def _own(transcript: Transcript) -> list[str]:
    return [turn.visible for turn in transcript.turns if turn.part == MODEL and not turn.aside]


def _words(row: RunResult) -> Points:
    return [
        (sample.cluster, place, float(len(_WORDS.findall(text))))
        for sample, transcript in _episodes(row)
        for place, text in enumerate(_own(transcript))
    ]


def _quotes(row: RunResult, column: str) -> Points:
    quoted: dict[str, list[str]] = {}
    for run in row.members or (row,):
        for judgement in read_judgements(ResultFolder(run.path).judgements):
            if judgement.column == column and judgement.control is None and judgement.verdict:
                quoted.setdefault(judgement.sample_id, []).extend(_listed(judgement.verdict))
    points: Points = []
    for sample, transcript in _episodes(row):
        own = _own(transcript)
        counts = [0.0] * len(own)
        for quote in quoted.get(sample.id, ()):
            place = next((number for number, text in enumerate(own) if quote in text), None)
            if place is not None:
                counts[place] += 1
        points += [(sample.cluster, place, count) for place, count in enumerate(counts)]
    return points


def _listed(verdict: Mapping[str, Any]) -> Iterator[str]:
    """The longest text of every entry of a verdict's lists: its quotation."""
    for value in verdict.values():
        for entry in value if isinstance(value, list) else ():
            texts = (
                [text.strip() for text in entry.values() if isinstance(text, str)] if isinstance(entry, dict) else []
            )
            longest = max(texts, key=len, default="")
            if len(longest) >= _QUOTE_LETTERS:
                yield longest
