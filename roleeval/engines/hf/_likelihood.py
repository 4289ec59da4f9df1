"""One batch of the hf engine that scores given texts: left padding, one forward pass, no generation.

Logits are kept only for the scored positions: those of whole prompts would fill the memory (tokens x vocabulary).
"""

import inspect
from asyncio import Future
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from roleeval.types import Likelihood, LikelihoodRequest

# Logits held at once, in numbers: 1 GB in float32.
_MOST_LOGITS = 2**28


@dataclass(frozen=True, slots=True, eq=False)
class ScoreJob:
    """A likelihood request that waits for its batch.

    Attributes:
        request: what is asked.
        prompt: token ids before the scored ones.
        continuation: token ids that are scored.
        future: where the answer goes.
    """

    request: LikelihoodRequest
    prompt: list[int]
    continuation: list[int]
    future: "Future[Likelihood]"


def score_batch(model: Any, jobs: Sequence[ScoreJob], *, pad: int, served_by: str) -> list[Likelihood]:
    """Scores all rows, in as many passes as memory asks for. Blocks.

    Args:
        model: a transformers model whose adapters are set.
        jobs: requests with the same adapter.
        pad: token id of the padding; never read by the model.
        served_by: fingerprint of the engine.

    Returns:
        One result for each job, in their order.
    """
    longest = max(len(job.continuation) for job in jobs)
    rows = max(1, _MOST_LOGITS // (longest * model.config.get_text_config().vocab_size))
    return [result for at in range(0, len(jobs), rows) for result in _pass(model, jobs[at : at + rows], pad, served_by)]


def _pass(model: Any, jobs: Sequence[ScoreJob], pad: int, served_by: str) -> list[Likelihood]:
    import torch

    # The last token's own logits say nothing about the text: it is not read.
    inputs = [[*job.prompt, *job.continuation][:-1] for job in jobs]
    width, kept = max(map(len, inputs)), max(len(job.continuation) for job in jobs)
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in inputs], device=model.device)
    starts = torch.tensor([width - len(row) for row in inputs], device=model.device)
    mask = (torch.arange(width, device=model.device)[None] >= starts[:, None]).long()
    fields: dict[str, Any] = {"position_ids": (mask.cumsum(-1) - 1).clamp_min(0), "logits_to_keep": kept}
    known = inspect.signature(model.forward).parameters  # models with code of their own may lack one
    with torch.inference_mode():
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            use_cache=False,
            **{name: value for name, value in fields.items() if name in known},
        ).logits[:, -kept:]
        return [_row(logits[number], job, served_by) for number, job in enumerate(jobs)]


def _row(logits: Any, job: ScoreJob, served_by: str) -> Likelihood:
    import torch

    count = len(job.continuation)
    wanted = torch.tensor(job.continuation, device=logits.device)
    scores = logits[-count:].float().log_softmax(-1)
    chosen = scores.gather(1, wanted[:, None]).squeeze(1)
    return Likelihood(
        logprob=float(chosen.double().sum()),
        tokens=count,
        greedy=bool((scores.argmax(-1) == wanted).all()),
        prompt_tokens=len(job.prompt),
        served_by=served_by,
    )
