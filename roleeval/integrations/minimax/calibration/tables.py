"""A calibration's tables."""

from collections.abc import Iterable, Sequence

from roleeval.benchmarks.minimax.scores import RULE_TEXTS
from roleeval.integrations.minimax.calibration.agreement import Check, Ranks
from roleeval.integrations.minimax.calibration.findings import Findings, LanguageFindings
from roleeval.integrations.minimax.calibration.noise import RUN_COUNTS, Noise
from roleeval.integrations.minimax.calibration.rule import FITTED, RuleResult
from roleeval.report import NOTHING, Cell, Table

_SETTLED = 0.95  # share of such tables in which a rule must be the closest again
_MOST_MISSING = 0.01  # share of chunks without a verdict. Source: spec/minimax.md
_ORIGINS = 8
_NO_JUDGE = "No judge of ours has scored these sessions: judge them with judge=minimax_errors, stages=[judge]."


def calibration_tables(findings: Findings) -> list[Table]:
    """All tables: the rule, then for each language the sessions, the lattice, noise and agreement."""
    return [_rules(findings), *(table for each in findings.languages for table in _of_language(findings, each))]


def _of_language(findings: Findings, each: LanguageFindings) -> list[Table]:
    tables = [_sessions(findings, each), _lattice(each), _noise(findings, each)]
    if each.ranks:
        tables += [_ranks(findings, each), _tuning(findings, each)]
    return tables + ([_pairs(findings, each)] if each.pairs else [])


def _table(title: str, columns: Sequence[str], rows: Iterable[tuple[Cell, ...]], notes: Iterable[str] = ()) -> Table:
    return Table(title=title, caption="", columns=tuple(columns), rows=tuple(rows), notes=tuple(notes))


def _rules(findings: Findings) -> Table:
    columns = ("rule", "how", "weight of English", "rms", *FITTED, "shift", "rms without shift")
    if findings.rule is None:
        note = (
            "Fewer than three models have both sessions and published numbers (names are compared without case and"
            f" punctuation), so nothing is fitted; overall scores here are by rule {findings.used}."
        )
        return _table("How categories are made", columns, [((NOTHING,),) * len(columns)], [note])
    rows: list[tuple[Cell, ...]] = [
        (
            (fit.rule,),
            (RULE_TEXTS[fit.rule],),
            (f"{fit.weight:.3f}",),
            (f"{fit.rms:.2f}",),
            *((f"{fit.by_category[name]:.2f}",) for name in FITTED),
            (f"{fit.shift:+.2f}",),
            (f"{fit.rms_without_shift:.2f}",),
        )
        for fit in findings.rule.fits
    ]
    return _table("How categories are made", columns, rows, _rule_notes(findings.rule))


def _rule_notes(rule: RuleResult) -> list[str]:
    weight = f"{rule.weight:.3f}" + (
        "" if rule.weight_ci is None else f" [{rule.weight_ci[0]:.3f}, {rule.weight_ci[1]:.3f}]"
    )
    settled = rule.exact or rule.found_again >= _SETTLED
    notes = [
        f"{len(rule.models)} models. Points; predicted minus published. The closest rule is {rule.chosen}"
        + (" and lies within what printing hides." if rule.exact else ".")
        + f" Were it true, it would be the closest again in {rule.found_again:.0%} of published tables of other"
        + " sessions on the same seeds."
        + ("" if settled else " That does not settle it: rules that lie as close are possible as well."),
        f"Weight of English by Preferences alone, a single dimension: {weight}; Preferences then lie"
        f" {rule.weight_rms:.2f} from the published ones (rms).",
        f"Sampling of seeds alone moves a predicted category by {rule.noise:.2f} points (rms); a larger rms of the"
        " closest rule means that something else lies between sessions and published numbers.",
    ]
    if rule.unmatched:
        notes.append(f"Without a published row of their name: {', '.join(rule.unmatched)}.")
    return notes


def _sessions(findings: Findings, each: LanguageFindings) -> Table:
    scores = each.scores
    rows: list[tuple[Cell, ...]] = []
    for model in scores.models:
        asked = scores.asked.get(model)
        off = each.lattice.off.get(model)
        missing = NOTHING if not asked or not asked.planned else f"{asked.missing / asked.planned:.2%}"
        rows.append(((model,), (NOTHING if off is None else f"{off:.2%}",), (missing,)))
    planned = sum(asked.planned for asked in scores.asked.values())
    missing_share = sum(asked.missing for asked in scores.asked.values()) / planned if planned else None
    notes = [f"{scores.sessions} sessions of {len(scores.seeds)} seeds and {len(scores.models)} models."]
    if missing_share is None:
        notes.append(_NO_JUDGE if scores.ours is None else "What our judge was asked is not in these folders.")
    else:
        good = "below" if missing_share < _MOST_MISSING else "not below"
        p = f"; p of an even rate over models {each.missing_p:.3f}" if each.missing_p is not None else ""
        notes.append(f"Our judge: {missing_share:.2%} of its chunks have no verdict, {good} 1 %{p}.")
    columns = ("model", "official sessions off the steps", "our chunks without a verdict")
    return _table(f"Sessions, {scores.language}", columns, rows, notes)


def _lattice(each: LanguageFindings) -> Table:
    found = each.lattice
    origins = [f"{o.chunks} chunks, {o.samples} samples, unit {o.unit:g}" for o in found.origins[:_ORIGINS]]
    more = [f"and {len(found.origins) - _ORIGINS} more"] if len(found.origins) > _ORIGINS else []
    row: tuple[Cell, ...] = (
        (str(found.values),),
        (str(found.decimals) if found.decimals < 6 else "6 or more",),
        (NOTHING if found.step is None else f"{found.step:.6g}",),
        (NOTHING if found.step is None else f"{found.share:.2%}",),
        (*origins, *more) or (NOTHING,),
    )
    notes = [
        "The largest steps that hold at least 95 % of the official scores. A mean over chunks and samples of whole"
        " units lies on such steps; several origins give the same ones, and steps of the last decimal's size may"
        " be rounding. Sessions off the steps may have lost a chunk."
    ]
    columns = ("distinct scores", "decimals", "step (points)", "scores on it", "origins")
    return _table(f"Steps of the official scores, {each.scores.language}", columns, [row], notes)


def _noise(findings: Findings, each: LanguageFindings) -> Table:
    rows = [_noise_row("official", noise) for noise in each.noise] + [
        _noise_row("ours", noise) for noise in each.our_noise
    ]
    columns = ("scores", "of", "runs (sd)", "model x seed (sd)", "seeds (sd)", "models (sd)", "detectable here")
    needed = tuple(f"seeds for {findings.difference:g} points, {runs} run(s)" for runs in RUN_COUNTS)
    notes = [
        f"Points; overall by rule {findings.used}. Runs: sessions of one model and seed about their mean, the noise"
        " floor. What seeds do to all models alike does not disturb a paired comparison. Detectable: the true"
        " difference of two models found four times out of five with these seeds and runs, at 5 %. Paired sessions are"
        " seeds times runs."
    ]
    return _table(f"Noise, {each.scores.language}", (*columns, *needed), rows, notes)


def _noise_row(whose: str, noise: Noise) -> tuple[Cell, ...]:
    numbers = (noise.runs, noise.pairs, noise.seeds, noise.models, noise.detectable)
    needed = ((NOTHING if noise.needed[runs] is None else str(noise.needed[runs]),) for runs in RUN_COUNTS)
    return ((whose,), (noise.score,), *((_number(number),) for number in numbers), *needed)


def _ranks(findings: Findings, each: LanguageFindings) -> Table:
    rows = [_rank_row(ranks) for ranks in each.ranks]
    notes = [
        f"Spearman's rho between {findings.judge or 'our judge'} and the official scores, with 95 % intervals over"
        f" seeds; overall by rule {findings.used}. Within models: mean of each model's own rho. Models: of their"
        " means; the interval is of the means without noise, which agree more than the means as they are."
    ]
    return _table(
        f"Agreement, {each.scores.language}", ("score", "sessions", "within models", "models", "n"), rows, notes
    )


def _rank_row(ranks: Ranks) -> tuple[Cell, ...]:
    return (
        (ranks.score,),
        _coefficient(ranks.sessions.spearman, ranks.sessions.spearman_ci),
        _coefficient(ranks.within.spearman, ranks.within.spearman_ci),
        _coefficient(ranks.models.spearman, ranks.models.ci),
        (f"{ranks.sessions.items} sessions", f"{ranks.models.groups} models"),
    )


def _tuning(findings: Findings, each: LanguageFindings) -> Table:
    title = f"Scale, {each.scores.language}"
    columns = ("overall score of models", "rms", "worst", "rank correlation")
    if each.tuning is None:
        return _table(title, columns, [((NOTHING,),) * 4], ["Needs three models and five seeds."])
    tuning = each.tuning
    split = f"{tuning.tested_seeds} seeds that it was not tuned on"
    rows: list[tuple[Cell, ...]] = [
        ((f"as judged, {split}",), *_check(tuning.as_judged), (NOTHING,)),
        (
            (f"tuned on {tuning.tuned_seeds} seeds, {split}",),
            *_check(tuning.tuned),
            _coefficient(tuning.ranks.spearman, tuning.ranks.ci),
        ),
        (("each model by the scale of the others",), *_check(tuning.left_out), (NOTHING,)),
    ]
    lines = "; ".join(f"{name} {line.intercept:.2f} + {line.slope:.3f} x ours" for name, line in tuning.lines.items())
    return _table(title, columns, rows, [f"Points, ours minus official. The scale, tuned on all seeds: {lines}."])


def _check(check: Check) -> tuple[Cell, Cell]:
    return (f"{check.rms:.2f}",), (f"{check.worst:+.2f}", check.worst_model)


def _pairs(findings: Findings, each: LanguageFindings) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for pair in each.pairs:
        estimate = pair.difference.estimate
        order = NOTHING if pair.in_order is None else "yes" if pair.in_order else "no"
        ends = None if estimate.ci_low is None or estimate.ci_high is None else (estimate.ci_low, estimate.ci_high)
        rows.append(
            (
                (f"{pair.better} above {pair.worse}",),
                (pair.source,),
                (order,),
                _coefficient(estimate.mean, ends, digits=2),
                (pair.conclusion or NOTHING,),
            )
        )
    note = f"Paired by seed, overall by rule {findings.used}, points; the order is that of MiniMax's table."
    columns = ("known pair", "scores", "in order", "difference", "conclusion")
    return _table(f"Known pairs, {each.scores.language}", columns, rows, [note])


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _coefficient(value: float | None, ends: tuple[float, float] | None, *, digits: int = 3) -> Cell:
    if value is None:
        return (NOTHING,)
    return (f"{value:.{digits}f}", NOTHING if ends is None else f"[{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]")
