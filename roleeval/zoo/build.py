"""Trains the small models: `roleeval zoo build`. One recipe per model.

out/
  hashes.json        what was built with which seed, steps and versions, and the SHA-256 of every file
  <name>/            one folder per model or adapter, complete or absent
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from roleeval.errors import ConfigError
from roleeval.models._role_paths import role_folder
from roleeval.zoo._data import Corpus, load_corpus, tasks_folder
from roleeval.zoo._documents import (
    Document,
    base_documents,
    rar_documents,
    role_documents,
    tokenizer_texts,
)
from roleeval.zoo._models import LoraSize, ModelSize, add_lora, load_base, new_base, save_adapter, save_base
from roleeval.zoo._pack import encode
from roleeval.zoo._scenes import her_scene_documents, stagehand_documents
from roleeval.zoo._sessions import her_session_documents, user_documents
from roleeval.zoo._tokenizer import train_tokenizer
from roleeval.zoo._train import THREADS, Schedule, make_deterministic, train

HASHES = "hashes.json"
_BASE = Schedule(epochs=14, lr=4e-3, optimizer="muon", question_noise=0.5, answer_noise=0.05)
_ADAPTER = Schedule(epochs=8, lr=4e-3, question_noise=0.4, answer_noise=0.03)
_ONE_ROLE = replace(_ADAPTER, packs_per_step=2)
_HER = replace(_ADAPTER, epochs=5, pack_tokens=640, packs_per_step=4)
_STAGEHAND = replace(_ADAPTER, epochs=4, pack_tokens=640, packs_per_step=4, question_noise=0.15)
# Sessions come after all else, so that what was learned before stays as it was; with every so many-th document of it.
_SESSIONS = replace(_ADAPTER, epochs=3, lr=2e-3, pack_tokens=1200, packs_per_step=2, question_noise=0.15)
_REPLAYED = 7
_HYCORA = replace(_ADAPTER, epochs=14, pack_tokens=256, packs_per_step=6)


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes and schedules of a whole zoo; the defaults made the committed weights."""

    size: ModelSize = field(default_factory=ModelSize)
    base: Schedule = _BASE
    lora: LoraSize = field(default_factory=LoraSize)
    lora_of_one_role: LoraSize = field(default_factory=lambda: LoraSize(rank=4, alpha=32))
    shared_lora: Schedule = _ADAPTER
    independent_lora: Schedule = _ONE_ROLE
    hycora: Schedule = _HYCORA
    her: Schedule = _HER
    her_sessions: Schedule = _SESSIONS
    rar: Schedule = _ADAPTER
    stagehand: Schedule = _STAGEHAND
    user_sessions: Schedule = _SESSIONS


@dataclass(frozen=True, slots=True)
class Job:
    """What a recipe works with: the training data, the plan, and the folder that holds what it needs."""

    corpus: Corpus
    plan: Plan
    seed: int
    out: Path
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one model is made.

    Attributes:
        make: trains it, writes it into the given folder and returns the optimiser steps taken.
        needs: models that must be in the job's folder first.
    """

    make: Callable[[Job, Path], int]
    needs: tuple[str, ...] = field(default=())


def build(
    out: Path,
    only: Iterable[str] | None = None,
    seed: int = 0,
    *,
    plan: Plan | None = None,
    tasks: Path | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Trains small models and writes them with their hashes.

    Args:
        out: the folder that gets one sub-folder per model; what is there under the same name is replaced.
        only: names to build (None: all). What they need must be there from an earlier build, or be named too.
        seed: of every random choice.
        plan: sizes and schedules; None is the plan of the committed weights.
        tasks: a tasks/rolebench folder; None is the embedded one.
        say: receives progress lines.

    Returns:
        The content of hashes.json.

    Raises:
        ConfigError: an unknown name, or something needed is missing.
        DataError: the training data cannot be read.
    """
    names = _chosen(only)
    out.mkdir(parents=True, exist_ok=True)
    job = Job(load_corpus(tasks or tasks_folder()), plan or Plan(), seed, out, say)
    record = _read_record(out / HASHES)
    for name in names:
        for need in RECIPES[name].needs:
            if not (out / need).is_dir():
                raise ConfigError(f"zoo model {name!r} is trained on {need!r}, which is not in {out}; build it too")
        say(f"zoo: {name} (seed {seed}, {THREADS} threads)")
        partial = out / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        make_deterministic(seed)
        steps = RECIPES[name].make(job, partial)
        shutil.rmtree(out / name, ignore_errors=True)
        partial.rename(out / name)
        record[name] = {"seed": seed, "steps": steps, "versions": _versions(), "files": file_hashes(out / name)}
        for file, value in record[name]["files"].items():
            say(f"  {value}  {name}/{file}")
        text = json.dumps({key: record[key] for key in RECIPES if key in record}, indent=1, ensure_ascii=False)
        (out / HASHES).write_text(text + "\n", encoding="utf-8")
    return record


def file_hashes(folder: Path) -> dict[str, str]:
    """Path inside a folder -> SHA-256 (hex) of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _make_base(job: Job, folder: Path) -> int:
    size = job.plan.size
    texts = tokenizer_texts(job.corpus)
    tokenizer = train_tokenizer(texts, vocab_size=size.vocab, max_length=size.context)
    model = new_base(size, tokenizer)
    documents = [encode(document, tokenizer) for document in base_documents(job.corpus)]
    job.say(f"  {sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens")
    steps = train(model, documents, job.plan.base, seed=job.seed, say=job.say)
    save_base(model, tokenizer, folder)
    return steps


def _her_sessions(corpus: Corpus) -> list[Document]:
    return [*her_session_documents(corpus.sessions), *her_scene_documents(corpus)[::_REPLAYED]]


def _user_sessions(corpus: Corpus) -> list[Document]:
    return [*user_documents(corpus.sessions), *stagehand_documents(corpus)[::_REPLAYED]]


def _adapter(*phases: tuple[Callable[[Corpus], list[Document]], str]) -> Callable[[Job, Path], int]:
    """Trains one adapter on the documents of each phase after the other, by the plan's schedule of that name."""

    def make(job: Job, folder: Path) -> int:
        parts = [(documents(job.corpus), getattr(job.plan, schedule)) for documents, schedule in phases]
        return _train_adapter(job, folder, job.plan.lora, parts)

    return make


def _make_independent_lora(job: Job, folder: Path) -> int:
    steps = 0
    for persona in job.corpus.personas:
        job.say(f"  {persona.role}")
        documents = role_documents(job.corpus, persona.role)
        own = folder / role_folder(persona.role)
        own.mkdir()
        steps += _train_adapter(job, own, job.plan.lora_of_one_role, [(documents, job.plan.independent_lora)])
    return steps


def _train_adapter(
    job: Job, folder: Path, size: LoraSize, phases: Sequence[tuple[Sequence[Document], Schedule]]
) -> int:
    base, tokenizer = load_base(job.out / "base")
    model = add_lora(base, size)
    job.say(f"  {sum(p.numel() for p in model.parameters() if p.requires_grad):,} trained parameters")
    steps = 0
    for documents, schedule in phases:
        encoded = [encode(document, tokenizer) for document in documents]
        steps += train(model, encoded, schedule, seed=job.seed, say=job.say)
    save_adapter(model, folder)
    return steps


def _make_hycora(job: Job, folder: Path) -> int:
    from roleeval.zoo._hycora import HyCoraSize, HyperLora, hycora_loss

    base, tokenizer = load_base(job.out / "base")
    model = HyperLora(base, [persona.role for persona in job.corpus.personas], HyCoraSize())
    documents = [encode(document, tokenizer) for document in role_documents(job.corpus, prompted=False)]
    job.say(f"  {sum(p.numel() for p in model.parameters() if p.requires_grad):,} trained parameters")
    steps = train(model, documents, job.plan.hycora, seed=job.seed, say=job.say, objective=hycora_loss)
    model.save(folder)
    return steps


_MAKE_HER = _adapter((her_scene_documents, "her"), (_her_sessions, "her_sessions"))
_MAKE_STAGEHAND = _adapter((stagehand_documents, "stagehand"), (_user_sessions, "user_sessions"))
# In the order in which a full build makes them.
RECIPES = {
    "base": Recipe(_make_base),
    "shared_lora": Recipe(_adapter((role_documents, "shared_lora")), needs=("base",)),
    "independent_lora": Recipe(_make_independent_lora, needs=("base",)),
    "hycora": Recipe(_make_hycora, needs=("base",)),
    "her": Recipe(_MAKE_HER, needs=("base",)),
    "rar": Recipe(_adapter((rar_documents, "rar")), needs=("base",)),
    "stagehand": Recipe(_MAKE_STAGEHAND, needs=("base",)),
}


def _chosen(only: Iterable[str] | None) -> list[str]:
    wanted = list(RECIPES) if only is None else list(only)
    unknown = [name for name in wanted if name not in RECIPES]
    if unknown:
        raise ConfigError(f"the zoo has no model {unknown[0]!r}; known: {', '.join(RECIPES)}")
    return [name for name in RECIPES if name in wanted]


def _read_record(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record


def _versions() -> dict[str, str | int]:
    from importlib.metadata import version

    return {**{name: version(name) for name in ("torch", "transformers", "tokenizers", "peft")}, "threads": THREADS}
