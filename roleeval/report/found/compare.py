"""Which runs may share a table, and what its caption says.

Runs are comparable if they answered the same items, asked in the same way: same data, prompt pack, set-up (a
benchmark's protocol and the models it needs, such as a simulated user), limit, splits and rule of decoding. Model,
seed, engine, token limit and stop strings may differ (a model that thinks needs more tokens); the caption or the runs'
table says how. What a judge says is in columns of that judge alone: their names hold its prompts, model and settings.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roleeval.hashing import digest
from roleeval.metrics import MetricInfo
from roleeval.report.found.collect import Facts, RunResult
from roleeval.stats import FEW_CLUSTERS, LEVEL, RESAMPLES

_HASH_DIGITS = 12
_NAMED = 5  # clusters
_SEVERAL_SEEDS = (
    "a row of several seeds has their mean, an interval of the same kind over each sample's mean over seeds, and the"
    " standard deviation and range of the seeds' means; its n counts the answers of all seeds"
)


@dataclass(frozen=True, slots=True)
class RunSet:
    """Comparable runs of one benchmark.

    Attributes:
        title: its heading.
        benchmark: whose runs they are.
        rows: what tables show; a row may represent runs with several seeds.
        difference: what sets them apart from the benchmark's other sets, "" for the only one.
    """

    title: str
    benchmark: str
    rows: tuple[RunResult, ...]
    difference: str

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """Every single run of the rows."""
        return tuple(run for row in self.rows for run in row.members or (row,))

    @property
    def infos(self) -> dict[str, MetricInfo]:
        """What the metrics of all rows are; where versions of the program differ, as the first row has it."""
        return {name: info for row in reversed(self.rows) for name, info in row.infos.items()}


def run_sets(runs: Sequence[RunResult]) -> list[RunSet]:
    """Splits runs (or rows) into sets whose members may share a table; in order of benchmark, larger sets first."""
    sets = []
    for benchmark in sorted({run.benchmark for run in runs}):
        parts: dict[Hashable, list[RunResult]] = {}
        for run in runs:
            if run.benchmark == benchmark:
                parts.setdefault(_key(run.facts), []).append(run)
        members = sorted(parts.values(), key=lambda part: -len(part))
        apart = [name for name, value in _COMPARABLE if len({value(part[0].facts) for part in members}) > 1]
        for number, part in enumerate(members, start=1):
            title = benchmark if len(members) == 1 else f"{benchmark}, set {number} of {len(members)}"
            sets.append(RunSet(title, benchmark, tuple(part), _difference(part, apart, len(members) - 1)))
    return sets


def _key(facts: Facts) -> Hashable:
    return tuple(shown(facts) for _, shown in _COMPARABLE)


# Name and value of everything that has to be the same in one table.
_COMPARABLE: tuple[tuple[str, Callable[[Facts], str]], ...] = (
    (
        "data",
        lambda facts: f"{data_name(facts.data)} {facts.data_hash[:_HASH_DIGITS]}" if facts.data_hash else facts.data,
    ),
    ("prompt pack", lambda facts: packs(facts)),
    ("set-up", lambda facts: setup(facts)),
    ("limit", lambda facts: limit(facts)),
    ("splits", lambda facts: ", ".join(f"{name} ({rows} rows)" for name, rows in facts.splits.items())),
    ("decoding", lambda facts: decoding_rule(facts.sampling)),
)


def _difference(rows: Sequence[RunResult], apart: Sequence[str], others: int) -> str:
    if not apart:
        return ""
    facts, models = rows[0].facts, ", ".join(dict.fromkeys(row.label for row in rows))
    here = "; ".join(f"{name} {value(facts) or 'none'}" for name, value in _COMPARABLE if name in apart)
    rest = "the other set" if others == 1 else f"the other {others} sets"
    return f"Not comparable with {rest} of this benchmark: they differ in {_listed(apart)}. Here ({models}): {here}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def data_name(data: str) -> str:
    """The data's source without the folders of whoever ran it."""
    return data if data.startswith("hf://") or not Path(data).name else Path(data).name


def packs(facts: Facts) -> str:
    """Prompt packs with version and the beginning of their hash."""
    return ", ".join(f"{p.name} {p.version} ({p.sha256[:_HASH_DIGITS]})" for p in facts.prompt_packs)


def setup(facts: Facts) -> str:
    """A benchmark's protocol and the models that it needs besides the one under test; "" where it has none."""
    return ", ".join(f"{name} {value}" for name, value in facts.setup.items())


def limit(facts: Facts) -> str:
    """How many samples of a split were asked, and of which clusters, where not of all: "40 per split, only of A"."""
    most = "none" if facts.limit is None else f"{facts.limit} per split"
    if facts.chosen is None:
        return most
    names = facts.chosen
    more = f" and {len(names) - _NAMED} more ({digest(names)[:8]})" if len(names) > _NAMED else ""
    return f"{most}, only of {', '.join(names[:_NAMED])}{more}"


def decoding_rule(sampling: Mapping[str, Any]) -> str:
    """How a token is chosen: "greedy", "temperature 0.7, top_p 0.9"; all that may not differ in one column."""
    if not sampling:
        return "unknown"
    temperature = sampling.get("temperature", 0)
    parts = ["greedy"] if not temperature else [f"temperature {temperature}", f"top_p {sampling.get('top_p', 1.0)}"]
    if temperature and sampling.get("top_k"):
        parts.append(f"top_k {sampling['top_k']}")
    if sampling.get("repetition_penalty", 1.0) != 1.0:
        parts.append(f"repetition penalty {sampling['repetition_penalty']}")
    return ", ".join(parts)


def decoding(sampling: Mapping[str, Any]) -> str:
    """Decoding in words: "greedy, at most 96 new tokens"."""
    if not sampling:
        return "unknown"
    parts = [decoding_rule(sampling), f"at most {sampling.get('max_tokens', '?')} new tokens"]
    if sampling.get("stop"):
        parts.append(f"{len(sampling['stop'])} stop strings")
    return ", ".join(parts)


def clusters_word(run_set: RunSet, count: int | None = None) -> str:
    """What a cluster of a set's benchmark is called."""
    singular, plural = run_set.rows[0].facts.cluster
    return singular if count == 1 else plural


def interval_words(run_set: RunSet, rows: Sequence[RunResult] = ()) -> str:
    """How intervals were made: "95 % intervals over roles by bootstrap-t (10 000 resamples)".

    Args:
        run_set: whose intervals.
        rows: those that are shown, where they are not the set's own.
    """
    entries = [entry for row in rows or run_set.rows for groups in row.entries.values() for entry in groups.values()]
    used = {entry.method for entry in entries if entry.ci_low is not None}
    return f"{LEVEL * 100:.0f} % intervals over {clusters_word(run_set)} {method_words(run_set, used)}"


def method_words(run_set: RunSet, used: Collection[str]) -> str:
    """The methods behind some intervals: "by bootstrap-t (10 000 resamples) and, ...".

    Args:
        run_set: whose clusters.
        used: values of `stats.Estimate.method`.
    """
    word = clusters_word(run_set)
    words = {
        "bootstrap-t": f"bootstrap-t ({RESAMPLES:,} resamples)".replace(",", " "),
        "student-t": f"Student's t (below {FEW_CLUSTERS} {word} of equal weight)",
        "beta-binomial": "beta-binomial posterior (rates, and values that are all equal)",
        "": "a method that an older version did not write down",
    }
    found = [said for method, said in words.items() if method in used]
    return f"by {_listed(found)}" if found else ""


def caption(run_set: RunSet, clusters: Iterable[int]) -> str:
    """What a reader must know to compare a table with another: one line.

    Args:
        run_set: the runs in the table.
        clusters: numbers of clusters of its intervals.
    """
    facts = [run.facts for run in run_set.runs]
    counts = sorted(set(clusters))
    word = clusters_word(run_set, counts[-1] if counts else None)
    many = "" if not counts else f"{counts[0]} {word}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} {word}"
    parts = [
        f"data {_shared(facts, lambda f: data_name(f.data))} (hash {facts[0].data_hash[:_HASH_DIGITS] or 'unknown'})",
        f"prompt pack {packs(facts[0]) or 'none'}",
        setup(facts[0]),
        f"seed {_shared(facts, lambda f: 'unknown' if f.seed is None else str(f.seed))}",
        f"limit {limit(facts[0])}",
        f"engine {_shared(facts, lambda f: f.engine)}",
        f"decoding {_shared(facts, lambda f: decoding(f.sampling))}",
        many,
        interval_words(run_set),
        _SEVERAL_SEEDS if any(row.members for row in run_set.rows) else "",
        *_warnings(facts),
    ]
    return f"{run_set.benchmark}: {'; '.join(part for part in parts if part)}."


def _shared(facts: Sequence[Facts], value: Callable[[Facts], str]) -> str:
    values = sorted({value(f) for f in facts})
    return values[0] if len(values) == 1 else f"differs ({' | '.join(values)}), see Runs"


def _warnings(facts: Sequence[Facts]) -> list[str]:
    found = []
    if bare := sorted({language for f in facts for language in f.bare_personas}):
        found.append(f"no role descriptions for {', '.join(bare)}: the persona prompt has only the role's name")
    if skipped := max(f.rows_skipped for f in facts):
        found.append(f"{skipped} malformed rows of the data skipped")
    return found
