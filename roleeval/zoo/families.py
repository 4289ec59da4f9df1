"""Trains the families of adapters on any base: `roleeval zoo build --base BASE --out OUT`.

OUT/build.json          what it was asked for, and with which versions; another build in the same folder is refused
OUT/hashes.json         per model seed, steps, versions and the SHA-256 of every file
OUT/<name>/             as in the project's own zoo: an adapter, or a folder for each role
OUT/conf/model/         built_<name>.yaml, for `run_eval.py --config-dir OUT/conf -m model=built_base,...`
OUT/.<name>.partial/    what is under way; the next build goes on from there
"""

import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from roleeval.errors import ConfigError, cause_of
from roleeval.hashing import digest
from roleeval.zoo._adapters import ADAPTERS, AdapterPlan, Part, TrainingBase, build_parts
from roleeval.zoo._data import Corpus, load_corpus, tasks_folder
from roleeval.zoo._encode import Encoder, length
from roleeval.zoo._estimate import Estimate, estimate
from roleeval.zoo._models import HyCoraSize, LoraSize
from roleeval.zoo._real_base import RealBase, base_encoder, open_base, takes_packs
from roleeval.zoo._recipe import command, write_models
from roleeval.zoo._rows import own_corpus
from roleeval.zoo._train import Schedule, make_deterministic
from roleeval.zoo.build import HASHES, built_record, read_record, versions, write_record, write_whole

FAMILIES = tuple(name for name in ADAPTERS if name != "user")
SETTINGS = "build.json"
Say = Callable[[str], None]
# Room for checkpoints, and for a file that is written before it replaces another, as a multiple of the weights.
_SPARE = 5
# Tokens of a document, where nothing else is asked for; documents that the base is tried with.
_LONGEST = 2048
_HASH = 64
# Sessions come after all else, with one such part of the steps.
_SESSIONS = 4
_PROBED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How adapters are trained.

    Attributes:
        rank: of the LoRAs; alpha is twice that.
        epochs: passes over the data.
        lr: peak learning rate.
        step_tokens: tokens of an optimiser step, roughly.
        steps: optimiser steps of a model at most (shared out among roles where each has its own); 0: no limit.
        max_tokens: of a document, prompt and answer together; 0: what the base can read, 2048 at most.
        seed: of every random choice.
        dtype: of the base: auto (bfloat16 on a GPU, float32 on the CPU), float32 or bfloat16. Adapters are float32.
        device: auto (a GPU, where there is one), cpu or cuda.
        threads: of the processor; 0: as many as it has cores. The bits depend on their number.
    """

    rank: int = 8
    epochs: int = 3
    lr: float = 3e-4
    step_tokens: int = 1920
    steps: int = 0
    max_tokens: int = 0
    seed: int = 0
    dtype: str = "auto"
    device: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("rank", 1),
            ("epochs", 1),
            ("steps", 0),
            ("step_tokens", 1),
            ("max_tokens", 0),
            ("threads", 0),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"--{name.replace('_', '-')}: {getattr(self, name)}; at least {least}")
        if not self.lr > 0:
            raise ConfigError(f"--lr: {self.lr}; more than 0")
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise ConfigError(f"--dtype: {self.dtype}; auto, float32 or bfloat16")

    def plan(self, roles: int) -> AdapterPlan:
        """Schedules and sizes of all adapters."""
        plain = Schedule(epochs=self.epochs, lr=self.lr, max_steps=self.steps)

        def sized(pack_tokens: int, share: float = 1.0) -> Schedule:
            packs = max(1, round(self.step_tokens * share / pack_tokens))
            return replace(plain, pack_tokens=pack_tokens, packs_per_step=packs)

        usual, long = sized(640), sized(1024)
        one_role = replace(sized(640, 2 / 3), max_steps=-(-self.steps // roles))
        sessions = replace(long, lr=self.lr / 2, epochs=1, max_steps=-(-self.steps // _SESSIONS))
        size = LoraSize(rank=self.rank, alpha=2 * self.rank)
        return AdapterPlan(
            lora=size,
            lora_of_one_role=size,
            hycora_size=HyCoraSize(128, 128, 512, 2, 28, self.rank, 4.0 * self.rank),
            shared_lora=usual,
            independent_lora=one_role,
            hycora=sized(384),
            her=long,
            her_sessions=sessions,
            rar=usual,
            stagehand=long,
            user_sessions=sessions,
        )


def build_families(
    base: str,
    out: Path,
    *,
    data: Path | None = None,
    only: Iterable[str] | None = None,
    training: Training | None = None,
    chat_template: str | None = None,
    checkpoint_s: float = 60.0,
    say: Say = print,
) -> dict[str, Any]:
    """Trains the adapters of all families on a base, or goes on where a build in the same folder was.

    Args:
        base: a folder, a hub id or "zoo:NAME".
        out: the folder for them.
        data: a folder of training rows (zoo/_rows.py); None: the embedded ones.
        only: names of `ADAPTERS`; None: FAMILIES.
        training: how.
        chat_template: a Jinja file for a base without a template.
        checkpoint_s: seconds between two checkpoints.
        say: receives progress lines.

    Returns:
        The content of hashes.json.

    Raises:
        ConfigError: the base cannot be trained, the folder holds something else, or the disk is too small.
        DataError: the rows cannot be read.
    """
    training = training or Training()
    names = _chosen(only)
    found = open_base(base, chat_template=chat_template, dtype=training.dtype, device=training.device)
    corpus = load_corpus(tasks_folder())
    corpus = own_corpus(data, corpus, say=say) if data else corpus
    plan = training.plan(len(corpus.personas))
    models = {name: ADAPTERS[name](corpus, plan) for name in names}
    threads = training.threads or len(os.sched_getaffinity(0))
    limit = training.max_tokens or min(found.context or _LONGEST, _LONGEST)
    settings = _settings(found, training, limit, threads, corpus)
    documents = (
        document for parts in models.values() for part in parts for phase in part.phases for document in phase.documents
    )
    encoder = base_encoder(found, documents, limit=limit)
    _check_owner(out, settings)
    record = read_record(out / HASHES)
    todo = {name: parts for name, parts in models.items() if name not in record or not (out / name).is_dir()}
    for name in models:
        say(f"zoo: {name}: {'to be built' if name in todo else 'already built'}")
    roles = [persona.role for persona in corpus.personas]
    try:
        if todo:
            ground = _ground(found, encoder, todo, training.seed, threads)
            expected = estimate(todo, ground, roles=roles, seed=training.seed)
            out.mkdir(parents=True, exist_ok=True)
            _announce(expected, out, say)
            write_whole(out / SETTINGS, orjson.dumps(settings, option=orjson.OPT_INDENT_2))
        for name, parts in todo.items():
            record[name] = _build(name, parts, ground, out, roles, training.seed, checkpoint_s, say)
            write_record(out / HASHES, record)
        write_models(out, base, encoder.source, models)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or out}: could not be written ({cause_of(error)}); once that is fixed, the same command"
            " goes on where this one ended"
        ) from error
    say(f"to compare them:\n  {command(out, models)}")
    return record


def _build(
    name: str,
    parts: Sequence[Part],
    ground: TrainingBase,
    out: Path,
    roles: Sequence[str],
    seed: int,
    checkpoint_s: float,
    say: Say,
) -> dict[str, Any]:
    say(f"zoo: {name} on {ground.name} (seed {seed})")
    partial = out / f".{name}.partial"
    if (out / name).is_dir():  # the build was killed before it could say so
        (out / name).rename(partial)
    partial.mkdir(exist_ok=True)
    ground.encoder.lengths.clear()
    begin = time.perf_counter()
    steps = build_parts(parts, ground, partial, roles=roles, seed=seed, say=say, checkpoints=checkpoint_s)
    lengths = ground.encoder.lengths
    if lengths["cut"] or lengths["left out"]:
        say(
            f"  longer than {ground.encoder.limit} tokens: {lengths['cut'] + lengths['left out']} of"
            f" {lengths['documents']} documents; {lengths['cut']} answers were cut at their ends and have no end"
            f" token, {lengths['left out']} were left out because the prompt alone fills the limit"
        )
    partial.rename(out / name)
    made = built_record(out / name, seed, steps, ground.threads)
    for file, value in made["files"].items():
        say(f"  {value}  {name}/{file}")
    say(f"zoo: {name}: {steps} steps in {time.perf_counter() - begin:.0f} s")
    return made


def _ground(
    base: RealBase, encoder: Encoder, models: Mapping[str, Sequence[Part]], seed: int, threads: int
) -> TrainingBase:
    if "hycora" in models:
        from roleeval.zoo._hycora import check_hycora

        check_hycora(base.model, f"--base {base.given}")
    make_deterministic(seed, threads)
    phases = [phase for parts in models.values() for part in parts for phase in part.phases]
    longest = [max(phase.documents, key=length) for phase in phases if phase.documents]
    sample = encoder.all([*phases[0].documents[:_PROBED], *longest])
    if not sample:
        raise ConfigError(f"--max-tokens {encoder.limit}: no prompt of the data is that short")
    packed = takes_packs(base, sample)
    # On the CPU oneDNN keeps a compiled product for each shape in bfloat16: with every length 45 MB a step.
    multiple = 64 if base.dtype == "bfloat16" and base.model.device.type == "cpu" else 1
    return TrainingBase(
        base.name, encoder, lambda: base.model, base.modules, packed=packed, multiple=multiple, threads=threads
    )


def _announce(expected: Estimate, out: Path, say: Say) -> None:
    for line in expected.lines():
        say(line)
    need = sum(cost.bytes for cost in expected.costs.values()) + _SPARE * max(c.bytes for c in expected.costs.values())
    free = shutil.disk_usage(out).free
    if free < need:
        raise ConfigError(
            f"{out}: {need / 1e6:.0f} MB are needed with room for checkpoints, {free / 1e6:.0f} MB are free"
        )


def _settings(
    base: RealBase, training: Training, limit: int, threads: int, corpus: Corpus
) -> dict[str, str | int | float]:
    """All that determines the weights, by what a person calls it."""
    texts = (corpus.personas, corpus.rows, corpus.prompts, corpus.voices, corpus.scenes, corpus.sessions)
    return {
        "base": base.name,
        "base's contents": base.fingerprint,
        "data's contents": digest([repr(text) for text in texts]),
        "dtype": base.dtype,
        "device": base.device.partition(":")[0],
        "rank": training.rank,
        "epochs": training.epochs,
        "lr": training.lr,
        "step_tokens": training.step_tokens,
        "steps": training.steps,
        "max_tokens": limit,
        "seed": training.seed,
        "schedules": digest(repr(training.plan(len(corpus.personas)))),
        **versions(threads),
    }


def _check_owner(out: Path, settings: Mapping[str, str | int | float]) -> None:
    """Refuses a folder that is not this build's.

    Raises:
        ConfigError: something else is in it; names what is different.
    """
    file = out / SETTINGS
    if not file.is_file():
        if taken := sorted(name for name in (*ADAPTERS, "base", HASHES) if (out / name).exists()):
            raise ConfigError(f"--out {out}: {taken[0]} in it is not of such a build ({SETTINGS}); give another folder")
        return
    try:
        before = orjson.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: cannot be read ({cause_of(error)}); give another folder") from error
    other = [key for key in {**before, **settings} if before.get(key) != settings.get(key)]
    if other:
        told = "; ".join(f"{key}: {_short(before.get(key))} there, {_short(settings.get(key))} now" for key in other)
        raise ConfigError(f"--out {out}: built with other settings ({told}); give the same ones, or another folder")


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) == _HASH else text


def _chosen(only: Iterable[str] | None) -> list[str]:
    wanted = FAMILIES if only is None else tuple(only)
    if unknown := [name for name in wanted if name not in ADAPTERS]:
        raise ConfigError(f"no adapter {unknown[0]!r} can be built on a base; known: {', '.join(ADAPTERS)}")
    return [name for name in ADAPTERS if name in wanted]
