"""Trains the small models: `roleeval zoo build`. One recipe per model; a later family adds a recipe.

out/
  hashes.json        what was built with which seed, steps and versions, and the SHA-256 of every file
  <name>/            one folder per model or adapter, complete or absent
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roleeval.errors import ConfigError
from roleeval.zoo._data import (
    Corpus,
    base_documents,
    load_corpus,
    shared_lora_documents,
    tasks_folder,
    tokenizer_texts,
)
from roleeval.zoo._models import (
    LoraSize,
    ModelSize,
    add_lora,
    load_base,
    new_base,
    save_adapter,
    save_base,
)
from roleeval.zoo._pack import encode
from roleeval.zoo._tokenizer import train_tokenizer
from roleeval.zoo._train import THREADS, Schedule, make_deterministic, train

HASHES = "hashes.json"
BASE_SCHEDULE = Schedule(epochs=40, lr=3e-3, question_noise=0.5, answer_noise=0.05)
LORA_SCHEDULE = Schedule(epochs=10, lr=4e-3, question_noise=0.4, answer_noise=0.03)


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes and schedules of a whole zoo; the defaults made the committed weights."""

    size: ModelSize = field(default_factory=ModelSize)
    base: Schedule = BASE_SCHEDULE
    lora: LoraSize = field(default_factory=LoraSize)
    shared_lora: Schedule = LORA_SCHEDULE


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
        needs: models that must lie in the job's folder before.
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
        text = json.dumps({key: record[key] for key in RECIPES if key in record}, indent=1)
        (out / HASHES).write_text(text + "\n", encoding="utf-8")
    return record


def file_hashes(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 (hex) of every file of a folder."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


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


def _make_shared_lora(job: Job, folder: Path) -> int:
    base, tokenizer = load_base(job.out / "base")
    model = add_lora(base, job.plan.lora)
    documents = [encode(document, tokenizer) for document in shared_lora_documents(job.corpus)]
    job.say(f"  {sum(p.numel() for p in model.parameters() if p.requires_grad):,} trained parameters")
    steps = train(model, documents, job.plan.shared_lora, seed=job.seed, say=job.say)
    save_adapter(model, folder)
    return steps


# In the order in which a full build makes them.
RECIPES = {
    "base": Recipe(_make_base),
    "shared_lora": Recipe(_make_shared_lora, needs=("base",)),
}


def _chosen(only: Iterable[str] | None) -> list[str]:
    wanted = list(RECIPES) if only is None else list(only)
    unknown = [name for name in wanted if name not in RECIPES]
    if unknown:
        raise ConfigError(f"zoo has no model {unknown[0]!r}; known: {', '.join(RECIPES)}")
    return [name for name in RECIPES if name in wanted]


def _read_record(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record


def _versions() -> dict[str, str | int]:
    from importlib.metadata import version

    return {**{name: version(name) for name in ("torch", "transformers", "tokenizers", "peft")}, "threads": THREADS}
