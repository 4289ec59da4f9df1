"""MiniMax Role-play Bench: sessions of 100 messages between a character and a user; see docs/minimax.md.

Source: MiniMaxAI/role-play-bench (Hugging Face), its card; spec/minimax.md.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from roleeval.benchmarks._protocol import Opening
from roleeval.benchmarks._spread import spread
from roleeval.benchmarks.actor import Actor, Helper
from roleeval.benchmarks.hub import data_folder
from roleeval.benchmarks.minimax.data import Seed, fetch, read_seeds, table_file
from roleeval.benchmarks.minimax.session import USER, Session, SessionPrompts
from roleeval.errors import ConfigError
from roleeval.hashing import digest, file_hash
from roleeval.identity import OUTSIDE_IDENTITY
from roleeval.prompts import load_prompt_pack
from roleeval.types import Language, Message, Persona, Sample, Status, Transcript

_EMBEDDED = "tasks/minimax/embedded"
FULL = 100  # messages of a session, as published
_USUAL_TOKENS = 100  # of a message; the released models' average from 26 to 950
_WAY_OUT = (
    "the new tokens are those of the longest possible session; lower benchmark.messages, or play what fits with"
    " benchmark.may_overflow=true"
)
_AGAIN: tuple[Status, ...] = ("no_answer", "truncated_reasoning", "refused")


@dataclass(frozen=True)
class Minimax:
    """The MiniMax Role-play Bench (conf/benchmark/minimax.yaml).

    Attributes:
        messages: how many are generated in a session, half of them by the character; 100 is the published length.
        runs: sessions of each seed.
        mode: who plays the user: "fixed_user" is `user`, the same for every model; "selfplay" the model under test.
        user: the model that plays the user.
        user_sees_card: the user simulator is told the character's description.
        languages: splits; they are never pooled.
        data_dir: a folder with data/LANGUAGE/seeds.jsonl (or .parquet); None is the embedded set;
            "hf://OWNER/NAME@COMMIT" is a pinned revision from the Hugging Face hub.
        on_error: what a malformed row does: "raise" stops, "skip" leaves it out and counts it.
        may_overflow: sessions are played although their longest possible length exceeds a model's context; one that
            runs out of it ends there (context_overflow).
        call_attempts: calls in all before one that failed makes its session engine_failed.
        reply_attempts: replies in all to one message that is empty or refused, each with a seed of its own; the last
            one is taken. 1 takes the first.
        character_prompts, user_prompts: folders of the prompts' templates.
    """

    messages: int = FULL
    runs: int = 3
    mode: Literal["fixed_user", "selfplay"] = "fixed_user"
    user: Helper = field(default_factory=Helper)
    user_sees_card: bool = False
    languages: tuple[Language, ...] = ("en", "zh")
    data_dir: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    on_error: Literal["raise", "skip"] = "raise"
    may_overflow: bool = False
    call_attempts: int = 3
    reply_attempts: int = 1
    character_prompts: str = field(default="tasks/minimax/prompts/character", metadata=OUTSIDE_IDENTITY)
    user_prompts: str = field(default="tasks/minimax/prompts/user", metadata=OUTSIDE_IDENTITY)
    _skipped: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.languages or len(set(self.languages)) < len(self.languages):
            raise ConfigError(
                f"benchmark.languages: {list(self.languages)} is empty or has a duplicate; allowed values: en, zh"
            )
        if self.messages < 2 or self.messages % 2:
            raise ConfigError(
                f"benchmark.messages: {self.messages} is invalid; give an even number of 2 or more (half of them are"
                f" the character's; published: {FULL})"
            )
        for key in ("runs", "call_attempts", "reply_attempts"):
            if getattr(self, key) < 1:
                raise ConfigError(f"benchmark.{key}: {getattr(self, key)} is invalid; give 1 or more")

    @property
    def name(self) -> str:
        return "minimax"

    @cached_property
    def _files(self) -> dict[Language, Path]:
        folder = data_folder(self.data_dir, embedded=_EMBEDDED, fetch=fetch)
        return {language: table_file(folder, language, "seeds") for language in self.languages}

    @cached_property
    def seeds(self) -> dict[Language, tuple[Seed, ...]]:
        """The seeds of each language.

        Raises:
            DataError: see read_seeds.
        """
        self._skipped.clear()
        return {
            language: tuple(read_seeds(file, language, on_error=self.on_error, skipped=self._skipped))
            for language, file in self._files.items()
        }

    @cached_property
    def _by_id(self) -> dict[str, Seed]:
        return {seed.id: seed for seeds in self.seeds.values() for seed in seeds}

    @cached_property
    def _prompts(self) -> SessionPrompts:
        packs = (load_prompt_pack(self.character_prompts), load_prompt_pack(self.user_prompts))
        return SessionPrompts(*packs, user_sees_card=self.user_sees_card)

    def _chosen(self, limit: int | None) -> list[Seed]:
        """`limit` seeds of each language, spread over its file."""
        chosen: list[Seed] = []
        for seeds in self.seeds.values():
            chosen += [seeds[place] for place in spread(len(seeds), min(len(seeds), limit or len(seeds)))]
        return chosen

    def count(self, *, limit: int | None) -> int:
        """See Benchmark.count; `limit` counts seeds, each of which has `runs` sessions."""
        return len(self._chosen(limit)) * self.runs

    def samples(self, *, limit: int | None) -> Iterator[Sample]:
        """See Benchmark.samples; `limit` counts seeds."""
        index = 0
        for seed in self._chosen(limit):
            for run in range(1, self.runs + 1):
                yield _sample(seed, run, index)
                index += 1

    def helpers(self) -> Mapping[str, Helper]:
        """See Staged."""
        return {"user": self.user} if self.mode == "fixed_user" else {}

    async def episode(self, sample: Sample, actor: Actor) -> Transcript:
        """Plays one session.

        Raises:
            ConfigError: all sessions of a seed would be the same one.
        """
        user = actor.helpers.get("user")
        if self.runs > 1 and not any(someone.model.sampling.temperature for someone in (actor, user or actor)):
            raise ConfigError(
                f"benchmark.runs={self.runs} with greedy decoding of both sides asks for the same session; set"
                " benchmark.runs=1 or a temperature (model.sampling.temperature, benchmark.user.sampling.temperature)"
            )
        return await self._session(sample, actor).play()

    def _session(self, sample: Sample, actor: Actor) -> Session:
        return Session(
            id=sample.id,
            seed=self._by_id[sample.cluster],
            messages=self.messages,
            prompts=self._prompts,
            character=actor,
            user=actor.helpers.get("user"),
            call_attempts=self.call_attempts,
            reply_attempts=self.reply_attempts,
            ask_again=_AGAIN,
        )

    def openings(self, sample: Sample, actor: Actor) -> Iterable[Opening]:
        """See Foreseen: both hear everything; the user after the character's first message."""
        user = actor.helpers.get("user", actor)
        each = self.messages // 2
        most = each * (actor.model.sampling.max_tokens + user.model.sampling.max_tokens)
        for someone in self._session(sample, actor).opened():
            yield Opening(
                someone.actor,
                someone.persona,
                someone.system,
                # somebody answers before the user's first call
                [*someone.history, Message("user", someone.silence)] if someone.part == USER else someone.history,
                someone.part,
                growth=self.messages * _USUAL_TOKENS,
                turns=self.messages,
                later=("assistant", "user") if self.messages > 2 else (),
                step=max(someone.model.sampling.max_tokens for someone in (actor, user)),
                most=0 if self.may_overflow else most - someone.actor.model.sampling.max_tokens,
                way_out="" if self.may_overflow else _WAY_OUT,
            )

    def lines(self, sample: Sample) -> Mapping[str, Sequence[str]]:
        """See Scripted: what the seed gives."""
        seed = self._by_id[sample.cluster]
        return {"": [seed.ai_prologue, seed.initial_user_input], "user": [seed.initial_user_input]}

    def choices(self, sample: Sample, *, turns: int | None) -> Mapping[str, Sequence[str]]:
        """See Scripted: nobody decides how a session goes on."""
        return {}

    @property
    def longest(self) -> int:
        """See Foreseen: a call for each message."""
        return self.messages

    def averages(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """None: rankings do not carry over between the languages."""
        return {}

    def describe(self) -> Mapping[str, Any]:
        packs = (self._prompts.character, self._prompts.user)
        return {
            "data": self.data_dir or "embedded",
            "data_hash": digest(*(file_hash(file) for file in self._files.values())),
            "splits": {language: len(seeds) * self.runs for language, seeds in self.seeds.items()},
            "cluster": ("seed", "seeds"),
            "rows_skipped": len(self._skipped),
            "prompt_packs": {pack.name: {"version": pack.version, "sha256": pack.sha256} for pack in packs},
            "setup": self._setup(),
        }

    def _setup(self) -> dict[str, str]:
        """What must be equal in one table, besides data and prompts."""
        user = self.user.model.name if self.user.model else "base model of the run"
        return {
            "messages": str(self.messages) + ("" if self.messages == FULL else f" (published: {FULL})"),
            "user": user if self.mode == "fixed_user" else "the model under test (self-play)",
            **({"user sees the character's card": "yes"} if self.user_sees_card else {}),
        }


def _sample(seed: Seed, run: int, index: int) -> Sample:
    return Sample(
        id=f"{seed.id}/run_{run}",
        index=index,
        split=seed.language,
        cluster=seed.id,
        persona=Persona(seed.ai_name, seed.ai_setting, seed.language),
        question=seed.initial_user_input,
        references={},
        labels={"run": f"run_{run}"},
        material={
            "user_name": seed.user_name,
            "user_setting": seed.user_setting,
            "prologue": seed.ai_prologue,
        },
    )
