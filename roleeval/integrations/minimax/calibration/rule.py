"""How English and Chinese are weighted, and how dimensions make a category: fitted to the published numbers.

Preferences is a single dimension, so no rule comes between it and the published number: it alone gives the weight of
English that is reported. Each rule then predicts all three categories of every model, with the weight that suits it
best; the one that lies closest on Worlds and Stories is the rule. (With the weight of Preferences kept, its error
decides between rules that lie close together: 188 instead of 194 of 200 synthetic sets of the two closest came out
right.) Source: spec/minimax.md, "Judging".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roleeval.benchmarks.minimax.scores import CANDIDATES, CATEGORIES, Rule
from roleeval.integrations.minimax.calibration.scores import Scores, category_points

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Category -> model -> points as printed.
Published = Mapping[str, Mapping[str, float]]
ROUNDING = 0.0101  # points: what printing to two decimals may hide, in the number and in the weight
_EQUAL = 1e-9  # squared points: what rounding makes of two rules that say the same
_DRAWS = 1000
_LEAST_MODELS = 3
_FIRST: Rule = CANDIDATES[0]
_SINGLE = next(category.name for category in CATEGORIES if len(category.dimensions) == 1)
FITTED = tuple(category.name for category in CATEGORIES if len(category.dimensions) > 1)


@dataclass(frozen=True, slots=True)
class RuleFit:
    """One rule against the published numbers.

    Attributes:
        rule: which.
        weight: of English, by this rule and all categories.
        rms: root mean square of predicted - published over models and categories, points.
        by_category: category -> the same.
        shift: mean of predicted - published.
        rms_without_shift: what is left when a constant is taken out; a normalisation would show here.
        points: category -> model -> predicted.
    """

    rule: Rule
    weight: float
    rms: float
    by_category: Mapping[str, float]
    shift: float
    rms_without_shift: float
    points: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The language weighting and the rule.

    Attributes:
        models: those that have sessions in every language and a published row.
        unmatched: models with sessions and no published row of their name.
        weight: of English in the published numbers, by Preferences; 1 or 0 with one language.
        weight_ci: 95 % interval over seeds; None with one language. Too wide where published numbers are of the same
            seeds.
        weight_rms: how far Preferences lie from the published ones then, points.
        noise: standard error of a predicted category, points, root mean square over models; what other sessions of the
            same models would differ by is about 1.4 times that.
        fits: of every candidate, the closest first.
        chosen: the closest one.
        found_again: share of published tables made by the chosen rule, of other sessions on the same seeds, in which it
            is the closest again: how far these sessions can tell the rules apart.
        published: category -> model -> the published points that were compared.
        exact: the closest one lies within what printing hides: published numbers are of these very sessions.
    """

    models: tuple[str, ...]
    unmatched: tuple[str, ...]
    weight: float
    weight_ci: tuple[float, float] | None
    weight_rms: float
    noise: float
    fits: tuple[RuleFit, ...]
    chosen: Rule
    found_again: float
    published: Mapping[str, Mapping[str, float]]
    exact: bool


def same_name(name: str) -> str:
    """A model's name without what papers and tables write differently: case, spaces and punctuation."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def fit_rule(languages: Sequence[Scores], published: Published) -> RuleResult | None:
    """Fits weight and rule; None where fewer than three models have both sessions and published numbers."""
    import numpy as np

    rows = {same_name(name): name for name in published[_SINGLE]}
    everywhere = [name for name in languages[0].models if all(name in each.models for each in languages)]
    models = [name for name in everywhere if same_name(name) in rows]
    unmatched = sorted({name for each in languages for name in each.models if same_name(name) not in rows})
    if len(models) < _LEAST_MODELS:
        return None
    printed = {
        category.name: np.array([published[category.name][rows[same_name(name)]] for name in models])
        for category in CATEGORIES
    }
    tables = [_SeedMeans.of(each, models) for each in languages]
    rng = np.random.default_rng(0)
    draws = [rng.multinomial(t.seeds, np.full(t.seeds, 1 / t.seeds), size=_DRAWS).astype(float) for t in tables]
    draws = [np.concatenate([np.ones((1, t.seeds)), each]) for t, each in zip(tables, draws, strict=True)]
    found = {rule: _Fitted.of(tables, draws, rule, printed) for rule in CANDIDATES}  # the first draw is the sample
    fits = sorted((each.fit(printed, models) for each in found.values()), key=lambda fit: round(fit.rms, 9))
    chosen = fits[0].rule
    weights = _weights(tables, draws, _FIRST, {_SINGLE: printed[_SINGLE]})
    single = _mixed(tables, draws, _FIRST, _SINGLE, weights)[0] - printed[_SINGLE]
    low, high = np.quantile(weights[1:], (0.025, 0.975))
    return RuleResult(
        models=tuple(models),
        unmatched=tuple(unmatched),
        weight=float(weights[0]),
        weight_ci=(float(low), float(high)) if len(tables) > 1 else None,
        weight_rms=_rms(single),
        noise=_rms(np.concatenate([found[chosen].points[name][1:].std(axis=0) for name in FITTED])),
        fits=tuple(fits),
        chosen=chosen,
        found_again=_found_again(tables, found[chosen], rng),
        published={name: dict(zip(models, map(float, points), strict=True)) for name, points in printed.items()},
        exact=fits[0].rms <= ROUNDING,
    )


@dataclass(frozen=True, slots=True)
class _SeedMeans:
    """One language.

    Attributes:
        english: which.
        seeds: how many.
        points: rule -> category -> [seeds, models], mean over runs; NaN counts as absent.
        errors: rule -> category -> [models], squared standard errors of models' means that runs bring.
    """

    english: bool
    seeds: int
    points: "Mapping[Rule, Mapping[str, Floats]]"
    errors: "Mapping[Rule, Mapping[str, Floats]]"

    @classmethod
    def of(cls, scores: Scores, models: Sequence[str]) -> "_SeedMeans":
        import warnings

        import numpy as np

        official = scores.official[[scores.models.index(name) for name in models]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a seed without a session of a model, or with one
            made = {rule: category_points(official, rule) for rule in CANDIDATES}
            points = {r: {name: np.nanmean(values, axis=2).T for name, values in made[r].items()} for r in made}
            errors = {r: {name: _run_errors(values) for name, values in made[r].items()} for r in made}
        return cls(scores.language == "en", len(scores.seeds), points, errors)

    def means(self, rule: Rule, category: str, draws: "Floats") -> "Floats":
        """[draws, models] for [draws, seeds], how often each seed is drawn."""
        import numpy as np

        values = self.points[rule][category]
        there = ~np.isnan(values)
        found: Floats = (draws @ np.where(there, values, 0.0)) / (draws @ there.astype(float))
        return found


def _run_errors(values: "Floats") -> "Floats":
    """[models] from [models, seeds, runs]: 0 where no seed has two runs."""
    import numpy as np

    runs = np.maximum((~np.isnan(values)).sum(axis=2), 1)
    of_seeds = np.nanvar(values, axis=2, ddof=1) / runs
    found: Floats = np.nan_to_num(np.nanmean(of_seeds, axis=1)) / values.shape[1]
    return found


def _found_again(tables: "Sequence[_SeedMeans]", chosen: "_Fitted", rng: "np.random.Generator") -> float:
    """See RuleResult.found_again."""
    import numpy as np

    weight = float(chosen.weights[0])
    made = {}
    for name, points in chosen.points.items():
        shares = [(weight if table.english else 1 - weight, table.errors[chosen.rule][name]) for table in tables]
        # both what was predicted and what was published rest on some runs
        errors = np.sqrt(2 * np.sum([share**2 * squared for share, squared in shares], axis=0))
        made[name] = points[0] + errors * rng.standard_normal((_DRAWS, len(errors)))
    whole = [np.ones((1, table.seeds)) for table in tables]
    squares = {rule: _Fitted.of(tables, whole, rule, made).squares(made) for rule in CANDIDATES}
    own = squares.pop(chosen.rule)
    nearest = np.min(list(squares.values()), axis=0)
    return float((own < nearest - _EQUAL).mean())


def _weights(
    tables: "Sequence[_SeedMeans]", draws: "Sequence[Floats]", rule: Rule, printed: "Mapping[str, Floats]"
) -> "Floats":
    """[draws]: the weight of English by least squares on these categories, within 0 and 1.

    `printed` has [models], or [draws, models] for one draw of the seeds.
    """
    import numpy as np

    if len(tables) == 1:
        return np.full(len(draws[0]), 1.0 if tables[0].english else 0.0)
    above, below = [], []
    for category, points in printed.items():
        one, other = (table.means(rule, category, each) for table, each in zip(tables, draws, strict=True))
        above.append(((one - other) * (points - other)).sum(axis=1))
        below.append(((one - other) ** 2).sum(axis=1))
    best = np.sum(above, axis=0) / np.maximum(np.sum(below, axis=0), 1e-12)
    found: Floats = np.clip(best if tables[0].english else 1 - best, 0.0, 1.0)
    return found


def _mixed(
    tables: "Sequence[_SeedMeans]", draws: "Sequence[Floats]", rule: Rule, category: str, weights: "Floats"
) -> "Floats":
    """[draws, models]: a category's points over the languages."""
    import numpy as np

    parts = [
        (weights if table.english else 1 - weights)[:, None] * table.means(rule, category, each)
        for table, each in zip(tables, draws, strict=True)
    ]
    found: Floats = np.sum(parts, axis=0)
    return found


@dataclass(frozen=True, slots=True)
class _Fitted:
    """One rule in every draw: [draws] weights, and category -> [draws, models] points."""

    rule: Rule
    weights: "Floats"
    points: "Mapping[str, Floats]"

    @classmethod
    def of(
        cls,
        tables: "Sequence[_SeedMeans]",
        draws: "Sequence[Floats]",
        rule: Rule,
        printed: "Mapping[str, Floats]",
    ) -> "_Fitted":
        weights = _weights(tables, draws, rule, printed)
        return cls(rule, weights, {name: _mixed(tables, draws, rule, name, weights) for name in printed})

    def squares(self, printed: "Mapping[str, Floats]") -> "Floats":
        """[draws]: squared distances from the published numbers, where a rule is needed."""
        import numpy as np

        found: Floats = np.sum([((self.points[name] - printed[name]) ** 2).sum(axis=1) for name in FITTED], axis=0)
        return found

    def fit(self, printed: "Mapping[str, Floats]", models: Sequence[str]) -> RuleFit:
        """The sample's own: the first draw."""
        import numpy as np

        rests = {name: self.points[name][0] - printed[name] for name in FITTED}
        everything = np.concatenate(list(rests.values()))
        points = {name: dict(zip(models, map(float, values[0]), strict=True)) for name, values in self.points.items()}
        return RuleFit(
            rule=self.rule,
            weight=float(self.weights[0]),
            rms=_rms(everything),
            by_category={name: _rms(rest) for name, rest in rests.items()},
            shift=float(everything.mean()),
            rms_without_shift=_rms(everything - everything.mean()),
            points=points,
        )


def _rms(values: "Floats") -> float:
    import numpy as np

    return float(np.sqrt((values**2).mean()))
