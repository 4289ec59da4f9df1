"""Writes a result folder in lm-eval's layout, for tools that read lm-eval's results.

    <out>/<model>/results_<time>.json                        means per split, configuration, our manifest and summary
    <out>/<model>/samples_<benchmark>_<split>_<time>.jsonl   one line per sample

A RoleBench sample is the row of the lm-eval task of the same name, with its hashes; metric names are the task's too.
Texts are the visible ones, without reasoning. lm-eval's own hash and clean-up functions are used, imported when called.
Source: lm_eval/evaluator.py and lm_eval/loggers/evaluation_tracker.py of lm-eval 0.4.13.
"""

import importlib.metadata
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from roleeval.errors import ConfigError, ResultError
from roleeval.integrations.lm_eval.tasks import (
    TASK_VERSION,
    directions,
    flat_metrics,
    mean_of_known,
    task_row,
)
from roleeval.metrics import MetricInfo
from roleeval.results import ResultFolder, read_transcripts, summary_infos, write_atomically
from roleeval.results.manifest import Manifest
from roleeval.types import Sample, Transcript

FILTER = "none"
_Values = dict[str, dict[tuple[str, str], float | None]]


def export(folder: Path, out: Path) -> list[Path]:
    """Writes a finished, scored result folder in lm-eval's layout.

    Args:
        folder: a result folder.
        out: where the model's folder is made, as lm-eval's --output_path.

    Returns:
        The files written: the results file, then one samples file per split.

    Raises:
        ResultError: the folder is not finished or not scored, or a file could not be written.
        ConfigError: lm-eval is not installed.
    """
    source = ResultFolder(folder)
    manifest, summary = source.manifest(), source.summary()
    if manifest is None:
        raise ResultError(
            f"{folder}: no manifest.json, so not a finished run; give the folder of one run (BENCHMARK/MODEL/RUN)"
        )
    if summary is None or not source.scores.is_file():
        raise ResultError(f"{folder}: not scored yet; run the same command with stages=[score]")
    lm_eval = _lm_eval_utils()
    gen_kwargs = _generation_kwargs(manifest.model.sampling)
    tasks = _tasks(source, manifest, gen_kwargs, summary_infos(summary))
    name = manifest.model.name
    stamp = datetime.now().isoformat().replace(":", "-")
    place = out / lm_eval.sanitize_model_name(name)
    results = {
        "results": {task.name: task.means(summary) for task in tasks},
        "group_subtasks": {},
        "configs": {task.name: task.config(gen_kwargs) for task in tasks},
        "versions": {task.name: TASK_VERSION for task in tasks},
        "n-shot": {task.name: 0 for task in tasks},
        "higher_is_better": {task.name: task.higher_is_better for task in tasks},
        "n-samples": {task.name: task.counts(manifest) for task in tasks},
        **_about_the_run(manifest),
        "task_hashes": {task.name: lm_eval.hash_string("".join(task.hashes)) for task in tasks},
        "model_source": "roleeval",
        "model_name": name,
        "model_name_sanitized": place.name,
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": None,
        "chat_template": None,
        "chat_template_sha": None,
        "total_evaluation_time_seconds": str(manifest.session["seconds"]),
        "roleeval": {"manifest": manifest.to_json(), "summary": summary},
    }
    samples = {place / f"samples_{task.name}_{stamp}.jsonl": b"".join(task.lines) for task in tasks}
    for file, content in samples.items():
        write_atomically(file, content)
    summary_file = place / f"results_{stamp}.json"
    write_atomically(summary_file, json.dumps(results, indent=2, ensure_ascii=False).encode())
    return [summary_file, *samples]


def _lm_eval_utils() -> Any:
    try:
        import lm_eval.utils
    except ImportError as error:
        raise ConfigError("the export needs lm-eval: pip install 'roleeval[lm-eval]'") from error
    return lm_eval.utils


@dataclass
class _Task:
    """One split on its way into lm-eval's form."""

    name: str
    split: str
    target: str = ""
    lines: list[bytes] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    metrics: dict[str, list[float | None]] = field(default_factory=lambda: defaultdict(list))
    higher_is_better: dict[str, bool | None] = field(default_factory=dict)

    def add(
        self,
        doc: Mapping[str, Any],
        transcript: Transcript,
        metrics: Mapping[str, float | None],
        *,
        protocols: Iterable[str],
        kwargs: Any,
    ) -> None:
        """Adds one sample: lm-eval's keys, and `status`, which lm-eval has no place for.

        Args:
            doc: the sample as a document.
            transcript: how it was played.
            metrics: flat name -> value.
            protocols: whose references are in the document under their names; the first ones present are the target.
            kwargs: decoding parameters.
        """
        lm_eval = _lm_eval_utils()
        self.target = next((protocol for protocol in protocols if doc.get(protocol)), "")
        target = str(doc[self.target]) if self.target else ""
        prompts = [
            turn.prompt
            or json.dumps([{"role": m.role, "content": m.content} for m in turn.messages], ensure_ascii=False)
            for turn in transcript.turns
            if turn.prompt or turn.messages  # a turn that is given has neither
        ]
        line = {
            "doc_id": _position(doc["id"], len(self.lines)),
            "doc": doc,
            "target": target,
            "arguments": {f"gen_args_{i}": {"arg_0": prompt, "arg_1": kwargs} for i, prompt in enumerate(prompts)},
            "resps": lm_eval.sanitize_list([[turn.visible] for turn in transcript.turns]),
            "filtered_resps": lm_eval.sanitize_list([turn.visible for turn in transcript.turns]),
            "filter": FILTER,
            "metrics": list(metrics),
            "doc_hash": lm_eval.hash_string(json.dumps(doc, indent=2, ensure_ascii=False)),
            "prompt_hash": lm_eval.hash_string(prompts[0] if prompts else ""),
            "target_hash": lm_eval.hash_string(target),
            **metrics,
            "status": transcript.status,
        }
        self.lines.append(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self.hashes.append(line["doc_hash"] + line["prompt_hash"] + line["target_hash"])
        for metric, value in metrics.items():
            self.metrics[metric].append(value)

    def means(self, summary: Mapping[str, Any]) -> dict[str, Any]:
        """lm-eval's results of one task. Our intervals are clustered by role and are under "roleeval"."""
        means = {metric: mean_of_known(values) for metric, values in self.metrics.items()}
        for metric, groups in summary["metrics"].items():  # those with a value per role, which no sample has
            if self.split in groups and metric not in means:
                means[metric] = groups[self.split]["mean"]
        entry: dict[str, Any] = {"name": self.name, "alias": self.name, "sample_len": len(self.lines)}
        for metric, mean in means.items():
            entry |= {f"{metric},{FILTER}": mean, f"{metric}_stderr,{FILTER}": "N/A"}
        return entry

    def config(self, gen_kwargs: Mapping[str, Any]) -> dict[str, Any]:
        from roleeval import __version__

        return {
            "task": self.name,
            "test_split": "test",
            "doc_to_text": "question",
            "doc_to_target": self.target,
            "description": "{{system}}",
            "num_fewshot": 0,
            "output_type": "generate_until",
            "generation_kwargs": dict(gen_kwargs),
            "repeats": 1,
            "metric_list": [
                {"metric": metric, "aggregation": "mean_of_known", "higher_is_better": direction}
                for metric, direction in self.higher_is_better.items()
            ],
            "metadata": {"version": TASK_VERSION, "exported_by": f"roleeval {__version__}"},
        }

    def counts(self, manifest: Manifest) -> dict[str, int]:
        effective = len(self.lines)
        return {"original": manifest.benchmark.splits.get(self.split, effective), "effective": effective}


def _tasks(
    source: ResultFolder, manifest: Manifest, gen_kwargs: Mapping[str, Any], infos: Mapping[str, MetricInfo]
) -> list[_Task]:
    benchmark = manifest.benchmark.name
    values = _values(source.scores)
    tasks: dict[str, _Task] = {}
    for sample, transcript in read_transcripts(source.transcripts):
        task = tasks.setdefault(sample.split, _Task(f"{benchmark}_{sample.split}", sample.split))
        doc = task_row(sample) if benchmark == "rolebench" else _doc(sample)
        scored = values.get(sample.id, {})
        metrics = flat_metrics(doc, scored)
        task.add(doc, transcript, metrics, protocols=sample.references, kwargs=gen_kwargs)
        task.higher_is_better |= directions(doc, scored, infos)
    return list(tasks.values())


def _doc(sample: Sample) -> dict[str, Any]:
    """A sample of a benchmark that has no lm-eval task."""
    return {
        "id": sample.id,
        "role": sample.persona.role,
        "language": sample.persona.language,
        "question": sample.question,
        **{protocol: list(texts) for protocol, texts in sample.references.items()},
        **sample.labels,
    }


def _values(scores: Path) -> _Values:
    """Reads scores.parquet: sample -> (metric, protocol or "") -> value."""
    import pyarrow.parquet as pq

    values: _Values = defaultdict(dict)
    for batch in pq.ParquetFile(scores).iter_batches(columns=["sample", "metric", "group", "value"]):
        for sample, metric, group, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            values[sample][metric, group.partition("/")[2]] = value
    return values


def _position(sample_id: str, otherwise: int) -> int:
    """The row's number in its split's file, as lm-eval's doc_id."""
    number = sample_id.rpartition("/")[2]
    return int(number) if number.isdigit() else otherwise


def _generation_kwargs(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """Our decoding parameters under lm-eval's names; what is off is left out."""
    kwargs: dict[str, Any] = {
        "until": list(sampling["stop"]),
        "do_sample": sampling["temperature"] > 0,
        "temperature": sampling["temperature"],
        "max_gen_toks": sampling["max_tokens"],
    }
    off = {"top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0}
    return kwargs | {name: sampling[name] for name, value in off.items() if sampling.get(name, value) != value}


def _about_the_run(manifest: Manifest) -> dict[str, Any]:
    """Who served what, in lm-eval's keys."""
    model, provenance = manifest.model, manifest.provenance
    versions = ", ".join(f"{name} {version}" for name, version in provenance["packages"].items())
    return {
        "config": {
            "model": "roleeval",
            "model_args": {key: getattr(model, key) for key in ("name", "family", "source", "adapters")},
            "batch_size": None,
            "batch_sizes": [],
            "device": None,
            "use_cache": None,
            "limit": manifest.limit,
            "bootstrap_iters": 0,
            "gen_kwargs": None,
            "random_seed": manifest.seed,
            "numpy_seed": None,
            "torch_seed": None,
            "fewshot_seed": None,
        },
        "git_hash": (provenance.get("git") or {}).get("commit"),
        "date": datetime.now().timestamp(),
        "pretty_env_info": f"roleeval {provenance['roleeval']}, Python {provenance['python']}, {versions}",
        "transformers_version": provenance["packages"].get("transformers", "N/A"),
        "lm_eval_version": importlib.metadata.version("lm_eval"),
        "upper_git_hash": None,
    }
