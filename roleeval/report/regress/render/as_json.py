"""A Regression as JSON, for programs: everything that the other formats say, in full."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from roleeval import __version__
from roleeval.report.regress.clusters import LostCluster
from roleeval.report.regress.compare import Regression, Tested
from roleeval.report.regress.render.words import Links
from roleeval.report.regress.worst import WorstItem
from roleeval.stats.gate_sequential import SequentialGate

FORMAT = 1


def as_json(found: Regression, *, links: Links | None = None) -> str:
    """The file's content."""
    links = links or {}
    node = {
        "format": FORMAT,
        "roleeval": __version__,
        "outcome": found.outcome.value,
        "exit_code": found.exit_code,
        "baseline": found.baseline,
        "current": found.current,
        "alpha": found.policy.alpha,
        "models": [asdict(model) for model in found.models],
        "metrics": [_tested(each) for each in found.tested],
        "guards": [asdict(guard) for guard in found.guards],
        "lost_clusters": [_cluster(lost) for lost in found.lost_clusters],
        "texts": [asdict(texts) for texts in found.texts],
        "worst": [_worst(item, links) for item in found.worst],
        "notes": found.notes,
        "sequential": _sequential(found.sequential),
    }
    return _text(node)


def refused(reasons: Sequence[str]) -> str:
    """The file where nothing could be compared."""
    return _text(
        {
            "format": FORMAT,
            "roleeval": __version__,
            "outcome": "CANNOT_COMPARE",
            "exit_code": 2,
            "reasons": list(reasons),
        }
    )


def _text(node: Any) -> str:
    return json.dumps(node, ensure_ascii=True, allow_nan=False, indent=2) + "\n"


def _sequential(gate: SequentialGate | None) -> dict[str, Any] | None:
    if gate is None:
        return None
    return {"batches": gate.ended, "share": gate.share, "next_batch": list(gate.next_batch)}


def _tested(tested: Tested) -> dict[str, Any]:
    paired, decision = tested.paired, tested.decision
    node: dict[str, Any] = {
        "benchmark": paired.benchmark,
        "model": paired.model,
        "metric": paired.info.name,
        "label": paired.info.label,
        "unit": paired.info.unit,
        "higher_is_better": paired.info.higher_is_better,
        "group": paired.group or None,
        "outcome": tested.outcome.value,
        "margin": paired.margin,
        "declared_margin": str(paired.declared),
        "missing": list(paired.missing),
        "untested": tested.untested or None,
    }
    if decision is not None:
        known = asdict(decision)
        node |= {key: known[key] for key in known if key not in ("name", "outcome", "margin")}
    return node


def _worst(item: WorstItem, links: Links) -> dict[str, Any]:
    node = asdict(item) | {"metric": item.metric.name if item.metric else None}
    link = links.get((item.benchmark, item.model, item.sample))
    return node | ({"link": link} if link else {})


def _cluster(lost: LostCluster) -> dict[str, Any]:
    node = asdict(lost)
    return {"metric": node.pop("info")["name"], **node}
