"""The functions of the lm-eval tasks in tasks/rolebench/*.yaml: rows, values per row, and their mean.

Stock `lm_eval` finds these functions by the names in the YAML files, in a checkout and in an installed package alike.
Rows come from the RoleBench benchmark and numbers from the metrics, so nothing is defined twice. lm-eval itself is not
imported here.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from roleeval.benchmarks.rolebench import RoleBench, SplitName
from roleeval.errors import DataError
from roleeval.metrics import Metric, MetricInfo, default_metrics
from roleeval.models import parse_plain
from roleeval.types import Persona, Sample, Transcript, Turn

DATA_DIR = "ROLEEVAL_ROLEBENCH_DIR"
TASK_VERSION = 1.0
PROTOCOLS = ("CUS", "RAW", "SPE")
MISSING_RAW = "missing_rate_RAW"


def dataset(*, rolebench_split: SplitName, **_: Any) -> dict[str, Any]:
    """Returns the rows of a split as lm-eval's `custom_dataset` wants them: {"test": datasets.Dataset}.

    The data is the embedded set, or what the environment variable ROLEEVAL_ROLEBENCH_DIR names (whatever
    benchmark.data_dir takes). Rows are in the file's order.

    Args:
        rolebench_split: from the task's dataset_kwargs.

    Raises:
        DataError: the split is not there, or a row is malformed.
    """
    from datasets import Dataset, Features, List, Value

    benchmark = RoleBench(data_dir=os.environ.get(DATA_DIR) or None, splits=(rolebench_split,))
    try:
        rows = [task_row(sample) for sample in benchmark.samples(limit=None)]
    except DataError as error:
        raise DataError(
            f"lm-eval task rolebench_{rolebench_split}: {error}; set {DATA_DIR} to the data's folder"
        ) from error
    text, texts = Value("string"), List(Value("string"))
    features = Features({name: texts if name in PROTOCOLS else text for name in rows[0]})
    return {"test": Dataset.from_list(rows, features=features)}


def task_row(sample: Sample) -> dict[str, Any]:
    """Returns a RoleBench sample as a row of its lm-eval task.

    Keys: id, role, language, question (exact), system (the system prompt), the protocols of the split with their
    references (None if they are not available), type and seen_in_training ("" where not known).
    """
    general = sample.split.endswith("_general")
    return {
        "id": sample.id,
        "role": sample.persona.role,
        "language": sample.persona.language,
        "question": sample.question,
        "system": RoleBench().system_prompt(sample.persona),
        **{name: _references(sample, name) for name in (("CUS", "RAW") if general else ("SPE",))},
        "type": sample.labels.get("type", ""),
        "seen_in_training": sample.labels.get("seen_in_training", ""),
    }


def _references(sample: Sample, protocol: str) -> list[str] | None:
    references = sample.references.get(protocol)
    return None if references is None else list(references)


def process_results(doc: Mapping[str, Any], results: Sequence[str | None]) -> dict[str, float | None]:
    """Returns the numbers of one answer, as lm-eval's `process_results`: those that scores.parquet would hold.

    Reasoning is removed first. Must not raise on any text: that would end lm-eval's whole run.

    Args:
        doc: a row of `dataset`.
        results: the model's text alone; None (a server without an answer) is no answer.
    """
    raw = results[0] or ""
    reply = parse_plain(raw, "stop")
    references = {name: tuple(doc[name]) for name in PROTOCOLS if doc.get(name)}
    sample = Sample(
        id=doc["id"],
        index=0,
        split=doc["id"].partition("/")[0],
        cluster=doc["role"],
        persona=Persona(doc["role"], "", doc["language"]),
        question=doc["question"],
        references=references,
    )
    turn = Turn(
        speaker=doc["role"],
        messages=(),
        raw=raw,
        visible=reply.visible,
        thoughts=reply.thoughts,
        status=reply.status,
        finish_reason="stop",
        prompt_tokens=0,
        output_tokens=0,
        adapter="",
    )
    transcript = Transcript(sample.id, turn.status, (turn,))
    scores = [score for metric in _metrics() for score in metric.score(sample, transcript)]
    return flat_metrics(doc, {(score.metric, score.group): score.value for score in scores})


@cache
def _metrics() -> tuple[Metric, ...]:
    # A metric over all answers of a role has no value per row.
    return tuple(metric for metric in default_metrics() if isinstance(metric, Metric))


def flat_metrics(doc: Mapping[str, Any], values: Mapping[tuple[str, str], float | None]) -> dict[str, float | None]:
    """Returns lm-eval's flat metric names: <recipe>_<protocol>, and the bare name for metrics without references.

    A protocol of the split that has no references has its names too, with None: missing is not 0 and not forgotten.
    Splits with RAW also get `missing_rate_RAW`, the coverage of that column.

    Args:
        doc: a row of `dataset`.
        values: (metric, protocol or "") -> value.
    """
    flat = {name: values.get(key) for name, key in flat_names(doc, values).items()}
    if "RAW" in doc:
        flat[MISSING_RAW] = float(doc["RAW"] is None)
    return flat


def flat_names(doc: Mapping[str, Any], keys: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Returns lm-eval's flat name -> (metric, protocol or "") of everything that a row has or should have."""
    found = list(keys)
    flat = {metric: (metric, "") for metric, protocol in found if not protocol}
    recipes = dict.fromkeys(metric for metric, protocol in found if protocol)
    for protocol in dict.fromkeys([p for p in PROTOCOLS if p in doc] + [p for _, p in found if p]):
        flat |= {f"{recipe}_{protocol}": (recipe, protocol) for recipe in recipes}
    return flat


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Returns the mean of the values that are there, None without any: lm-eval's `aggregation` of every metric."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def directions(
    doc: Mapping[str, Any], keys: Iterable[tuple[str, str]], infos: Mapping[str, MetricInfo]
) -> dict[str, bool | None]:
    """Returns flat name -> whether higher is better; None where neither direction is.

    Args:
        doc: a row of `dataset`.
        keys: (metric, protocol or "") of the row's values.
        infos: metric -> what it is.
    """
    found = {name: infos[metric].higher_is_better for name, (metric, _) in flat_names(doc, keys).items()}
    return found | ({MISSING_RAW: False} if "RAW" in doc else {})
