"""One run's shards: its samples' texts, the list of its samples, and its values by column.

data/r0/run.js      columns, roles, splits, and where everything is
data/r0/list0.js    rows of the list of samples
data/r0/t0.js       samples whole
data/r0/v0.js       columns of values
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from roleeval.report.found.collect import RunResult
from roleeval.report.leaderboard.judged import RunJudgements, contradictions, judgement_data
from roleeval.report.leaderboard.samples import LIST_COLUMNS, SampleList, sample_data
from roleeval.report.leaderboard.scores import RunScores
from roleeval.report.leaderboard.shards import TEXT_SHARD_BYTES, Pieces, ShardWriter, to_json
from roleeval.results import ResultFolder
from roleeval.results.folder import read_records
from roleeval.results.integrity import JUDGEMENTS, TRANSCRIPTS, require_sound
from roleeval.results.manifest import Manifest


def write_run(run: RunResult, folder: str, shards: ShardWriter) -> dict[str, Any]:
    """Writes a run's shards, reading one transcript at a time.

    Args:
        run: the run.
        folder: of its shards, below data/.
        shards: writes them.

    Returns:
        What the index says of it: how many samples, and the languages of each split.

    Raises:
        ResultError: its transcripts, judgements or scores are damaged, or a shard could not be written.
    """
    source = ResultFolder(run.path)
    manifest = source.manifest()
    if manifest is not None:
        require_sound(source, manifest, sizes_of=(TRANSCRIPTS, JUDGEMENTS))
    scores = RunScores(source.scores, run.facts.splits)
    listed, personas = SampleList(), dict[str, dict[str, Any]]()
    severest: dict[str, float] = {}  # what a judge's scale of severities ends with is nowhere said
    texts, rows = Pieces(shards, f"{folder}/t", limit=TEXT_SHARD_BYTES), Pieces(shards, f"{folder}/list")
    with RunJudgements(source.judgements) as judged:
        for data in read_records(source.transcripts, sample_data):
            judgements = judged.of(data["id"])
            data["values"] = scores.of(data["id"])
            data["judgements"] = [judgement_data(row, judged.columns.index(row.column)) for row in judgements]
            texts.add(to_json(data))
            parts = [(row["judge"], part) for row in data["judgements"] for part in row.get("parts", ())]
            for judge, part in parts:
                if isinstance(part.get("severity"), (int, float)):
                    column = judged.columns[judge]
                    severest[column] = max(severest.get(column, 0), part["severity"])
            found = sum("quote" in part for _, part in parts)
            rows.add(to_json(listed.add(data, found=found, flips=contradictions(judgements))))
            personas.setdefault(data["persona"]["role"] or data["cluster"], data["persona"])
    texts.close()
    rows.close()
    shards.write(
        f"{folder}/run",
        {
            "columns": scores.columns,
            "values": _write_values(scores, listed.ids, folder, shards),
            "clusterValues": scores.clusters(),
            "judges": judged.columns,
            "severest": severest,
            "texts": texts.starts,
            "list": rows.starts,
            "listColumns": LIST_COLUMNS,
            "samples": len(listed.ids),
            "splits": list(listed.splits),
            "clusters": list(listed.clusters),
            "roles": [{"name": role, **personas[role]} for role in listed.roles],
            "statuses": list(listed.statuses),
            "controls": list(_controls(manifest)),
        },
    )
    return {
        "samples": len(listed.ids),
        "languages": {split: sorted(languages) for split, languages in listed.languages.items()},
    }


def _write_values(scores: RunScores, samples: list[str], folder: str, shards: ShardWriter) -> list[int]:
    """Writes the columns; the number of the first column of each shard."""
    pieces = Pieces(shards, f"{folder}/v")
    for place in range(len(scores.columns)):
        pieces.add(to_json(scores.column(place, samples)))
    pieces.close()
    return pieces.starts


def _controls(manifest: Manifest | None) -> Iterator[Mapping[str, Any]]:
    """The judges that were measured on injected faults: a reader of a verdict wants to know."""
    for name, record in ({} if manifest is None else manifest.judge_records).items():
        yield {"judge": name, "measured": record.controls is not None}


def run_key(run: RunResult) -> str:
    """benchmark/model/run: how links name a run."""
    return "/".join((run.benchmark, run.model, run.name))


def run_paths(path: Path, parts: int = 3) -> str:
    """The end of a folder's path, without the folders of whoever ran it."""
    return "/".join(path.parts[-parts:])
