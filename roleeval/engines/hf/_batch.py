"""One batch of the hf engine: left padding, transformers' generate, with a random generator and an end for each row.

A row's text depends only on its prompt, its sampling and its seed: padding is masked from attention and from the
repetition penalty, and every row draws from a generator of its own.
"""

import random
from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roleeval.types import FinishReason, Request

if TYPE_CHECKING:
    import torch

# A stop string is searched for in the text of this many last tokens beyond its own length in bytes.
_TAIL_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Ended:
    """A row that is done: its text up to a stop string, and the number of tokens it took (an end token included)."""

    text: str
    finish_reason: FinishReason
    tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A request that waits for its batch.

    Attributes:
        request: what is asked.
        tokens: ids of its prompt.
        future: where the answer goes.
    """

    request: Request
    tokens: list[int]
    future: "Future[Ended]"


def generate_batch(
    model: Any,
    jobs: Sequence[Job],
    *,
    ends: frozenset[int],
    pad: int,
    text_of: Callable[[Sequence[int], Sequence[int]], str],
    given_up: Callable[[Job], bool],
) -> list[Ended]:
    """Generates for all rows at once. Blocks.

    Args:
        model: a transformers model whose adapters are set.
        jobs: requests with the same sampling.
        ends: token ids that end a row.
        pad: token id of the padding; never read by the model.
        text_of: (prompt ids, output ids) -> text.
        given_up: nobody waits for this job any more.

    Returns:
        One result for each job, in their order.
    """
    import torch
    from transformers.generation.configuration_utils import GenerationConfig
    from transformers.generation.logits_process import LogitsProcessorList
    from transformers.generation.stopping_criteria import StoppingCriteriaList

    width = max(len(job.tokens) for job in jobs)
    ids = torch.tensor([[pad] * (width - len(job.tokens)) + job.tokens for job in jobs], device=model.device)
    starts = torch.tensor([width - len(job.tokens) for job in jobs], device=model.device)
    mask = (torch.arange(width, device=model.device)[None] >= starts[:, None]).long()
    rows = _Rows(jobs, ends, text_of, given_up)
    limit = jobs[0].request.sampling.max_tokens
    config = GenerationConfig(do_sample=False, max_new_tokens=limit, pad_token_id=pad)
    model.generate(
        input_ids=ids,
        attention_mask=mask,
        generation_config=config,
        logits_processor=LogitsProcessorList(_processors(jobs, ids, mask)),
        stopping_criteria=StoppingCriteriaList([rows]),
    )
    return rows.results()


class _Rows:
    """Follows every row token by token and says which are done; a stopping criterion of transformers."""

    def __init__(
        self,
        jobs: Sequence[Job],
        ends: frozenset[int],
        text_of: Callable[[Sequence[int], Sequence[int]], str],
        given_up: Callable[[Job], bool],
    ) -> None:
        self._jobs = jobs
        self._ends = ends
        self._text_of = text_of
        self._given_up = given_up
        self._output: list[list[int]] = [[] for _ in jobs]
        self._reasons: list[FinishReason | None] = [None for _ in jobs]
        stops = jobs[0].request.sampling.stop
        self._tail = max((len(stop.encode()) for stop in stops), default=0) + _TAIL_TOKENS

    def __call__(self, input_ids: "torch.Tensor", scores: object, **_: object) -> "torch.Tensor":
        import torch

        for row, token in enumerate(input_ids[:, -1].tolist()):
            if self._reasons[row] is None:
                self._output[row].append(token)
                self._reasons[row] = self._reason(row, token)
        return torch.tensor([reason is not None for reason in self._reasons], device=input_ids.device)

    def _reason(self, row: int, token: int) -> FinishReason | None:
        job, output = self._jobs[row], self._output[row]
        if token in self._ends:
            return "stop"
        stops = job.request.sampling.stop
        # First the cheap look at the tail, then the look at the text that will be returned.
        tail = self._text_of((), output[-self._tail :])
        if _first_stop(tail, stops) is not None and _first_stop(self._text_of(job.tokens, output), stops) is not None:
            return "stop"
        return "error" if self._given_up(job) else None

    def results(self) -> list[Ended]:
        return [self._result(row) for row in range(len(self._jobs))]

    def _result(self, row: int) -> Ended:
        job, output = self._jobs[row], self._output[row]
        ended = bool(output) and output[-1] in self._ends
        text = self._text_of(job.tokens, output[:-1] if ended else output)
        cut = _first_stop(text, job.request.sampling.stop)
        return Ended(text[:cut], self._reasons[row] or "length", len(output))


def _first_stop(text: str, stops: Sequence[str]) -> int | None:
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return min(found, default=None)


def _processors(jobs: Sequence[Job], ids: "torch.Tensor", mask: "torch.Tensor") -> list[Any]:
    """Transformers' own warpers in its order, then the draw; for greedy decoding only the repetition penalty."""
    from transformers.generation.logits_process import (
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    sampling = jobs[0].request.sampling
    processors: list[Any] = []
    if sampling.repetition_penalty != 1.0:
        processors.append(_Unpadded(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty), ids, mask))
    if sampling.temperature == 0:
        return processors
    if sampling.temperature != 1.0:
        processors.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k:
        processors.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1.0:
        processors.append(TopPLogitsWarper(sampling.top_p))
    return [*processors, _Draw([job.request.seed for job in jobs])]


class _Unpadded:
    """Shows a processor the padding as a repeat of the row's first token, so that no padding token is penalised."""

    def __init__(self, inner: Any, ids: "torch.Tensor", mask: "torch.Tensor") -> None:
        self._inner = inner
        first = ids.gather(1, mask.argmax(dim=1, keepdim=True))
        self._prompt = ids.where(mask.bool(), first)

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        import torch

        seen = torch.cat([self._prompt, input_ids[:, self._prompt.shape[1] :]], dim=1)
        result: torch.Tensor = self._inner(seen, scores)
        return result


class _Draw:
    """Draws one token for each row by inverse CDF and leaves only that one; greedy decoding then picks it.

    One number per row and step, from Python's generator: it takes seeds of any width (torch's CPU generator uses the
    low 32 bits) and gives the same numbers on every device.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._generators = [random.Random(seed) for seed in seeds]

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        import torch

        cumulative = scores.double().softmax(dim=-1).cumsum(dim=-1)
        draws = torch.tensor([[generator.random()] for generator in self._generators], dtype=torch.float64)
        target = draws.to(scores.device) * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, target, right=True).clamp_max(scores.shape[-1] - 1)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)
