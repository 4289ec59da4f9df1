"""The training loop of all small models: warm-up and cosine decay, the same bits on every run.

This holds for the same machine, library versions and thread count. Other processors add floats in another order.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from roleeval.zoo._checkpoint import Checkpoint
from roleeval.zoo._pack import IGNORED, Batch, Encoded, Pack, collate, collate_separate, pack
from roleeval.zoo._tokenizer import FIRST_PLAIN_TOKEN

if TYPE_CHECKING:
    import torch

THREADS = 2
_CLIP = 1.0
_SILENT_S = 30.0


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


def make_deterministic(seed: int, threads: int = THREADS) -> None:
    """Seeds torch, fixes its thread count and forbids kernels whose results vary."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic products on GPUs need
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
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
    packed: bool = True,
    multiple: int = 1,
    checkpoint: Checkpoint | None = None,
    phase: int = 0,
) -> int:
    """Trains the parameters that require a gradient, in place.

    Args:
        model: what the objective can run; by default a Hugging Face causal LM, or a PEFT model around one.
        documents: encoded training documents.
        schedule: lengths and rates.
        seed: of the order of the documents and of the noise.
        say: receives one line of progress every few steps.
        objective: the loss; None is the cross-entropy of the answers' tokens.
        packed: the model takes several documents in a row of a batch.
        multiple: lengths of batches are rounded up to a multiple of it.
        checkpoint: where the training goes on from, and what it writes; None: it cannot be interrupted.
        phase: number of this training among those of the model, for the checkpoint.

    Returns:
        The number of optimiser steps taken.
    """
    steps = training_steps(documents, schedule, seed)
    vocab = 1 + max(max(document.prefix + document.body) for document in documents)
    trainer = Trainer(
        model, steps, schedule, seed=seed, objective=objective, packed=packed, multiple=multiple, vocab=vocab
    )
    state = checkpoint.read() if checkpoint else None
    if state and state["phase"] > phase:
        return len(steps)
    done = trainer.resume(state) if state and state["phase"] == phase else 0
    if done:
        say(f"  goes on after step {done} of {len(steps)}")
    begin = said = time.perf_counter()
    for number in range(done + 1, len(steps) + 1):
        trainer.step(number)
        if checkpoint and checkpoint.due:
            checkpoint.write({"phase": phase, **trainer.state(number)})
        now = time.perf_counter()
        if number % 50 == 0 or number == len(steps) or now - said > _SILENT_S:
            say(f"  step {number}/{len(steps)}  loss {trainer.running:.3f}  {now - begin:.0f} s")
            said = now
    model.eval()
    return len(steps)


def training_steps(documents: Sequence[Encoded], schedule: Schedule, seed: int) -> list[list[Pack]]:
    """The packs of every optimiser step."""
    packs = [pack(documents, max_tokens=schedule.pack_tokens, seed=seed + epoch) for epoch in range(schedule.epochs)]
    width = schedule.packs_per_step
    steps = [epoch[start : start + width] for epoch in packs for start in range(0, len(epoch), width)]
    return steps[: schedule.max_steps or None]


class Trainer:
    """Takes the steps of one training.

    Attributes:
        steps: the packs of every step.
        trained: the parameters that require a gradient.
        optimizers: of these.
        noise: random numbers of the noise.
        running: mean loss of the last steps.
    """

    def __init__(
        self,
        model: "torch.nn.Module",
        steps: list[list[Pack]],
        schedule: Schedule,
        *,
        seed: int,
        vocab: int,
        objective: Objective | None = None,
        packed: bool = True,
        multiple: int = 1,
    ) -> None:
        import torch

        self.steps, self.running = steps, 0.0
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizers = _optimizers(model, schedule)
        self.noise = torch.Generator().manual_seed(seed)
        self._model, self._schedule, self._vocab = model, schedule, vocab
        self._objective = objective or _causal_lm
        self._collate, self._multiple = collate if packed else collate_separate, multiple
        self._device = self.trained[0].device
        model.train()

    def step(self, number: int) -> None:
        """One step; they are numbered from 1."""
        import torch

        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = self._schedule.lr * _rate(number, len(self.steps), self._schedule.warmup)
        batch = self._collate(self.steps[number - 1], multiple=self._multiple)
        ids = _noisy(batch, self._schedule, self._vocab, self.noise).to(self._device)
        loss = self._objective(self._model, ids, batch.to(self._device), number / len(self.steps))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, _CLIP)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.running = float(loss.detach()) if number == 1 else 0.9 * self.running + 0.1 * float(loss.detach())

    def state(self, step: int) -> dict[str, Any]:
        """Everything that the steps after this one depend on."""
        import torch

        random = [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if self._device.type == "cuda" else [])]
        return {
            "step": step,
            "trained": [parameter.detach() for parameter in self.trained],
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "noise": self.noise.get_state(),
            "random": random,
            "running": self.running,
        }

    def resume(self, state: dict[str, Any]) -> int:
        """Puts the model and all that belongs to it where they were; returns the steps taken then."""
        import torch

        with torch.no_grad():
            for parameter, value in zip(self.trained, state["trained"], strict=True):
                parameter.copy_(value)
        for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        self.noise.set_state(state["noise"])
        torch.set_rng_state(state["random"][0])
        if state["random"][1:]:
            torch.cuda.set_rng_state(state["random"][1])
        self.running = state["running"]
        step: int = state["step"]
        return step


def hidden_states(causal_lm: Any, ids: "torch.Tensor", batch: Batch) -> "torch.Tensor":
    """Final-norm hidden states [packs, tokens, width] of a Hugging Face causal LM."""
    hidden: torch.Tensor = causal_lm.base_model(
        input_ids=ids, position_ids=batch.positions, attention_mask=batch.mask, use_cache=False
    ).last_hidden_state
    return hidden


def answer_loss(causal_lm: Any, hidden: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Mean cross-entropy of the labelled tokens (nats)."""
    import torch

    # Logits only where there is a label: with a model this small most of the time would go into the vocabulary.
    wanted = labels[:, 1:] != IGNORED
    logits = causal_lm.get_output_embeddings()(hidden[:, :-1][wanted])
    return torch.nn.functional.cross_entropy(logits.float(), labels[:, 1:][wanted])


def _causal_lm(model: Any, ids: "torch.Tensor", batch: Batch, progress: float) -> "torch.Tensor":
    causal_lm = model.base_model.model if hasattr(model, "peft_config") else model
    return answer_loss(causal_lm, hidden_states(causal_lm, ids, batch), batch.labels)


def _noisy(batch: Batch, schedule: Schedule, vocab: int, generator: "torch.Generator") -> "torch.Tensor":
    import torch

    if not (schedule.question_noise or schedule.answer_noise):
        return batch.ids
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
