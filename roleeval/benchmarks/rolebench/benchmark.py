"""RoleBench: one question to one role, one answer, compared with reference answers.

Source: RoleLLM (arXiv 2310.00746), section 4. CUS compares with role-styled answers to general instructions, RAW with
their plain answers, SPE with answers to role-specific questions; AVG is the plain mean of the three.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from roleeval.benchmarks._protocol import Opening
from roleeval.benchmarks._spread import spread
from roleeval.benchmarks.actor import Actor
from roleeval.benchmarks.hub import data_folder, fetch_pinned
from roleeval.benchmarks.rolebench.data import (
    SPLITS,
    Row,
    SplitSpec,
    read_descriptions,
    read_raw_targets,
    read_rows,
    seen_in_training,
    split_file,
)
from roleeval.errors import ConfigError
from roleeval.hashing import digest, file_hash
from roleeval.identity import OUTSIDE_IDENTITY, options
from roleeval.models import nfc
from roleeval.prompts import PromptPack, fill, load_prompt_pack
from roleeval.types import Language, Message, Persona, Sample, Transcript

SplitName = Literal["eng_general", "eng_specific", "rolegen_general", "rolegen_specific", "zh_general", "zh_specific"]
_EMBEDDED = "tasks/rolebench/embedded"
# What of the data set is downloaded.
FILES = ("rolebench-*/**/*.jsonl", "profiles-*/desc.json", "instructions-*/*.jsonl")


@dataclass(frozen=True)
class RoleBench:
    """The RoleBench benchmark (conf/benchmark/rolebench.yaml).

    Attributes:
        data_dir: a folder in RoleBench's layout; None is the embedded set; "hf://OWNER/NAME@COMMIT" is a pinned
            revision from the Hugging Face hub.
        splits: which splits to run, in this order.
        on_error: what a malformed row does: "raise" stops, "skip" leaves it out and counts it.
        prompt_pack: folder of the system prompt's templates.
    """

    data_dir: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    splits: tuple[SplitName, ...] = ("eng_general", "eng_specific", "zh_general", "zh_specific")
    on_error: Literal["raise", "skip"] = "raise"
    prompt_pack: str = field(default="tasks/rolebench/prompts/persona", metadata=OUTSIDE_IDENTITY)
    _skipped: list[str] = field(default_factory=list, init=False, repr=False, compare=False)
    _counts: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)
    _systems: dict[Persona, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.splits:
            raise ConfigError(f"benchmark.splits: empty; allowed values: {', '.join(SPLITS)}")
        if len(set(self.splits)) < len(self.splits):
            raise ConfigError(f"benchmark.splits: {', '.join(self.splits)} contains a split twice")

    @property
    def name(self) -> str:
        return "rolebench"

    def identity(self) -> Mapping[str, Any]:
        """The options; hashes of data and prompts come from `describe`."""
        return options(self)

    @cached_property
    def folder(self) -> Path:
        """The data's folder.

        Raises:
            DataError: it does not exist, or the hub could not deliver it.
        """
        return data_folder(self.data_dir, embedded=_EMBEDDED, fetch=fetch)

    @cached_property
    def pack(self) -> PromptPack:
        return load_prompt_pack(self.prompt_pack)

    def _rows(self, split: str) -> Iterator[Row]:
        self._skipped.clear()
        return read_rows(split_file(self.folder, split), on_error=self.on_error, skipped=self._skipped)

    def count(self, *, limit: int | None) -> int:
        """See Benchmark.count. Reads and checks every row of every split."""
        self._counts.clear()
        skipped = 0
        for split in self.splits:
            self._counts[split] = sum(1 for _ in self._rows(split))
            skipped += len(self._skipped)
        self._counts["skipped"] = skipped
        return sum(min(self._counts[s], limit or self._counts[s]) for s in self.splits)

    def samples(self, *, limit: int | None) -> Iterator[Sample]:
        """See Benchmark.samples. A limit draws one row from each of as many equal stretches of the file.

        So all roles are met (files are ordered by role) and with different questions; the draw is always the same.
        """
        if not self._counts:
            self.count(limit=limit)
        index = 0
        for split in self.splits:
            total = self._counts[split]
            wanted = min(total, limit or total)
            chosen = iter(spread(total, wanted))
            maker = _SampleMaker(self.folder, split)
            following = next(chosen, None)
            for position, row in enumerate(self._rows(split)):
                if position != following:
                    continue
                yield maker.sample(row, position, index)
                index += 1
                following = next(chosen, None)

    def system_prompt(self, persona: Persona) -> str:
        """The system message for a persona; names only the role if no description is available.

        It is one text for all samples of a role: many are in flight, and a description may be long.
        """
        if persona not in self._systems:
            name = f"{persona.language}.txt" if persona.description else f"{persona.language}_bare.txt"
            text = fill(self.pack.template(name), role=persona.role, description=persona.description)
            self._systems[persona] = text
        return self._systems[persona]

    async def episode(self, sample: Sample, actor: Actor) -> Transcript:
        """One turn: the question, exactly as in the data, and the answer."""
        system = self.system_prompt(sample.persona)
        history = (Message("user", sample.question),)
        turn = await actor.say(sample.persona, system, history, sample_id=sample.id, turn=0)
        return Transcript(sample.id, turn.status, (turn,))

    def openings(self, sample: Sample, actor: Actor) -> Iterable[Opening]:
        """See Foreseen."""
        yield Opening(actor, sample.persona, self.system_prompt(sample.persona), (Message("user", sample.question),))

    @property
    def longest(self) -> int:
        """See Foreseen."""
        return 1

    def averages(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """AVG of CUS, RAW and SPE for each pair of a general and a role-specific split.

        For metrics without references it is the mean of the two splits.
        """
        groups: dict[str, tuple[tuple[str, ...], ...]] = {}
        for prefix in ("eng", "rolegen", "zh"):
            general, specific = f"{prefix}_general", f"{prefix}_specific"
            if general in self.splits and specific in self.splits:
                groups[f"{prefix}/AVG"] = (
                    (f"{general}/CUS", f"{general}/RAW", f"{specific}/SPE"),
                    (general, specific),
                )
        return groups

    @cached_property
    def data_hash(self) -> str:
        """Hash of all files that the samples are made of."""
        files = [split_file(self.folder, split) for split in self.splits]
        for suffix in ("eng", "zh"):
            files += [f for f in (self.folder / f"profiles-{suffix}" / "desc.json",) if f.is_file()]
            files += sorted((self.folder / f"instructions-{suffix}").glob("*.jsonl"))
        return digest([(str(f.relative_to(self.folder)), file_hash(f)) for f in files])

    def describe(self) -> Mapping[str, Any]:
        languages: list[Language] = sorted({SPLITS[s].language for s in self.splits})
        return {
            "data": self.data_dir or "embedded",
            "cluster": ("role", "roles"),
            "data_hash": self.data_hash,
            "splits": {s: self._counts[s] for s in self.splits},
            "rows_skipped": self._counts["skipped"],
            "descriptions": {lang: bool(read_descriptions(self.folder, lang)) for lang in languages},
            "raw_references": {lang: bool(read_raw_targets(self.folder, lang)) for lang in languages},
            "prompt_packs": {self.pack.name: {"version": self.pack.version, "sha256": self.pack.sha256}},
        }


class _SampleMaker:
    """Makes samples of one split; holds what is read once per split."""

    def __init__(self, folder: Path, split: str) -> None:
        self._split = split
        self._spec: SplitSpec = SPLITS[split]
        self._descriptions = read_descriptions(folder, self._spec.language)
        self._targets = read_raw_targets(folder, self._spec.language) if self._spec.general else {}
        self._train = seen_in_training(folder, split)

    def sample(self, row: Row, position: int, index: int) -> Sample:
        references: dict[str, tuple[str, ...]]
        if self._spec.general:
            references = {"CUS": row.generated}
            target = self._targets.get(row.question) or self._targets.get(row.question.strip())
            if target is not None:
                references["RAW"] = (target,)
        else:
            references = {"SPE": row.generated}
        labels = {"type": row.type} if row.type else {}
        if self._train is not None:
            labels["seen_in_training"] = str((row.role, row.question) in self._train).lower()
        persona = Persona(row.role, self._descriptions.get(nfc(row.role), ""), self._spec.language)
        return Sample(
            id=f"{self._split}/{position:05d}",
            index=index,
            split=self._split,
            cluster=row.role,
            persona=persona,
            question=row.question,
            references=references,
            labels=labels,
        )


def fetch(address: str, *, to: Path | None = None) -> Path:
    """Downloads a pinned revision of RoleBench from the Hugging Face hub and returns its folder.

    Args:
        address: "hf://OWNER/NAME@COMMIT", COMMIT being 40 hex digits.
        to: where to put the files; None is the hub's own cache.

    Raises:
        ConfigError: the address does not pin a commit.
        DataError: the hub did not deliver.
    """
    return fetch_pinned(address, FILES, to=to, example="hf://ZenMoore/RoleBench@<40 hex digits>")
