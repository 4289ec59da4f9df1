"""CoSER as a whole command with a stand-in engine: interruption, hash seed, profiles, its own metrics."""

import json
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

from coser_scenes import cases, write

from tests.e2e.conftest import STUB, Start, files

RUN = (*STUB, "benchmark=coser", "benchmark.data_file=scenes.json", "progress=quiet", "max_in_flight=8")


def manifest(results: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(results.rglob("manifest.json")).read_text(encoding="utf-8"))
    return found


def test_a_scene_killed_at_any_moment_ends_as_if_never_killed(tmp_path: Path, start: Start) -> None:
    write(tmp_path, cases(6))
    run = (*RUN, "engine.delay_s=0.02")
    whole = start(*run, "results_dir=whole", "engine.journal=whole.txt")
    assert whole.wait(120) == 0, whole.stdout.read() if whole.stdout else ""
    rng = random.Random(4)
    kills, code = 0, None
    while code != 0:
        process = start(*run, "results_dir=killed", "engine.journal=killed.txt")
        try:
            code = process.wait(rng.uniform(0.6, 1.1) if kills < 6 else 120)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills >= 3
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    asked = (tmp_path / "killed.txt").read_text().split()
    assert set(asked) == set((tmp_path / "whole.txt").read_text().split())
    assert len(asked) - len(set(asked)) <= 6 * kills  # only the calls under way: one a scene


def test_neither_the_hash_seed_nor_the_number_in_flight_changes_a_byte(tmp_path: Path, start: Start) -> None:
    write(tmp_path, cases(6))
    runs = [
        start(*RUN, f"max_in_flight={count}", f"results_dir=r{count}", "engine.delay_s=0.001", PYTHONHASHSEED=seed)
        for count, seed in ((1, "0"), (64, "123"))
    ]
    for process in runs:
        assert process.wait(120) == 0, process.stdout.read() if process.stdout else ""
    one, many = (files(tmp_path / name) for name in ("r1", "r64"))
    assert one == many and len(one) == 3


def test_the_same_command_again_finds_its_folder_and_asks_nothing(tmp_path: Path, start: Start) -> None:
    write(tmp_path, cases(2))
    for _ in range(2):
        process = start(*RUN, "results_dir=r", "engine.journal=asked.txt")
        assert process.wait(120) == 0, process.stdout.read() if process.stdout else ""
    asked = (tmp_path / "asked.txt").read_text().split()
    assert len(asked) == len(set(asked)) and len(list((tmp_path / "r").rglob("manifest.json"))) == 1


def test_profiles_are_runs_of_their_own_with_coser_s_metrics(tmp_path: Path, start: Start) -> None:
    write(tmp_path, cases(5))
    sweep = start("-m", *RUN, "benchmark/protocol=paper,feb25,head,her", "results_dir=r")
    output, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 0, output
    # other rules, other table; and each table says which rules
    assert "coser, set 4 of 4" in output and "they differ in set-up" in " ".join(output.split())
    assert all(f"protocol {name} " in " ".join(output.split()) for name in ("paper", "feb25", "head", "her"))
    found = {}
    for file in (tmp_path / "r").rglob("manifest.json"):
        data = json.loads(file.read_text(encoding="utf-8"))
        found[data["benchmark"]["protocol"]["name"]] = data, json.loads((file.parent / "summary.json").read_text())
    assert set(found) == {"paper", "feb25", "head", "her"}
    for name, (data, summary) in found.items():
        assert data["samples"]["statuses"] == {"ok": 5}
        assert data["identity"]["benchmark"]["protocol"]["name"] == name
        assert set(data["identity"]["helpers"]) == {"environment", "next_speaker"}
        metrics = summary["metrics"]
        assert {"coser/rougeL_f1_rouge_chinese", "coser/actor_turns", "coser/nsp_unknown"} <= set(metrics)
        assert metrics["coser/actor_turns"]["all"]["mean_of"] == ["id", "ood"]
        assert ("over_rows" in metrics["coser/actor_turns"]["all"]) == (name != "paper")
    assert found["her"][0]["identity"]["helpers"]["environment"]["sampling"]["max_tokens"] == 4096
