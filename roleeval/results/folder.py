"""The files of a result folder.

    results/<benchmark>/<model>/<run>/
      config.yaml         resolved, secrets masked
      transcripts.jsonl   one line per episode, in the samples' order
      judgements.jsonl    one line per judgement, if there were judges
      scores.parquet      Score rows
      summary.json        metric -> group -> mean, interval, n, missing
      manifest.json       written last: a folder without it is an unfinished run

Every file is written under a temporary name and renamed, so a reader never sees half a file.
"""

import contextlib
import json
import os
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

import orjson

from roleeval.errors import ResultError
from roleeval.hashing import file_hash
from roleeval.results.manifest import FileRecord, Manifest, read_manifest
from roleeval.types import Message, Persona, Sample, Transcript, Turn

_TURN_FIELDS = frozenset(field.name for field in fields(Turn))
_T = TypeVar("_T")
_HASHED = ("transcripts.jsonl", "judgements.jsonl", "scores.parquet", "summary.json")


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """One run's folder."""

    path: Path

    @property
    def run_id(self) -> str:
        """ "<model>/<run>": the run's name in judgements and reports."""
        path = self.path.resolve()
        return f"{path.parent.name}/{path.name}"

    @property
    def transcripts(self) -> Path:
        return self.path / "transcripts.jsonl"

    @property
    def judgements(self) -> Path:
        return self.path / "judgements.jsonl"

    @property
    def scores(self) -> Path:
        return self.path / "scores.parquet"

    def manifest(self) -> Manifest | None:
        """The manifest, or None for an unfinished run.

        Raises:
            ResultError: it is there and cannot be read, or a newer version of roleeval wrote it.
        """
        data = self._json("manifest.json")
        return None if data is None else read_manifest(data, str(self.path / "manifest.json"))

    def write_manifest(self, manifest: Manifest) -> None:
        """Writes manifest.json, with the hashes of the other files: from now on the folder is a finished run.

        Raises:
            ResultError: it could not be written.
        """
        files = {name: self.path / name for name in _HASHED if (self.path / name).is_file()}
        records = {n: FileRecord(sha256=file_hash(f), bytes=f.stat().st_size) for n, f in files.items()}
        self.write_json("manifest.json", replace(manifest, files=records).to_json())

    def begin_changes(self, manifest: Manifest) -> None:
        """Takes the hashes of all but the transcripts out of manifest.json, before those files are replaced.

        Raises:
            ResultError: it could not be written.
        """
        kept = {name: record for name, record in manifest.files.items() if name == self.transcripts.name}
        if kept != manifest.files:
            self.write_json("manifest.json", replace(manifest, files=kept).to_json())

    def summary(self) -> dict[str, Any] | None:
        """The summary, or None where nothing is scored yet."""
        return self._json("summary.json")

    def _json(self, name: str) -> dict[str, Any] | None:
        file = self.path / name
        if not file.is_file():
            return None
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ResultError(
                f"{file}: not valid JSON ({error}); delete the file and run the same command again"
            ) from error
        if not isinstance(data, dict):
            raise ResultError(f"{file}: expected a JSON object; delete the file and run the same command again")
        return data

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        text = json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        write_atomically(self.path / name, text.encode())

    def write_yaml(self, name: str, data: Mapping[str, Any]) -> None:
        import yaml

        write_atomically(self.path / name, yaml.safe_dump(data, allow_unicode=True, sort_keys=False).encode())


def write_atomically(file: Path, content: bytes) -> None:
    """Writes a whole file or nothing.

    Raises:
        ResultError: it could not be written.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, file)
    except OSError as error:
        remove_part(part)
        raise ResultError(f"{file}: could not be written ({error})") from error


def remove_part(part: Path) -> None:
    """Removes a file that could not be written whole; where that cannot be done either, the next run does it."""
    with contextlib.suppress(OSError):
        part.unlink(missing_ok=True)


class TranscriptWriter:
    """Takes transcripts as they finish and leaves transcripts.jsonl in the samples' order.

    Lines go to a part file at once, so memory stays flat; `finish` copies them in order and renames. Only an index
    and a byte offset per sample are held, 16 bytes.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._part = file.with_name(f".{file.name}.{os.getpid()}.unordered")
        self._indices = array("q")  # of the samples, as their lines stand in the part file
        self._starts = array("q", [0])  # of these lines, and the file's end

    def __enter__(self) -> "TranscriptWriter":
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._stream: BinaryIO = self._part.open("w+b")
        except OSError as error:
            raise ResultError(f"{self._part}: could not be written ({error})") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stream.close()  # writes what is still in memory
        except OSError as failed:
            if error is None:
                raise ResultError(f"{self._part}: could not be written ({failed})") from failed
        finally:
            remove_part(self._part)

    def add(self, sample: Sample, transcript: Transcript) -> None:
        line = orjson.dumps({"sample": sample, "status": transcript.status, "turns": transcript.turns}, default=dict)
        try:
            self._stream.write(line + b"\n")
        except OSError as error:
            raise ResultError(f"{self._part}: could not be written ({error})") from error
        self._indices.append(sample.index)
        self._starts.append(self._starts[-1] + len(line) + 1)

    def finish(self) -> None:
        """Orders the lines and puts the file in its place."""
        ordered = self._file.with_name(f".{self._file.name}.{os.getpid()}.part")
        try:
            self._stream.flush()
            with ordered.open("wb") as target:
                for place in _in_order(self._indices):
                    self._stream.seek(self._starts[place])
                    target.write(self._stream.read(self._starts[place + 1] - self._starts[place]))
                target.flush()
                os.fsync(target.fileno())
            os.replace(ordered, self._file)
        except OSError as error:
            remove_part(ordered)
            raise ResultError(f"{self._file}: could not be written ({error})") from error


def _in_order(indices: "array[int]") -> Iterator[int]:
    """Places of the indices, the smallest index first."""
    import numpy as np

    for place in np.argsort(np.frombuffer(indices, dtype=np.int64), kind="stable") if indices else ():
        yield int(place)


def read_transcripts(file: Path) -> Iterator[tuple[Sample, Transcript]]:
    """Yields what a run wrote, in order.

    Raises:
        ResultError: the file is missing or a line is damaged; names the line.
    """
    personas: dict[Persona, Persona] = {}

    def restored(record: dict[str, Any]) -> tuple[Sample, Transcript]:
        sample, transcript = _restore(record)
        # one object for all samples of a role, as in the benchmark: a description may be long
        return replace(sample, persona=personas.setdefault(sample.persona, sample.persona)), transcript

    yield from read_records(file, restored)


def read_records(file: Path, take: Callable[[dict[str, Any]], _T]) -> Iterator[_T]:
    """Yields what `take` makes of each line of transcripts.jsonl, for readers that need no objects.

    Args:
        file: the file.
        take: gets a line's "sample", "status" and "turns" as JSON. A folder of another version may lack newer keys, or
            have keys that are not known here. Its ValueError, KeyError, TypeError or AttributeError is a damaged line.

    Raises:
        ResultError: the file is missing or a line is damaged; names the line.
    """
    if not file.is_file():
        raise ResultError(f"{file}: does not exist; generate first, with stages=[generate,score]")
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield take(orjson.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ResultError(
                    f"{file}, line {number}: damaged ({error}); delete the file and run the same command again"
                ) from error


def is_aside(turn: Mapping[str, Any]) -> bool:
    """Whether a turn, as JSON, is an aside; before turns said so, the part "next_speaker" was, and nothing else."""
    return bool(turn.get("aside", turn.get("part") == "next_speaker"))


def _restore(data: dict[str, Any]) -> tuple[Sample, Transcript]:
    raw = dict(data["sample"])
    raw["persona"] = Persona(**raw["persona"])
    raw["references"] = {name: tuple(texts) for name, texts in raw["references"].items()}
    sample = Sample(**raw)
    return sample, Transcript(sample.id, data["status"], tuple(_turn(turn) for turn in data["turns"]))


def _turn(data: dict[str, Any]) -> Turn:
    # A folder of another version may lack newer fields, or have fields that are not known here.
    kept = data if data.keys() <= _TURN_FIELDS else {name: data[name] for name in data.keys() & _TURN_FIELDS}
    kept["messages"] = tuple(Message(**message) for message in data["messages"])
    kept["aside"] = is_aside(data)
    return Turn(**kept)
