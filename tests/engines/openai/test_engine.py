"""The openai engine's words: what a server is sent for a request, and what its reply is taken for."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from endpoint import SOURCE, Endpoint, Fault, answer, ask, error_of, options, raw, reply

from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.openai import OpenAIOptions
from roleeval.engines.openai._wire import too_long
from roleeval.errors import ConfigError, ContextOverflowError, RoleEvalError
from roleeval.types import AdapterRef, Request, Sampling


def test_a_chat_carries_all_that_determines_its_text() -> None:
    endpoint = Endpoint()
    sampling = Sampling(
        temperature=0.7, top_p=0.9, top_k=20, repetition_penalty=1.1, max_tokens=32, stop=("\n\n", "User:")
    )
    got = answer(endpoint, ask(sampling=sampling))
    assert endpoint.paths == ["chat/completions"]
    assert endpoint.bodies == [
        {
            "model": "role-model",
            "messages": [{"role": "user", "content": "Who are you?"}],
            "temperature": 0.7,
            "top_p": 0.9,
            "top_k": 20,
            "min_p": 0.0,
            "repetition_penalty": 1.1,
            "max_tokens": 32,
            "stop": ["\n\n", "User:"],
            "seed": 7,
        }
    ]
    assert (got.text, got.finish_reason, got.prompt_tokens, got.output_tokens) == ("I am Holmes.", "stop", 11, 5)


def test_off_is_sent_as_off_or_the_servers_defaults_would_apply() -> None:
    """vLLM's server takes what a request leaves out from the model's generation_config.json."""
    endpoint = Endpoint()
    answer(endpoint, ask())
    assert (
        endpoint.bodies[0].items() >= {"temperature": 0.0, "top_p": 1.0, "top_k": -1, "repetition_penalty": 1.0}.items()
    )


def test_a_raw_prompt_passes_as_it_is_with_its_prefill() -> None:
    endpoint = Endpoint(reply(" Holmes."))
    got = answer(endpoint, raw("Q: who?\nA:", prefill=" I am"))
    assert endpoint.paths == ["completions"]
    assert endpoint.bodies[0]["prompt"] == "Q: who?\nA: I am"
    assert endpoint.bodies[0]["add_special_tokens"] is False
    assert got.text == " I am Holmes."


def test_a_prefill_is_continued_and_part_of_the_text() -> None:
    endpoint = Endpoint(reply("Holmes."))
    got = answer(endpoint, ask(prefill="I am "))
    body = endpoint.bodies[0]
    assert body["messages"][-1] == {"role": "assistant", "content": "I am "}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert got.text == "I am Holmes."


def test_an_adapter_is_asked_for_by_name_and_a_schema_as_response_format() -> None:
    endpoint = Endpoint()
    schema = {"type": "object", "properties": {"score": {"type": "integer"}}}
    answer(endpoint, ask(adapter=AdapterRef("holmes-lora", "", "f"), json_schema=json.dumps(schema)))
    body = endpoint.bodies[0]
    assert body["model"] == "holmes-lora"
    assert body["response_format"]["type"] == "json_schema"
    assert body["response_format"]["json_schema"]["schema"] == schema


def test_vendors_dialects_are_options() -> None:
    endpoint = Endpoint()
    answer(
        endpoint,
        ask(),
        extended_sampling=False,
        send_seed=False,
        max_tokens_field="max_completion_tokens",
        omit=("temperature", "top_p"),
        extra_body={"reasoning": {"effort": "low"}},
    )
    assert endpoint.bodies == [
        {
            "model": "role-model",
            "messages": [{"role": "user", "content": "Who are you?"}],
            "max_completion_tokens": 16,
            "reasoning": {"effort": "low"},
        }
    ]


@pytest.mark.parametrize("sampling", [Sampling(top_k=20), Sampling(repetition_penalty=1.1)])
def test_a_sampling_parameter_is_never_left_out_silently(sampling: Sampling) -> None:
    assert "engine.extended_sampling=true" in error_of(Endpoint(), ask(sampling=sampling), extended_sampling=False)


# --- what comes back


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "stop"),
        (None, "stop"),
    ],
)
def test_finish_reasons(sent: str | None, expected: str) -> None:
    assert answer(Endpoint(reply(finish_reason=sent))).finish_reason == expected


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"),
        ("context_length_exceeded", "Please reduce the length of the messages."),
        (None, "prompt is too long: 210000 tokens > 200000 maximum"),
        (None, "Requested token count exceeds the model's maximum context length"),
        (None, "the request exceeds the available context size, try increasing it"),
        (None, "The input (9000 tokens) is longer than the model's context length (8192 tokens)."),
    ],
)
def test_a_prompt_that_is_too_long_is_told_from_other_refusals(code: str | None, message: str) -> None:
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    with pytest.raises(ContextOverflowError, match=r"do not fit into the context of .*HTTP 400.*; lower max_tokens"):
        answer(Endpoint(Fault(400, body)))
    assert not too_long(400, None, "top_p must be at most 1") and not too_long(404, "model_not_found", "no such model")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_apart_from_the_text(field: str) -> None:
    got = answer(Endpoint(reply(**{field: "He asks my name."})))
    assert (got.text, got.reasoning) == ("I am Holmes.", "He asks my name.")


def test_reasoning_that_took_all_tokens_leaves_an_empty_text() -> None:
    got = answer(Endpoint(reply(None, "length", reasoning_content="Well...")))
    assert (got.text, got.finish_reason, got.reasoning) == ("", "length", "Well...")


def test_a_filtered_or_refused_reply_is_marked() -> None:
    filtered = answer(Endpoint(reply(None, "content_filter")))
    assert (filtered.text, filtered.finish_reason) == ("", "content_filter")
    refused = answer(Endpoint(reply(None, refusal="I cannot.")))
    assert (refused.text, refused.finish_reason) == ("I cannot.", "content_filter")


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, "much"])
def test_a_reply_without_usage_counts_nothing(usage: object) -> None:
    got = answer(Endpoint(reply() | {"usage": usage}))
    assert (got.prompt_tokens, got.output_tokens) == (0, 0)


def test_the_fingerprint_tells_texts_apart_and_only_those() -> None:
    url = "http://127.0.0.1:8000/v1"

    def fingerprint(*urls: str, source: ModelSource = SOURCE, **fields: Any) -> str:
        return OpenAIOptions(base_urls=urls or (url,), **fields).build(source, LoraNeed()).fingerprint

    same = {
        fingerprint(),
        fingerprint(url + "/"),
        fingerprint("http://127.0.0.1:8001/v1"),
        fingerprint("https://other.host/path/v1", url),
        fingerprint(max_retries=1, timeout_s=5, api_key_env="OTHER"),
    }
    assert len(same) == 1
    others = [
        fingerprint(source=ModelSource("other")),
        fingerprint(source=ModelSource("role-model", revision="v2")),
        fingerprint(provider="a vendor"),
        fingerprint(served_as="weights of May"),
        fingerprint(served_as="openai-compatible"),
        fingerprint(served_as="weights of May", source=ModelSource("other")),
        fingerprint(extra_body={"reasoning_effort": "low"}),
    ]
    assert len({*same, *others}) == 8
    # A name of one's own stands in the place of the provider.
    assert fingerprint(served_as="weights of May", provider="a vendor") == others[3]


@pytest.mark.parametrize("option", ["provider", "served_as"])
@pytest.mark.parametrize("name", ["", "  ", "http://127.0.0.1:8000/v1", "sk-canary-0123456789", "user:secret@host"])
def test_what_is_served_is_not_named_by_an_address_or_a_key(option: str, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"engine\.{option}") as caught:
        options("http://127.0.0.1:8000/v1", **{option: name})
    assert not name.strip() or name not in str(caught.value)


@pytest.mark.parametrize(
    "fields", [{"max_concurrency": 0}, {"timeout_s": 0}, {"max_retries": -1}, {"omit": ("model",)}]
)
def test_impossible_options_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"engine"):
        options("http://127.0.0.1:8000/v1", **fields)


def test_no_url_and_a_template_of_ones_own_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"engine\.base_urls is empty"):
        options()
    with pytest.raises(ConfigError, match=r"model\.source\.chat_template is not applied by engine=openai"):
        options("http://h/v1").build(replace(SOURCE, chat_template="chat.jinja"), LoraNeed())


@pytest.mark.parametrize("bad", [ask(json_schema="{"), replace(ask(), prompt="both"), replace(ask(), messages=None)])
def test_a_request_that_cannot_be_sent_is_refused(bad: Request) -> None:
    endpoint = Endpoint()
    assert error_of(endpoint, bad)
    assert endpoint.bodies == []


def test_a_closed_engine_says_so() -> None:
    async def main() -> None:
        engine = options("http://127.0.0.1:9/v1").build(SOURCE, LoraNeed())
        await engine.start()
        await engine.start()
        await engine.close()
        await engine.close()
        with pytest.raises(RoleEvalError, match="not started, or is closed"):
            await engine.generate(ask())

    asyncio.run(main())
