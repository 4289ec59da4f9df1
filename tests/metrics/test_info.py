"""What a metric says of itself: whole for every reader, the same after a file, and never left out."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from roleeval.errors import ConfigError
from roleeval.metrics import Metric, MetricInfo, check_declared, default_metrics, infos_of, primary
from roleeval.types import Sample, Score, Transcript

Make = Callable[..., Sample]
Say = Callable[..., Transcript]
RANK = MetricInfo(
    "overall/rank",
    label="Rank",
    unit="rank",
    recipe="Mean place.",
    low=1.0,
    high=3.0,
    higher_is_better=False,
    read_with=("overall/beats",),
)


def test_an_info_is_the_same_after_a_file_and_a_newer_versions_keys_do_no_harm() -> None:
    node = json.loads(json.dumps(RANK.to_json()))
    assert MetricInfo.from_json(node | {"of_a_newer_version": 1}) == RANK
    required = {name: node[name] for name in ("name", "label", "unit", "recipe")}
    assert MetricInfo.from_json(required).higher_is_better is None
    del required["unit"]
    with pytest.raises(TypeError, match="unit"):
        MetricInfo.from_json(required)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"unit": "percent"}, r"'overall/rank': unit is 'percent'; give one of fraction, points, "),
        ({"per": "role"}, r"per is 'role'; give one of sample, cluster"),
        ({"low": 4.0}, r"low=4.0 is above high=3.0"),
    ],
)
def test_what_no_reader_could_place_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MetricInfo.from_json(RANK.to_json() | wrong)


def test_the_worst_and_the_best_value_follow_the_direction() -> None:
    assert RANK.ends == (3.0, 1.0) and replace(RANK, higher_is_better=True).ends == (1.0, 3.0)
    assert replace(RANK, higher_is_better=None).ends is None and replace(RANK, high=None).ends is None


def test_a_judges_column_stands_before_all_its_names_and_only_its_opinions_have_bounds() -> None:
    judged = RANK.of_judge("judge/x@1-2:3")
    assert (judged.name, judged.read_with) == ("judge/x@1-2:3/overall/rank", ("judge/x@1-2:3/overall/beats",))
    assert judged.bounds_apply and not RANK.bounds_apply and not replace(judged, habit=True).bounds_apply


def test_every_row_of_the_metrics_without_judge_is_declared_once(sample: Make, transcript: Say) -> None:
    names = [info.name for metric in default_metrics() for info in metric.infos()]
    assert len(set(names)) == len(names)
    scored = set()
    for language in ("en", "zh"):
        for metric in default_metrics():
            asked, said = sample("朗姆酒没了", language=language), transcript("朗姆酒没了")
            rows = metric.score(asked, said) if isinstance(metric, Metric) else []
            if not isinstance(metric, Metric):
                seen = metric.collector()
                seen.add(asked, said)
                rows = [row for _, _, row in seen.rows()]
            check_declared(metric, rows, infos_of(metric))
            scored |= {row.metric for row in rows}
    assert scored == set(names)


def test_whoever_declares_nothing_or_too_little_is_named_with_the_way_out() -> None:
    class Mute:
        """A metric of an earlier version."""

    with pytest.raises(ConfigError, match=r"test_info.*Mute declares no metric: give it a method infos\(\)"):
        infos_of(Mute())
    message = r"Mute scored the metric 'wit', which it does not declare; add MetricInfo\('wit', label="
    with pytest.raises(ConfigError, match=message):
        check_declared(Mute(), [Score("overall/rank", 1.0), Score("wit", 1.0)], {RANK.name: RANK})


def test_one_stands_for_all() -> None:
    other = replace(RANK, name="overall/win", primary=True)
    assert primary([RANK, other]) == other and primary([RANK, replace(RANK, name="x")]) == RANK
