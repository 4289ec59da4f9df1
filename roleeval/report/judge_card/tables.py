"""Judge cards as tables, for the terminal and for card.md."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from roleeval.report import NOTHING, Cell, Table
from roleeval.report.judge_card.measure import Agreement, Card
from roleeval.stats import Estimate, RankCorrelation

NOT_MEASURED = "not measured"


def card_tables(cards: Sequence[Card]) -> list[Table]:
    """All tables of a set of cards: calls, habits, repeats, agreement, length, controls."""
    return [
        _calls(cards),
        _habits(cards),
        _repeats(cards),
        _variances(cards),
        _agreements(cards),
        _people(cards),
        _wins(cards),
        *(_controls(card) for card in cards),
    ]


def _table(title: str, columns: Sequence[str], rows: Iterable[tuple[Cell, ...]], notes: Iterable[str] = ()) -> Table:
    return Table(title=title, caption="", columns=tuple(columns), rows=tuple(rows), notes=tuple(notes))


def _calls(cards: Sequence[Card]) -> Table:
    rows = [
        (
            (card.column,),
            (card.model, *([] if card.parameters is None else [f"{card.parameters / 1e6:.1f} million parameters"])),
            (card.prompts,),
            (str(card.questions),),
            _estimate(card.coverage),
            _estimate(card.unusable),
            _estimate(card.attempts, digits=2),
            (str(card.unanswered),),
            (f"{card.tokens['prompt']} read", f"{card.tokens['output']} written"),
            (f"{card.cost:.4f}" if card.cost is not None else "no price known",),
            tuple(f"{count}: {reason}" for reason, count in list(card.reasons.items())[:5]) or ("none",),
        )
        for card in cards
    ]
    columns = ("judge", "model", "prompts", "questions", "coverage", "parse failures", "calls per question")
    return _table(
        "Judges and their calls",
        (*columns, "without any reply", "tokens", "cost", "unusable replies"),
        rows,
        [
            "Coverage: share of questions with a verdict. Parse failures: share of replies without a usable verdict"
            " (n counts replies). Intervals are 95 %, over the benchmark's clusters.",
        ],
    )


def _habits(cards: Sequence[Card]) -> Table:
    rows = [
        (
            (card.column,),
            _estimate(card.flip),
            _estimate(card.first_slot),
            _ranks(card.length),
            tuple(f"{run}: {why}" for run, why in card.same_family.items()) or ("none",),
        )
        for card in cards
    ]
    return _table(
        "Habits",
        ("judge", "flips", "first slot", "length", "same family"),
        rows,
        [
            "Flips: comparisons whose two orders name different winners. First slot: verdicts for what is shown"
            " first; unbiased is 0.5 for pairs, 1/k for k ranked answers.",
            "Length: rank correlation of the judge's values with the answer's length in characters (of comparisons:"
            " with the difference in length); long answers may also be better.",
            "Same family: judge and candidate have the same weights, path or family name; others may still be related.",
        ],
    )


def _repeats(cards: Sequence[Card]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for card in cards:
        for criterion, found in card.repeats.items():
            same, sd = _number(found.same), _number(found.sd)
            rows.append(((card.column,), (criterion,), (same,), (sd,), (str(found.items),)))
        if not card.repeats:
            rows.append(((card.column,), (NOTHING,), (NOT_MEASURED,), (NOT_MEASURED,), ("0",)))
    note = "Measured with judge.samples_per_item above 1 and judge.sampling.temperature above 0."
    return _table("Repeats", ("judge", "criterion", "equal repeats", "sd of a repeat", "n"), rows, [note])


def _variances(cards: Sequence[Card]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for card in cards:
        for model, split in card.variances.items():
            parts = (split.samples, split.seeds, split.answers, split.repeats)
            counted = f"{split.used}" + (f", {split.dropped} excluded" if split.dropped else "")
            rows.append(((card.column,), (model,), *((_number(part),) for part in parts), (counted,)))
        if not card.variances:
            rows.append(((card.column,), (NOTHING,), *([(NOT_MEASURED,)] * 4), ("0",)))
    notes = [
        "Variance of points: between samples, between seeds (whole runs), between the answers of one sample over seeds,"
        " between repeats of one question. A source that was not repeated is included in the component before it."
    ]
    return _table("Variance", ("judge", "model", "samples", "seeds", "answers", "repeats", "n"), rows, notes)


def _agreements(cards: Sequence[Card]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    seen: set[tuple[frozenset[str], str]] = set()
    for card in cards:
        for found in card.agreements:
            pair = (frozenset((card.column, found.other)), found.criterion)
            if pair not in seen:
                seen.add(pair)
                rows.append(((card.column, found.other), *_agreement(found)))
    if not rows:
        rows = [((NOTHING,), (NOTHING,), (NOT_MEASURED,), (NOT_MEASURED,), (NOT_MEASURED,), ("0",))]
    return _table(
        "Agreement between judges",
        _AGREEMENT,
        rows,
        ["Measured if two judges have judged the same items. Intervals are 95 %, over the benchmark's clusters."],
    )


_AGREEMENT = ("judges", "criterion", "Krippendorff's alpha", "Spearman", "Kendall", "n")


def _agreement(found: Agreement) -> tuple[Cell, ...]:
    ranks = found.ranks
    numbers = (
        _coefficient(found.alpha, found.alpha_ci),
        _coefficient(ranks.spearman, ranks.spearman_ci),
        _coefficient(ranks.kendall, ranks.kendall_ci),
    )
    return ((found.criterion,), *numbers, (str(ranks.items),))


def _people(cards: Sequence[Card]) -> Table:
    rows: list[tuple[Cell, ...]] = [((card.column,), *_agreement(found)) for card in cards for found in card.people]
    if not rows:
        rows = [((NOTHING,), (NOTHING,), (NOT_MEASURED,), (NOT_MEASURED,), (NOT_MEASURED,), ("0",))]
    notes = [
        "Measured with --labels FILE. Alpha uses distances on the judge's scale and is omitted if people use another"
        " scale; rank correlations do not depend on it."
    ]
    return _table("Agreement with people", ("judge", *_AGREEMENT[1:]), rows, notes)


def _wins(cards: Sequence[Card]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        ((card.column,), (run,), _estimate(plain), _estimate(controlled))
        for card in cards
        for run, (plain, controlled) in card.wins.items()
    ]
    rows = rows or [((NOTHING,), (NOTHING,), (NOT_MEASURED,), (NOT_MEASURED,))]
    return _table("Wins at equal length", ("judge", "run", "win rate", "length-controlled"), rows)


# What faults were put into; records of before there was a choice do not say.
_BASES = {"reference": "reference answers", "transcript": "transcripts of the run itself"}


def _controls(card: Card) -> Table:
    record = card.controls
    if record is None or not record["faults"]:
        note = "No positive controls were run: judge again with judge.controls=20."
        rows: list[tuple[Cell, ...]] = [(("all faults",), (NOT_MEASURED,))]
        return _table(f"Positive controls of {card.column}", ("fault", "verdict"), rows, [note])
    faults = record["faults"].values()
    doses = list(next(iter(faults))["doses"])
    apart = len({fault.get("metric", "") for fault in faults}) > 1
    what = "mean at dose" if record["kind"] == "points" else "unmodified answer wins against dose"
    rows = [
        (
            (name.replace("_", " "), *([f"({fault['metric']})"] if apart else [])),
            (fault["verdict"], *([f"({fault['reason']})"] if fault["reason"] else [])),
            *(_estimate(_restored(fault["doses"][dose])) for dose in doses),
            _estimate(_restored(fault["ordered"])),
            *([_moved(fault)] if apart else []),
        )
        for name, fault in record["faults"].items()
    ]
    notes = [
        f"{record['answers']} {_BASES[record.get('base', 'reference')]} with injected faults; "
        + ("each on the metric in brackets." if apart else f"{record['metric']}."),
        '"In order": the means are in the order of the doses, and the interval of the difference between dose 3 and no'
        " fault excludes 0. Ordered answers: share whose doses are in order, with at least one step.",
    ]
    columns = ("fault", "verdict", *(f"{what} {dose}" for dose in doses), "ordered answers")
    if apart:
        columns = (*columns, "makes worse as well")
        notes.append(
            "Makes worse as well: other faults' metrics that dose 3 makes worse, by the whole interval, although the"
            " fault is none of theirs."
        )
    return _table(f"Positive controls of {card.column}", columns, rows, notes)


def _moved(fault: Mapping[str, Any]) -> Cell:
    """Metrics that a fault should leave alone and does not."""
    return tuple(f"{metric} by {estimate['mean']:.4f}" for metric, estimate in fault["also"].items()) or ("none",)


def _restored(node: Mapping[str, Any]) -> Estimate:
    return Estimate(**node)


def _estimate(estimate: Estimate | None, *, digits: int = 4) -> Cell:
    if estimate is None or estimate.mean is None:
        return (NOT_MEASURED,)
    low, high = estimate.ci_low, estimate.ci_high
    interval = NOTHING if low is None or high is None else f"[{low:.{digits}f}, {high:.{digits}f}]"
    missing = f", {estimate.missing} missing" if estimate.missing else ""
    return (f"{estimate.mean:.{digits}f}", interval, f"n {estimate.n}{missing}")


def _ranks(found: RankCorrelation) -> Cell:
    if found.spearman is None:
        return (NOT_MEASURED,)
    spearman = " ".join(_coefficient(found.spearman, found.spearman_ci))
    kendall = " ".join(_coefficient(found.kendall, found.kendall_ci))
    return (f"Spearman {spearman}", f"Kendall {kendall}", f"n {found.items}")


def _coefficient(value: float | None, ends: tuple[float, float] | None) -> Cell:
    if value is None:
        return (NOT_MEASURED,)
    return (_number(value), NOTHING if ends is None else f"[{ends[0]:.4f}, {ends[1]:.4f}]")


def _number(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.4f}"
