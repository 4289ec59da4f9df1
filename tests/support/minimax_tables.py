"""Small tables in the Role-play Bench's official layout, of the tests' own texts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from roleeval.benchmarks.minimax.scores import DIMENSIONS

MODELS, RUNS = ("model-a", "model-b"), ("run_1", "run_2", "run_3")


def seed_row(number: int = 1, language: str = "en", **changed: Any) -> dict[str, Any]:
    return {
        "id": f"{language}_dialogue_{number:03d}",
        "ai_name": "Ines",
        "ai_setting": "A lock keeper who counts boats.",
        "user_name": "Tam",
        "user_setting": "A bargeman with a late cargo.",
        "ai_prologue": "The gate is shut for the night.",
        "initial_user_input": "Open it, please.",
    } | changed


def rounds(count: int = 102) -> list[dict[str, Any]]:
    first = ["The gate is shut for the night.", "Open it, please."]
    texts = [*first, *(f"Message {number}." for number in range(2, count))]
    return [{"role": ("ai", "user")[i % 2], "text": text, "round": i} for i, text in enumerate(texts)]


def dialogue_row(seed: str = "en_dialogue_001", model: str = "model-a", run: str = "run_1", **changed: Any) -> Any:
    held = json.dumps(rounds(), ensure_ascii=False)
    return {"seed_id": seed, "model_name": model, "run_id": run, "num_turns": 102, "dialogue": held} | changed


def evaluation_row(seed: str = "en_dialogue_001", model: str = "model-a", run: str = "run_1", **changed: Any) -> Any:
    points = {f"{name}_score": 90.0 - 4 * place for place, name in enumerate(DIMENSIONS)}
    return {"seed_id": seed, "model_name": model, "run_id": run} | points | changed


def write_table(file: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes rows as the file's name says: .jsonl or .parquet."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(list(rows)), file)
    else:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        file.write_text(lines, encoding="utf-8")
    return file


def write_tables(
    folder: Path, *, seeds: int = 2, suffix: str = "jsonl", languages: Sequence[str] = ("en", "zh")
) -> Path:
    """A folder in the official layout: so many seeds a language, two models, three runs."""
    for language in languages:
        rows = [seed_row(number, language) for number in range(1, seeds + 1)]
        keys = [(row["id"], model, run) for row in rows for model in MODELS for run in RUNS]
        where = folder / "data" / language
        write_table(where / f"seeds.{suffix}", rows)
        write_table(where / f"dialogues.{suffix}", [dialogue_row(*key) for key in keys])
        write_table(where / f"evaluations.{suffix}", [evaluation_row(*key) for key in keys])
    return folder
