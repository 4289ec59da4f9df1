"""Adapters on disk: made once, whole or not at all, loadable by peft, and the family and command that use them."""

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from network import ROLES, Network, Toy, manifest
from typer.testing import CliRunner

from roleeval.cli.adapters import adapters as adapters_app
from roleeval.config import build_target
from roleeval.engines import ModelSource, check_adapter
from roleeval.errors import AdapterError, ConfigError, UnsupportedRoleError
from roleeval.models import Base, HyCora, lora_need
from roleeval.models.hycora import _adapters, cached_adapter, default_cache, export, open_checkpoint, raw_prompt
from roleeval.types import Message, Persona
from tests.models.conftest import Files


def family(files: Files, cache: Path, **more: Any) -> HyCora:
    return HyCora(
        name="hycora",
        source=ModelSource(str(files.base)),
        checkpoint=str(files.checkpoint),
        roles=str(files.roles),
        cache_dir=str(cache),
        **more,
    )


def persona(role: str) -> Persona:
    return Persona(role, "", "en")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Roles for which the network was run, in order."""
    seen: list[int] = []
    generate = _adapters.lora_pairs

    def counted(checkpoint: Any, role_id: int) -> Any:
        seen.append(role_id)
        return generate(checkpoint, role_id)

    monkeypatch.setattr(_adapters, "lora_pairs", counted)
    return seen


def test_every_role_has_its_adapter_and_another_has_none(files: Files, tmp_path: Path) -> None:
    model = family(files, tmp_path / "cache")
    adapters = model.adapters()
    assert model.family == "hycora" and [a.name for a in adapters] == list(ROLES)
    assert len({a.fingerprint for a in adapters}) == 3 and lora_need(model).max_rank == 4
    for role, adapter in zip(ROLES, adapters, strict=True):
        assert model.adapter(persona(role)) == adapter
        check_adapter(adapter, model.source, max_rank=4)
    with pytest.raises(UnsupportedRoleError, match="role 'Hamlet' is not in"):
        model.adapter(persona("Hamlet"))
    assert model.parameters.per_added_role == 8


def test_one_role_makes_one_adapter_and_only_once(files: Files, tmp_path: Path, made: list[int]) -> None:
    cache = tmp_path / "cache"
    first = family(files, cache).adapter(persona(ROLES[2]))
    assert made == [2]
    assert family(files, cache).adapter(persona(ROLES[2])) == first
    assert made == [2]
    family(files, cache).adapters()
    assert made == [2, 0, 1]


def test_a_name_is_not_an_address(files: Files, tmp_path: Path, made: list[int]) -> None:
    """With another manifest a role has another adapter, and none is made again."""
    one = family(files, tmp_path / "cache").adapters()
    manifest(files.roles, (ROLES[1], ROLES[0], ROLES[2]))
    other = family(files, tmp_path / "cache").adapters()
    assert [a.fingerprint for a in other] == [a.fingerprint for a in one]
    assert [a.name for a in other] == [ROLES[1], ROLES[0], ROLES[2]] and len(made) == 3


@pytest.mark.parametrize("change", ["weights", "alpha"])
def test_another_checkpoint_has_another_address(files: Files, tmp_path: Path, made: list[int], change: str) -> None:
    before = family(files, tmp_path / "cache").adapter(persona(ROLES[0]))
    if change == "weights":
        Network(files.toy, seed=1).save(files.checkpoint)
    else:
        config = json.loads((files.checkpoint / "config.json").read_text())
        (files.checkpoint / "config.json").write_text(json.dumps({**config, "alpha": 16}))
    after = family(files, tmp_path / "cache").adapter(persona(ROLES[0]))
    assert before and after and before.fingerprint != after.fingerprint and before.path != after.path
    assert made == [0, 0]


@pytest.mark.parametrize("damage", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_damaged_adapter_is_made_again(files: Files, tmp_path: Path, made: list[int], damage: str) -> None:
    cache, opened = tmp_path / "cache", open_checkpoint(files.checkpoint)
    before = cached_adapter(opened, 0, "x", cache)
    file = Path(before.path, damage)
    if damage.endswith(".json"):
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-4] + b"\1\2\3\4")
    assert cached_adapter(opened, 0, "x", cache) == before
    assert made == [0, 0] and [p.name for p in cache.iterdir()] == [Path(before.path).name]


def test_writers_at_the_same_time_leave_one_whole_adapter(files: Files, tmp_path: Path) -> None:
    cache, start = tmp_path / "cache", threading.Barrier(6)
    found: list[Any] = []

    def work() -> None:
        opened = open_checkpoint(files.checkpoint)
        start.wait()
        found.append(cached_adapter(opened, 1, "x", cache))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and len(set(found)) == 1
    assert [p.name for p in cache.iterdir()] == [Path(found[0].path).name]


def test_a_writer_that_fails_leaves_nothing(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        raise OSError("disk full")
        yield

    monkeypatch.setattr(_adapters, "lora_pairs", broken)
    with pytest.raises(AdapterError, match=r"could not be written \(disk full\)"):
        cached_adapter(open_checkpoint(files.checkpoint), 0, "x", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "roleeval" / "hycora"


def test_folders_are_named_by_role_and_kept(files: Files, tmp_path: Path, made: list[int]) -> None:
    arguments = (files.checkpoint, files.base, files.roles, tmp_path / "out")
    assert list(export(*arguments, only=[ROLES[2], ROLES[0]])) == [ROLES[0], ROLES[2]]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"Sherlock Holmes", "Dr. Frank%2FN%2FFurter%2E"}
    assert export(*arguments)[ROLES[1]] == tmp_path / "out" / "孙悟空"
    assert made == [0, 2, 1]


def test_export_refuses_what_it_cannot_do(files: Files, tmp_path: Path) -> None:
    arguments = (files.checkpoint, files.base, files.roles, tmp_path / "out")
    with pytest.raises(AdapterError, match="unknown role 'Hamlet'"):
        export(*arguments, only=["Hamlet"])
    with pytest.raises(AdapterError, match="no such folder"):
        export(files.checkpoint, tmp_path / "nowhere", files.roles, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export(*arguments)
    manifest(files.roles, (ROLES[1], ROLES[0], ROLES[2]))
    with pytest.raises(AdapterError, match="孙悟空 exists and is not this adapter"):
        export(*arguments)


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("llama", "[INST]Who {are} you?[/INST]"),
        ("qwen2", "User: Who {are} you?\nAssistant:"),
        ("chatglm2", "[Round 1]\n\n问：Who {are} you?\n\n答："),
    ],
)
def test_raw_prompts_hold_the_bare_question(files: Files, tmp_path: Path, name: str, prompt: str) -> None:
    history = (Message("user", "Who {are} you?"),)
    model = family(files, tmp_path, prompt_format=name)
    assert model.prompt("You are Holmes.", history) == prompt
    with pytest.raises(ConfigError, match=f"prompt_format={name}: defined for one question"):
        model.prompt("", (*history, Message("assistant", "I"), *history))
    assert model.prompt_special_tokens is (name == "chatglm2")


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("llama", "[INST] Who?\n[/INST]"),
        ("qwen2", "User:  Who?\n\nAssistant:"),
        ("chatglm2", "[Round 1]\n\n问：Who?\n\n答："),
        ("llama_lora", "<<SYS>>\nYou are {question}. \n<</SYS>>\n\n[INST] Who?\n[/INST]"),
        ("qwen2_lora", "System: You are {question}. \nUser:  Who?\n\nAssistant:"),
        ("chatglm2_lora", "[Round 1]\n\n问：You are {question}.\nWho?\n\n答："),
    ],
)
def test_raw_prompts_are_those_of_hycoras_evaluation(name: str, prompt: str) -> None:
    """Its chatglm2 strips question and instruction; the others take them as they are."""
    history = (Message("user", " Who?\n"),)
    model = Base(name="b", source=ModelSource("m"), prompt_format=name)  # type: ignore[arg-type]
    assert model.prompt("You are {question}. ", history) == prompt
    assert model.prompt_special_tokens is name.startswith("chatglm2")
    bare = replace(model, system_prompt="none")
    if name.endswith("_lora"):
        with pytest.raises(ConfigError, match=r"system_prompt=persona, or use prompt_format=(llama|qwen2|chatglm2)$"):
            bare.prompt("You are Holmes.", history)
    else:
        assert bare.prompt("You are Holmes.", history) == prompt


def test_chatglm2_strips_as_many_questions_as_its_evaluation_does(root: Path) -> None:
    """517 of 1451 general and 12 of 239 specific Chinese questions: spec/hycora.md, corrections."""
    shared = root.parent / "shared/data/rolebench/rolebench-zh"
    if not shared.is_dir():
        pytest.skip("RoleBench's Chinese files are not at hand")
    for part, count, total in (("general", 517, 1451), ("role_specific", 12, 239)):
        lines = (shared / part / "test.jsonl").read_text(encoding="utf-8").split("\n")
        questions = [json.loads(line)["question"] for line in lines if line]
        texts = [raw_prompt("chatglm2", (Message("user", question),)) for question in questions]
        changed = [text != f"[Round 1]\n\n问：{q}\n\n答：" for text, q in zip(texts, questions, strict=True)]
        assert (sum(changed), len(changed)) == (count, total)


def test_the_chat_has_no_role_prompt(files: Files, tmp_path: Path) -> None:
    history = (Message("user", "Who are you?"),)
    model = family(files, tmp_path)
    assert model.prompt("You are Holmes.", history) is None
    assert model.messages("You are Holmes.", history) == history


def test_the_yaml_is_the_class(root: Path, files: Files) -> None:
    import yaml

    nodes = {name: yaml.safe_load((root / f"conf/model/{name}.yaml").read_text()) for name in ("base", "hycora")}
    node = {k: v for k, v in {**nodes["base"], **nodes["hycora"]}.items() if k != "defaults"}
    node |= {"source": {"path": str(files.base)}, "checkpoint": str(files.checkpoint), "roles": str(files.roles)}
    model = build_target(node, "model")
    assert isinstance(model, HyCora) and model.system_prompt == "none" and list(model.role_ids) == list(ROLES)


def command(files: Files, out: Path, more: Sequence[str] = ()) -> Any:
    app = typer.Typer()
    app.add_typer(adapters_app, name="adapters")
    app.command("other")(lambda: None)
    given = ["--checkpoint", files.checkpoint, "--base", files.base, "--roles", files.roles, "--out", out, *more]
    return CliRunner().invoke(app, ["adapters", "export", "--family", "hycora", *map(str, given)])


def test_the_command_writes_what_peft_loads(files: Files, tmp_path: Path) -> None:
    from peft import PeftModel

    done = command(files, tmp_path / "out", ["--only", "孙悟空"])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"孙悟空\t{tmp_path / 'out' / '孙悟空'}\n"
    model = PeftModel.from_pretrained(Toy().base(), tmp_path / "out" / "孙悟空")
    assert model.peft_config["default"].r == 4


def test_the_command_says_what_is_wrong(files: Files, tmp_path: Path) -> None:
    done = command(files, tmp_path / "out", ["--only", "Hamlet"])
    assert isinstance(done.exception, AdapterError) and "Hamlet" in str(done.exception)
    files.roles.unlink()
    assert isinstance(command(files, tmp_path / "out").exception, AdapterError)
