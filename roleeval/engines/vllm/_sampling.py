"""From a request to vLLM's sampling parameters."""

from typing import TYPE_CHECKING

from roleeval.types import Request

if TYPE_CHECKING:
    from vllm import SamplingParams


def writing(request: Request, stop_tokens: list[int]) -> "SamplingParams":
    """Parameters to write an answer with; `stop_tokens` are the ids that end it besides the model's own."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    sampling = request.sampling
    greedy = sampling.temperature == 0
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        repetition_penalty=sampling.repetition_penalty,
        max_tokens=sampling.max_tokens,
        stop=list(sampling.stop) or None,
        stop_token_ids=stop_tokens or None,
        seed=None if greedy else request.seed,
        structured_outputs=StructuredOutputsParams(json=request.json_schema) if request.json_schema else None,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def reading(*, alternatives: int = 0) -> "SamplingParams":
    """Parameters to read a prompt with: its tokens' log-probabilities, and those of the likeliest `alternatives`."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=0.0,
        max_tokens=1,  # vLLM writes one token in any case
        prompt_logprobs=alternatives,
        skip_reading_prefix_cache=True,  # tokens whose KV is cached would come without log-probabilities
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def probing() -> "SamplingParams":
    """Parameters to get the log-probabilities of the likeliest next tokens after a prompt."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=0.0,
        max_tokens=1,
        logprobs=5,
        skip_reading_prefix_cache=True,  # so that two answers are two computations
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
