"""The batches of a gate: the same at every look, and no look before all that will be tested can be."""

from dataclasses import replace
from pathlib import Path

import gate_runs
import pytest
from gate_runs import about, worse

from roleeval.errors import ResultError
from roleeval.report.regress import policy_of, read_folder, regress
from roleeval.report.regress.batches import chosen, first_look, planned_batches
from roleeval.report.regress.kept import Side
from roleeval.report.regress.read import read_folders
from roleeval.report.regress.render.words import sequential_words

METRICS = policy_of({"metrics": ["likeness"], "margins": {"likeness": 0.05}})
NEW = {"engine": {"fingerprint": "e" * 64}}  # other weights


def renamed(side: Side, benchmark: str, clusters: dict[str, str]) -> Side:
    """The same runs as of another benchmark, whose clusters have other names."""
    (runs,) = side.runs.values()
    run = replace(runs[0], benchmark=benchmark)
    samples = tuple(replace(each, cluster=clusters.get(each.cluster, each.cluster)) for each in run.samples)
    return Side(benchmark, {(benchmark, run.model): (replace(run, samples=samples),)})


def test_the_batches_hold_every_cluster_once(before: Path) -> None:
    batches = planned_batches(read_folder(before))
    names = chosen("answers", batches)
    assert len(batches) == 5 and sorted(names) == [f"role{number:02}" for number in range(gate_runs.ROLES)]
    assert chosen("answer", batches) == ()


def test_the_first_look_waits_for_two_clusters_of_every_benchmark(before: Path) -> None:
    one = read_folder(before)
    assert first_look(one, METRICS, planned_batches(one)) == 1
    few = renamed(one, "few", {f"role{number:02}": "ab"[number % 2] for number in range(gate_runs.ROLES)})
    both = Side("both", {**one.runs, **few.runs})
    batches = planned_batches(both)
    number = first_look(both, METRICS, batches)
    assert set(chosen("few", batches[:number])) == {"a", "b"} and len(chosen("few", batches[: number - 1])) < 2


def test_a_benchmark_with_one_cluster_is_waited_for_and_holds_nothing_up(before: Path) -> None:
    single = renamed(read_folder(before), "single", {f"role{number:02}": "a" for number in range(gate_runs.ROLES)})
    assert first_look(single, METRICS, planned_batches(single)) == 1


def test_given_batches_are_those_that_decide(before: Path, tmp_path: Path) -> None:
    now = gate_runs.write(tmp_path, change=worse(0.3))
    about(now, **NEW)
    batches = [(f"answers/role{number:02}",) for number in range(gate_runs.ROLES)]
    found = regress(before, now, METRICS, sequential=True, batches=batches).sequential
    assert found is not None and found.ended == 6 and found.share == 0.5


def test_what_a_guard_failed_is_not_called_open(before: Path, tmp_path: Path) -> None:
    roles = [name.removeprefix("role") for name in chosen("answers", planned_batches(read_folder(before))[:1])]
    now = gate_runs.write(tmp_path, roles=roles, change=lambda number: {"status": "engine_failed", "answer": ""})
    about(now, **NEW)
    found = regress(before, now, METRICS, sequential=True)
    assert found.outcome == "FAIL" and found.decided
    assert sequential_words(found) == "Sequential: failed after 25% of the clusters; no metric's test has decided yet"


def test_exact_mode_ends_early_only_where_it_fails(before: Path) -> None:
    found = regress(before, before, replace(METRICS, exact=True), sequential=True)
    assert found.outcome == "PASS" and found.sequential is not None and found.sequential.ended and not found.decided
    assert regress(before, before, METRICS, sequential=True).decided


def test_a_margin_that_is_a_share_is_the_same_however_many_roles_are_there(before: Path, tmp_path: Path) -> None:
    policy = policy_of({"metrics": ["likeness"], "margins": {"likeness": "5 %"}})
    part = gate_runs.write(tmp_path, roles=["03", "07"])
    margins = {regress(before, now, policy, sequential=True).tested[0].paired.margin for now in (before, part)}
    assert len(margins) == 1


def test_two_runs_of_other_roles_are_not_two_seeds_of_one(tmp_path: Path) -> None:
    one = gate_runs.write(tmp_path / "a", roles=["03"])
    other = gate_runs.write(tmp_path / "b", roles=["07"], seed=2, run="seed2-0123abcd")
    with pytest.raises(ResultError, match="which differ in samples"):
        read_folders([one, other], "both")
