"""Trains the small models: `roleeval zoo build`. One recipe per model.

out/
  hashes.json        what was built with which seed, steps and versions, and the SHA-256 of every file
  <name>/            one folder per model or adapter, complete or absent
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roleeval.engines import ModelSource
from roleeval.engines.chat import load_tokenizer
from roleeval.errors import ConfigError
from roleeval.zoo._adapters import ADAPTERS, AdapterPlan, TrainingBase, build_parts
from roleeval.zoo._data import Corpus, load_corpus, tasks_folder
from roleeval.zoo._documents import base_documents, tokenizer_texts
from roleeval.zoo._encode import Encoder
from roleeval.zoo._models import LINEAR_MODULES, ModelSize, load_base, new_base, save_base
from roleeval.zoo._pack import encode
from roleeval.zoo._tokenizer import train_tokenizer
from roleeval.zoo._train import THREADS, Schedule, make_deterministic, train

HASHES = "hashes.json"
_BASE = Schedule(epochs=14, lr=4e-3, optimizer="muon", question_noise=0.5, answer_noise=0.05)


@dataclass(frozen=True, slots=True)
class Plan(AdapterPlan):
    """Sizes and schedules of a whole zoo; the defaults made the committed weights."""

    size: ModelSize = field(default_factory=ModelSize)
    base: Schedule = _BASE


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
    record = read_record(out / HASHES)
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
        record[name] = built_record(out / name, seed, steps)
        for file, value in record[name]["files"].items():
            say(f"  {value}  {name}/{file}")
        write_record(out / HASHES, record)
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


def _adapter(name: str) -> Callable[[Job, Path], int]:
    def make(job: Job, folder: Path) -> int:
        parts = ADAPTERS[name](job.corpus, job.plan)
        roles = [persona.role for persona in job.corpus.personas]
        return build_parts(parts, own_base(job.out / "base"), folder, roles=roles, seed=job.seed, say=job.say)

    return make


def own_base(folder: Path) -> TrainingBase:
    """The project's own base model in a folder, for training."""
    source = ModelSource(str(folder))
    tokenizer = load_tokenizer(source)
    encoder = Encoder(tokenizer, source, (int(tokenizer.eos_token_id),))
    return TrainingBase("zoo:base", encoder, lambda: load_base(folder)[0], LINEAR_MODULES)


# In the order in which a full build makes them.
RECIPES = {"base": Recipe(_make_base), **{name: Recipe(_adapter(name), needs=("base",)) for name in ADAPTERS}}


def _chosen(only: Iterable[str] | None) -> list[str]:
    wanted = list(RECIPES) if only is None else list(only)
    unknown = [name for name in wanted if name not in RECIPES]
    if unknown:
        raise ConfigError(f"the zoo has no model {unknown[0]!r}; known: {', '.join(RECIPES)}")
    return [name for name in RECIPES if name in wanted]


def built_record(folder: Path, seed: int, steps: int, threads: int = THREADS) -> dict[str, Any]:
    """What hashes.json says of a model."""
    return {"seed": seed, "steps": steps, "versions": versions(threads), "files": file_hashes(folder)}


def read_record(file: Path) -> dict[str, Any]:
    """The content of hashes.json; {} where there is none."""
    if not file.is_file():
        return {}
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record


def write_record(file: Path, record: Mapping[str, Any]) -> None:
    """Writes hashes.json, in the order of a full build."""
    text = json.dumps({key: record[key] for key in RECIPES if key in record}, indent=1, ensure_ascii=False)
    write_whole(file, f"{text}\n".encode())


def write_whole(file: Path, content: bytes) -> None:
    """Replaces a file in one step: whoever is killed leaves the old one or the new one."""
    new = file.with_name(f".{file.name}.new")
    new.write_bytes(content)
    new.replace(file)


def versions(threads: int = THREADS) -> dict[str, str | int]:
    """What else determines the bits."""
    from importlib.metadata import version

    return {**{name: version(name) for name in ("torch", "transformers", "tokenizers", "peft")}, "threads": threads}
