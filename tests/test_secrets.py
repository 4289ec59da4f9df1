"""Masks over whatever may be printed or written: the same for a long text as for a short one, and as quickly."""

import pytest

from roleeval.secrets import masked, masked_text, refuse_secret_arguments, refuse_secrets

LONG = 100_000


@pytest.mark.parametrize(
    "run", ["x", "http://", "a=", "a=${", "+a", '"', "'\\", "{a={b=", "a: b ", "https://h/", "Bearer "], ids=repr
)
def test_a_long_text_is_masked_in_little_time(run: str) -> None:
    text = run * (LONG // len(run))
    assert masked_text(f"api_key=1234 {text}").startswith("api_key=***")
    assert "1234" not in masked_text(f"{text} api_key=1234")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("at http://me:pw@host/x and https://h/?key=1", "at http://***@host/x and https://h/?***"),
        ("[a+b://u@h,c://v@h]", "[a+b://***@h]"),
        ("http://***@h/x,http://u:p@h", "http://***@h/x,http://***@h"),
        ("https://h/#a b", "https://h/#*** b"),
        ("x=y=password=1234", "x=y=password=***"),
        ("limit=2 engine.password=1234 x=1", "limit=2 engine.password=*** x=1"),
        ("{Authorization: Basic dXNlcjpwdw==}", "{Authorization: ***}"),
        ("{x: v password: 1234}", "{x: v password: ***}"),
        ("password=two words x=1", "password=*** x=1"),
        ("nothing://here", "nothing://here"),
    ],
)
def test_what_is_masked(text: str, masked: str) -> None:
    assert masked_text(text) == masked == masked_text(masked)


@pytest.mark.parametrize(
    "argument",
    [
        "benchmark.data_dir=hf://ZenMoore/RoleBench@" + "0123456789" * 4,
        "benchmark.data_dir=hf://MiniMaxAI/role-play-bench@main",
        "model.source.path=hf_models/llama",
        "model.source.path=/data/hf_cache/models--Qwen--Qwen3-8B",
        "model.name=sk-tuned",
        "results_dir=sk_out",
        "model.sampling.stop=[</s>]",
        "judge.sampling.max_tokens=200",
        "model.prompt_special_tokens=true",
        "engine.base_urls=[http://127.0.0.1:8000/v1]",
        "engine.api_key_env=MY_KEY",
    ],
)
def test_what_only_resembles_a_secret_is_taken_printed_and_written_as_it_is(argument: str) -> None:
    name, _, value = argument.partition("=")
    refuse_secret_arguments([argument])
    refuse_secrets({name: value})
    assert masked_text(argument) == argument and masked({name: value}) == {name: value}


def test_a_user_in_an_address_that_begins_as_a_data_set_is_masked() -> None:
    assert masked_text("hf://me:pw@host/x") == "hf://***@host/x"
    assert masked_text("hf://a/b@main,http://me:pw@host/x") == "hf://a/b@main,http://***@host/x"
