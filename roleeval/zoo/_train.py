"""The training loop of all small models: AdamW with warm-up and cosine decay, the same bits on every run.

Same bits means: same machine, same library versions, same thread count. Other processors add floats in another order.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roleeval.zoo._pack import IGNORED, Batch, Encoded, collate, pack
from roleeval.zoo._tokenizer import FIRST_PLAIN_TOKEN

if TYPE_CHECKING:
    import torch

THREADS = 2
_CLIP = 1.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        epochs: passes over the documents.
        lr: peak learning rate.
        weight_decay: of AdamW, on matrices only.
        pack_tokens: tokens of one pack at most.
        packs_per_step: packs of one optimiser step.
        warmup: share of the steps with a rising rate.
        question_noise: share of a question's tokens that is replaced by random ones, so that an answer hangs on more
            than one word of its question, and a new question finds the nearest answer instead of a mixture.
        answer_noise: the same for the answer's input tokens, so that a slip does not derail the rest.
        max_steps: ends early, for tests; 0 is no limit.
    """

    epochs: int
    lr: float
    weight_decay: float = 0.1
    pack_tokens: int = 512
    packs_per_step: int = 4
    warmup: float = 0.05
    question_noise: float = 0.0
    answer_noise: float = 0.0
    max_steps: int = 0


def make_deterministic(seed: int) -> None:
    """Seeds torch, fixes its thread count and forbids kernels whose results vary."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # 7 % of the time


def train(
    model: "torch.nn.Module",
    documents: Sequence[Encoded],
    schedule: Schedule,
    *,
    seed: int,
    say: Callable[[str], None],
) -> int:
    """Trains the parameters that require a gradient, in place.

    Args:
        model: a Hugging Face causal LM, or a PEFT model around one.
        documents: encoded training documents.
        schedule: lengths and rates.
        seed: of the order of the documents and of the noise.
        say: receives one line of progress every few steps.

    Returns:
        The number of optimiser steps taken.
    """
    import torch

    packs = [pack(documents, max_tokens=schedule.pack_tokens, seed=seed + epoch) for epoch in range(schedule.epochs)]
    width = schedule.packs_per_step
    steps = [epoch[start : start + width] for epoch in packs for start in range(0, len(epoch), width)]
    steps = steps[: schedule.max_steps or None]
    optimizer = _optimizer(model, schedule)
    noise = torch.Generator().manual_seed(seed)
    model.train()
    begin, running = time.perf_counter(), 0.0
    for number, rows in enumerate(steps, 1):
        for group in optimizer.param_groups:
            group["lr"] = schedule.lr * _rate(number, len(steps), schedule.warmup)
        loss = _loss(model, collate(rows), schedule, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], _CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        running = float(loss.detach()) if number == 1 else 0.9 * running + 0.1 * float(loss.detach())
        if number % 20 == 0 or number == len(steps):
            say(f"step {number}/{len(steps)}  loss {running:.3f}  {time.perf_counter() - begin:.0f} s")
    model.eval()
    return len(steps)


def _loss(model: "torch.nn.Module", batch: Batch, schedule: Schedule, noise: "torch.Generator") -> "torch.Tensor":
    import torch

    causal_lm: Any = model.base_model.model if hasattr(model, "peft_config") else model
    ids = _noisy(batch, schedule, causal_lm.config.vocab_size, noise)
    hidden = causal_lm.model(
        input_ids=ids, position_ids=batch.positions, attention_mask=batch.mask, use_cache=False
    ).last_hidden_state
    # Logits only where there is a label: with a model this small most of the time would go into the vocabulary.
    wanted = batch.labels[:, 1:] != IGNORED
    logits = causal_lm.lm_head(hidden[:, :-1][wanted])
    return torch.nn.functional.cross_entropy(logits, batch.labels[:, 1:][wanted])


def _noisy(batch: Batch, schedule: Schedule, vocab: int, generator: "torch.Generator") -> "torch.Tensor":
    import torch

    draw = torch.rand(batch.ids.shape, generator=generator)
    answers = (batch.labels != IGNORED) & (draw < schedule.answer_noise)
    replaced = ((batch.questions & (draw < schedule.question_noise)) | answers) & (batch.ids >= FIRST_PLAIN_TOKEN)
    other = torch.randint(FIRST_PLAIN_TOKEN, vocab, batch.ids.shape, generator=generator)
    return torch.where(replaced, other, batch.ids)


def _optimizer(model: "torch.nn.Module", schedule: Schedule) -> "torch.optim.Optimizer":
    import torch

    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in trained if p.dim() == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=schedule.lr, betas=(0.9, 0.98))


def _rate(step: int, steps: int, warmup: float) -> float:
    rising = max(1, round(steps * warmup))
    if step <= rising:
        return step / rising
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
