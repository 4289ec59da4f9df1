"""A self-check of a vLLM engine, for any model: does its decoding agree with its scoring of the same text as a prompt?

Decoding and reading a prompt use different kernels, often with and without a captured graph. If one of them is wrong,
texts are still words and scores are still numbers, so nothing else shows it: seen with vllm 0.25.1 on a Hopper GPU,
where a small model with a sliding window generated word salad although it scored prompts correctly.
"""

import math
from typing import TYPE_CHECKING, Any

from roleeval.engines.vllm._sampling import reading
from roleeval.errors import EngineError

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest

_TOKENS = 16
# In nats a token. 0.0 on a healthy engine in float32 and bfloat16 (docs/architecture.md); the word salad was 7.6
# below the model's own text.
_LIMIT = 0.5


async def decode_gap(
    engine: Any, prompt: list[int], *, adapter: "LoRARequest | None" = None, copy: int | None = None
) -> float:
    """How much likelier than the greedily written tokens the likeliest ones are, when the same tokens are read.

    Args:
        engine: an AsyncLLM.
        prompt: token ids.
        adapter: that both are done with; one that is loaded.
        copy: of the model that does both; None where there is one.

    Returns:
        The mean over the written tokens of log p(likeliest) - log p(written), in nats; 0 where they agree.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    final = RequestOutputKind.FINAL_ONLY
    greedy = SamplingParams(temperature=0.0, max_tokens=_TOKENS, ignore_eos=True, detokenize=False, output_kind=final)
    name = f"{'base' if adapter is None else adapter.lora_name}-{copy or 0}"

    async def last(tokens: list[int], params: "SamplingParams", what: str) -> Any:
        found = None
        asked = {"type": "token", "prompt_token_ids": tokens}
        where = {"request_id": f"roleeval-check-{name}-{what}", "lora_request": adapter, "data_parallel_rank": copy}
        async for output in engine.generate(asked, params, **where):
            found = output
        return found

    written = list((await last(prompt, greedy, "write")).outputs[0].token_ids)
    read = (await last(prompt + written, reading(alternatives=1), "read")).prompt_logprobs[len(prompt) :]
    gaps = [
        max(entry.logprob for entry in at.values()) - at[token].logprob for at, token in zip(read, written, strict=True)
    ]
    return math.fsum(gaps) / len(gaps)


def require_agreement(gap: float, model: str) -> None:
    """Refuses an engine whose texts are not its model's.

    Raises:
        EngineError: decoding and reading disagree.
    """
    if not gap <= _LIMIT:
        raise EngineError(
            f"vllm's self-check failed for {model}: decoding disagrees with prompt scoring by {gap:.1f} nats a token"
            " (normal: 0, except for rounding). One of its kernels is wrong for this model; try"
            " engine.enforce_eager=true, another attention backend (+engine.extra.attention_backend=TRITON_ATTN) or"
            " another version of vLLM; engine.check_decoding=false skips the check"
        )
