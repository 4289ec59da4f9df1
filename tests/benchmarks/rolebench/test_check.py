"""`roleeval data check`: what a folder holds is counted right, and a bad row is found before a run meets it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roleeval.benchmarks.rolebench.check import check_rolebench
from roleeval.cli.main import app
from roleeval.resources import resource

SPECIFIC = "rolebench-eng/instruction-generalization/role_specific/test.jsonl"


def put(folder: Path, name: str, *lines: object) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def row(role: str, question: str, *generated: str) -> dict[str, object]:
    return {"role": role, "question": question, "generated": generated or ["x"]}


def test_counts_what_is_there(tmp_path: Path) -> None:
    rows = [row("A", "q", "1", "2"), row("A", "q "), row("B", "q"), row("A", "q"), row("A", "two\nlines")]
    put(tmp_path, SPECIFIC, *rows)
    put(tmp_path, "profiles-eng/desc.json", {"A": "first", "B": "second"})
    put(tmp_path, "instructions-eng/general.jsonl", {"instruction": " i", "target": "t"})
    check = check_rolebench(tmp_path)
    (file,) = check.files
    assert (file.rows, file.roles, file.references, file.duplicates) == (5, 2, 6, 1)
    assert (file.newline_questions, file.strip_merges) == (1, 1)
    assert check.malformed == () and "zh_general" in check.absent and "eng_specific" not in check.absent
    assert check.descriptions == {"en": 2, "zh": 0} and check.raw_references == {"en": 1, "zh": 0}


def test_every_malformed_row_is_named_and_fails_the_command(tmp_path: Path) -> None:
    file = put(tmp_path, SPECIFIC, row("A", "q"), "{", row("A", "z"), {"role": "A", "question": "q", "generated": "x"})
    desc = put(tmp_path, "profiles-zh/desc.json", ["not", "an", "object"])
    done = CliRunner().invoke(app, ["data", "check", str(tmp_path)])
    assert done.exit_code == 1
    for words in (f"{file}, line 2: ", f"{file}, line 4: ", str(desc), "3 malformed"):
        assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_file_is_malformed_and_no_file_an_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["data", "check", str(tmp_path)])
    assert done.exit_code == 1 and "no RoleBench file in it" in done.stderr
    put(tmp_path, SPECIFIC)
    done = CliRunner().invoke(app, ["data", "check", str(tmp_path)])
    assert done.exit_code == 1 and "contains no rows" in done.stderr


def test_the_embedded_data_is_clean() -> None:
    folder = resource("tasks/rolebench/embedded")
    done = CliRunner().invoke(app, ["data", "check", str(folder)])
    assert done.exit_code == 0 and done.stderr == ""
    assert "rolebench-zh/general/test.jsonl" in done.stdout


def test_the_released_files_have_the_traps_they_are_known_for(shared_rolebench: Path) -> None:
    files = {file.file: file for file in check_rolebench(shared_rolebench).files}
    specific = files[SPECIFIC]
    assert (specific.rows, specific.roles, specific.references, specific.strip_merges) == (4750, 95, 4954, 25)
    general = files["rolebench-eng/role-generalization/general/test.jsonl"]
    assert (general.rows, general.roles, general.references, general.newline_questions) == (5000, 10, 20765, 5000)
    assert files["rolebench-zh/general/test.jsonl"].references == 6982


@pytest.mark.parametrize("address", ["hf://a/b", "hf://a/b@main", "ZenMoore/RoleBench", "hf://a/b@" + "0" * 39])
def test_only_a_pinned_revision_is_fetched(tmp_path: Path, address: str) -> None:
    done = CliRunner().invoke(app, ["data", "fetch", address, "--to", str(tmp_path)])
    assert done.exit_code == 1 and "does not pin a revision" in done.stderr


def test_a_pinned_revision_is_fetched_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def snapshot_download(repo: str, **options: object) -> str:
        asked.update(options, repo=repo)
        return str(options["local_dir"])

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    address = "hf://ZenMoore/RoleBench@" + "0123456789" * 4
    done = CliRunner().invoke(app, ["data", "fetch", address, "--to", str(tmp_path / "data")])
    assert done.exit_code == 0, done.output
    assert asked["repo"] == "ZenMoore/RoleBench" and asked["revision"] == "0123456789" * 4
    assert asked["local_dir"] == tmp_path / "data" and str(tmp_path / "data") in done.stdout
