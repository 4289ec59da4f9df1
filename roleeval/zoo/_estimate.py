"""What a build will take, before it begins: time and memory of a few steps of each kind of network, measured."""

import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from roleeval.plain import duration
from roleeval.zoo._adapters import Part, TrainingBase, network
from roleeval.zoo._pack import IGNORED, Encoded, Pack
from roleeval.zoo._train import Schedule, Trainer, training_steps

# Documents of a phase that are looked at; steps that are timed.
_SAMPLED = 600
_TIMED = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model of the zoo takes.

    Attributes:
        steps: optimiser steps.
        seconds: of its training.
        bytes: of its weights on the disk.
    """

    steps: int
    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a build takes.

    Attributes:
        costs: of each of its models.
        memory: bytes that the process has taken at most so far, the heaviest of all steps included; on a GPU, there.
    """

    costs: Mapping[str, Cost]
    memory: int

    def lines(self) -> list[str]:
        """In words."""
        rows = [
            f"  {name}: {cost.steps} steps, {duration(cost.seconds)}, {cost.bytes / 1e6:.1f} MB on disk"
            for name, cost in self.costs.items()
        ]
        seconds, size = (sum(getattr(cost, what) for cost in self.costs.values()) for what in ("seconds", "bytes"))
        steps = sum(cost.steps for cost in self.costs.values())
        total = f"estimate, from {_TIMED} steps of each kind: {steps} steps, {duration(seconds)} of training"
        return [*rows, f"{total}, {self.memory / 1e9:.1f} GB of memory, {size / 1e6:.1f} MB on disk"]


def estimate(models: Mapping[str, Sequence[Part]], base: TrainingBase, *, roles: Sequence[str], seed: int) -> Estimate:
    """Measures a few steps on a network of each kind, and counts those that are to be taken."""
    steps = {name: _sampled_steps(parts, base, seed) for name, parts in models.items()}
    kinds = {name: type(parts[0].size) for name, parts in models.items()}
    rates, costs = {}, {}
    for kind in dict.fromkeys(kinds.values()):
        names = [name for name in models if kinds[name] is kind]
        # Activations grow with the tokens, logits with the labels: which of both takes more depends on the vocabulary.
        heaviest = [max((rows for name in names for rows, _ in steps[name]), key=by) for by in (_tokens, _labels)]
        usual = [sorted((rows for rows, _ in steps[name]), key=_tokens)[len(steps[name]) // 2] for name in names]
        rates[kind] = _rate(models[names[0]][0], base, [*heaviest, *(usual * _TIMED)[:_TIMED]], roles, seed)
    for name, parts in models.items():
        tokens = sum(_tokens(rows) * weight for rows, weight in steps[name])
        size = sum(4 * parameters for parameters in _sizes(parts, base, roles))
        rate = rates[kinds[name]]
        costs[name] = Cost(round(sum(weight for _, weight in steps[name])), tokens / rate, size)
    return Estimate(costs, _peak(base))


def _sampled_steps(parts: Sequence[Part], base: TrainingBase, seed: int) -> list[tuple[list[Pack], float]]:
    """Steps of a model, and how many of its steps each stands for."""
    found: list[tuple[list[Pack], float]] = []
    for phase in (phase for part in parts for phase in part.phases):
        every = max(1, len(phase.documents) // _SAMPLED)
        encoded: list[Encoded] = base.encoder.all(phase.documents[::every])
        if not encoded:
            continue
        whole: Schedule = replace(phase.schedule, max_steps=0)
        steps = training_steps(encoded, whole, seed)
        planned = len(steps) * every
        limited = min(planned, phase.schedule.max_steps or planned)
        kept = steps[:limited]
        found += [(rows, limited / len(kept)) for rows in kept]
    return found


def _rate(part: Part, base: TrainingBase, steps: Sequence[list[Pack]], roles: Sequence[str], seed: int) -> float:
    """Tokens a second, padding included, of the last steps; those before warm up and take the most memory."""
    model, objective = network(part, base, roles)
    schedule = part.phases[0].schedule
    vocab = 1 + max(max(row.ids) for rows in steps for row in rows)
    trainer = Trainer(
        model, list(steps), schedule, seed=seed, vocab=vocab, objective=objective, packed=base.packed,
        multiple=base.multiple,
    )  # fmt: skip
    begin = time.perf_counter()
    for number in range(1, len(steps) + 1):
        if number == len(steps) - _TIMED + 1:
            begin = time.perf_counter()
        trainer.step(number)
    seconds = time.perf_counter() - begin
    model.unload()
    return sum(map(_tokens, steps[-_TIMED:])) / max(seconds, 1e-9)


def _sizes(parts: Sequence[Part], base: TrainingBase, roles: Sequence[str]) -> list[int]:
    """Trained parameters of each network; those of one kind and size are counted once."""
    known: dict[object, int] = {}
    for part in parts:
        if part.size not in known:
            model, _ = network(part, base, roles)
            known[part.size] = sum(p.numel() for p in model.parameters() if p.requires_grad)
            model.unload()
    return [known[part.size] for part in parts]


def _tokens(rows: Sequence[Pack]) -> int:
    return len(rows) * max(len(row.ids) for row in rows)


def _labels(rows: Sequence[Pack]) -> int:
    return sum(label != IGNORED for row in rows for label in row.labels)


def _peak(base: TrainingBase) -> int:
    import torch

    device = base.load().device
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
