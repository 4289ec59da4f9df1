"""The MetricInfo of a folder's metrics: from its summary, or for older folders from older.yaml.

Folders written before metrics declared themselves have no "info" in summary.json. older.yaml describes the names
of that time; it is used only for these folders.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from roleeval.errors import ConfigError, ResultError
from roleeval.metrics import MetricInfo

# A judge's metric: judge/<judge>@<pack hash>-<model and settings hash>[:<hash of the runs compared>]/<criterion>
JUDGED = "judge/"
_CLUSTER = ("cluster", "clusters")


def summary_infos(summary: Mapping[str, Any] | None) -> dict[str, MetricInfo]:
    """Metric -> info, of all metrics in a folder's summary.json; {} where there is none.

    Raises:
        ResultError: a metric has no info, or one that cannot be read.
    """
    if summary is None:
        return {}
    if "info" not in summary:
        return {metric: older_info(metric) for metric in summary["metrics"]}
    try:
        return {metric: MetricInfo.from_json(summary["info"][metric]) for metric in summary["metrics"]}
    except KeyError as error:
        raise ResultError(f"summary.json: lacks the info of {error}; score the run again") from error
    except (ConfigError, TypeError) as error:
        raise ResultError(f"summary.json: {error}; score the run again") from error


def infos_for(metrics: Iterable[str], *known: Mapping[str, MetricInfo]) -> dict[str, MetricInfo]:
    """Metric -> the first info that is known of it; for rows taken over from an older folder what older.yaml says."""
    return {
        metric: next((each[metric] for each in known if metric in each), None) or older_info(metric)
        for metric in metrics
    }


def older_info(metric: str) -> MetricInfo:
    """What a metric of an older folder was; a plain diagnostic number where its name is not known."""
    if metric.startswith(JUDGED):
        column, _, name = metric.removeprefix(JUDGED).partition("/")
        return _of(name, _matching("judged", name)).of_judge(JUDGED + column)
    return _of(metric, _matching("metrics", metric))


def older_judge_infos(prefix: str, ranges: Mapping[str, Sequence[float]]) -> dict[str, MetricInfo]:
    """Metric after the prefix -> info, for a judge's record of an older folder, which has (worst, best) values."""
    found = {}
    for name, (worst, best) in ranges.items():
        bare = name.removeprefix(f"{prefix}/")
        ends = {"low": min(worst, best), "high": max(worst, best), "higher_is_better": best > worst}
        found[bare] = _of(bare, _matching("judged", bare) | ends)
    return found


def older_form(metrics: Collection[str]) -> str:
    """What a judge's verdicts were (`Judge.form`), for a record that does not say; by the metrics of its scores."""
    return "pairs" if "overall/win" in metrics else "ranking" if "overall/beats" in metrics else "points"


def older_numbers(verdict: Mapping[str, Any]) -> dict[str, float]:
    """A verdict's numbers (`Judge.numbers`), for a line that does not hold them; by the verdict's form."""
    found: dict[str, float] = {}
    for name, part in verdict.items():
        if name == "flaws":
            found["severities"] = float(sum(flaw["severity"] for flaw in part))
        elif isinstance(part, Mapping) and "score" in part:
            found[name] = float(part["score"])
        elif isinstance(part, Mapping) and "winner" in part:
            found[name] = {"A": 1.0, "tie": 0.5, "B": 0.0}[part["winner"]]
        elif isinstance(part, Mapping) and "ranking" in part:
            found[name] = float(part["ranking"].index("A") + 1)
    return found


def older_cluster(benchmark: str) -> tuple[str, str]:
    """What the clusters of an older folder's benchmark are called, one and several of them."""
    singular, plural = _older()["clusters"].get(benchmark, _CLUSTER)
    return str(singular), str(plural)


def _of(name: str, node: Mapping[str, Any]) -> MetricInfo:
    criterion = name.partition("/")[0].replace("_", " ").capitalize()
    label = str(node.get("label", name)).replace("{criterion}", criterion)
    label = label.replace("{opponent}", name.partition("/win_against/")[2])
    return MetricInfo.from_json({"name": name, "unit": "number", "recipe": "", **node, "label": label})


def _matching(kind: str, name: str) -> dict[str, Any]:
    return next((dict(node) for pattern, node in _older()[kind].items() if re.fullmatch(pattern, name)), {})


@lru_cache(maxsize=1)
def _older() -> Mapping[str, Any]:
    import yaml

    text = (files("roleeval.results") / "older.yaml").read_text(encoding="utf-8")
    data: Mapping[str, Any] = yaml.safe_load(text)
    return data
