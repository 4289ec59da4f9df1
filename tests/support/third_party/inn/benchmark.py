"""Scenes in an inn: two of the household are played by the model under test, a guest and a director by helpers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from inn.data import Scene, read_scenes
from inn.evening import Evening

from roleeval.benchmarks import Actor, Helper, spread
from roleeval.errors import ConfigError
from roleeval.hashing import file_hash
from roleeval.identity import OUTSIDE_IDENTITY
from roleeval.prompts import PromptPack, load_prompt_pack
from roleeval.resources import located
from roleeval.types import Language, Persona, Sample, Transcript

LANGUAGES: tuple[Language, ...] = ("en", "zh")


@dataclass(frozen=True)
class Inn:
    """The benchmark (conf/benchmark/inn.yaml).

    Attributes:
        data_file: a file of scenes (inn/data.py).
        prompt_pack: folder of what everybody is told.
        guest, director: the models that play them.
        rounds: turns of a scene; None is as many as the scene says.
        call_attempts: calls in all before one that failed ends its scene.
    """

    data_file: str = field(default="pkg://inn/data/evenings.jsonl", metadata=OUTSIDE_IDENTITY)
    prompt_pack: str = field(default="pkg://inn/prompts", metadata=OUTSIDE_IDENTITY)
    guest: Helper = field(default_factory=Helper)
    director: Helper = field(default_factory=Helper)
    rounds: int | None = None
    call_attempts: int = 2

    def __post_init__(self) -> None:
        if self.rounds is not None and self.rounds < 2:
            raise ConfigError(f"benchmark.rounds: {self.rounds} is invalid; give 2 or more, or null")

    @property
    def name(self) -> str:
        return "inn"

    @cached_property
    def scenes(self) -> dict[str, Scene]:
        """Id -> scene.

        Raises:
            DataError: see read_scenes.
        """
        return {scene.id: scene for scene in read_scenes(located(self.data_file))}

    @cached_property
    def pack(self) -> PromptPack:
        return load_prompt_pack(self.prompt_pack)

    def _chosen(self, limit: int | None) -> list[Scene]:
        chosen = []
        for language in LANGUAGES:
            there = [scene for scene in self.scenes.values() if scene.language == language]
            chosen += [there[place] for place in spread(len(there), min(len(there), limit or len(there)))]
        return chosen

    def count(self, *, limit: int | None) -> int:
        return len(self._chosen(limit))

    def samples(self, *, limit: int | None) -> Iterator[Sample]:
        for index, scene in enumerate(self._chosen(limit)):
            yield Sample(
                id=scene.id,
                index=index,
                split=scene.language,
                cluster=scene.evening,
                persona=Persona(", ".join(scene.cast), "\n".join(scene.cast.values()), scene.language),
                question=scene.opening,
                references={"chronicle": (scene.chronicle,)},
                labels={"guest": scene.guest["name"]},
                material={"hidden": "\n".join(scene.hidden)},
            )

    def helpers(self) -> Mapping[str, Helper]:
        return {"guest": self.guest, "director": self.director}

    async def episode(self, sample: Sample, actor: Actor) -> Transcript:
        scene = self.scenes[sample.id]
        return await Evening(scene, self.rounds or scene.rounds, self.pack, actor, self.call_attempts).play()

    def averages(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """The mean of the languages' means; of the chronicle's where a metric compares with it."""
        return {"all": (tuple(f"{language}/chronicle" for language in LANGUAGES), LANGUAGES)}

    def describe(self) -> Mapping[str, Any]:
        scenes = self.scenes.values()
        return {
            "data": self.data_file,
            "data_hash": file_hash(located(self.data_file)),
            "splits": {language: sum(s.language == language for s in scenes) for language in LANGUAGES},
            "prompt_packs": {self.pack.name: {"version": self.pack.version, "sha256": self.pack.sha256}},
            "cluster": ("evening", "evenings"),
            "setup": {
                name: helper.model.name if helper.model else "base model of the run"
                for name, helper in self.helpers().items()
            },
        }
