"""Plans beside the results, and what became of them: planned and actual calls and tokens in a run's manifest.

<results_dir>/.plans/<key>.json    a run's plan, as `roleeval plan` made it; the newest counts
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from roleeval.config import RunConfig
from roleeval.hashing import digest
from roleeval.results import write_atomically

# What is compared: calls, tokens read, tokens written.
COMPARED = ("calls", "prompt_tokens", "new_tokens")


def plan_key(config: RunConfig) -> str:
    """Names a run by what was asked for; a plan and its run have the same."""
    options = config.options
    asked = (str(config.benchmark), str(config.model), str(config.engine), str(config.judge))
    clusters = () if options.clusters is None else (options.clusters,)
    return digest(*asked, options.seed, options.limit, list(options.stages), *clusters)[:16]


def _file(config: RunConfig) -> Path:
    return Path(config.options.results_dir, ".plans", f"{plan_key(config)}.json")


def keep(config: RunConfig, run: Mapping[str, Any]) -> Path:
    """Writes a run's plan beside the results.

    Raises:
        ResultError: it cannot be written.
    """
    file = _file(config)
    write_atomically(file, json.dumps(run, ensure_ascii=False, indent=1).encode())
    return file


def outcome(config: RunConfig, who: Sequence[str], actual: Mapping[str, float]) -> dict[str, Any]:
    """A run's plan beside what became of it; {} where it had none.

    Args:
        config: of the run.
        who: the plan's models whose calls are meant.
        actual: of COMPARED, stored answers included: a run that was resumed compares as one that was not.
    """
    try:
        run = json.loads(_file(config).read_text(encoding="utf-8"))
        models = [model for model in run["models"] if model["who"] in who]
        found: dict[str, Any] = {"key": run["key"]}
        for place, name in enumerate(COMPARED):
            stored = sum(model["stored"][place] for model in models)
            planned = {end: round(sum(m[name][end] for m in models) + stored) for end in ("low", "expected", "most")}
            found[name] = {"planned": planned, "actual": round(actual[name])}
    except (OSError, ValueError, KeyError, TypeError):  # none, or not one of ours
        return {}
    return {"plan": found}
