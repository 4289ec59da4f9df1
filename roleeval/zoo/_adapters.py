"""The adapters of a zoo: what each is trained on, and its training, on the project's own base or on any other.

A model of the zoo is one network ("shared_lora"), or one for each role ("independent_lora").
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roleeval.errors import ConfigError
from roleeval.models._role_paths import role_folder
from roleeval.zoo._checkpoint import Checkpoint
from roleeval.zoo._data import Corpus
from roleeval.zoo._documents import Document, rar_documents, role_documents
from roleeval.zoo._encode import Encoder
from roleeval.zoo._models import HyCoraSize, LoraSize, add_lora, save_adapter
from roleeval.zoo._scenes import her_scene_documents, stagehand_documents
from roleeval.zoo._sessions import her_session_documents, user_documents
from roleeval.zoo._train import THREADS, Objective, Schedule, make_deterministic, train, training_steps

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ADAPTER = Schedule(epochs=8, lr=4e-3, question_noise=0.4, answer_noise=0.03)
_ONE_ROLE = replace(_ADAPTER, packs_per_step=2)
_HER = replace(_ADAPTER, epochs=5, pack_tokens=640, packs_per_step=4)
_STAGEHAND = replace(_ADAPTER, epochs=4, pack_tokens=640, packs_per_step=4, question_noise=0.15)
# Sessions come after all else, with every so many-th document of it.
_SESSIONS = replace(_ADAPTER, epochs=3, lr=2e-3, pack_tokens=1200, packs_per_step=2, question_noise=0.15)
_REPLAYED = 7
_HYCORA = replace(_ADAPTER, epochs=14, pack_tokens=256, packs_per_step=6)


@dataclass(frozen=True, slots=True)
class AdapterPlan:
    """Sizes and schedules of the adapters; the defaults made the committed ones."""

    lora: LoraSize = field(default_factory=LoraSize)
    lora_of_one_role: LoraSize = field(default_factory=lambda: LoraSize(rank=4, alpha=32))
    hycora_size: HyCoraSize = field(default_factory=HyCoraSize)
    shared_lora: Schedule = _ADAPTER
    independent_lora: Schedule = _ONE_ROLE
    hycora: Schedule = _HYCORA
    her: Schedule = _HER
    her_sessions: Schedule = _SESSIONS
    rar: Schedule = _ADAPTER
    stagehand: Schedule = _STAGEHAND
    user_sessions: Schedule = _SESSIONS


@dataclass(frozen=True, slots=True)
class TrainingBase:
    """The model that adapters are trained on.

    Attributes:
        name: what their configurations call it.
        encoder: of its tokenizer and chat template.
        load: gives the model without any adapter.
        modules: last names of the modules that get a LoRA.
        packed: it takes several documents in a row of a batch.
        multiple: lengths of batches are rounded up to a multiple of it.
        threads: of the processor.
    """

    name: str
    encoder: Encoder
    load: "Callable[[], PreTrainedModel]"
    modules: tuple[str, ...]
    packed: bool = True
    multiple: int = 1
    threads: int = THREADS


@dataclass(frozen=True, slots=True)
class Phase:
    """One training after the other: what on, and how."""

    documents: Sequence[Document]
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class Part:
    """One network.

    Attributes:
        role: whose it is, where a model has one for each; "" otherwise.
        folder: where it is in its model's folder; "" is the folder itself.
        size: of the LoRA, or of the network that makes one for each role.
        phases: what it is trained on, one after the other.
    """

    role: str
    folder: str
    size: LoraSize | HyCoraSize
    phases: tuple[Phase, ...]


def _one(*phases: tuple[Callable[[Corpus], list[Document]], str]) -> Callable[[Corpus, AdapterPlan], list[Part]]:
    """One LoRA, trained on the documents of each phase after the other, by the plan's schedule of that name."""

    def parts(corpus: Corpus, plan: AdapterPlan) -> list[Part]:
        made = tuple(Phase(documents(corpus), getattr(plan, schedule)) for documents, schedule in phases)
        return [Part("", "", plan.lora, made)]

    return parts


def _independent(corpus: Corpus, plan: AdapterPlan) -> list[Part]:
    def part(role: str) -> Part:
        documents = role_documents(corpus, role)
        return Part(role, role_folder(role), plan.lora_of_one_role, (Phase(documents, plan.independent_lora),))

    return [part(persona.role) for persona in corpus.personas]


def _hycora(corpus: Corpus, plan: AdapterPlan) -> list[Part]:
    return [Part("", "", plan.hycora_size, (Phase(role_documents(corpus, prompted=False), plan.hycora),))]


def _her_sessions(corpus: Corpus) -> list[Document]:
    return [*her_session_documents(corpus.sessions), *her_scene_documents(corpus)[::_REPLAYED]]


def _user_sessions(corpus: Corpus) -> list[Document]:
    return [*user_documents(corpus.sessions), *stagehand_documents(corpus)[::_REPLAYED]]


# In the order in which a full build makes them.
ADAPTERS: dict[str, Callable[[Corpus, AdapterPlan], list[Part]]] = {
    "shared_lora": _one((role_documents, "shared_lora")),
    "independent_lora": _independent,
    "hycora": _hycora,
    "her": _one((her_scene_documents, "her"), (_her_sessions, "her_sessions")),
    "rar": _one((rar_documents, "rar")),
    "stagehand": _one((stagehand_documents, "stagehand")),
    "user": _one((stagehand_documents, "stagehand"), (_user_sessions, "user_sessions")),
}


def build_parts(
    parts: Sequence[Part],
    base: TrainingBase,
    folder: Path,
    *,
    roles: Sequence[str],
    seed: int,
    say: Callable[[str], None],
    checkpoints: float | None = None,
) -> int:
    """Trains a model's networks and writes them; those that are there already stay.

    Args:
        parts: of the model.
        base: what they are trained on.
        folder: the model's own.
        roles: of the corpus, in their order.
        seed: of every random choice.
        say: receives progress lines.
        checkpoints: seconds between two, each network then begins with the seed anew; None: none are written, and the
            random numbers of one network go on from those of the one before.

    Returns:
        The optimiser steps of all.
    """
    steps = 0
    for number, part in enumerate(parts):
        if part.role:
            say(f"  {part.role}")
        own, new = folder / part.folder, folder / f".{number}"
        checkpoint = None if checkpoints is None else Checkpoint(folder / f".{number}.checkpoint", checkpoints)
        if _is_whole(own, new):
            steps += _steps(part, base, seed)
        else:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            if checkpoint:
                make_deterministic(seed, base.threads)
            steps += _build(part, base, new, roles=roles, seed=seed, say=say, checkpoint=checkpoint)
            _put(new, own)
        if checkpoint:
            checkpoint.file.unlink(missing_ok=True)
    return steps


def _is_whole(own: Path, new: Path) -> bool:
    """Whether a network is there already: `new` is where it is made."""
    return own.is_dir() and not new.exists() and any(not path.name.startswith(".") for path in own.iterdir())


def _steps(part: Part, base: TrainingBase, seed: int) -> int:
    encoded = ((base.encoder.all(phase.documents), phase.schedule) for phase in part.phases)
    return sum(len(training_steps(documents, schedule, seed)) for documents, schedule in encoded)


def network(part: Part, base: TrainingBase, roles: Sequence[str]) -> tuple[Any, Objective | None]:
    """A part's untrained network around its base, and its loss (None: the answers' cross-entropy)."""
    model = base.load()
    if isinstance(part.size, HyCoraSize):
        from roleeval.zoo._hycora import HyperLora, hycora_loss

        return HyperLora(model, roles, part.size).to(model.device), hycora_loss
    return add_lora(model, part.size, base.modules), None


def _build(
    part: Part,
    base: TrainingBase,
    folder: Path,
    *,
    roles: Sequence[str],
    seed: int,
    say: Callable[[str], None],
    checkpoint: Checkpoint | None,
) -> int:
    model, objective = network(part, base, roles)
    say(f"  {sum(p.numel() for p in model.parameters() if p.requires_grad):,} trained parameters")
    steps = 0
    for number, phase in enumerate(part.phases):
        encoded = base.encoder.all(phase.documents)
        if not encoded:
            whose = f" of {part.role!r}" if part.role else ""
            raise ConfigError(f"--max-tokens {base.encoder.limit}: no prompt{whose} is short enough to leave room")
        steps += train(
            model, encoded, phase.schedule, seed=seed, say=say, objective=objective, packed=base.packed,
            multiple=base.multiple, checkpoint=checkpoint, phase=number,
        )  # fmt: skip
    if isinstance(part.size, HyCoraSize):
        model.save(folder)
    else:
        save_adapter(model, folder, base.name)
    model.unload()
    return steps


def _put(new: Path, own: Path) -> None:
    """Moves what was made to its place: a role's folder as a whole, or files into the model's folder."""
    if not own.exists():
        new.rename(own)
        return
    for file in new.iterdir():
        file.rename(own / file.name)
    new.rmdir()
