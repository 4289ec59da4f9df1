"""The openai engine's key: sent to the server it is for, and found nowhere else."""

import json
import logging
import traceback
from typing import Any

import pytest
from endpoint import RESET, Endpoint, Fault, answer, ask, error_of, options, with_engine

from roleeval.engines.openai import OpenAIEngine
from roleeval.errors import ConfigError, EngineError

CANARY = "sk-canary-0123456789abcdef"


@pytest.mark.parametrize(
    "key",
    [
        CANARY,
        "sk_live_canary",
        "hf_canaryCanary",
        "A" * 65,
        "not a name",
        "canary-key",
        "",
        "canaryCanary0123456789",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_a_literal_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigError, match="is the name of an environment variable") as caught:
        options("http://127.0.0.1:8000/v1", api_key_env=key)
    text = "".join(traceback.format_exception_only(caught.value))
    assert not key or key not in text


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "_KEY", "MY_JUDGE_ENDPOINT_KEY_NUMBER_2", "key"])
def test_names_of_variables_are_taken(name: str) -> None:
    assert options("http://127.0.0.1:8000/v1", api_key_env=name).api_key_env == name


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{CANARY}@host/v1",
        f"https://{CANARY}@host/v1",
        f"https://host/v1?api-key={CANARY}",
        f"https://host/v1#{CANARY}",
        f"{CANARY}",
        "ftp://host/v1",
        "127.0.0.1:8000/v1",
    ],
)
def test_a_url_with_credentials_or_without_scheme_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"engine\.base_urls") as caught:
        options(url)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("extra", [{"api_key": "x"}, {"a": [{"Authorization": "x"}]}, {"note": CANARY}])
def test_an_extra_body_with_a_secret_is_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"engine\.extra_body.* looks like a secret") as caught:
        options("http://127.0.0.1:8000/v1", extra_body=extra)
    assert CANARY not in str(caught.value)


def test_the_key_is_sent_and_shows_up_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("ROLEEVAL_TEST_KEY", CANARY + "\n")
    echo = json.dumps({"error": {"message": "x" * 480 + f" bad key {CANARY}", "api_key": CANARY}}).encode()
    endpoint = Endpoint(Fault(500, echo), Fault(401, echo), RESET, Fault(429, echo, {"retry-after": "9999"}))
    seen: list[str] = []

    async def use(engine: OpenAIEngine) -> None:
        seen.append(json.dumps(engine.describe()) + engine.fingerprint + repr(engine))
        for _ in range(2):
            try:
                await engine.generate(ask())
            except EngineError as error:
                seen.append("".join(traceback.format_exception(error, chain=True)))

    with_engine(use, endpoint, api_key_env="ROLEEVAL_TEST_KEY", api_key_required=True)
    assert endpoint.keys == [f"Bearer {CANARY}"] * 4
    assert len(seen) == 3
    assert "HTTP 401" in seen[1]
    assert "9999 s" in seen[2]
    assert "ROLEEVAL_TEST_KEY" in seen[0]
    everything = "".join(seen) + caplog.text
    assert not any(CANARY[:length] in everything for length in range(10, len(CANARY) + 1))


@pytest.mark.parametrize("key", [f"{CANARY}\n{CANARY}", f"{CANARY}ü"])
def test_a_key_that_no_header_carries_is_refused_and_not_repeated(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLEEVAL_TEST_KEY", key)
    message = error_of(Endpoint(), api_key_env="ROLEEVAL_TEST_KEY")
    assert "ROLEEVAL_TEST_KEY" in message
    assert "canary" not in message


def test_a_required_key_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROLEEVAL_TEST_KEY", raising=False)
    assert "ROLEEVAL_TEST_KEY" in error_of(Endpoint(), api_key_env="ROLEEVAL_TEST_KEY", api_key_required=True)
    endpoint = Endpoint()
    assert answer(endpoint, api_key_env="ROLEEVAL_TEST_KEY").text
    assert endpoint.keys == ["Bearer EMPTY"]
