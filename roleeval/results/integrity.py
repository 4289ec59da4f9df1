"""Whether a finished folder still holds what its run wrote: checked before it is used.

The manifest has the size and the hash of every other file. While a stage replaces some of them, the manifest that
stands there names only the others (`ResultFolder.begin_changes`): a run that is killed then has damaged nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from roleeval.errors import ResultError
from roleeval.hashing import file_hash
from roleeval.results.folder import ResultFolder
from roleeval.results.judgements import read_judgements
from roleeval.results.manifest import FileRecord, Manifest

TRANSCRIPTS, JUDGEMENTS = "transcripts.jsonl", "judgements.jsonl"
SCORES, SUMMARY = "scores.parquet", "summary.json"


def damages(folder: ResultFolder, manifest: Manifest, *, quick: bool = False) -> dict[str, str]:
    """File -> what is wrong with it, in words; {} where nothing is.

    Args:
        folder: a finished one.
        manifest: its manifest.
        quick: compares sizes, and the hash of the summary alone.
    """
    found = {}
    for name, record in manifest.files.items():
        if wrong := _differs(folder.path / name, record, hashed=not quick or name == SUMMARY):
            found[name] = wrong
    if TRANSCRIPTS not in manifest.files and not quick and (wrong := _uncounted(folder.transcripts, manifest)):
        found[TRANSCRIPTS] = wrong
    for name, read in () if quick else _READERS.items():
        if name not in manifest.files and (folder.path / name).is_file():
            try:
                read(folder)
            except ResultError as error:
                found[name] = str(error).partition("; ")[0]
    return found


def require_sound(folder: ResultFolder, manifest: Manifest, *, quick: bool = False) -> None:
    """Refuses a folder that does not hold what its run wrote.

    Raises:
        ResultError: names the file, what is wrong with it, and the way out.
    """
    for name, wrong in damages(folder, manifest, quick=quick).items():
        raise ResultError(
            f"{folder.path / name}: {wrong}; run the command that made it again: what is damaged is then made anew from"
            " the completion store"
        )


def _differs(file: Path, record: FileRecord, *, hashed: bool) -> str:
    try:
        size = file.stat().st_size
        if size != record.bytes:
            return f"{size} bytes, and the run wrote {record.bytes}"
        return "not what the run wrote (another hash)" if hashed and file_hash(file) != record.sha256 else ""
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _uncounted(file: Path, manifest: Manifest) -> str:
    """Of a folder without hashes, or whose answers are being replaced: are there as many lines as samples?"""
    if not file.is_file():
        return "is missing"
    with file.open("rb") as stream:
        lines = sum(1 for line in stream if line.strip())
    planned = manifest.samples.planned
    return "" if lines == planned else f"holds {lines} of {planned} samples"


def _read_scores(folder: ResultFolder) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.read_schema(folder.scores)
    except (OSError, pa.ArrowException) as error:
        raise ResultError(f"cannot be read ({error})") from error


def _read_judgements(folder: ResultFolder) -> None:
    for _ in read_judgements(folder.judgements):
        pass


def _read_summary(folder: ResultFolder) -> None:
    folder.summary()


_READERS = {SCORES: _read_scores, JUDGEMENTS: _read_judgements, SUMMARY: _read_summary}


def without(manifest: Manifest, damaged: Mapping[str, str]) -> Manifest:
    """The manifest of a folder whose damaged files are gone: what they held is not done any more.

    Judges' rows stand in the scores and come from the judgements: where one of the two is damaged, all are asked again.
    """
    judges = {} if damaged.keys() & {SCORES, JUDGEMENTS} else manifest.judges
    stages = {stage: done for stage, done in manifest.stages.items() if stage != "score"}
    files = {name: record for name, record in manifest.files.items() if name not in damaged}
    return replace(manifest, judges=judges, stages=stages, files=files)
