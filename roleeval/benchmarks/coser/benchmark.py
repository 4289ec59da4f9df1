"""CoSER: scenes from books with several characters, all played by the model under test; judged against the book.

Source: CoSER (arXiv 2502.09082), section 5, and its repository; HER (arXiv 2601.21459) for the profile "her";
spec/coser.md. docs/coser.md lists the differences from them.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from roleeval.benchmarks._protocol import Opening
from roleeval.benchmarks._spread import spread
from roleeval.benchmarks.actor import Actor, Helper
from roleeval.benchmarks.coser.data import ENVIRONMENT, SPLITS, Scene, read_scenes
from roleeval.benchmarks.coser.memory import Memory, Retrieval
from roleeval.benchmarks.coser.next import END
from roleeval.benchmarks.coser.prompts import ScenePrompts
from roleeval.benchmarks.coser.rules import Rules
from roleeval.benchmarks.coser.scene import Play
from roleeval.benchmarks.coser.text import conversation, given_message
from roleeval.errors import ConfigError
from roleeval.hashing import digest, file_hash
from roleeval.identity import OUTSIDE_IDENTITY, options
from roleeval.prompts import PromptPack, load_prompt_pack
from roleeval.resources import resource
from roleeval.types import ChatRole, Persona, Sample, Transcript

SplitName = Literal["id", "ood"]
_TOKENS_PER_WORD = 2  # of a reply that keeps to the word limit, with its thoughts
_EMBEDDED = "tasks/coser/embedded/test_set.json"


@dataclass(frozen=True)
class Coser:
    """The CoSER benchmark (conf/benchmark/coser.yaml).

    Attributes:
        protocol: the rules of a scene.
        data_file: a file in the layout of CoSER's test_set.json; None is the embedded set.
        on_error: what a malformed scene does: "raise" stops, "skip" leaves it out and counts it.
        splits: "id" (books of CoSER's training) and "ood".
        nsp: who names the next speaker: a model, chance, or the reference's order (which also ends the scene).
        continue_from: so many turns of the reference are given.
        call_attempts: calls in all before one that failed makes its scene engine_failed.
        output_format: how characters mark thoughts and actions; "auto" is tags for families that reply in them (her),
            brackets for all others.
        prompt_pack: folder of the prompts' templates.
        environment, next_speaker: the models that play them.
        retrieval: the characters' past in their prompts.
    """

    protocol: Rules = field(default_factory=Rules)
    data_file: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    on_error: Literal["raise", "skip"] = "raise"
    splits: tuple[SplitName, ...] = ("id", "ood")
    nsp: Literal["model", "random", "reference"] = "model"
    continue_from: int = 0
    call_attempts: int = 3
    output_format: Literal["auto", "brackets", "tags"] = "auto"
    prompt_pack: str = field(default="tasks/coser/prompts/scene", metadata=OUTSIDE_IDENTITY)
    environment: Helper = field(default_factory=Helper)
    next_speaker: Helper = field(default_factory=Helper)
    retrieval: Retrieval = field(default_factory=Retrieval)
    _skipped: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.splits or len(set(self.splits)) < len(self.splits):
            raise ConfigError(
                f"benchmark.splits: {list(self.splits)} is empty or has a duplicate; allowed values: id, ood"
            )
        if not 0 <= self.continue_from < self.protocol.rounds:
            raise ConfigError(
                f"benchmark.continue_from: {self.continue_from} is invalid with"
                f" benchmark.protocol.rounds={self.protocol.rounds}; give 0 to {self.protocol.rounds - 1}"
            )
        if self.call_attempts < 1:
            raise ConfigError(f"benchmark.call_attempts: {self.call_attempts} is invalid; give 1 or more")

    @property
    def name(self) -> str:
        return "coser"

    def identity(self) -> Mapping[str, Any]:
        """The options; hashes of data and prompts come from `describe`."""
        return options(self)

    @cached_property
    def _file(self) -> Path:
        return Path(self.data_file) if self.data_file else resource(_EMBEDDED)

    @cached_property
    def scenes(self) -> tuple[Scene, ...]:
        """All scenes of the file.

        Raises:
            DataError: see read_scenes.
        """
        self._skipped.clear()
        return tuple(read_scenes(self._file, on_error=self.on_error, skipped=self._skipped))

    @cached_property
    def _by_id(self) -> dict[str, Scene]:
        return {scene.id: scene for scene in self.scenes}

    @cached_property
    def pack(self) -> PromptPack:
        return load_prompt_pack(self.prompt_pack)

    @cached_property
    def _memory(self) -> Memory:
        return Memory(self.retrieval, self.scenes)

    def _chosen(self, limit: int | None) -> list[Scene]:
        chosen: list[Scene] = []
        for split in self.splits:
            there = [scene for scene in self.scenes if scene.split == split]
            if there:
                chosen += [there[place] for place in spread(len(there), min(len(there), limit or len(there)))]
        return chosen

    def count(self, *, limit: int | None) -> int:
        """See Benchmark.count."""
        return len(self._chosen(limit))

    def samples(self, *, limit: int | None) -> Iterator[Sample]:
        """See Benchmark.samples. Long scenes come first, so that none is left alone at the end; indices keep order."""
        numbered = list(enumerate(self._chosen(limit)))
        for index, scene in sorted(numbered, key=lambda pair: (-len(pair[1].lines), pair[0])):
            yield self._sample(scene, index)

    def _sample(self, scene: Scene, index: int) -> Sample:
        labels = {"continue_from": str(self.continue_from)} if self.continue_from else {}
        return Sample(
            id=scene.id,
            index=index,
            split=scene.split,
            cluster=scene.book,
            persona=Persona("", "", "en"),
            question=scene.scenario,
            references={},
            labels=labels,
            material=material(scene, given=self.continue_from),
        )

    def helpers(self) -> Mapping[str, Helper]:
        """See Staged."""
        key = "benchmark.protocol.sampling.max_tokens"
        helpers = {"environment": replace(self.environment, tokens_key=key)}
        if self.nsp == "model":
            sampling = self.protocol.for_predictor(self.next_speaker.sampling)
            if sampling != self.next_speaker.sampling:
                key = "benchmark.protocol.next_speaker_tokens"
            helpers["next_speaker"] = replace(self.next_speaker, sampling=sampling, tokens_key=key)
        return helpers

    def prompts(self, *, tags: bool) -> ScenePrompts:
        """What participants are told; with HER's tags for thoughts and actions, or with brackets."""
        return ScenePrompts(self.pack, self.protocol, tags)

    async def episode(self, sample: Sample, actor: Actor) -> Transcript:
        """Plays one scene."""
        return await self._play(sample, actor).run()

    def openings(self, sample: Sample, actor: Actor) -> Iterable[Opening]:
        """See Foreseen. Everybody hears all that is said."""
        rounds = self.protocol.rounds
        growth = rounds * self.protocol.word_limit * _TOKENS_PER_WORD
        later: tuple[ChatRole, ...] = ("assistant", "user") if rounds > 1 else ()
        if later and not self.protocol.merge_neighbours:
            later = ("user", *later)
        people = self._play(sample, actor).people().values()
        step = max((someone.actor.model.sampling.max_tokens for someone in people if not someone.aside), default=0)
        for someone in people:
            yield Opening(
                someone.actor,
                someone.persona,
                someone.system,
                someone.history,
                someone.part,
                growth,
                turns=rounds,
                step=step,
                later=later,
            )

    def lines(self, sample: Sample) -> Mapping[str, Sequence[str]]:
        """See Scripted: what is said in the book."""
        said = self._by_id[sample.id].lines
        return {
            "": [line.message for line in said if line.speaker != ENVIRONMENT],
            "environment": [line.message for line in said if line.speaker == ENVIRONMENT],
        }

    def choices(self, sample: Sample, *, turns: int | None) -> Mapping[str, Sequence[str]]:
        """See Scripted: who is next in the book; longer scenes begin it again."""
        if self.nsp != "model":
            return {}
        speakers = [line.speaker for line in self._by_id[sample.id].lines]
        first = max(1, self.continue_from)
        order = itertools.islice(itertools.cycle(speakers), first, max(first, turns or len(speakers)))
        return {"next_speaker": [*order, END]}

    @property
    def longest(self) -> int:
        """See Foreseen: a speaker and, but for the last round, a predictor for each round that is not given."""
        rounds = self.protocol.rounds - self.continue_from
        return 2 * rounds - 1 if self.nsp == "model" else rounds

    def _play(self, sample: Sample, actor: Actor) -> Play:
        scene = self._by_id[sample.id]
        own = getattr(actor.model, "reply_format", "plain")
        tags = self.output_format == "tags" or (self.output_format == "auto" and own == "tags")
        return Play(
            scene=scene,
            rules=self.protocol,
            prompts=self.prompts(tags=tags),
            nsp=self.nsp,
            continue_from=self.continue_from,
            attempts=self.call_attempts,
            actor=actor,
            background=self._memory.background(scene, self.protocol.motivation_keys),
        )

    def averages(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """The whole benchmark: the mean of the splits' means, or over cases ("id+ood"), as the protocol has it."""
        if len(self.splits) < 2:
            return {}
        return {"all": (SPLITS if self.protocol.average == "groups" else ("+".join(SPLITS),),)}

    @cached_property
    def data_hash(self) -> str:
        """Hash of the data file, and of the retrieval's where it has one."""
        if not self.retrieval.passages or not self.retrieval.file:
            return file_hash(self._file)
        assert self._memory  # says what is wrong with the file, if anything
        return digest(file_hash(self._file), file_hash(Path(self.retrieval.file)))

    def describe(self) -> Mapping[str, Any]:
        keys = self.protocol.motivation_keys
        speakers = [(scene, name) for scene in self.scenes for name in scene.characters]
        return {
            "data": self.data_file or "embedded",
            "cluster": ("book", "books"),
            "data_hash": self.data_hash,
            "splits": {split: sum(scene.split == split for scene in self.scenes) for split in self.splits},
            "rows_skipped": len(self._skipped),
            "speakers": len(speakers),
            "speakers_without": {
                "motivation": sum(not scene.motivation(name, keys) for scene, name in speakers),
                "profile": sum(not scene.profiles.get(name) for scene, name in speakers),
            },
            "prompt_packs": {self.pack.name: {"version": self.pack.version, "sha256": self.pack.sha256}},
            "protocol": asdict(self.protocol),
            "setup": self._setup(),
        }

    def _setup(self) -> dict[str, str]:
        """What must be equal in one table, besides data and prompts."""
        helpers = {
            name: helper.model.name if helper.model else "base model of the run"
            for name, helper in self.helpers().items()
        }
        options = {
            "output format": "" if self.output_format == "auto" else self.output_format,
            "passages retrieved": self.retrieval.passages,
            "turns given": self.continue_from,
        }
        return {
            "protocol": f"{self.protocol.name} {digest(asdict(self.protocol))[:8]}",
            **({} if self.nsp == "model" else {"next speaker by": self.nsp}),
            **helpers,
            **{name: str(value) for name, value in options.items() if value},
        }


def material(scene: Scene, *, given: int = 0) -> dict[str, str]:
    """A scene's texts for judges and metrics.

    "reference" is the book's conversation as others hear it (Environment untouched); "reference_shown" has the
    thoughts as well; "reference_rest", where turns are given, is the rest of the reference.
    """
    forms = [(line.speaker, given_message(line.message, line.speaker)) for line in scene.lines]
    said = [(name, given.shown) for name, given in forms]
    heard = [(name, given.shown if name == ENVIRONMENT else given.visible) for name, given in forms]
    return {
        "book": scene.book,
        "plot_summary": scene.summary,
        "scenario": scene.scenario,
        "character_profiles": _profiles(scene, scene.characters),
        "major_characters": ", ".join(scene.majors),
        "reference": conversation(heard),
        "reference_shown": conversation(said),
    } | ({"reference_rest": conversation(heard[given:])} if given else {})


def _profiles(scene: Scene, names: Sequence[str]) -> str:
    return "\n\n".join(f"{name}\n{scene.profile(name)}" for name in names if scene.profile(name))
