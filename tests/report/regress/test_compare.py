"""The gate itself: what passes, what fails, what cannot be compared, and what the data cannot tell."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gate_runs
import numpy as np
import pytest
from gate_runs import about, worse

from roleeval.report.regress import NotComparableError, Regression, policy_of, read_folder, regress, save_baseline
from roleeval.report.regress.guards import sign_test
from roleeval.stats.gate_sequential import random_batches

METRICS = {"metrics": ["likeness"], "margins": {"likeness": 0.05}}
NEW = {"engine": {"fingerprint": "e" * 64}}  # other weights


def gate(before: Path, now: Path, **policy: Any) -> Regression:
    return regress(before, now, policy_of(METRICS | policy))


def test_a_rerun_of_the_same_model_passes_whatever_the_number_of_samples(before: Path, tmp_path: Path) -> None:
    """A share near 0 could not be told from its margin with 96 samples; there is nothing to tell here."""
    again = gate_runs.write(tmp_path)
    found = regress(before, again, policy_of({"margins": {"overall": 0.001}}))
    assert (found.outcome, found.exit_code) == ("PASS", 0)
    assert [each.repeated for each in found.tested] == [True, True]
    assert not found.models[0].changed and not found.texts[0].changed


@pytest.mark.parametrize(
    ("engine", "repeated"), [({"package": "vllm==0.25.1"}, True), ({"server": {}, "package": "openai==2.0"}, False)]
)
def test_the_same_weights_that_answer_the_same_pass_where_their_hashes_are_known(
    tmp_path: Path, engine: dict[str, Any], repeated: bool
) -> None:
    """In bfloat16, on GPUs and when sampled as well; a server may have put other weights behind a name."""
    one, again = (gate_runs.write(tmp_path / name) for name in ("one", "again"))
    for folder in (one, again):
        about(folder, engine=engine)
    found = regress(one, again, policy_of({"margins": {"overall": 0.001}}))
    assert {each.repeated for each in found.tested} == {repeated}


def test_other_weights_that_change_nothing_of_note_pass(before: Path, tmp_path: Path) -> None:
    def noise(number: int) -> dict[str, Any]:
        moved = gate_runs.likeness(number) + np.random.default_rng(number + 999).normal(0, 0.01)
        return {"likeness": float(moved), "answer": f"An answer, {number}."}

    now = gate_runs.write(tmp_path, change=noise)
    about(now, **NEW)
    found = gate(before, now)
    assert found.exit_code == 0 and found.texts[0].items == len(found.texts[0].changed) == 96
    assert found.models[0].changed == ("model and engine (fingerprint; 1 of 2)",)


def test_a_loss_beyond_the_margin_fails_and_the_worst_items_come_with_both_answers(
    before: Path, tmp_path: Path
) -> None:
    now = gate_runs.write(tmp_path, change=lambda n: worse(0.3 if n == 7 else 0.1)(n))
    found = gate(before, now)
    assert (found.outcome, found.exit_code) == ("FAIL", 1)
    assert len(found.worst) == 10 and found.worst[0].sample == "eng/00007"
    assert found.worst[0].before and found.worst[0].before.turns[0][1] == "This is answer 7."
    assert found.worst[0].now and found.worst[0].now.turns[0][1] == "Other answer 7."


def test_what_the_data_cannot_tell_is_inconclusive_and_says_what_it_would_take(before: Path, tmp_path: Path) -> None:
    def lost(number: int) -> dict[str, Any]:
        by = np.random.default_rng(number % gate_runs.ROLES).normal(0.03, 0.07)
        return {"likeness": gate_runs.likeness(number) - float(by)}

    now = gate_runs.write(tmp_path, change=lost)
    about(now, **NEW)
    found = gate(before, now)
    assert (found.outcome, found.exit_code) == ("INCONCLUSIVE", 3)
    needed = found.tested[0].decision.needed if found.tested[0].decision else None
    assert needed is not None and needed.clusters > gate_runs.ROLES
    assert gate(before, now, inconclusive="passes").exit_code == 0


def test_a_baseline_file_says_the_same_as_its_folder(before: Path, tmp_path: Path) -> None:
    save_baseline(tmp_path / "b", read_folder(before))
    now = gate_runs.write(tmp_path / "now", change=worse(0.1))
    of_file, of_folder = gate(tmp_path / "b", now), gate(before, now)
    assert of_file.tested == of_folder.tested and of_file.guards == of_folder.guards
    assert of_file.texts[0].changed == of_folder.texts[0].changed  # by hashes
    assert of_file.worst[0].before is None and of_file.worst[0].now is not None


def test_the_mean_over_seeds_and_runs_is_compared(before: Path, tmp_path: Path) -> None:
    """Two seeds whose losses cancel are no loss."""
    for seed, by in ((1, 0.1), (2, -0.1)):
        gate_runs.write(tmp_path, change=worse(by), run=f"seed{seed}-x", seed=seed)
    found = gate(before, tmp_path)
    assert found.models[0].seeds == (1, 2) and "seed (1 in the baseline, 1, 2 now)" in found.models[0].changed
    assert found.tested[0].decision is not None and found.tested[0].decision.change == pytest.approx(0.0, abs=1e-9)


def test_models_are_paired_by_name_and_those_on_one_side_are_said(before: Path, tmp_path: Path) -> None:
    gate_runs.write(tmp_path / "old", model="m")
    gate_runs.write(tmp_path / "old", model="gone")
    gate_runs.write(tmp_path / "now", model="m")
    gate_runs.write(tmp_path / "now", model="new")
    found = gate(tmp_path / "old", tmp_path / "now")
    assert [model.model for model in found.models] == ["m"]
    assert [note.partition(":")[0] for note in found.notes] == [
        "gone on answers is in the baseline and not in the current results",
        "new on answers is not in the baseline",
    ]
    gate_runs.write(tmp_path / "else", model="other")
    with pytest.raises(NotComparableError, match=r"no model is on both sides.*give both the same model\.name"):
        gate(before, tmp_path / "else")


@pytest.mark.parametrize(
    ("parts", "aspect", "words"),
    [
        ({"benchmark": {"data_hash": "1" * 64}}, "data", "other data: hash"),
        (
            {"benchmark": {"prompt_packs": {"persona": {"version": "2", "sha256": "2" * 64}}}},
            "prompts",
            "other prompts: persona is absent in the baseline and 2 ",
        ),
        (
            {"model": {"sampling": gate_runs.GREEDY | {"max_tokens": 24}}},
            "decoding",
            "other decoding: max_tokens is 96 in the baseline and 24 now",
        ),
        ({"identity": {"helpers": {"user": {"engine": "x"}}}}, "helpers", "other helper models"),
        ({"judges": {"judge/errors@11111111-33333333": None}}, "judge", "another judge: errors has other prompts"),
    ],
)
def test_what_was_asked_otherwise_is_not_compared_unless_allowed(
    before: Path, tmp_path: Path, parts: Mapping[str, Any], aspect: str, words: str
) -> None:
    now = gate_runs.write(tmp_path, change=worse(0.1))
    if "judges" in parts:
        manifest = json.loads((now / "manifest.json").read_text())
        (record,) = manifest["judges"].values()
        other = "judge/errors@11111111-33333333"
        manifest["judges"] = {other: record | {"prefix": other}}
        (now / "manifest.json").write_text(json.dumps(manifest))
    else:
        about(now, **parts)
    with pytest.raises(NotComparableError) as caught:
        gate(before, now)
    assert [reason for reason in caught.value.reasons if words in reason and reason.startswith("m on answers: ")]
    assert gate(before, now, allow=[aspect]).outcome == "FAIL"


def test_other_options_of_the_benchmark_are_another_protocol_but_new_options_are_not(
    before: Path, tmp_path: Path
) -> None:
    old, now = gate_runs.write(tmp_path / "a"), gate_runs.write(tmp_path / "b")
    about(old, identity={"benchmark": {"rounds": 10}})
    about(now, identity={"benchmark": {"rounds": 10, "option_of_a_newer_version": 1}})
    assert gate(old, now).outcome == "PASS"
    about(now, identity={"benchmark": {"rounds": 12}})
    with pytest.raises(NotComparableError, match="other protocol: rounds is 10 in the baseline and 12 now"):
        gate(old, now)


def test_other_samples_are_not_compared(before: Path, tmp_path: Path) -> None:
    import site_results as made

    now = made.write(tmp_path, made.Run("answers", "m", [made.single(n, "A.") for n in range(5)], splits={"eng": 96}))
    about(now, engine=gate_runs.CPU, model={"sampling": gate_runs.GREEDY})
    with pytest.raises(NotComparableError, match="96 in the baseline, 5 now, 5 in both"):
        gate(before, now)


def test_a_metric_that_is_gone_is_not_compared(before: Path, tmp_path: Path) -> None:
    import pandas as pd

    now = gate_runs.write(tmp_path)
    rows = pd.read_parquet(now / "scores.parquet")
    rows[rows["metric"] != "likeness"].to_parquet(now / "scores.parquet")
    about(now, files={"scores.parquet": {"bytes": (now / "scores.parquet").stat().st_size, "sha256": "0" * 64}})
    with pytest.raises(NotComparableError, match="the metric likeness is not in the current results"):
        gate(before, now)


@pytest.mark.parametrize(
    ("guard", "change"),
    [
        ("engine_failed", {"status": "engine_failed", "likeness": None}),
        ("empty", {"answer": " "}),
        ("truncated_reasoning", {"status": "truncated_reasoning"}),
        ("refused", {"status": "refused"}),
        ("coverage", {"likeness": None}),
    ],
)
def test_a_hard_break_fails_item_by_item(before: Path, tmp_path: Path, guard: str, change: dict[str, Any]) -> None:
    now = gate_runs.write(tmp_path, change=lambda number: change if number < 20 else {})
    found = gate(before, now)
    broken = {each.name: each for each in found.guards if each.broken}
    assert found.exit_code == 1 and guard in broken
    assert broken[guard].newly == 20 and broken[guard].examples[0] == "eng/00000"
    assert [item.sample for item in found.worst][:5] == [f"eng/{number:05}" for number in range(5)]


def test_a_few_empty_answers_may_be_chance_but_one_failed_call_is_not(before: Path, tmp_path: Path) -> None:
    few = gate_runs.write(tmp_path / "a", change=lambda n: {"answer": ""} if n < 5 else {})
    guards = {each.name: each for each in gate(before, few).guards}
    assert guards["empty"].now > guards["empty"].limit and not guards["empty"].broken
    one = gate_runs.write(tmp_path / "b", change=lambda n: {"status": "engine_failed"} if n == 1 else {})
    assert {each.name for each in gate(before, one).guards if each.broken} == {"engine_failed"}


def test_the_sign_test_is_exact() -> None:
    assert sign_test(0, 0) == 1 and sign_test(10, 0) == 2**-10 and sign_test(1, 1) == 0.75
    assert 0 <= sign_test(3000, 2000) < 1e-9


def test_exact_mode_lists_every_changed_text_with_its_first_differing_token(before: Path, tmp_path: Path) -> None:
    now = gate_runs.write(
        tmp_path,
        change=lambda n: {"answer": "This is answer four."} if n == 4 else {"answer": "This"} if n == 9 else {},
    )
    found = gate(before, now, exact=True)
    (texts,) = found.texts
    assert found.exit_code == 1 and texts.changed == ("eng/00004", "eng/00009")
    four, nine = texts.differences
    assert (four.token, four.context, four.before, four.now) == (7, "This is answer ", "4", "four")
    assert (nine.token, nine.before, nine.now) == (2, " ", "")
    save_baseline(tmp_path / "b", read_folder(before))
    assert gate(tmp_path / "b", now, exact=True).texts[0].changed == texts.changed  # without texts: by hashes


def test_exact_mode_is_refused_where_texts_need_not_repeat(before: Path, tmp_path: Path) -> None:
    now = gate_runs.write(tmp_path)
    about(now, engine={"package": "vllm==0.33.0"})
    with pytest.raises(NotComparableError, match="float32 on the CPU"):
        gate(before, now, exact=True)


def test_groups_can_be_tested_apart(tmp_path: Path) -> None:
    def halves(number: int) -> dict[str, Any]:
        return {"split": "eng" if number % 24 < 12 else "zh"}

    def lost(number: int) -> dict[str, Any]:
        return halves(number) | (worse(0.2)(number) if number % 24 >= 12 else {})

    old = gate_runs.write(tmp_path / "a", change=halves)
    now = gate_runs.write(tmp_path / "b", change=lost)
    found = gate(old, now, by_group=True)
    assert {each.paired.group: each.outcome for each in found.tested} == {"eng/CUS": "PASS", "zh/CUS": "FAIL"}


def test_one_cluster_cannot_be_tested(tmp_path: Path) -> None:
    import site_results as made

    sides = []
    for name in ("a", "b"):
        sides.append(made.write(tmp_path / name, made.Run("answers", "m", [made.single(n, name) for n in range(9)])))
    found = gate(*sides)
    assert found.outcome == "INCONCLUSIVE" and "one cluster" in found.tested[0].untested


def test_one_role_that_lost_everything_fails_though_the_test_over_roles_cannot_tell(
    before: Path, tmp_path: Path
) -> None:
    """One role of twelve with another role's adapter: over all roles a loss of 4 points that one cluster brings."""

    def one_role(number: int) -> dict[str, Any]:
        return worse(0.4)(number) if number % gate_runs.ROLES == 3 else {}

    now = gate_runs.write(tmp_path, change=one_role)
    about(now, **NEW)
    found = gate(before, now)
    assert found.tested[0].outcome != "FAIL" and found.exit_code == 1
    (lost,) = found.lost_clusters
    assert (lost.cluster, lost.items, lost.worse, lost.better) == ("role03", 8, 8, 0)
    assert lost.p == pytest.approx(2**-8)  # of twelve clusters only this one changed
    assert not gate(before, now, guards={"cluster": 0}).lost_clusters


def test_sequentially_a_clear_loss_is_found_with_a_part_of_the_roles(before: Path, tmp_path: Path) -> None:
    now = gate_runs.write(tmp_path, change=worse(0.3))
    about(now, **NEW)
    found = regress(before, now, policy_of(METRICS), sequential=True)
    assert found.outcome == "FAIL" and found.sequential is not None
    assert found.sequential.share < 1 and not found.sequential.next_batch


def test_sequentially_the_current_run_may_lack_roles_and_the_next_ones_are_named(before: Path, tmp_path: Path) -> None:
    first = regress(before, before, policy_of(METRICS), sequential=True).sequential
    assert first is not None
    batches = random_batches({f"answers/role{number:02}" for number in range(gate_runs.ROLES)})
    now = gate_runs.write(tmp_path, roles=[name.partition("/role")[2] for name in batches[0]])
    about(now, **NEW)
    with pytest.raises(NotComparableError, match="other samples"):
        gate(before, now)
    found = regress(before, now, policy_of(METRICS), sequential=True)
    assert found.exit_code == 3 and found.sequential is not None
    assert found.sequential.next_batch == batches[1]


def test_a_share_that_goes_from_none_to_all_is_decided(before: Path, tmp_path: Path) -> None:
    """Every item changes by the same amount: nothing varies, and the interval still has two ends."""
    old = gate_runs.write(tmp_path / "a", change=lambda number: {"likeness": 1.0})
    now = gate_runs.write(tmp_path / "b", change=lambda number: {"likeness": 0.0})
    for one, other, outcome in ((old, now, "FAIL"), (now, old, "PASS")):
        about(other, **NEW)
        decision = gate(one, other).tested[0].decision
        assert decision is not None and decision.outcome == outcome
        assert decision.interval[0] <= decision.change <= decision.interval[1]
