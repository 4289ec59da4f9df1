"""`roleeval adapters check`: a permuted manifest or a misnamed adapter folder must not go unseen."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from network import Network, Toy, manifest
from typer.testing import CliRunner, Result

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.cli.main import app
from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.hf import HfOptions
from roleeval.models import HyCora, IndependentLora, PersonaModel
from roleeval.types import Message, Persona, Request, Sampling
from tests.engines.conftest import make_adapters, make_model

ROLES = ("Sherlock Holmes", "Wukong", "Dr. Frank/N/Furter.")
QUESTIONS = ("Who are you?", "What do you want from me?", "Where is the ring?")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def network(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    toy = Toy("qwen2", hidden=128, intermediate=256, heads=4, kv_heads=2, head_dim=32, roles=ROLES)
    return Network(toy).save(tmp_path_factory.mktemp("hycora") / "checkpoint")


@pytest.fixture(scope="module")
def adapters(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("independent")
    make_adapters(base, folder, count=3)
    return folder


def write_references(model: PersonaModel, folder: Path) -> Path:
    """RoleBench rows whose answers each role's own adapter wrote: what a well trained adapter would make likely."""

    async def answers() -> list[dict[str, object]]:
        engine = HfOptions(dtype="float32").build(model.source, LoraNeed())
        await engine.start()
        rows: list[dict[str, object]] = []
        for role in ROLES:
            persona = Persona(role, "", "en")
            for question in QUESTIONS:
                history = (Message("user", question),)
                messages = model.messages(RoleBench().system_prompt(persona), history)
                request = Request(messages, Sampling(max_tokens=16), seed=0, adapter=model.adapter(persona))
                text = (await engine.generate(request)).text
                rows.append({"role": role, "question": question, "generated": [text], "type": ["a"]})
        await engine.close()
        return rows

    file = folder / "rolebench-eng" / "instruction-generalization" / "role_specific" / "test.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in asyncio.run(answers())), encoding="utf-8")
    return folder


def check(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["adapters", "check", "--engine", "hf", *map(str, arguments)])


def test_a_permuted_manifest_is_caught(
    base: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    right = manifest(tmp_path / "roles.json", ROLES)
    model = HyCora(name="h", source=ModelSource(str(base)), checkpoint=str(network), roles=str(right))
    data = write_references(model, tmp_path / "data")
    common = ("--family", "hycora", "--checkpoint", network, "--base", base, "--data", data)
    own = check(*common, "--roles", right, "--json")
    assert own.exit_code == 0, own.output
    found = json.loads(own.stdout)
    assert found["mismatched"] == [] and [role["best"] for role in found["roles"]] == list(ROLES)
    assert all(role["margin"] > 0 and role["references"] == 3 for role in found["roles"])

    permuted = manifest(tmp_path / "permuted.json", (ROLES[1], ROLES[0], ROLES[2]))
    wrong = check(*common, "--roles", permuted)
    assert wrong.exit_code == 1
    assert "2 of 3 roles fit another role's adapter" in wrong.stderr
    lines = {line.split("  ")[0]: line for line in wrong.stdout.splitlines()}
    assert "Wukong  <- another role's" in lines[ROLES[0]] and "another role's" not in lines[ROLES[2]]


def test_misnamed_independent_adapters_are_caught(
    base: Path, adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roleeval.cli.adapters._SAID_EVERY_S", 0.0)
    right = {role: f"adapter{number}" for number, role in enumerate(ROLES)}
    paths = {role: str(adapters / folder) for role, folder in right.items()}
    model = IndependentLora(name="i", source=ModelSource(str(base)), adapters_map=paths)
    data = write_references(model, tmp_path / "data")
    common = ("--family", "independent_lora", "--checkpoint", adapters, "--base", base, "--data", data, "--limit", 2)
    results = []
    for name, order in (("right", ROLES), ("wrong", (ROLES[2], ROLES[0], ROLES[1]))):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({role: f"adapter{number}" for number, role in enumerate(order)}))
        results.append(check(*common, "--roles", file, "--json"))
    assert [result.exit_code for result in results] == [0, 1], results[0].output
    assert "adapters check: 18 of 18 texts scored" in results[0].stderr  # of three roles under three adapters
    assert json.loads(results[1].stdout)["mismatched"] == [ROLES[2], ROLES[0], ROLES[1]]
    assert {role["references"] for role in json.loads(results[0].stdout)["roles"]} == {2}


def test_a_lead_of_zero_fails(base: Path, adapters: Path, tmp_path: Path) -> None:
    """Two roles with copies of one adapter, as after a wrong copy: each "fits best", and neither is its own."""
    sources = [adapters / f"adapter{number}" for number in (0, 1, 1)]
    folders = [shutil.copytree(source, tmp_path / str(number)) for number, source in enumerate(sources)]
    paths = {role: str(folder) for role, folder in zip(ROLES, folders, strict=True)}
    model = IndependentLora(name="i", source=ModelSource(str(base)), adapters_map=paths)
    data = write_references(model, tmp_path / "data")
    common = ("--family", "independent_lora", "--checkpoint", tmp_path, "--base", base, "--data", data)
    (tmp_path / "roles.json").write_text(json.dumps(paths))
    result = check(*common, "--roles", tmp_path / "roles.json")
    assert result.exit_code == 1
    assert "2 of 3 roles have no lead" in result.stderr and f"{ROLES[1]!r} (as {ROLES[2]!r})" in result.stderr
    found = json.loads(check(*common, "--roles", tmp_path / "roles.json", "--json").stdout)
    assert (found["mismatched"], found["tied"]) == ([], [ROLES[1], ROLES[2]])
    assert [role["tied_with"] for role in found["roles"]] == [[], [ROLES[2]], [ROLES[1]]]


def test_what_cannot_be_checked_says_why(base: Path, network: Path, adapters: Path, tmp_path: Path) -> None:
    hycora = check("--family", "hycora", "--checkpoint", network, "--base", base)
    assert hycora.exit_code == 1 and "give its role manifest" in hycora.output
    nobody = check("--family", "independent_lora", "--checkpoint", adapters, "--base", base)
    assert nobody.exit_code == 1 and "no answers of the roles adapter0" in nobody.output
    empty = check("--family", "independent_lora", "--checkpoint", adapters, "--base", base, "--data", tmp_path)
    assert empty.exit_code == 1 and "no RoleBench split in it" in empty.output
