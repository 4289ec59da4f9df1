"""A policy: a typing error must never turn a gate into one that tests nothing."""

from pathlib import Path
from typing import Any

import pytest

from roleeval.errors import ConfigError
from roleeval.metrics import MetricInfo
from roleeval.report.regress import Policy, policy_of, read_policy
from roleeval.report.regress.policy import Margin

INFOS = {
    name: MetricInfo(name, label=name, unit=unit, recipe="r", low=low, high=high, higher_is_better=up, headline=head)
    for name, unit, low, high, up, head in (
        ("likeness", "fraction", 0.0, 1.0, True, True),
        ("judge/a@1-2/overall", "points", 0.0, 10.0, True, True),
        ("words", "words", 0.0, None, None, True),
        ("flaws", "count", 0.0, None, False, False),
    )
}


def test_headline_metrics_with_a_direction_are_tested_unless_others_are_named() -> None:
    assert Policy().gated(INFOS) == ["likeness", "judge/a@1-2/overall"]
    assert policy_of({"metrics": ["overall", "fl*"]}).gated(INFOS) == ["judge/a@1-2/overall", "flaws"]


def test_margins_by_name_by_unit_and_by_share() -> None:
    policy = policy_of({"margins": {"overall": 0.5, "l*": "5 %"}, "units": {"count": "20 %"}})
    likeness, overall, flaws = (INFOS[name] for name in ("likeness", "judge/a@1-2/overall", "flaws"))
    assert policy.margin(overall).resolve(overall, 7.0) == 0.5
    assert policy.margin(likeness).resolve(likeness, 0.4) == pytest.approx(0.02)
    assert policy.margin(flaws).resolve(flaws, 3.0) == pytest.approx(0.6)
    assert Policy().margin(overall).resolve(overall, 7.0) == pytest.approx(0.3)  # 3 % of a scale of 10 points
    assert Margin(0.03, "range").resolve(flaws, 2.0) == pytest.approx(0.06)  # an open range: of the baseline's mean


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"margin": {}}, "did you mean 'margins'"),
        ({"guards": {"emty": 0.1}}, "did you mean 'empty'"),
        ({"units": {"point": 1}}, "did you mean 'points'"),
        ({"allow": ["decodin"]}, "did you mean 'decoding'"),
        ({"alpha": 0.5}, "between 0 and 0.5"),
        ({"alpha": True}, "between 0 and 0.5"),
        ({"margins": {"x": 0}}, "above 0"),
        ({"margins": {"x": "-5 %"}}, "above 0"),
        ({"margins": {"x": "5"}}, '"5 %"'),
        ({"margins": {"x": float("nan")}}, "above 0"),
        ({"margins": [1]}, "mapping"),
        ({"guards": {"empty": 2}}, "from 0 to 1"),
        ({"inconclusive": "maybe"}, "blocks or passes"),
        ({"exact": "yes"}, "true or false"),
        ({"worst": -1}, "whole number"),
        ({"metrics": "likeness"}, "list of names"),
        ([1], "mapping of keys"),
    ],
)
def test_what_is_not_possible_is_refused_by_name(node: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        policy_of(node)


def test_a_name_that_no_metric_has_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no metric is called 'likenes' \(did you mean 'likeness'"):
        policy_of({"margins": {"likenes": 0.1}}).gated(INFOS)
    with pytest.raises(ConfigError, match="words has no direction"):
        policy_of({"metrics": ["words"]}).gated(INFOS)


@pytest.mark.parametrize("text", ["alpha: [", "alpha: 0.05\nalpha: {", "\xff"])
def test_a_file_that_is_no_yaml_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"policy.yaml"):
        read_policy(file)


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("# nothing\n")
    assert read_policy(file) == Policy()
