"""Ratings of the models that a pairwise judge compared: one table for each judge's column and set of comparable runs.

Next to the ratings: win rates, average ranks, and the judge's flips and first slots.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from roleeval.errors import DataError, ResultError
from roleeval.judging import REFERENCES
from roleeval.report.found.collect import Collection, NotShown, judge_words
from roleeval.report.found.compare import RunSet, clusters_word, method_words, run_sets
from roleeval.report.tables.csv_lines import csv_lines
from roleeval.report.tables.tables import NOTHING, Cell, Table, few_clusters_note
from roleeval.results import ResultFolder
from roleeval.results.verdicts import Pairs, judge_columns, pairs
from roleeval.stats import (
    FEW_CLUSTERS,
    RATING_RESAMPLES,
    Estimate,
    Outcome,
    Rating,
    Ratings,
    bradley_terry,
    cluster_codes,
    clustered_mean,
    first_slot_rate,
    flip_rate,
    win_rate,
)

COLUMNS = (
    *("benchmark", "set", "column", "criterion", "anchor", "model", "rating", "ci_low", "ci_high", "group", "outcomes"),
    *("win_rate", "win_ci_low", "win_ci_high", "average_rank", "average_rank_ci_low", "average_rank_ci_high"),
    *("average_rank_n", "clusters", "tie_strength"),
)


@dataclass(frozen=True, slots=True)
class Rated:
    """What one judge's column says of a set's models on one criterion, or on all.

    Attributes:
        run_set: the runs.
        column: the judge's.
        judge: in words.
        criterion: "overall" is all criteria, each sample's criteria counting alike.
        names: the models, best first where they are rated.
        ratings: None where they cannot be compared; `trouble` says why.
        wins: model -> its win rate.
        places: model -> its average place among all models, over samples where it met each of them.
        flip, first_slot: the judge's habits over all asked pairs.
        absent: runs whose folders are not available.
    """

    run_set: RunSet
    column: str
    judge: str
    criterion: str
    names: tuple[str, ...]
    ratings: Ratings | None
    trouble: str
    wins: Mapping[str, Estimate]
    places: Mapping[str, Estimate]
    flip: Estimate
    first_slot: Estimate
    absent: tuple[str, ...]


def rated(collection: Collection, reference: str | None) -> tuple[list[Rated], list[NotShown]]:
    """Rates the models of every set and pairwise column: first over all criteria, then on each of several.

    Args:
        collection: the runs.
        reference: the model (or MODEL/RUN) whose rating is fixed, where a column compares it; None or another:
            the benchmark's references, else the first name.

    Returns:
        The ratings, and sets whose judgements or transcripts cannot be read.
    """
    found: list[Rated] = []
    trouble = []
    for run_set in run_sets(collection.rows):
        try:
            found += _of_set(run_set, reference)
        except ResultError as error:
            trouble.append(NotShown(run_set.runs[0].path.parent.parent, f"ratings of {run_set.title}: {error}"))
    return found, trouble


def with_ratings(collection: Collection, reference: str | None) -> tuple[Collection, list[Rated]]:
    """The collection with what could not be rated among what is not shown, and the ratings."""
    found, trouble = rated(collection, reference)
    return replace(collection, not_shown=(*collection.not_shown, *trouble)), found


def _of_set(run_set: RunSet, reference: str | None) -> Iterator[Rated]:
    words = judge_words(run_set.runs)
    names = {ResultFolder(run.path).run_id: run.label for run in run_set.runs}
    for column in judge_columns(ResultFolder(run.path) for run in run_set.runs):
        if not column.is_pairwise:
            continue
        compared = pairs(column, names)
        judge = next((said for prefix, said in words.items() if prefix.startswith(column.name)), "")
        criteria = list(compared.verdicts) if len(compared.verdicts) > 1 else []
        for criterion in (None, *criteria):
            yield _rated(run_set, column.name, judge, compared, criterion, reference)


def _rated(
    run_set: RunSet, column: str, judge: str, compared: Pairs, criterion: str | None, reference: str | None
) -> Rated:
    outcomes = compared.outcomes(criterion)
    verdicts = list(compared.verdicts[criterion]) if criterion else compared.all_verdicts
    ratings, trouble = None, "" if outcomes else "no usable verdict in both orders."
    try:
        if outcomes:
            ratings = bradley_terry(outcomes, anchor=_anchor(compared, outcomes, reference))
    except DataError as error:
        trouble = str(error)
    names = tuple(rating.model for rating in ratings.models) if ratings else compared.names
    return Rated(
        run_set=run_set,
        column=column,
        judge=judge,
        criterion=criterion or "overall",
        names=names,
        ratings=ratings,
        trouble=trouble,
        wins={name: win_rate(outcomes, name) for name in names},
        places=average_places(outcomes, names),
        flip=flip_rate(verdicts, aggregate=compared.aggregate),
        first_slot=first_slot_rate(verdicts),
        absent=compared.absent,
    )


def _anchor(compared: Pairs, outcomes: Sequence[Outcome], reference: str | None) -> str:
    there = {name for outcome in outcomes for name in (outcome.model_a, outcome.model_b)}
    wanted = [name for run, name in compared.name_of.items() if reference in (run, name, run.partition("/")[0])]
    return next(name for name in (*wanted, REFERENCES, *sorted(there)) if name in there)


def average_places(outcomes: Sequence[Outcome], names: Sequence[str]) -> dict[str, Estimate]:
    """Model -> its average place, 1 being the best, over the items where it met every other model.

    A place is 1 + the points lost: a loss puts one model before it, a tie half of one.
    """
    import numpy as np

    lost: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    clusters = {outcome.item: outcome.cluster for outcome in outcomes}
    for outcome in outcomes:
        for name in (outcome.model_a, outcome.model_b):
            lost[name].setdefault(outcome.item, []).append(1 - outcome.points(name))
    found = {}
    for name in names:
        whole = {item: 1 + sum(each) for item, each in lost[name].items() if len(each) == len(names) - 1}
        values = np.array(list(whole.values()), dtype=np.float64)
        codes = cluster_codes([clusters[item] for item in whole])
        found[name] = clustered_mean(values, codes, within=(1.0, float(len(names))))
    return found


def ratings_table(found: Rated) -> Table:
    """One column's ratings on one criterion."""
    by_name = {rating.model: rating for rating in found.ratings.models} if found.ratings else {}
    rows = tuple(
        (
            (name,),
            _rating(by_name.get(name), found),
            (by_name[name].letters if name in by_name else NOTHING,),
            _estimate(found.wins[name]),
            _estimate(found.places[name]),
            (str(found.wins[name].n),),
        )
        for name in found.names
    )
    habits = [
        f"flips {_inline(found.flip)} of {found.flip.n} comparisons",
        f"first slot {_inline(found.first_slot)} of {found.first_slot.n} verdicts (0.5 is unbiased)",
    ]
    over = "all criteria" if found.criterion == "overall" else found.criterion
    return Table(
        title=f"{found.run_set.title}: ratings by {found.column}, {over}",
        caption=_caption(found),
        columns=("model", "rating", "group", "win rate", "average rank", "outcomes"),
        rows=rows,
        notes=(f"The judge: {'; '.join(habits)}.", *_notes(found)),
    )


def _rating(rating: Rating | None, found: Rated) -> Cell:
    if rating is None or found.ratings is None:
        return (NOTHING,)
    if rating.model == found.ratings.anchor:
        return (f"{rating.rating:.0f}", "(anchor)")
    interval = "–" if rating.ci_low is None else f"[{rating.ci_low:.0f}, {rating.ci_high:.0f}]"
    return (f"{rating.rating:.0f}", interval)


def _estimate(estimate: Estimate) -> Cell:
    if estimate.mean is None:
        return (NOTHING,)
    interval = NOTHING if estimate.ci_low is None else f"[{estimate.ci_low:.4f}, {estimate.ci_high:.4f}]"
    return (f"{estimate.mean:.4f}", interval)


def _inline(estimate: Estimate) -> str:
    return " ".join(_estimate(estimate))


def _caption(found: Rated) -> str:
    said = f"{found.column}: {found.judge}. " if found.judge else ""
    if found.ratings is None:
        return f"{said}No ratings: {found.trouble}"
    shown = [*found.wins.values(), *found.places.values()]
    return (
        f"{said}Bradley-Terry ratings with Davidson's ties, {found.ratings.anchor} fixed at 1000; 400 points are odds"
        f" of 10 to 1 where there is no tie; tie strength {found.ratings.tie_strength:.2f}; 95 % intervals over"
        f" {clusters_word(found.run_set)}: of ratings by {_of_ratings(found.ratings, clusters_word(found.run_set))}, of"
        f" win rates and ranks {method_words(found.run_set, {each.method for each in shown if each.method})}."
    )


def _of_ratings(ratings: Ratings, word: str) -> str:
    if ratings.method == "student-t":
        return f"Student's t (below {FEW_CLUSTERS} {word} of equal weight)"
    return f"bootstrap percentiles ({RATING_RESAMPLES:,} resamples)".replace(",", " ")


def _notes(found: Rated) -> list[str]:
    word = clusters_word(found.run_set)
    notes = [
        "An outcome is one sample on one criterion in both orders; orders that disagree are a tie, and so are equal"
        " answers; a missing answer loses.",
        "A win rate counts a tie as half. An average rank (1 is the best) is over the samples in which the model was"
        " compared with all others.",
    ]
    if found.absent:
        notes.append(
            f"Not among the runs of this table: {', '.join(found.absent)}. Their samples that needed no judge (equal"
            " answers, or a missing answer) are excluded here; include their folders to count them."
        )
    if found.ratings:
        notes.append(
            f"group: models that share a letter are not separable (tests over {word}, Holm-corrected over all pairs)."
        )
        notes.append(
            "The scale is that of Davidson's model, in which a tie is an outcome of its own: 400 points are odds of 10"
            " to 1 among the outcomes that are no ties. It is not Elo, which has no ties and changes with the order of"
            " games; numbers of other lists are not comparable."
        )
    shown = [*found.wins.values(), *found.places.values()]
    return notes + few_clusters_note(found.run_set, shown)


def ratings_csv(found: Sequence[Rated]) -> str:
    """One line per column, criterion and model, with full precision."""
    return csv_lines(COLUMNS, _lines(found))


def _lines(found: Sequence[Rated]) -> Iterator[dict[str, str | float | None]]:
    for each in found:
        ratings = {rating.model: rating for rating in each.ratings.models} if each.ratings else {}
        for name in each.names:
            yield _line(each, name, ratings.get(name))


def _line(each: Rated, name: str, rating: Rating | None) -> dict[str, str | float | None]:
    wins, places = each.wins[name], each.places[name]
    return {
        "benchmark": each.run_set.benchmark,
        "set": each.run_set.title,
        "column": each.column,
        "criterion": each.criterion,
        "anchor": each.ratings.anchor if each.ratings else None,
        "model": name,
        "rating": rating.rating if rating else None,
        "ci_low": rating.ci_low if rating else None,
        "ci_high": rating.ci_high if rating else None,
        "group": rating.letters if rating else None,
        "outcomes": wins.n,
        "win_rate": wins.mean,
        "win_ci_low": wins.ci_low,
        "win_ci_high": wins.ci_high,
        "average_rank": places.mean,
        "average_rank_ci_low": places.ci_low,
        "average_rank_ci_high": places.ci_high,
        "average_rank_n": places.n,
        "clusters": wins.clusters,
        "tie_strength": each.ratings.tie_strength if each.ratings else None,
    }
