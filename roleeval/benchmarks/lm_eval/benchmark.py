"""Any of lm-eval's tasks on any model family: does role tuning cost general ability?

lm-eval makes the prompts and scores the answers, our engines generate them, and the result is an ordinary result
folder: one transcript per document (a turn per request), one score row per document and metric.
"""

import asyncio
import importlib.util
import json
import math
import random
import re
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from roleeval.benchmarks._protocol import Scored
from roleeval.benchmarks.actor import Actor
from roleeval.benchmarks.rolebench import RoleBench
from roleeval.errors import ConfigError, DataError, UnsupportedRoleError
from roleeval.hashing import digest
from roleeval.identity import OUTSIDE_IDENTITY, options
from roleeval.metrics import CutOffRate, MetricInfo, Per
from roleeval.models import PersonaModel
from roleeval.prompts import load_prompt_pack
from roleeval.types import WITHOUT_REPLY, Language, Message, Persona, Sample, Score, Status, Transcript, Turn

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
# The seeds that lm-eval's own command line uses: few-shot examples are then the same.
_RANDOM_SEED, _FEWSHOT_SEED = 0, 1234
# lm-eval's metrics of one document that are fractions.
_WRITES = "generate_until"  # lm-eval's output type of tasks whose answers are generated
_SHARES = frozenset({"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "em", "f1"})


@dataclass(frozen=True)
class LmEval:
    """lm-eval's tasks (conf/benchmark/lm_eval.yaml).

    A metric that lm-eval averages over documents has a row per document; one that it computes over all of them
    (perplexity, F1, BLEU) has one row with its value. A limit takes each task's first documents, as lm-eval does.

    Attributes:
        tasks: names of tasks, groups and tags, or paths of task YAML files.
        include_path: a folder with task YAML files of one's own.
        num_fewshot: examples before each question; None: the task's own number.
        apply_chat_template: ask in the family's chat format; False sends lm-eval's plain text.
        role: the role played in all documents; None is none (then only families that need no role can be asked).
        description: of the role, for its system prompt.
        language: of the role's system prompt.
        prompt_pack: folder of the system prompt's templates.
        confirm_run_unsafe_code: lets tasks run the code that a model writes.
    """

    tasks: tuple[str, ...]
    include_path: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    num_fewshot: int | None = None
    apply_chat_template: bool = True
    role: str | None = None
    description: str = ""
    language: Language = "en"
    prompt_pack: str = field(default="tasks/rolebench/prompts/persona", metadata=OUTSIDE_IDENTITY)
    confirm_run_unsafe_code: bool = False
    _results: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ConfigError(
                "benchmark.tasks: empty; give lm-eval tasks, for example benchmark.tasks=[arc_easy,gsm8k]"
            )
        if self.description and self.role is None:
            raise ConfigError("benchmark.description: set without a role; set benchmark.role too")
        if importlib.util.find_spec("lm_eval") is None:
            raise ConfigError("benchmark=lm_eval needs lm-eval: pip install 'roleeval[lm-eval]'")

    @property
    def name(self) -> str:
        return "lm_eval"

    def identity(self) -> Mapping[str, Any]:
        """The options; hashes of data and prompts come from `describe`."""
        return options(self)

    @cached_property
    def _loaded(self) -> Any:
        """lm-eval's tasks and groups, checked and with num_fewshot set.

        Raises:
            ConfigError: a task is unknown, needs a confirmation, or takes no examples.
            DataError: a task's data cannot be loaded.
        """
        manager = self._manager()
        try:
            loaded = manager.load(list(self.tasks))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError) as error:
            names = ", ".join(self.tasks)
            raise DataError(f"benchmark.tasks={names}: lm-eval could not load the data ({error})") from error
        for name, task in loaded["tasks"].items():
            if getattr(task, "UNSAFE_CODE", False) and not self.confirm_run_unsafe_code:
                raise ConfigError(
                    f"benchmark.tasks: {name} executes code written by the model; if that is safe here, set"
                    " benchmark.confirm_run_unsafe_code=true"
                )
            if getattr(task, "MULTIMODAL", False):
                raise ConfigError(f"benchmark.tasks: {name} uses images; only text tasks are supported")
            own = task.get_config("num_fewshot")
            if self.num_fewshot is not None and own != 0:
                task.set_config(key="num_fewshot", value=self.num_fewshot)
            elif own is None:
                task.set_config(key="num_fewshot", value=0)
        return loaded

    def _manager(self) -> Any:
        from lm_eval.tasks import TaskManager

        unknown = list(self.tasks)
        # Walking lm-eval's own 14 000 files takes seconds: only where a name is not in the folder given.
        for defaults in (False, True) if self.include_path is not None else (True,):
            manager = TaskManager(include_path=self.include_path, include_defaults=defaults)
            unknown = [name for name in self.tasks if name not in manager.task_index and not name.endswith(".yaml")]
            if not unknown:
                return manager
        import difflib

        close = difflib.get_close_matches(unknown[0], manager.all_tasks, n=5, cutoff=0.4)
        raise ConfigError(
            f"benchmark.tasks: lm-eval has no task {unknown[0]!r}"
            + (f" (similar: {', '.join(close)})" if close else "")
            + "; `lm_eval ls tasks` lists them, benchmark.include_path=DIR adds your own"
        )

    def count(self, *, limit: int | None) -> int:
        """How many documents there are. Loads the tasks."""
        return sum(self._sizes(limit).values())

    def _sizes(self, limit: int | None) -> dict[str, int]:
        sizes = {name: len(task.eval_docs) for name, task in self._loaded["tasks"].items()}
        return {name: min(size, limit or size) for name, size in sizes.items()}

    @property
    def persona(self) -> Persona:
        return Persona(self.role or "", self.description, self.language)

    @property
    def system(self) -> str:
        """The role's system prompt; "" without a role."""
        return RoleBench(prompt_pack=self.prompt_pack).system_prompt(self.persona) if self.role is not None else ""

    def check(self, actor: Actor) -> None:
        """Says early what cannot be asked.

        Raises:
            ConfigError: names the task or the role, and the key.
        """
        for name, task in self._loaded["tasks"].items():
            if task.OUTPUT_TYPE != _WRITES and not actor.engine.likelihoods:
                raise ConfigError(
                    f"benchmark.tasks: {name} asks for likelihoods of given texts ({task.OUTPUT_TYPE}), which this"
                    " engine does not support; use engine=vllm or engine=hf, or a task of output type generate_until"
                )
        self.check_role(actor.model)
        if self.apply_chat_template:
            try:
                actor.foreseen(self.persona, self.system, (Message("user", "Who?"),))
            except ConfigError as error:
                raise ConfigError(
                    f"{error}; for lm-eval's plain text set benchmark.apply_chat_template=false"
                ) from error

    def check_role(self, model: PersonaModel) -> None:
        """Says early that a family cannot play the role, or needs one.

        Raises:
            ConfigError: names the key.
        """
        try:
            model.adapter(self.persona)
        except UnsupportedRoleError as error:
            if self.role is not None:
                raise ConfigError(f"benchmark.role: {error}") from error
            raise ConfigError(
                f"benchmark.role: not set, but {model.family} has adapters for single roles only; give a role"
            ) from error

    async def evaluate(self, actor: Actor, *, limit: int | None, in_flight: int) -> AsyncIterator[Scored]:
        """See SelfScored.evaluate."""
        from lm_eval.evaluator import evaluate

        from roleeval.benchmarks.lm_eval.model import PersonaLM, PlayedRole

        self.check(actor)
        tasks = self._loaded["tasks"]
        random.seed(_RANDOM_SEED)
        for task in tasks.values():
            task.set_fewshot_seed(seed=_FEWSHOT_SEED)
        bridge = _Bridge(asyncio.get_running_loop())
        lm = PersonaLM(actor, PlayedRole(self.persona, self.system), bridge, in_flight=in_flight)
        try:
            # lm-eval is a library that blocks while it waits for its model, and the model's engine lives on this loop:
            # it gets a thread of its own, and the engine's work comes back here (see _Bridge).
            found = await asyncio.to_thread(
                evaluate,
                lm=lm,
                task_dict=self._loaded,
                limit=limit,
                bootstrap_iters=0,  # intervals are ours
                apply_chat_template=self.apply_chat_template,
                fewshot_as_multiturn=self.apply_chat_template,
                confirm_run_unsafe_code=self.confirm_run_unsafe_code,
            )
        finally:
            bridge.close()
        self._results.clear()
        self._results.update(results=found["results"], failed={})
        index = 0
        for name, task in tasks.items():
            for rows in _by_document(found["samples"][name]):
                turns = tuple(lm.turns[task.config.task, rows[0]["doc_id"]])
                yield self._scored(name, task, rows, turns, index)
                index += 1

    def _scored(self, name: str, task: Any, rows: list[dict[str, Any]], turns: tuple[Turn, ...], index: int) -> Scored:
        """One document: all its filters' rows."""
        sample_id = f"{name}/{rows[0]['doc_id']:05d}"
        question, target = task.doc_to_text(rows[0]["doc"]), rows[0]["target"]
        sample = Sample(
            id=sample_id,
            index=index,
            split=name,
            cluster=sample_id,
            persona=self.persona,
            question=question if isinstance(question, str) else _json(rows[0]["doc"]),
            references={"target": tuple(map(str, target)) if isinstance(target, list) else (str(target),)},
            labels={"doc_hash": rows[0]["doc_hash"]},
        )
        status = _status(turns)
        if status in WITHOUT_REPLY:
            self._results["failed"].setdefault(name, status)
        transcript = Transcript(sample_id, status, turns)
        scores = list(_scores(task, rows, status))
        if task.OUTPUT_TYPE == _WRITES:
            scores += CutOffRate().score(sample, transcript)
        return sample, transcript, tuple(scores)

    def corpus_scores(self) -> Iterable[tuple[str, str, Score]]:
        """See SelfScored.corpus_scores: lm-eval's own value of every metric that is not a mean over documents."""
        for name, task in self._loaded["tasks"].items():
            means = _means(task)
            for key, value in self._results["results"].get(name, {}).items():
                metric, comma, way = key.partition(",")
                if not comma or metric in means or metric.endswith("_stderr") or metric not in task.aggregation():
                    continue
                failed = self._results["failed"].get(name)
                yield name, name, _score(metric, way, None if failed else value, failed or "ok")

    def infos(self) -> Sequence[MetricInfo]:
        """See SelfScored: every metric of every task, with the direction that lm-eval gives; and how answers ended."""
        directions: dict[str, set[bool | None]] = {}
        means: set[str] = set()
        tasks = self._loaded["tasks"].values()
        for task in tasks:
            means |= _means(task)
            for metric in task.aggregation():
                directions.setdefault(metric, set()).add(task.higher_is_better().get(metric))
        return [
            _info(metric, found.pop() if len(found) == 1 else None, per="sample" if metric in means else "cluster")
            for metric, found in directions.items()
        ] + (list(CutOffRate().infos()) if any(task.OUTPUT_TYPE == _WRITES for task in tasks) else [])

    def averages(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        return {}

    def _aggregates(self) -> dict[str, dict[str, float | str]]:
        """lm-eval's own numbers of tasks and groups, as it would print them."""
        return {
            name: {
                key: value if isinstance(value, (int, float)) and math.isfinite(value) else str(value)
                for key, value in numbers.items()
                if "," in key and "_stderr," not in key
            }
            for name, numbers in self._results.get("results", {}).items()
        }

    @cached_property
    def _data_hash(self) -> str:
        """Of all tasks: how they prompt and score, and their documents; not their paths."""
        parts = []
        for name, task in self._loaded["tasks"].items():
            config = {k: v for k, v in task.dump_config().items() if k not in ("dataset_path", "dataset_kwargs")}
            parts.append((name, str(task.VERSION), _json(config), digest(*map(_json, task.eval_docs))))
        return digest(parts)

    def describe(self) -> Mapping[str, Any]:
        import importlib.metadata

        packs = {}
        if self.role is not None:
            pack = load_prompt_pack(self.prompt_pack)
            packs = {pack.name: {"version": pack.version, "sha256": pack.sha256}}
        return {
            "data": f"lm-eval {importlib.metadata.version('lm_eval')}",
            "data_hash": self._data_hash,
            "splits": self._sizes(None),
            "rows_skipped": 0,
            "descriptions": {},
            "prompt_packs": packs,
            "role": self.role,
            "num_fewshot": {name: task.get_config("num_fewshot") for name, task in self._loaded["tasks"].items()},
            "lm_eval_results": self._aggregates(),
        }


class _Bridge:
    """Lets lm-eval's thread wait for work on the event loop, until it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._under_way: Future[Any] | None = None
        self._closed = False

    def __call__(self, work: Coroutine[Any, Any, Any]) -> Any:
        if self._closed:
            work.close()
            raise CancelledError
        self._under_way = asyncio.run_coroutine_threadsafe(work, self._loop)
        return self._under_way.result()

    def close(self) -> None:
        """Ends the thread's wait: nobody reads its results any more."""
        self._closed = True
        if self._under_way is not None:
            self._under_way.cancel()


def _by_document(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    documents: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        documents.setdefault(row["doc_id"], []).append(row)
    for number in sorted(documents):
        yield documents[number]


def _status(turns: tuple[Turn, ...]) -> Status:
    """How a document ended: a call without a reply decides, first of all one that is to be asked again."""
    statuses = [turn.status for turn in turns]
    worst = next((status for status in statuses if status in WITHOUT_REPLY), None)
    if worst is not None:
        return "engine_failed" if "engine_failed" in statuses else worst
    return next((status for status in statuses if status != "ok"), "ok")


def _scores(task: Any, rows: list[dict[str, Any]], status: Status) -> Iterator[Score]:
    means = _means(task)
    for row in rows:
        for metric in row["metrics"]:
            if metric in means:
                yield _score(metric, row["filter"], None if status in WITHOUT_REPLY else row[metric], status)


def _score(metric: str, way: str, value: Any, status: Status) -> Score:
    """`way` is lm-eval's filter; "none" is its name for no filter."""
    group = "" if way == "none" else way
    if isinstance(value, str) or value is None or not math.isfinite(value):
        detail = {} if value is None else {"lm_eval": str(value)}
        return Score(metric, None, "no_answer" if status == "ok" else status, group, detail)
    return Score(metric, float(value), status, group)


def _info(metric: str, higher_is_better: bool | None, *, per: Per) -> MetricInfo:
    return MetricInfo(
        metric,
        label=metric.replace("_", " "),
        unit="number",
        recipe="As the task defines it, averaged over documents." if per == "sample" else "One value for the task.",
        source="lm-eval",
        low=0.0 if metric in _SHARES else None,
        high=1.0 if metric in _SHARES else None,
        higher_is_better=higher_is_better,
        headline=True,
        per=per,
    )


def _means(task: Any) -> set[str]:
    """The task's metrics that are plain means over documents, by the names of lm-eval's functions and of ours."""
    plain = ("mean", "nanmean", "mean_of_known")
    return {metric for metric, function in task.aggregation().items() if getattr(function, "__name__", "") in plain}


def _json(value: Any) -> str:
    return _ADDRESS.sub("", json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))
