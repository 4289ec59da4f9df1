"""An engine that writes other tokens than it reads is refused."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from roleeval.engines.vllm._decode_check import decode_gap, require_agreement
from roleeval.errors import EngineError

pytestmark = pytest.mark.vllm  # its sampling parameters are vLLM's own

PROMPT = [5, 6, 7]


class Engine:
    """Counts upwards where it reads, and writes what a test says."""

    def __init__(self, written: list[int]) -> None:
        self.written = written
        self.asked: list[tuple[list[int], Any]] = []
        self.where: list[dict[str, Any]] = []

    async def generate(self, prompt: dict[str, Any], params: Any, **where: Any) -> AsyncIterator[Any]:
        self.where.append(where)
        tokens = prompt["prompt_token_ids"]
        self.asked.append((tokens, params))
        if params.prompt_logprobs is None:
            yield SimpleNamespace(outputs=[SimpleNamespace(token_ids=self.written)])
        else:
            after = itertools.pairwise(tokens)
            scored = [None, *(self.scores(before + 1, token) for before, token in after)]
            yield SimpleNamespace(prompt_logprobs=scored)

    @staticmethod
    def scores(likeliest: int, token: int) -> dict[int, SimpleNamespace]:
        return {token: SimpleNamespace(logprob=-4.0)} | {likeliest: SimpleNamespace(logprob=-0.5)}


def test_tokens_that_are_read_as_they_were_written_have_no_gap() -> None:
    engine = Engine([8, 9, 10, 11])
    assert asyncio.run(decode_gap(engine, PROMPT)) == 0
    (prompt, write), (read, score) = engine.asked
    assert (prompt, read) == (PROMPT, [*PROMPT, 8, 9, 10, 11])
    assert write.temperature == 0
    assert write.ignore_eos  # an early end would leave nothing to compare
    assert score.skip_reading_prefix_cache  # tokens whose KV is cached come without log-probabilities


def test_an_adapter_and_a_copy_are_asked_both_times() -> None:
    engine, adapter = Engine([8, 9, 10, 11]), SimpleNamespace(lora_name="her")
    assert asyncio.run(decode_gap(engine, PROMPT, adapter=adapter, copy=1)) == 0  # type: ignore[arg-type]
    assert [(each["lora_request"], each["data_parallel_rank"]) for each in engine.where] == [(adapter, 1)] * 2
    assert len({each["request_id"] for each in engine.where}) == 2


def test_the_gap_is_the_mean_over_what_was_written() -> None:
    # 8 follows 7, 30 does not follow 8, 31 follows 30, 5 does not follow 31
    assert asyncio.run(decode_gap(Engine([8, 30, 31, 5]), PROMPT)) == pytest.approx((3.5 + 3.5) / 4)


@pytest.mark.parametrize("gap", [0.0, 0.08, 0.5])
def test_ties_that_rounding_breaks_are_no_fault(gap: float) -> None:
    require_agreement(gap, "folder/model")


@pytest.mark.parametrize("gap", [0.51, 3.0, float("nan")])
def test_a_wrong_kernel_is_refused_with_what_to_do(gap: float) -> None:
    with pytest.raises(EngineError, match=r"folder/model.*enforce_eager=true.*engine\.check_decoding=false"):
        require_agreement(gap, "folder/model")
