"""The calibration finds what is true of synthetic sets, and says what it cannot know.

The full simulations are in simulate.py; here are a few sets of each.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from roleeval.benchmarks.minimax.calibration import Line, read_calibration
from roleeval.benchmarks.minimax.scores import CANDIDATES, CATEGORIES, DIMENSIONS, Rule
from roleeval.cli.main import app
from roleeval.errors import DataError, ResultError
from roleeval.integrations.minimax.calibration import find
from roleeval.integrations.minimax.calibration.agreement import known_pairs, rank_agreement, tune
from roleeval.integrations.minimax.calibration.lattice import Lattice, find_lattice
from roleeval.integrations.minimax.calibration.noise import measure_noise
from roleeval.integrations.minimax.calibration.rule import fit_rule, same_name
from roleeval.integrations.minimax.calibration.scores import Asked, Scores, category_points, read_scores
from roleeval.integrations.minimax.importer import import_minimax
from roleeval.results import ResultFolder
from tests.integrations.minimax.simulate import intervals, recovered
from tests.support.minimax_synthetic import NAMES, Known, synthetic_set
from tests.support.minimax_tables import dialogue_row, evaluation_row, write_table


@pytest.fixture(scope="module")
def known() -> Known:
    """A set of the real size, by rule "sum", English having 45 of 95 parts."""
    return synthetic_set(np.random.default_rng(1), "sum", 45 / 95)


def small(known: Known, *, models: int = 11, seeds: int = 12) -> tuple[Scores, ...]:
    """The same with fewer models or seeds, for speed."""
    found = []
    for each in known.languages:
        assert each.ours is not None
        official, ours = (values[:models, :seeds] for values in (each.official, each.ours))
        found.append(Scores(each.language, each.models[:models], each.seeds[:seeds], official, ours))
    return tuple(found)


@pytest.mark.parametrize("rule", CANDIDATES)
def test_each_rule_is_recovered_from_published_numbers_of_other_sessions(rule: Rule) -> None:
    assert recovered(rule, 3) == 3


def test_numbers_of_the_same_sessions_are_reproduced_exactly_and_rounding_is_all_that_is_left(known: Known) -> None:
    english, chinese = (category_points(each.official, "product") for each in known.languages)
    published = {}
    for category in CATEGORIES:
        points = 0.3 * english[category.name].mean(axis=(1, 2)) + 0.7 * chinese[category.name].mean(axis=(1, 2))
        published[category.name] = dict(zip(NAMES, np.round(points, 2), strict=True))
    found = fit_rule(known.languages, published)
    assert found is not None and (found.chosen, found.exact) == ("product", True) and found.found_again > 0.99
    assert found.weight == pytest.approx(0.3, abs=0.01) and found.fits[0].rms < 0.006 < 1 < found.fits[1].rms


def test_rules_that_sessions_cannot_tell_apart_are_not_called_settled(known: Known) -> None:
    mild = [replace(each, official=90 + each.official / 10) for each in known.languages]  # no session loses 100 points
    points = [category_points(each.official, "sum") for each in mild]
    made = {name: (points[0][name] + points[1][name][:, :45]).mean(axis=(1, 2)) / 2 for name in points[0]}
    found = fit_rule(mild, {name: dict(zip(NAMES, map(float, each), strict=True)) for name, each in made.items()})
    assert found is not None and found.fits[0].rms == pytest.approx(found.fits[1].rms)
    assert [fit.rule for fit in found.fits[:2]] == ["sum", "sum_unclamped"] and found.found_again < 0.5


def test_a_normalisation_shows_as_a_shift(known: Known) -> None:
    lower = {name: {model: points - 7 for model, points in each.items()} for name, each in known.published.items()}
    found = fit_rule(known.languages, lower)
    assert found is not None and not found.exact
    by_rule = {fit.rule: fit for fit in found.fits}
    assert by_rule["sum"].rms_without_shift < by_rule["sum"].rms


def test_names_are_compared_without_case_and_punctuation_and_too_few_models_fit_nothing(known: Known) -> None:
    assert same_name("Claude-Opus-4.5 (high)") == same_name("claude_opus_4_5-high")
    shouted = {name: {model.upper(): p for model, p in each.items()} for name, each in known.published.items()}
    found = fit_rule(small(known), {name: dict(list(each.items())[:5]) for name, each in shouted.items()})
    assert found is not None and found.models == NAMES[:5] and found.unmatched == NAMES[5:]
    assert fit_rule(small(known, models=2), known.published) is None
    alone = fit_rule(small(known)[:1], known.published)
    assert alone is not None and (alone.weight, alone.weight_ci) == (1.0, None)


def one_language(values: np.ndarray) -> Scores:
    """[models, seeds] points as sessions of one run, the same in every dimension."""
    cube = np.repeat(values[:, :, None, None], len(DIMENSIONS), axis=3)
    names = [tuple(f"{kind}{i}" for i in range(count)) for kind, count in zip("ms", values.shape, strict=True)]
    return Scores("en", names[0], names[1], cube)


def origins(found: Lattice) -> set[tuple[int, int, float]]:
    return {(each.chunks, each.samples, each.unit) for each in found.origins}


@pytest.mark.parametrize(("chunks", "samples", "unit"), [(5, 1, 1.0), (5, 3, 1.0), (6, 1, 5.0), (4, 2, 10.0)])
@pytest.mark.parametrize("decimals", [12, 2])
def test_the_steps_of_the_floats_tell_chunks_and_samples(chunks: int, samples: int, unit: float, decimals: int) -> None:
    rng = np.random.default_rng(0)
    values = 100 - unit * rng.integers(0, int(40 / unit), (4, 60, chunks * samples)).mean(axis=2)
    found = find_lattice(one_language(np.round(values, decimals)))
    assert found.step == pytest.approx(unit / (chunks * samples)) and found.share == 1.0
    assert (chunks, samples, unit) in origins(found) and set(found.off.values()) == {0.0}


def test_sessions_that_lost_a_chunk_are_off_the_steps_of_their_model() -> None:
    rng = np.random.default_rng(0)
    parts = 100 - rng.integers(0, 40, (2, 100, 5)).astype(float)
    values = parts.mean(axis=2)
    values[1, :10] = parts[1, :10, :4].mean(axis=1)
    found = find_lattice(one_language(values))
    assert found.step == pytest.approx(0.2) and found.off["m0"] == 0.0 and 0.04 < found.off["m1"] <= 0.1


def test_floats_without_steps_have_none() -> None:
    found = find_lattice(one_language(np.random.default_rng(0).uniform(20, 100, (3, 50))))
    assert found.step is None and found.origins == () and found.off == {}


def test_noise_is_taken_apart_and_sessions_follow_from_it() -> None:
    rng = np.random.default_rng(0)
    pairs, runs = rng.normal(0, 3, (8, 4000, 1)), rng.normal(0, 6, (8, 4000, 3))
    points = 50 + rng.normal(0, 5, (1, 4000, 1)) + np.arange(8)[:, None, None] + pairs + runs
    found = measure_noise("overall", points, difference=2.0)
    assert (found.runs, found.pairs, found.seeds) == pytest.approx((6, 3, 5), rel=0.05)
    variance = 2 * (3**2 + 6**2 / 3)  # of one seed's difference with three runs
    assert found.needed[3] == pytest.approx((1.96 + 0.8416) ** 2 * variance / 2**2, rel=0.08)
    assert found.detectable == pytest.approx((1.96 + 0.8416) * np.sqrt(variance / 4000), rel=0.05)
    assert found.needed[1] is not None and found.needed[3] is not None and found.needed[1] > found.needed[3]
    assert measure_noise("overall", points[:1], difference=2.0).needed == {1: None, 3: None}


def test_intervals_hold_the_true_correlations() -> None:
    for kind, held in intervals("overall", "en", 5, seeds=600).items():
        assert held.held >= 0.6, kind


def test_a_judge_that_says_the_same_agrees_perfectly_and_missing_sessions_are_left_out(known: Known) -> None:
    official = small(known)[0].official[..., 0]
    ours = official.copy()
    ours[0, 0] = np.nan
    found = rank_agreement("basics", official, ours)
    assert found.sessions.spearman == pytest.approx(1) and found.within.spearman == pytest.approx(1)
    assert found.models.spearman == 1 and found.sessions.items == official.size - 3
    opposed = rank_agreement("basics", official, 100 - official)
    assert opposed.within.spearman == pytest.approx(-1) and opposed.models.spearman == -1


def test_the_scale_is_tuned_on_some_seeds_and_helps_on_the_others(known: Known) -> None:
    found = tune(known.languages[0], "sum")
    assert found is not None and (found.tuned_seeds, found.tested_seeds) == (27, 18)
    assert found.tuned.rms < found.as_judged.rms and found.left_out.rms < found.as_judged.rms
    exact = replace(known.languages[0], ours=50 + known.languages[0].official / 2)
    perfect = tune(exact, "sum")
    assert perfect is not None and perfect.tuned.rms < 1e-9 and perfect.left_out.rms < 1e-9
    line = perfect.lines["logic"]
    assert (line.intercept, line.slope) == pytest.approx((-100, 2)) and line.points(20) == 0
    assert tune(small(known, models=2)[0], "sum") is None


def test_known_pairs_are_named_as_published_or_almost(known: Known) -> None:
    names = ("Claude_Opus_4.5_high", "DeepSeek-V3.2", "claude-opus-4-5-low", "deepseek-v3-1", *NAMES[4:])
    pairs = known_pairs(replace(known.languages[0], models=names), "sum")
    assert [(pair.source, pair.in_order) for pair in pairs] == [
        ("official", True),
        ("ours", True),
        ("official", False),  # the second model of the set is better than the fourth
        ("ours", False),
    ]
    assert pairs[0].conclusion in ("higher", "not separable") and known_pairs(known.languages[0], "sum") == ()


def test_everything_together_says_which_chunks_are_missing(known: Known) -> None:
    asked = {name: Asked(100, 30 if name == NAMES[0] else 1) for name in NAMES}
    english = replace(small(known)[0], asked=asked)
    findings = find([english], known.published, judge="judge/x@1")
    (found,) = findings.languages
    assert found.missing_p is not None and found.missing_p < 0.001
    assert [ranks.score for ranks in found.ranks] == [*DIMENSIONS, "overall"] and len(found.noise) == 7


def test_models_and_seeds_that_our_judge_has_not_seen_are_no_part_of_the_comparison(known: Known) -> None:
    whole = small(known)[0]
    assert whole.ours is not None
    ours = whole.ours.copy()
    ours[6:], ours[:, 8:] = np.nan, np.nan
    judged = replace(whole, ours=ours).judged()
    assert judged is not None and judged.ours is not None
    assert (judged.models, judged.seeds) == (NAMES[:6], whole.seeds[:8])
    np.testing.assert_array_equal(judged.official, whole.official[:6, :8])
    np.testing.assert_array_equal(judged.ours, whole.ours[:6, :8])
    (found,) = find([replace(whole, ours=ours)], known.published, judge="judge/x@1").languages
    assert found.ranks[0].sessions.items == 6 * 8 * 3 and found.tuning is not None and found.tuning.tuned_seeds == 5
    nothing = find([replace(whole, ours=np.full_like(ours, np.nan))], known.published)
    assert nothing.languages[0].ranks == () and nothing.languages[0].tuning is None


def imported_folders(folder: Path, known: Known) -> Path:
    """Official sessions of four models and three seeds, imported, with a judge's column in the English ones."""
    for each in small(known, models=4, seeds=3):
        tables = folder / each.language
        keys = [(seed, model, f"run_{run + 1}") for model in each.models for seed in each.seeds for run in range(3)]
        rows = []
        for key, points in zip(keys, each.official.reshape(-1, len(DIMENSIONS)), strict=True):
            named = {f"{name}_score": value for name, value in zip(DIMENSIONS, points.tolist(), strict=True)}
            rows.append(evaluation_row(*key) | named)
        write_table(tables / "evaluations.jsonl", rows)
        write_table(tables / "dialogues.jsonl", [dialogue_row(*key) for key in keys])
        files = (tables / "dialogues.jsonl", tables / "evaluations.jsonl")
        done = import_minimax(*files, out=folder / "results" / "minimax")
        if each.language == "en":
            for path in done.folders:
                judged(ResultFolder(path))
    return folder / "results"


def judged(folder: ResultFolder) -> None:
    """Adds a column of a judge that says half of what the official one says."""
    rows = pd.read_parquet(folder.scores)
    official = rows[rows["metric"].isin([f"minimax_official/{name}" for name in DIMENSIONS])]
    names = official["metric"].astype(str).str.replace("minimax_official", "judge/minimax_errors@1-2")
    pd.concat([rows, official.assign(metric=names, value=50 + official["value"] / 2)]).to_parquet(folder.scores)
    manifest = folder.manifest()
    assert manifest is not None
    folder.write_manifest(manifest)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, known: Known) -> Path:
    return imported_folders(tmp_path_factory.mktemp("calibration"), known)


def test_sessions_are_read_back_as_they_were(results: Path, known: Known) -> None:
    (english, chinese), column = read_scores([results])
    assert column == "judge/minimax_errors@1-2" and chinese.ours is None and english.models == NAMES[:4]
    wanted = small(known, models=4, seeds=3)
    np.testing.assert_allclose(english.official, wanted[0].official)
    np.testing.assert_allclose(chinese.official, wanted[1].official)
    assert english.ours is not None
    np.testing.assert_allclose(english.ours, 50 + wanted[0].official / 2)
    with pytest.raises(ResultError, match=r"no judge's column begins with 'other'; there are: judge/minimax_errors"):
        read_scores([results], "other")


def test_the_command_writes_a_page_and_a_file_that_a_later_run_reads(
    results: Path, known: Known, tmp_path: Path
) -> None:
    headings = {"worlds": "W", "stories": "S", "preferences": "P"}
    rows = [{"model": name} | {h: known.published[c][name] for c, h in headings.items()} for name in NAMES]
    published = tmp_path / "published.yaml"
    published.write_text(
        json.dumps(
            {
                **dict.fromkeys(("title", "source", "judge", "protocol"), "made up"),
                "benchmark": "minimax",
                "columns": {heading: f"minimax_official/{name}" for name, heading in headings.items()},
                "rows": rows,
            }
        )
    )
    out = tmp_path / "out"
    arguments = ["calibrate", "minimax", str(results), "--out", str(out), "--published", str(published)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert sorted(file.name for file in out.iterdir()) == [
        "calibration.json",
        "calibration.md",
        "models.png",
        "rule.png",
    ]
    page = (out / "calibration.md").read_text(encoding="utf-8")
    for words in ("How categories are made", "Noise, zh", "Agreement, en", "No judge of ours has scored", "rule.png"):
        assert words in page
    assert "Agreement, zh" not in page
    read = read_calibration(out / "calibration.json")
    assert read.judge == "judge/minimax_errors@1-2" and list(read.scale) == [] and read.rule in CANDIDATES
    details = json.loads((out / "calibration.json").read_text(encoding="utf-8"))["details"]
    assert details["rule"]["chosen"] == read.rule and details["languages"][0]["ranks"][0]["score"] == "basics"


def test_a_folder_without_official_sessions_says_how_to_make_them(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    done = CliRunner().invoke(app, ["calibrate", "minimax", str(tmp_path / "results"), "--out", str(tmp_path / "o")])
    assert done.exit_code == 1 and "make them with `roleeval import minimax`" in done.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "no calibration of the Role-play Bench"),
        ('{"benchmark": "minimax", "format": 2}', "format 2; this version reads 1"),
        ('{"benchmark": "minimax", "format": 1, "rule": "most"}', "rule is 'most'; give one of mean, sum"),
        ('{"benchmark": "minimax", "format": 1, "rule": "sum", "judge": ""}', "scale an object of en and zh"),
        (
            '{"benchmark": "minimax", "format": 1, "rule": "sum", "judge": "", "scale": {"en": {"basics": 1}}}',
            "scale.en.basics: needs intercept and slope",
        ),
        ("{", "not valid JSON"),
    ],
)
def test_a_damaged_calibration_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(DataError) as caught:
        read_calibration(tmp_path / "c.json")
    assert str(caught.value).startswith(str(tmp_path / "c.json")) and words in str(caught.value)


def test_a_scale_is_read_as_it_was_written(tmp_path: Path, known: Known) -> None:
    from roleeval.integrations.minimax.calibration.page import as_json

    findings = find(small(known)[:1], known.published, judge="judge/x@1")
    (tmp_path / "c.json").write_text(json.dumps(as_json(findings)))
    read = read_calibration(tmp_path / "c.json")
    tuned = findings.languages[0].tuning
    assert tuned is not None and read.scale == {"en": tuned.lines} and isinstance(read.scale["en"]["logic"], Line)
