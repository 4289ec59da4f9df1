"""One adapter per role: each role gets its own, and a role without one gets none."""

import json
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleeval.benchmarks import Actor
from roleeval.config import build_target
from roleeval.engines import ModelSource
from roleeval.errors import AdapterError, ConfigError, UnsupportedRoleError
from roleeval.models import IndependentLora
from roleeval.models._role_paths import folder_role, role_folder
from roleeval.types import Message, Persona


def adapter_folder(folder: Path, *, rank: int = 2) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank, "x": folder.name}))
    (folder / "adapter_model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    return folder


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    for number, role in enumerate(("Holmes", "孙悟空", "N/A")):
        adapter_folder(tmp_path / "adapters" / role_folder(role), rank=number + 1)
    (tmp_path / "adapters" / ".cache").mkdir()
    (tmp_path / "adapters" / "README.md").touch()
    return tmp_path / "adapters"


def model(**options: Any) -> IndependentLora:
    return IndependentLora(name="many", source=ModelSource("base"), **options)


def persona(role: str) -> Persona:
    return Persona(role, "", "en")


def test_each_role_has_its_own_folder(adapters: Path) -> None:
    many = model(adapters_dir=str(adapters))
    assert many.family == "independent_lora"
    assert {a.name: a.rank for a in many.adapters()} == {"Holmes": 1, "孙悟空": 2, "N/A": 3}
    found = many.adapter(persona("N/A"))
    assert found is not None and found.path == str(adapters / "N%2FA")


def test_a_mapping_names_folders(adapters: Path) -> None:
    many = model(adapters_map={"a": str(adapters / "Holmes"), "b": str(adapters / "N%2FA")})
    assert [(a.name, a.rank) for a in many.adapters()] == [("a", 1), ("b", 3)]
    with pytest.raises(UnsupportedRoleError, match=r"role 'Holmes' has no adapter in model\.adapters_map"):
        many.adapter(persona("Holmes"))


def test_a_role_without_an_adapter_is_counted_and_never_asked_of_the_base(adapters: Path) -> None:
    import asyncio

    class Engine:
        async def generate(self, request: Any) -> Any:
            raise AssertionError("served")

    many = model(adapters_dir=str(adapters))
    actor = Actor(many, Engine(), 1)  # type: ignore[arg-type]
    said = actor.say(persona("Hamlet"), "", (Message("user", "Who?"),), sample_id="s", turn=0)
    turn = asyncio.run(said)
    assert turn.status == "unsupported_role" and "'Hamlet'" in turn.error and turn.raw == ""


def test_a_mapping_may_be_a_file_or_the_text_of_one(adapters: Path, tmp_path: Path) -> None:
    places = {"夏洛克=1": str(adapters / "Holmes"), "Mr. Hyde, Esq.": str(adapters / "孙悟空")}
    (tmp_path / "map.json").write_text("\ufeff" + json.dumps(places), encoding="utf-8")
    (tmp_path / "映射.yaml").write_text("\n".join(f"'{role}': '{place}'" for role, place in places.items()))
    text = "{" + ", ".join(f'"{role}": {place}' for role, place in places.items()) + "}"
    for way in (str(tmp_path / "map.json"), str(tmp_path / "映射.yaml"), text):
        assert [(a.name, a.rank) for a in model(adapters_map=way).adapters()] == [
            ("夏洛克=1", 1),
            ("Mr. Hyde, Esq.", 2),
        ]


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("nowhere.yaml", r"nowhere\.yaml: cannot be read \(No such file"),
        ("{a: b", "cannot be read"),
        ("{no: b}", "all of them texts"),
        ("{a: {b: c}}", "expected {ROLE: FOLDER, ...}"),
    ],
)
def test_a_mapping_that_cannot_be_read_says_why(way: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"model\\.adapters_map.*{words}"):
        model(adapters_map=way).adapters()


@pytest.mark.parametrize("of_folder", ["NFC", "NFD"])
def test_a_role_is_found_in_either_form_of_unicode(tmp_path: Path, of_folder: Any) -> None:
    name, rank = "Brontë 가나", 3
    adapter_folder(tmp_path / "roles" / unicodedata.normalize(of_folder, name), rank=rank)
    for form in ("NFC", "NFD"):
        found = model(adapters_dir=str(tmp_path / "roles")).adapter(persona(unicodedata.normalize(form, name)))  # type: ignore[arg-type]
        assert found is not None and found.rank == rank


@pytest.mark.parametrize("options", [{}, {"adapters_dir": "x", "adapters_map": {"a": "b"}}])
def test_exactly_one_of_the_two_keys(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"model\.adapters_dir, model\.adapters_map: .* give exactly one"):
        model(**options)


def test_what_is_not_there_is_named(adapters: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"none is not a folder"):
        model(adapters_dir=str(tmp_path / "none")).adapters()
    (tmp_path / "empty").mkdir()
    with pytest.raises(AdapterError, match=r"empty has no sub-folders"):
        model(adapters_dir=str(tmp_path / "empty")).adapters()
    with pytest.raises(ConfigError, match=r"model\.adapters_map: empty"):
        model(adapters_map={}).adapters()
    with pytest.raises(AdapterError, match=r"not a folder: 'a' -> .*none, 'b' -> .*none2"):
        model(adapters_map={"a": str(tmp_path / "none"), "b": str(tmp_path / "none2")}).adapters()
    with pytest.raises(ConfigError, match=r"model\.adapters_dir: zoo:nothing-of-this: no such model in the zoo"):
        model(adapters_dir="zoo:nothing-of-this").adapters()
    (adapters / "Watson").mkdir()
    with pytest.raises(AdapterError, match=r"Watson: no adapter_config\.json"):
        model(adapters_dir=str(adapters)).adapters()


def test_doubles_are_named(adapters: Path) -> None:
    shutil.copytree(adapters / "Holmes", adapters / "%48olmes")
    with pytest.raises(AdapterError, match=r"%48olmes and .*Holmes are both role 'Holmes'"):
        model(adapters_dir=str(adapters)).adapters()
    adapter_folder(adapters / unicodedata.normalize("NFC", "Zoë"))
    shutil.rmtree(adapters / "%48olmes")
    adapter_folder(adapters / unicodedata.normalize("NFD", "Zoë"))
    with pytest.raises(AdapterError, match=r"are both role 'Zoë', in two Unicode forms"):
        model(adapters_dir=str(adapters)).adapter(persona("Zoë"))
    with pytest.raises(AdapterError, match=r"roles 'a' and 'b' have the same folder"):
        model(adapters_map={"a": str(adapters / "N%2FA"), "b": f"{adapters}/./N%2FA"}).adapters()


def test_the_yaml_is_the_class(root: Path, adapters: Path) -> None:
    import yaml

    node = yaml.safe_load((root / "conf/model/independent_lora.yaml").read_text())
    del node["defaults"]
    node |= {"source": {"path": "base"}, "adapters_map": {"Holmes": str(adapters / "Holmes")}}
    assert [a.name for a in build_target(node, "model").adapters()] == ["Holmes"]


@given(st.lists(st.text(min_size=1, max_size=40).filter(lambda s: s.isprintable()), min_size=1, max_size=8))
def test_a_folder_name_stands_for_one_role(roles: list[str]) -> None:
    names = [role_folder(role) for role in roles]
    assert [folder_role(name) for name in names] == roles
    for name in names:
        assert "/" not in name and not name.startswith(".") and name == name.strip(" ")


def test_a_name_that_no_folder_can_have() -> None:
    for role in ("", "孙" * 86):
        with pytest.raises(AdapterError, match="not a valid folder name"):
            role_folder(role)
