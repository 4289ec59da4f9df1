"""--dry-run shows what would be sent first, as the model reads it, and asks nothing."""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from roleeval.cli.hydra_app import main
from roleeval.cli.invocation import invocation
from roleeval.resources import zoo_path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr("sys.argv", ["run_eval.py"])
    invocation.cache_clear()
    yield tmp_path / "results"
    invocation.cache_clear()


def test_everybody_in_a_scene_is_shown_with_special_tokens_and_their_number(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark=coser", "model=zoo_her", f"results_dir={folder}", "--dry-run"]) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("== ")]
    assert {head.split(": ")[1].split(" ")[0] for head in heads} == {"model", "environment", "next_speaker"}
    assert all("prompt tokens, at most" in head for head in heads)
    assert "adapter her, the answer begins with '<system_thinking>'" in heads[0]
    assert not folder.exists()


def test_the_limit_says_how_many_samples_of_each_split(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model=zoo_base", "limit=2", f"results_dir={folder}", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("capability check of zoo_base: the longest first prompt (") and " of 16384; " in shown
    assert shown.count("== ") == 2 * 4
    assert shown.count("<|im_start|>user\n") == shown.count("<|im_start|>assistant\n") == 8


def test_chosen_clusters_are_shown_and_an_unknown_one_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["model=zoo_base", f"results_dir={folder}", "--dry-run"]
    assert main([*chosen, "clusters=[Sherlock Holmes]"]) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("== ")]
    assert heads and all("Sherlock Holmes" in head for head in heads)
    assert main([*chosen, "clusters=[Sherlock Holmes, 林戴玉]"]) == 1
    assert "clusters: '林戴玉' has no samples; did you mean '林黛玉'?" in capsys.readouterr().err


def test_a_role_that_cannot_be_played_costs_itself(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(zoo_path("independent_lora"), tmp_path / "loras", ignore=shutil.ignore_patterns("Mad*"))
    chosen = [
        "model=zoo_independent_lora",
        f"model.adapters_dir={tmp_path / 'loras'}",
        "benchmark.splits=[eng_general]",
    ]
    assert main([*chosen, "limit=6", f"results_dir={folder}", "--dry-run"]) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("== ")]
    missing = [head for head in heads if ": cannot be sent: " in head]
    assert 0 < len(missing) < len(heads) == 6 and all("model Mad Hatter" in head for head in missing)


def test_jobs_in_other_processes_would_run_and_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["-m", "hydra/launcher=joblib", "model=zoo_base,zoo_her", f"results_dir={folder}", "--dry-run"]
    assert main(arguments) == 2
    assert "leave hydra/launcher out" in capsys.readouterr().err


def test_an_endpoint_renders_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served = ["model=api", "engine=openai", "engine.base_urls=[http://127.0.0.1:9]", "model.source.path=x"]
    assert main([*served, f"results_dir={folder}", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "(counted by the endpoint, at most 256 new)\n[system]\nYou are " in shown


def test_a_benchmark_that_does_not_know_its_prompts_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["benchmark=lm_eval", "benchmark.tasks=[x]", "model=zoo_base", f"results_dir={folder}", "--dry-run"]
    assert main(arguments) == 1
    assert "--dry-run: lm_eval does not know its prompts before it plays" in capsys.readouterr().err


def test_sessions_that_the_run_would_not_play_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their first prompts fit, and their longest form does not."""
    chosen = ["benchmark=minimax", "model=zoo_her", "limit=1", "model.sampling.max_tokens=300", "--dry-run"]
    assert main([*chosen, f"results_dir={folder}"]) == 1
    captured = capsys.readouterr()
    assert "samples fits into the model's context" in captured.err and not captured.out
    invocation.cache_clear()
    assert main([*chosen, f"results_dir={folder}", "benchmark.may_overflow=true"]) == 0


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The small base without a chat template."""
    folder = tmp_path / "bare"
    shutil.copytree(zoo_path("base"), folder, ignore=shutil.ignore_patterns("chat_template*"))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def test_whoever_has_no_chat_template_is_named_with_the_key_that_gives_one(
    folder: Path, bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody, scenes = f"{bare} has no chat template: set ", ["benchmark=coser", "model=zoo_her"]
    environment = ["+model@benchmark.environment.model=base", f"benchmark.environment.model.source.path={bare}"]
    panel = ["model=zoo_base", "judge=panel", "judge.judges.first.source.path=zoo:base"]
    for given, sentence in (
        (["model=base", f"model.source.path={bare}"], f"{nobody}model.source.chat_template"),
        (
            ["model=zoo_base", "judge=rubric", f"judge.source.path={bare}"],
            f"judge rubric: {nobody}judge.source.chat_template",
        ),
        (
            [*panel, f"judge.judges.second.source.path={bare}"],
            f"judge second: {nobody}judge.judges.second.source.chat_template",
        ),
        ([*scenes, *environment], f"{nobody}benchmark.environment.model.source.chat_template"),
    ):
        assert main([*given, f"results_dir={folder}", "--dry-run"]) == 1
        captured = capsys.readouterr()
        assert sentence in captured.err and not captured.out


def test_a_reader_that_leaves_is_no_error(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `... --dry-run | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone, monkeypatch.context() as patched:
        patched.setattr("sys.stdout", gone)
        assert main(["model=zoo_base", "limit=1", f"results_dir={folder}", "--dry-run"]) == 1
    assert not capsys.readouterr().err


def test_a_run_closes_nobodys_log(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hydra's own set-up of logs closes every handler of the process, and absl's takes pytest's stderr along."""
    handler = logging.FileHandler(tmp_path / "mine.log")
    logging.getLogger("mine").addHandler(handler)
    try:
        assert main(["model=zoo_base", "limit=1", f"results_dir={folder}", "--dry-run"]) == 0
        assert not handler.stream.closed
    finally:
        logging.getLogger("mine").removeHandler(handler)
        handler.close()
