"""manifest.json: what a result folder was made from, typed, with a format version; the only place that reads it.

    format 1   without a version (older folders); converted to format 2 when read
    format 2   identities name classes (`class`), not their modules (`_target_`); judges' metrics have infos instead of
               ranges, and the benchmark names its clusters

A format newer than this version of roleeval is refused. Unknown keys are kept in `more`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache
from typing import Any, Literal

from roleeval.errors import ConfigError, ResultError
from roleeval.judging import Form
from roleeval.metrics import MetricInfo
from roleeval.results.infos import older_cluster, older_form, older_judge_infos

FORMAT = 2
# What is read out of an identity, whose other parts are only compared.
_IN_IDENTITY: Mapping[str, tuple[type, ...]] = {
    "seed": (int, type(None)),
    "limit": (int, type(None)),
    "clusters": (list, tuple, type(None)),
    "helpers": (Mapping, type(None)),
}
_DESCRIBED = ("data_hash", "prompt_packs")


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A prompt pack or a judge's pack; `name` is empty if its key is the name."""

    version: str
    sha256: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class BenchmarkRecord:
    """What was asked; `Benchmark.describe` of the run.

    Attributes:
        data, data_hash: source and hash of the data.
        splits: rows of each split.
        rows_skipped: malformed rows that were left out.
        prompt_packs: name -> pack.
        descriptions: language -> whether role descriptions are available.
        setup: what else has to be the same in one table, in words.
        cluster: what the unit of its intervals is called, one and several ("role", "roles").
        more: the benchmark's own facts.
    """

    name: str
    data: str = "unknown"
    data_hash: str = ""
    splits: Mapping[str, int] = field(default_factory=dict)
    rows_skipped: int = 0
    prompt_packs: Mapping[str, Pack] = field(default_factory=dict)
    descriptions: Mapping[str, bool] = field(default_factory=dict)
    setup: Mapping[str, str] = field(default_factory=dict)
    cluster: tuple[str, str] = ("cluster", "clusters")
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AdapterCounts:
    """Trained parameters that a family adds to its base; None where they are not known."""

    total: int | None = None
    per_added_role: int | None = None


@dataclass(frozen=True, kw_only=True)
class ParameterCounts:
    """Parameters of the base and of what the family adds; None where they are not known."""

    base: int | None = None
    adapters: AdapterCounts = field(default_factory=AdapterCounts)


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """The model under test. `source` and `sampling` are the options of ModelSource and Sampling.

    `places` is where the rest of it lies, by option ("adapter_path").
    """

    name: str
    family: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    parameters: ParameterCounts = field(default_factory=ParameterCounts)
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SampleCounts:
    """Samples planned, and how their episodes ended: status -> count."""

    planned: int
    statuses: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class JudgeModel:
    """Who judged: the model's source (its options, or words), fingerprint, parameters and adapter."""

    source: Mapping[str, Any] | str
    fingerprint: str = ""
    parameters: int | None = None
    adapter: str | None = None


@dataclass(frozen=True, kw_only=True)
class JudgeRecord:
    """What one judge was asked about a folder, and what came of it.

    Attributes:
        judge: its name.
        prefix: beginning of its metrics' names; the column's name, followed by the hash of the runs compared.
        work: hash of everything that it was asked about; another hash is work to do.
        opponents: run ids of the runs compared.
        questions, statuses, unanswered, failures, unusable_replies, tokens, cost: counts of the questions.
        infos: metric after the prefix -> its MetricInfo.
        form: what its verdicts are; see Judge.form.
        controls: what positive controls found; None where there were none.
    """

    judge: str
    prefix: str
    work: str
    pack: Pack
    model: JudgeModel
    infos: Mapping[str, MetricInfo]
    form: Form = "points"
    questions: int
    statuses: Mapping[str, int]
    unanswered: int = 0
    engine: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 1
    samples_per_item: int = 1
    aggregate: Literal["median", "mean"] = "median"
    seed: int = 0
    opponents: tuple[str, ...] = ()
    failures: Mapping[str, int] = field(default_factory=dict)
    unusable_replies: Mapping[str, int] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    cost: float | None = None
    controls: Mapping[str, Any] | None = None
    session: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The record as in the file."""
        data: dict[str, Any] = _json(self)
        return data


@dataclass(frozen=True, kw_only=True)
class PanelRecord:
    """A panel's pooled column: whose scores it is the mean of."""

    judge: str
    prefix: str
    members: tuple[str, ...]
    infos: Mapping[str, MetricInfo]


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """A file of the folder as it was written."""

    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A finished run.

    Attributes:
        identity: everything that determines its transcripts (stages/identity.py); compared, never taken apart.
        engine: facts of the engine that served the model under test, with its fingerprint.
        tokens: read and written, in the transcripts.
        session: time and counts of the invocation that generated it, and which share of its prompt tokens the prefix
            cache had.
        provenance: versions, machine and commit.
        stages: stage -> "done", or the hash of what it was done with.
        judges: column -> record.
        files: name -> record, of the folder's other files; without those that a stage is replacing.
        more: what importers say of their source.
    """

    format: int = FORMAT
    identity: Mapping[str, Any]
    benchmark: BenchmarkRecord
    model: ModelRecord
    engine: Mapping[str, Any] = field(default_factory=dict)
    samples: SampleCounts
    tokens: Mapping[str, int] = field(default_factory=dict)
    session: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    judges: Mapping[str, JudgeRecord | PanelRecord] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seed(self) -> int | None:
        """The run's seed; None where it is not known."""
        seed = self.identity.get("seed")
        return None if seed is None else int(seed)

    @property
    def limit(self) -> int | None:
        """Samples per split at most; None is all."""
        limit = self.identity.get("limit")
        return None if limit is None else int(limit)

    @property
    def clusters(self) -> tuple[str, ...] | None:
        """The clusters that were asked, where they were chosen; None is all."""
        clusters = self.identity.get("clusters")
        return None if clusters is None else tuple(map(str, clusters))

    @property
    def helpers(self) -> Mapping[str, Any]:
        """What determines the texts of the benchmark's other models, by name."""
        return dict(self.identity.get("helpers") or {})

    @property
    def failed_samples(self) -> int:
        """Samples whose engine call failed in every attempt; the same command retries them."""
        return self.samples.statuses.get("engine_failed", 0)

    @property
    def unasked_samples(self) -> int:
        """Samples that a budget had no room for; the same command with a larger one asks them."""
        return self.samples.statuses.get("over_budget", 0)

    @property
    def outgrown_samples(self) -> int:
        """Samples that outgrew the model's context."""
        return self.samples.statuses.get("context_overflow", 0)

    @property
    def judge_records(self) -> dict[str, JudgeRecord]:
        """Column -> record, of single judges."""
        return {column: record for column, record in self.judges.items() if isinstance(record, JudgeRecord)}

    def to_json(self) -> dict[str, Any]:
        """The file's content."""
        data: dict[str, Any] = _json(self)
        return data


def read_manifest(data: Mapping[str, Any], where: str) -> Manifest:
    """Takes a manifest.json's content.

    Args:
        data: the JSON object.
        where: the file, for messages.

    Raises:
        ResultError: it is of a newer format, or not what a run writes; names the key.
    """
    written = data.get("format", 1)
    if not isinstance(written, int) or written > FORMAT:
        raise ResultError(
            f"{where}: format {written}, written by a newer version of roleeval; this one reads up to {FORMAT}."
            " Update roleeval"
        )
    try:
        data = _of_format_2(data, where) if written == 1 else data
        manifest: Manifest = _typed(Manifest, {**data, "format": FORMAT}, where, "")
        for key, kinds in _IN_IDENTITY.items():
            if not isinstance(manifest.identity.get(key), kinds):
                raise ResultError(f"{where}: identity.{key} is {manifest.identity.get(key)!r:.80}, which no run writes")
    except ResultError as error:
        raise ResultError(f"{error}; delete the file and run the same command again") from error
    return manifest


def benchmark_record(name: str, facts: Mapping[str, Any], where: str) -> BenchmarkRecord:
    """What a benchmark describes, as the manifest will hold it.

    Raises:
        ResultError: it lacks what every benchmark describes, or is nothing that a manifest can hold; names the key.
    """
    if absent := [key for key in _DESCRIBED if key not in facts]:
        raise ResultError(
            f"{where}: lacks the key {absent[0]!r}; every benchmark must describe {', '.join(_DESCRIBED)}"
        )
    record: BenchmarkRecord = _typed(BenchmarkRecord, {"name": name, **facts}, where, "")
    try:
        json.dumps(_json(record), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ResultError(f"{where}: not valid for JSON ({error}); use texts, numbers, lists and mappings") from error
    return record


def _of_format_2(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A manifest of format 1 in format 2's shape; what is damaged is left for `_typed` to name."""
    found = {**data, "identity": _without_modules(data.get("identity", {}))}
    if isinstance(benchmark := data.get("benchmark"), Mapping):
        found["benchmark"] = {"cluster": older_cluster(str(benchmark.get("name"))), **benchmark}
    if isinstance(judges := data.get("judges"), Mapping):
        found["judges"] = {column: _with_infos(record, where, column) for column, record in judges.items()}
    return found


def _with_infos(record: Any, where: str, column: str) -> Any:
    """A judge's record of format 1, which has the metrics' (worst, best) values instead of their infos."""
    if not isinstance(record, Mapping) or not {"prefix", "ranges"} <= record.keys():
        return record
    try:
        return {**record, "infos": older_judge_infos(record["prefix"], record["ranges"])}
    except (TypeError, ValueError, AttributeError) as error:
        raise ResultError(f"{where}: judges.{column}.ranges is not what a run writes ({error})") from error


def _without_modules(node: Any) -> Any:
    """Format 1 named classes by `_target_`, with the module they lay in; format 2 by `class`, without."""
    if isinstance(node, Mapping):
        return {
            "class" if key == "_target_" else key: (
                str(value).rpartition(".")[2] if key == "_target_" else _without_modules(value)
            )
            for key, value in node.items()
        }
    return [_without_modules(part) for part in node] if isinstance(node, list) else node


def _typed(cls: type[Any], node: Any, where: str, key: str) -> Any:
    """A record out of a JSON object; what the record has no field for goes into its `more`."""
    if not isinstance(node, Mapping):
        raise ResultError(f"{where}: {key or 'the file'} is not what a run writes (a JSON object is expected)")
    known = {f.name for f in fields(cls)} - {"more"}
    values = {name: value for name, value in node.items() if name in known}
    for name, part in _PARTS.get(cls, {}).items():
        if name in values:
            values[name] = _typed(part, values[name], where, name)
    if cls is Manifest:
        judges = values.get("judges", {})
        if not isinstance(judges, Mapping):
            raise ResultError(f"{where}: judges is not what a run writes (a JSON object is expected)")
        values["judges"] = {c: _judge(r, where, f"judges.{c}") for c, r in judges.items()}
    if "more" in {f.name for f in fields(cls)}:
        values["more"] = {name: value for name, value in node.items() if name not in known}
    return _validated(cls, values, where, key)


_PARTS: Mapping[type[Any], Mapping[str, type[Any]]] = {
    Manifest: {"benchmark": BenchmarkRecord, "model": ModelRecord, "samples": SampleCounts}
}


def _judge(record: Any, where: str, key: str) -> JudgeRecord | PanelRecord:
    is_panel = isinstance(record, Mapping) and "members" in record
    if isinstance(record, Mapping) and not is_panel and isinstance(infos := record.get("infos"), Mapping):
        record = {"form": older_form(infos), **record}
    found: JudgeRecord | PanelRecord = _typed(PanelRecord if is_panel else JudgeRecord, record, where, key)
    return found


def _validated(cls: Any, values: Mapping[str, Any], where: str, key: str) -> Any:
    from pydantic import ValidationError

    try:
        return _adapter(cls).validate_python(values)
    except ConfigError as error:
        raise ResultError(f"{where}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in (key, *first["loc"]) if part != "")
        if first["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
            raise ResultError(f"{where}: lacks the key {place!r}") from error
        raise ResultError(f"{where}: {place} is not what a run writes ({first['msg'].lower()})") from error


@lru_cache(maxsize=32)
def _adapter(cls: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def _json(record: Any) -> Any:
    """A record as JSON; `more` is spread out, and an empty name of a pack is left out."""
    if is_dataclass(record) and not isinstance(record, type):
        data = {f.name: _json(getattr(record, f.name)) for f in fields(record)}
        more = data.pop("more", {})
        if isinstance(record, Pack) and not record.name:
            del data["name"]
        return data | more
    if isinstance(record, Mapping):
        return {key: _json(value) for key, value in record.items()}
    if isinstance(record, Sequence) and not isinstance(record, str):
        return [_json(part) for part in record]
    return record
