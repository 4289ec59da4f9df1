"""Rows of the local lm-eval tasks, from the JSON lines beside this file."""

import json
from pathlib import Path
from typing import Any


def rows(**_: Any) -> dict[str, Any]:
    from datasets import Dataset

    file = Path(__file__).with_name("rows.jsonl")
    return {"test": Dataset.from_list([json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()])}
