"""What servers answer instead of a plain message: read where it is an answer, quoted where it is none."""

import json
import logging
from typing import Any

import pytest
from endpoint import Endpoint, Fault, answer, ask, error_of, raw, reply, with_engine

from roleeval.engines.openai import OpenAIEngine
from roleeval.engines.openai._reply import BrokenReplyError, read_reply, retry_after_s
from roleeval.models.reply import parse_plain
from roleeval.types import Completion, Sampling

HTML = b"<html><head><title>Login</title><style>x{}</style></head><body><h1>Please  sign in</h1></body></html>"


def read(body: Any, **fields: Any) -> Completion:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_reply(content, ask(**fields)).completion


def status(done: Completion) -> str:
    return parse_plain(done.text, done.finish_reason, done.reasoning).status


def broken(body: Any) -> str:
    with pytest.raises(BrokenReplyError) as caught:
        read(body)
    return str(caught.value)


AZURE = {
    "message": "The response was filtered due to the prompt triggering the content management policy.",
    "type": None,
    "code": "content_filter",
    "status": 400,
    "innererror": {"code": "ResponsibleAIPolicyViolation"},
}


@pytest.mark.parametrize("change", [{}, {"code": None}, {"innererror": None}])
def test_a_hosts_content_filter_is_a_refusal_and_not_asked_again(change: dict[str, Any]) -> None:
    endpoint = Endpoint(Fault(400, json.dumps({"error": AZURE | change}).encode()))
    done = answer(endpoint, ask(prefill="I am "))
    assert (done.text, done.finish_reason) == ("I am ", "content_filter")
    assert status(answer(Endpoint(Fault(400, json.dumps({"error": AZURE}).encode())))) == "refused"
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, {"code": "content_filter", "message": "x"}),
        (400, {"type": "content_filter", "message": "considered high risk"}),
        (400, {"code": "data_inspection_failed", "message": "x"}),
        (403, {"code": "content_policy_violation", "message": "x"}),
    ],
)
def test_a_filter_is_a_refusal_wherever_an_error_says_so(status: int, error: dict[str, Any]) -> None:
    endpoint = Endpoint(Fault(status, json.dumps({"error": error}).encode()))
    assert answer(endpoint).finish_reason == "content_filter"
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("sensitive", "content_filter"), ("refusal", "content_filter"), ("max_length", "length"), ("eos", "stop")],
)
def test_vendors_words_for_the_end_of_an_answer(reason: str, expected: str) -> None:
    assert read(reply("I am", reason)).finish_reason == expected


@pytest.mark.parametrize("reason", ["insufficient_system_resource", "network_error", "Error", "ABORT", "timeout"])
def test_an_answer_that_the_server_broke_off_is_none(reason: str) -> None:
    assert "no finished message" in broken(reply("I am", reason))
    assert read(reply(None, "STOP", reasoning_content="Well")).text == ""


@pytest.mark.parametrize("charset", ["base64", "zip", "utf-16", "idna"])
def test_a_charset_that_is_none_costs_one_attempt(charset: str) -> None:
    headers = {"content-type": f"text/plain; charset={charset}"}
    endpoint = Endpoint(Fault(500, b"b\xc3d", headers), models=Fault(500, b"b\xc3d", headers))
    assert answer(endpoint).text == "I am Holmes."


def test_a_page_of_megabytes_holds_nothing_up_and_leaks_nothing() -> None:
    page = b'{"error": {"message": "api_key=abc, ' + b"x" * 1_000_000 + b'"}}'
    said = error_of(Endpoint(Fault(400, page)))
    assert "api_key=***, xxx" in said and len(said) < 700
    assert answer(Endpoint(reply() | {"model": "x" * 1_000_000, "system_fingerprint": "a=" * 500_000}))


def test_a_prompt_about_filters_is_no_refusal() -> None:
    endpoint = Endpoint(Fault(400, b'{"error": {"message": "content_filter is not a parameter", "code": "bad"}}'))
    assert "HTTP 400: content_filter is not a parameter" in error_of(endpoint)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (reply(None, "length"), ("", "length", "no_answer")),
        (reply("", "length"), ("", "length", "no_answer")),
        (reply(None, "MAX_TOKENS"), ("", "length", "no_answer")),
        (reply(None, "length", reasoning_content="Well"), ("", "length", "truncated_reasoning")),
        (reply(None, "stop", reasoning_content="Well"), ("", "stop", "no_answer")),
        (reply([], "length"), ("", "length", "no_answer")),
        (reply("", "SAFETY"), ("", "content_filter", "refused")),
        (reply("I am", None), ("I am", "stop", "ok")),
    ],
)
def test_a_reply_without_content_is_what_its_end_says(message: Any, expected: tuple[str, str, str]) -> None:
    done = read(message)
    assert (done.text, done.finish_reason, status(done)) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([{"type": "text", "text": "I am "}, {"type": "text", "text": "Holmes."}], ("I am Holmes.", "")),
        ([{"type": "output_text", "text": "Holmes."}], ("Holmes.", "")),
        ({"type": "text", "text": "Holmes."}, ("Holmes.", "")),
        (["Hol", "mes."], ("Holmes.", "")),
        ([{"text": "Holmes."}], ("Holmes.", "")),
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Yes."}],
            ("Yes.", "Hm"),
        ),
        ([{"type": "reasoning", "text": "Hm"}, {"type": "text", "text": "Yes."}], ("Yes.", "Hm")),
        ([{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "See."}], ("See.", "")),
    ],
)
def test_text_parts_are_read(content: Any, expected: tuple[str, str]) -> None:
    done = read(reply(content))
    assert (done.text, done.reasoning) == expected


def test_a_refusal_in_parts_is_a_refusal() -> None:
    done = read(reply([{"type": "refusal", "refusal": "I cannot."}]))
    assert (done.text, done.finish_reason) == ("I cannot.", "content_filter")


@pytest.mark.parametrize(("indices", "first"), [((1, 0), 1), ((2, 1), 1), ((None, 0), 1), ((None, None), 0)])
def test_choices_are_taken_by_index(indices: tuple[int | None, ...], first: int) -> None:
    body = reply()
    body["choices"] = [
        {"index": index, "finish_reason": "stop", "text": f"{n}", "message": {"content": f"{n}"}}
        for n, index in enumerate(indices)
    ]
    assert read(body).text == f"{first}"
    assert read_reply(json.dumps(body).encode(), raw("x")).completion.text == f"{first}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {"choices": None, "error": {"message": "insufficient\x1b[31m balance", "code": 402}},
            "the server answers with an error: insufficient[31m balance (code 402)",
        ),
        ({"error": "model is\r\nloading"}, "answers with an error: model is loading"),
        ({"detail": "Not Found"}, '{"detail": "Not Found"}'),
        (HTML, "Login Please sign in"),
        (
            b'data: {"choices":[{"delta":{"content":"Aye"}}]}\n\ndata: [DONE]\n\n',
            "an event stream, which was not asked",
        ),
        (b": keep-alive\n\n", "an event stream"),
        (b"", "the reply is empty"),
        (b" \n", "the reply is empty"),
        (b"upstream connect error", "upstream connect error"),
        ([reply()], "the reply is not a completion: [{"),
        ({"choices": [{"text": "Aye", "finish_reason": "stop"}]}, "the reply has no message"),
        (reply(None, "tool_calls", tool_calls=[{"id": "1"}]), "finish_reason 'tool_calls'"),
        (reply(None), "no finished message (finish_reason 'stop')"),
        (reply([{"type": "image_url"}]), "no finished message"),
        (json.dumps(reply("Aye \ud83d")).encode(), "half of a surrogate pair"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"choices": ' + b"[" * 400 + b"]" * 400 + b"}", "the reply is not a completion"),
        (b"\xff\xfe{}", "not UTF-8"),
    ],
)
def test_what_is_no_completion_is_quoted_in_one_short_line(body: Any, words: str) -> None:
    said = broken(body)
    assert words in said
    assert len(said) < 400
    assert said.isprintable()
    assert "<" not in said


def test_an_error_that_no_waiting_heals_ends_the_call_at_once() -> None:
    body = {"choices": None, "error": {"message": "insufficient balance", "code": 402}}
    endpoint = Endpoint(body, body, body, body)
    message = error_of(endpoint)
    assert "127.0.0.1" in message and "insufficient balance (code 402)" in message
    assert len(endpoint.bodies) == 1
    endpoint = Endpoint({"error": {"message": "overloaded", "code": 503}})
    assert answer(endpoint).text == "I am Holmes."
    assert len(endpoint.bodies) == 2


def test_a_long_html_error_page_is_one_short_line() -> None:
    page = HTML.replace(b"<hr>", b"") + b"<p>nginx</p>" * 1000
    message = error_of(Endpoint(Fault(502, page, {"content-type": "text/html"})), max_retries=0)
    assert "HTTP 502: Login Please sign in nginx" in message
    assert "<" not in message and len(message) < 700


@pytest.mark.parametrize(
    ("said", "way"),
    [
        ("Unrecognized request arguments supplied: top_k, repetition_penalty", "Set engine.extended_sampling=false"),
        ("Unrecognized request argument supplied: min_p", "Set engine.extended_sampling=false"),
        (
            "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead.",
            "Set engine.max_tokens_field=max_completion_tokens",
        ),
        ("max_tokens must be at most 8", "Lower model.sampling.max_tokens"),
        ("Unsupported value: 'temperature' does not support 0 with this model.", "model.sampling.temperature=1"),
        ("top_p: extra fields not permitted", "engine.omit=[top_p]"),
        ("Unknown name seed", "engine.send_seed=false"),
        ("'stop' is not supported with this model", "engine.omit=[stop]"),
        ("response_format json_schema is not supported", "judge.constrain=false"),
        ("Unknown field add_generation_prompt", "model.prefill=''"),
    ],
)
def test_a_refused_field_is_named_with_our_key(said: str, way: str) -> None:
    body = json.dumps({"error": {"message": said, "code": "unsupported_parameter"}}).encode()
    request = ask(sampling=Sampling(max_tokens=16, stop=("\n",)), json_schema="{}", prefill="I")
    message = error_of(Endpoint(Fault(400, body)), request)
    assert f"HTTP 400: {said}" in message
    assert way in message


def test_a_field_that_was_not_sent_is_not_advised_on() -> None:
    message = error_of(
        Endpoint(Fault(400, b'{"error": {"message": "top_k, stop and seed are fine"}}')),
        send_seed=False,
        extended_sampling=False,
    )
    assert message.endswith("are fine")


@pytest.mark.parametrize(
    "value",
    [
        "inf",
        "-inf",
        "nan",
        "1e999",
        "soon",
        "",
        "Wed, 21 Oct 99999 07:28:00 GMT",
        "Wed, 21 Oct 2026 07:28:00 +99999999",
    ],
)
def test_an_absurd_pause_is_none(value: str) -> None:
    assert retry_after_s({"retry-after": value}) is None


@pytest.mark.parametrize("value", ["-5", "-1e99", "Wed, 21 Oct 1815 07:28:00 GMT", "0"])
def test_a_pause_in_the_past_is_none_at_all(value: str) -> None:
    assert retry_after_s({"retry-after": value}) == 0.0


@pytest.mark.parametrize(
    "value", ["1e99", "9" * 300, "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -1200"]
)
def test_an_endless_pause_fails_that_call_with_a_short_sentence(value: str) -> None:
    message = error_of(Endpoint(Fault(429, b"{}", {"retry-after": value})))
    assert "engine.max_retry_after_s=300" in message
    assert len(message) < 300


@pytest.mark.parametrize("field", ["prompt_tokens", "completion_tokens"])
@pytest.mark.parametrize("count", [2**64, -1, 1e300, "7", None, [1]])
def test_a_count_that_is_none_counts_nothing(field: str, count: Any) -> None:
    done = read(reply() | {"usage": {field: count}})
    assert (done.prompt_tokens, done.output_tokens) == (0, 0)


def test_another_models_name_is_recorded_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    other = reply() | {"model": "small-model\x1b[1m"}

    async def use(engine: OpenAIEngine) -> Any:
        for number in range(4):
            await engine.generate(ask(str(number)))
        return engine.describe()["server"]

    caplog.set_level(logging.WARNING, "roleeval")
    facts = with_engine(use, Endpoint(reply() | {"model": "role-model"}, other, other, reply()))
    assert list(facts["answered_by"].values()) == [["small-model\x1b[1m"]]
    assert list(facts["answered_by"]) == ["role-model"]
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("role-model: the server says that 'small-model")
    assert "answered_by" not in with_engine(use, Endpoint(*[reply() | {"model": "role-model"}] * 4))


def test_half_a_surrogate_pair_in_a_servers_names_costs_no_answer() -> None:
    read = read_reply(json.dumps(reply() | {"model": "m\ud800", "system_fingerprint": "f\udfff"}).encode(), ask())
    assert (read.model, read.system_fingerprint, read.completion.finish_reason) == ("m?", "f?", "stop")
