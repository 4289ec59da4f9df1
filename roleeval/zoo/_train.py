"""The training loop of all small models: warm-up and cosine decay, the same bits on every run.

This holds for the same machine, library versions and thread count. Other processors add floats in another order.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

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
        optimizer: "muon" orthogonalises the steps of hidden matrices (Jordan et al. 2024; torch.optim.Muon) and
            leaves the rest to AdamW: fewer than half the steps of AdamW alone when training from nothing.
        weight_decay: on matrices only.
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
    optimizer: Literal["adamw", "muon"] = "adamw"
    weight_decay: float = 0.1
    pack_tokens: int = 384
    packs_per_step: int = 5
    warmup: float = 0.05
    question_noise: float = 0.0
    answer_noise: float = 0.0
    max_steps: int = 0


# (model, input ids [packs, tokens], batch, progress in (0, 1]) -> loss
Objective = Callable[[Any, "torch.Tensor", Batch, float], "torch.Tensor"]


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
    objective: Objective | None = None,
) -> int:
    """Trains the parameters that require a gradient, in place.

    Args:
        model: what the objective can run; by default a Hugging Face causal LM, or a PEFT model around one.
        documents: encoded training documents.
        schedule: lengths and rates.
        seed: of the order of the documents and of the noise.
        say: receives one line of progress every few steps.
        objective: the loss; None is the cross-entropy of the answers' tokens.

    Returns:
        The number of optimiser steps taken.
    """
    import torch

    objective = objective or _causal_lm
    packs = [pack(documents, max_tokens=schedule.pack_tokens, seed=seed + epoch) for epoch in range(schedule.epochs)]
    width = schedule.packs_per_step
    steps = [epoch[start : start + width] for epoch in packs for start in range(0, len(epoch), width)]
    steps = steps[: schedule.max_steps or None]
    optimizers = _optimizers(model, schedule)
    trained = [p for p in model.parameters() if p.requires_grad]
    vocab = 1 + max(max(document.prefix + document.body) for document in documents)
    noise = torch.Generator().manual_seed(seed)
    model.train()
    begin, running = time.perf_counter(), 0.0
    for number, rows in enumerate(steps, 1):
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = schedule.lr * _rate(number, len(steps), schedule.warmup)
        batch = collate(rows)
        loss = objective(model, _noisy(batch, schedule, vocab, noise), batch, number / len(steps))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, _CLIP)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        running = float(loss.detach()) if number == 1 else 0.9 * running + 0.1 * float(loss.detach())
        if number % 50 == 0 or number == len(steps):
            say(f"  step {number}/{len(steps)}  loss {running:.3f}  {time.perf_counter() - begin:.0f} s")
    model.eval()
    return len(steps)


def hidden_states(causal_lm: Any, ids: "torch.Tensor", batch: Batch) -> "torch.Tensor":
    """Final-norm hidden states [packs, tokens, width] of a Hugging Face causal LM."""
    hidden: torch.Tensor = causal_lm.model(
        input_ids=ids, position_ids=batch.positions, attention_mask=batch.mask, use_cache=False
    ).last_hidden_state
    return hidden


def answer_loss(causal_lm: Any, hidden: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Mean cross-entropy of the labelled tokens (nats)."""
    import torch

    # Logits only where there is a label: with a model this small most of the time would go into the vocabulary.
    wanted = labels[:, 1:] != IGNORED
    logits = causal_lm.lm_head(hidden[:, :-1][wanted])
    return torch.nn.functional.cross_entropy(logits, labels[:, 1:][wanted])


def _causal_lm(model: Any, ids: "torch.Tensor", batch: Batch, progress: float) -> "torch.Tensor":
    causal_lm = model.base_model.model if hasattr(model, "peft_config") else model
    return answer_loss(causal_lm, hidden_states(causal_lm, ids, batch), batch.labels)


def _noisy(batch: Batch, schedule: Schedule, vocab: int, generator: "torch.Generator") -> "torch.Tensor":
    import torch

    draw = torch.rand(batch.ids.shape, generator=generator)
    answers = (batch.labels != IGNORED) & (draw < schedule.answer_noise)
    replaced = ((batch.questions & (draw < schedule.question_noise)) | answers) & (batch.ids >= FIRST_PLAIN_TOKEN)
    other = torch.randint(FIRST_PLAIN_TOKEN, vocab, batch.ids.shape, generator=generator)
    return torch.where(replaced, other, batch.ids)


def _optimizers(model: "torch.nn.Module", schedule: Schedule) -> "list[torch.optim.Optimizer]":
    import torch

    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in trained if p.dim() > 1]
    optimizers: list[torch.optim.Optimizer] = []
    if schedule.optimizer == "muon":
        hidden = [p for name, p in trained if p.dim() == 2 and "embed" not in name]
        muon = torch.optim.Muon(
            hidden, lr=schedule.lr, weight_decay=schedule.weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        optimizers.append(muon)
        matrices = [p for name, p in trained if p.dim() > 1 and "embed" in name]
    groups = [
        {"params": matrices, "weight_decay": schedule.weight_decay},
        {"params": [p for _, p in trained if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizers.append(torch.optim.AdamW([g for g in groups if g["params"]], lr=schedule.lr, betas=(0.9, 0.98)))
    return optimizers


def _rate(step: int, steps: int, warmup: float) -> float:
    rising = max(1, round(steps * warmup))
    if step <= rising:
        return step / rising
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
