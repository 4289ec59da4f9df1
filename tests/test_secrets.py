"""Masks over whatever may be printed or written: the same for a long text as for a short one, and as quickly."""

import pytest

from roleeval.secrets import masked_text

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
