"""An endpoint is what it serves: another address finds the store, and other weights under the same name are noticed."""

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from endpoint import SOURCE, Endpoint, Fault, ask, options, reply, with_engine

from roleeval.engines import CompletionStore, LoraNeed, StoredEngine
from roleeval.engines.openai import OpenAIEngine
from roleeval.engines.openai._served import Servers, model_facts
from roleeval.types import Completion

CANARY = "sk-canary-0123456789abcdef"


def card(name: str = "role-model", **fields: Any) -> dict[str, Any]:
    base = {"id": name, "object": "model", "created": int(time.time()), "owned_by": "vllm", "parent": None}
    return base | {"root": "/models/may", "max_model_len": 1024} | fields


def listing(*cards: dict[str, Any]) -> dict[str, Any]:
    return {"object": "list", "data": list(cards)}


def said(fingerprint: str | None) -> dict[str, Any]:
    return reply() | {"system_fingerprint": fingerprint}


def stored(file: Path, *endpoints: Endpoint, questions: int = 1, **fields: Any) -> tuple[list[Completion], Any]:
    """Answers from a store with an engine behind it, as one process with servers of its own would."""

    async def use(engine: OpenAIEngine) -> tuple[list[Completion], Any]:
        store = CompletionStore(file)
        front = StoredEngine(engine, store)
        try:
            return [await front.generate(ask(str(n))) for n in range(questions)], engine.describe()
        finally:
            await front.close()
            store.close()

    return with_engine(use, *endpoints, **fields)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING and r.name.startswith("roleeval")]


def test_a_restarted_or_a_second_server_finds_the_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second, third = (Endpoint(models=listing(card(created=int(time.time()) - n))) for n in range(3))
    (once,), _ = stored(tmp_path / "s", first)
    (again,), _ = stored(tmp_path / "s", second)
    (both,), _ = stored(tmp_path / "s", second, third)
    assert (once.stored, again.stored, both.stored) == (False, True, True)
    assert once.text == again.text == both.text
    assert (len(first.bodies), len(second.bodies), len(third.bodies)) == (1, 0, 0)
    assert warnings(caplog) == []


def test_a_name_of_ones_own_keeps_texts_apart(tmp_path: Path) -> None:
    endpoint = Endpoint()
    for served_as in (None, "may", "june", "may"):
        stored(tmp_path / "s", endpoint, served_as=served_as)
    assert len(endpoint.bodies) == 3


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (card(), card(root="/models/june"), "root='/models/june', but reported '/models/may'"),
        (card(), card(max_model_len=2048), "max_model_len='2048', but reported '1024'"),
        (card(owned_by="a"), card(owned_by="b"), "owned_by='b', but reported 'a'"),
        (card(created=1_700_000_000), card(created=1_710_000_000), "created='1710000000', but reported '1700000000'"),
    ],
)
def test_other_weights_under_the_same_name_are_warned_of(
    before: dict[str, Any],
    after: dict[str, Any],
    words: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stored(tmp_path / "s", Endpoint(models=listing(before)))
    assert warnings(caplog) == []
    stored(tmp_path / "s", Endpoint(models=listing(after)), questions=3)
    (warning,) = warnings(caplog)
    assert warning.startswith(f"role-model: the server reports {words} for earlier texts in the store")
    assert "engine.served_as=NAME" in warning
    stored(tmp_path / "s", Endpoint(models=listing(before)), served_as="may")
    assert len(warnings(caplog)) == 1


def test_an_adapters_other_weights_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for root in ("/a", "/b"):
        lora = card("holmes", parent="role-model", root=root)
        stored(tmp_path / root[1:], Endpoint(models=listing(card(), lora)))
        stored(tmp_path / "s", Endpoint(models=listing(lora, card())), questions=2 if root == "/b" else 1)
    (warning,) = warnings(caplog)
    assert "adapter holmes: root='/b', but reported '/a'" in warning


def test_another_system_fingerprint_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stored(tmp_path / "s", Endpoint(said("fp_1"), said("fp_1")), questions=2)
    _, facts = stored(tmp_path / "s", Endpoint(said("fp_2"), said("fp_2"), said(None)), questions=5)
    stored(tmp_path / "s", Endpoint(said("fp_1"), said("fp_2")), questions=7)
    (warning,) = warnings(caplog)
    assert "system_fingerprint='fp_2', but reported 'fp_1'" in warning
    assert facts["server"]["system_fingerprints"] == ["fp_2"]


def test_a_system_fingerprint_of_every_reply_floods_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, facts = stored(tmp_path / "s", Endpoint(*(said(f"fp_{n}") for n in range(20))), questions=20)
    assert len(warnings(caplog)) == len(facts["server"]["system_fingerprints"]) - 1 == 3


def test_servers_that_are_not_equal_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, two = Endpoint(models=listing(card())), Endpoint(models=listing(card(root="/models/june")))
    silent, dead = Endpoint(), Endpoint(models=Fault(hang_s=30))
    _, facts = stored(tmp_path / "s", one, silent, two, dead, timeout_s=0.5)
    (warning,) = warnings(caplog)
    assert f"{one.url} says root='/models/may', {two.url} says root='/models/june'" in warning
    assert "engine.served_as" in warning
    assert facts["server"]["models"][two.url]["root"] == "/models/june"


@pytest.mark.parametrize(
    "models",
    [
        None,
        listing(),
        listing(card("another")),
        {"data": None},
        {"data": [None, {"id": 3}]},
        Fault(body=b"<html>"),
        Fault(500, b"{}"),
        Fault(reset=True),
        Fault(hang_s=30),
    ],
)
def test_a_server_that_says_nothing_gets_one_notice(
    models: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "roleeval")
    completions, facts = stored(tmp_path / "s", Endpoint(models=models), questions=3, timeout_s=0.5)
    assert [completion.text for completion in completions] == ["I am Holmes."] * 3
    notices = [r.getMessage() for r in caplog.records if "does not report what it serves" in r.getMessage()]
    assert len(notices) == 1
    assert notices[0].startswith("role-model: ")
    assert "engine.served_as=NAME" in notices[0]
    assert not any(facts["server"]["models"].values())


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        (Endpoint(models=listing(card())), {}),
        (Endpoint(said("fp_1"), said("fp_1")), {}),
        (Endpoint(), {"served_as": "may"}),
    ],
)
def test_no_notice_where_something_is_said_or_named(
    endpoint: Endpoint, fields: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "roleeval")
    stored(tmp_path / "s", endpoint, questions=2, **fields)
    assert "does not report what it serves" not in caplog.text


def test_the_list_is_asked_for_once_and_not_for_what_is_stored(tmp_path: Path) -> None:
    endpoint = Endpoint(models=listing(card()))
    stored(tmp_path / "s", endpoint, questions=4)
    assert endpoint.listed == 1

    async def only_stored() -> bool:
        store = CompletionStore(tmp_path / "s")
        front = StoredEngine(options("http://127.0.0.1:9/v1").build(SOURCE, LoraNeed()), store)
        completion = await front.generate(ask("0"))
        store.close()
        return completion.stored

    assert asyncio.run(only_stored())


def test_the_manifest_holds_what_was_said_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("ROLEEVAL_TEST_KEY", "canary-of-no-known-form-123")
    adapter = card("canary-of-no-known-form-123", parent="role-model", root="r" * 190 + "canary-of-no-known-form-123")
    leaky = card(root="s3://user:canary-pass@bucket/may?token=canary-token", owned_by=CANARY, api_key="canary-field")
    echo = Endpoint(said("canary-of-no-known-form-123"), models=listing(leaky, adapter))
    _, facts = stored(tmp_path / "s", echo, api_key_env="ROLEEVAL_TEST_KEY", provider="a vendor")
    assert facts["server"] == {
        "models": {
            echo.url: {
                "root": "s3://bucket/may",
                "owned_by": "***",
                "max_model_len": "1024",
                "adapter ***: root": "r" * 190 + "***",
            }
        },
        "system_fingerprints": ["***"],
    }
    assert facts["options"]["provider"] == "a vendor"
    everything = json.dumps(facts) + caplog.text.replace(str(tmp_path), "")
    everything += (tmp_path / "s").read_bytes().decode("latin-1")
    assert "canary" not in everything


# --- the words of a list


def test_the_time_of_asking_says_nothing_and_the_date_of_a_model_does() -> None:
    now = 1_800_000_000.0

    def created(value: Any) -> str | None:
        body = json.dumps(listing(card(created=value))).encode()
        return model_facts(body, "role-model", now=now).get("created")

    assert created(1_700_000_000) == "1700000000"
    assert [created(value) for value in (now, int(now) - 60, int(now) + 60, 0, -1, "yesterday", None, 1.5)] == [
        None
    ] * 8


def test_facts_that_only_one_server_gives_are_not_compared() -> None:
    servers = Servers("m")
    assert servers.silent
    servers.told("http://a/v1", {"root": "/m"})
    servers.told("http://b/v1", {"owned_by": "x"})
    servers.told("http://c/v1", {})
    assert servers.differences() == []
    same = servers.served
    servers.heard("")
    assert servers.served is same
    servers.heard("fp")
    assert servers.served.facts == {"root": ("/m",), "owned_by": ("x",), "system_fingerprint": ("fp",)}
