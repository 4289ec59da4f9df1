"""Importing official prompts: read, never run; exact; and a sentence where the clone is not what is known."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roleeval.benchmarks.coser.official_prompts import import_prompts
from roleeval.cli.main import app
from roleeval.errors import DataError
from roleeval.prompts import load_prompt_pack

TEMPLATE = """You watch a play from {book}.
Plot: {plot_summary}
Scene: {scenario}
{character_profiles}
As written: {original_conversation}
{additional_instructions}
Look at {dimension_name}: {dimension_brief}
{dimension_criteria}
Reply as {"{dimension_name}": ...}
"""
PACE = {"dimension_brief": "How it moves.", "dimension_criteria": "Only {major_characters} count.\n"}
VOICE = {"dimension_brief": "How it sounds.", "dimension_criteria": "Words."}
PROMPTS = {"self-play-deduct-template": TEMPLATE, "dimension_details": {"Pace": PACE, "Voice": VOICE}}
# A stand-in of the official file's shape, with what must not be run around it.
STAND_IN = f"""import nothing_that_exists

open(__file__ + ".was_run", "w")
NAME = {PROMPTS!r}
"""


def clone(folder: Path, file: str, name: str, text: str = STAND_IN) -> Path:
    path = folder / "clone" / file
    path.parent.mkdir(parents=True)
    path.write_text(text.replace("NAME", name))
    return folder / "clone"


@pytest.mark.parametrize(
    ("official", "file", "name"),
    [
        ("coser", "gca_evaluation/prompts.py", "critic_prompts"),
        ("her", "eval_code/benchmarks/multi_turn/coser/prompts.py", "CRITIC_PROMPTS"),
    ],
)
def test_prompts_are_copied_exactly_and_nothing_is_run(tmp_path: Path, official: str, file: str, name: str) -> None:
    root = clone(tmp_path, file, name)
    out = tmp_path / "pack"
    done = CliRunner().invoke(app, ["prompts", "import", official, "--from", str(root), "--out", str(out)])
    assert done.exit_code == 0 and "Pace, Voice" in done.output
    critic = json.loads((out / "critic.json").read_text())
    assert critic["template"] == TEMPLATE
    assert critic["dimensions"]["Voice"] == {"brief": "How it sounds.", "criteria": "Words."}
    assert critic["dimensions"]["Pace"]["criteria"] == "Only {major_characters} count.\n"
    assert [path.name for path in (root / file).parent.iterdir()] == ["prompts.py"]
    pack = load_prompt_pack(str(out))
    assert pack.name == f"{official}_official" and len(pack.version) == 12 and len(pack.sha256) == 64


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("other = 1", "no critic_prompts"),
        ("critic_prompts = build()", r"line 1.*not a literal.*code of a clone is never executed"),
        ("critic_prompts = {'a': open('x')}", "not a literal"),
        ("critic_prompts = [1]", "not a dictionary"),
        ("critic_prompts = {'self-play-deduct-template': 'x'}", "lacks"),
        ("critic_prompts = {", "cannot be read as Python"),
        (
            STAND_IN.replace("{original_conversation}", "").replace("NAME", "critic_prompts"),
            "has no {original_conversation}",
        ),
        (STAND_IN.replace("'dimension_brief': 'How it moves", "'brief': 'How it moves"), "'Pace' lacks"),
    ],
)
def test_another_file_is_refused_with_a_reason(tmp_path: Path, text: str, words: str) -> None:
    root = clone(tmp_path, "gca_evaluation/prompts.py", "critic_prompts", text)
    with pytest.raises(DataError, match=words):
        import_prompts("coser", root, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no gca_evaluation/prompts\.py in it"):
        import_prompts("coser", tmp_path, tmp_path / "pack")
