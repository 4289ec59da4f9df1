"""How fast models are: measured by a probe, or as in an earlier run of the same model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from roleeval.config import RunConfig
from roleeval.results.manifest import Manifest
from roleeval.stages.plan._needs import Range
from roleeval.stages.plan._replies import finished, is_of

_LEAST = 0.1  # of a run's time, where the rest is said to be loading: the engine may have been loaded before


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast models of a run are.

    Attributes:
        slow, fast: tokens a second.
        start: seconds until their engines are loaded.
        origin: what says so.
        reads: the tokens are those of prompts; where False, those of replies.
    """

    slow: float
    fast: float
    start: float
    origin: str
    reads: bool = False

    def seconds(self, prompt: Range, new: Range, *, starts: bool) -> Range:
        """How long so many tokens take.

        Args:
            prompt, new: read and written.
            starts: the engines are to be loaded as well.
        """
        tokens, usual = prompt if self.reads else new, (self.slow + self.fast) / 2
        taken = tokens.low / self.fast, tokens.expected / usual, tokens.most / self.slow
        return Range.of(seconds + (self.start if seconds and starts else 0) for seconds in taken)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a probe made: when it was under way (seconds of one clock), and tokens read and written."""

    begin: float
    end: float
    prompt: int
    new: int


@dataclass
class Meter:
    """What a probe's calls took, loading left out.

    Attributes:
        calls: those that the store did not answer.
        loads: fingerprint of an engine -> seconds that it took to load.
    """

    calls: list[Call] = field(default_factory=list)
    loads: dict[str, float] = field(default_factory=dict)

    def pace(self, whose: str, at_once: int, then: str) -> Pace | None:
        """Of the first and the second half of the time; None where the store answered everything.

        Args:
            whose: the models, for people.
            at_once: conversations, or questions, that were under way together.
            then: what becomes of the answers, for people.
        """
        reads = not any(call.new for call in self.calls)
        begin = min((call.begin for call in self.calls), default=0.0)
        end = max((call.end for call in self.calls), default=0.0)
        middle = (begin + end) / 2
        halves = _rate(self.calls, begin, middle, reads=reads), _rate(self.calls, middle, end, reads=reads)
        rates = sorted(rate for rate in halves if rate)
        if not rates:
            return None
        slow, fast = rates[0], rates[-1]
        kind = "tokens read" if reads else "new tokens"
        calls = f"{len(self.calls)} calls, {at_once} at once (their answers are {then})"
        origin = f"{whose}: {_shown(slow, fast)} {kind} a second, by {calls}"
        return Pace(slow, fast, sum(self.loads.values()), origin, reads)


def _shown(slow: float, fast: float) -> str:
    ends = [f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}" for rate in (slow, fast)]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _rate(calls: Sequence[Call], begin: float, end: float, *, reads: bool) -> float:
    """Tokens a second while calls were under way, each one's spread evenly over its time."""
    parts = [(max(call.begin, begin), min(call.end, end), call) for call in calls]
    parts = [(first, last, call) for first, last, call in parts if last > first]
    tokens = sum(
        (call.prompt if reads else call.new) * (last - first) / (call.end - call.begin) for first, last, call in parts
    )
    busy = _busy((first, last) for first, last, _ in parts)
    return tokens / busy if busy else 0.0


def _busy(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds that the spans cover together."""
    covered, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        covered += max(0.0, end - max(begin, until))
        until = max(until, end)
    return covered


def earlier_pace(config: RunConfig) -> Pace | None:
    """As in an earlier run of the same model that took nothing from the store: its time, with and without loading.

    What judges were asked meanwhile belongs to what it did in that time.
    """
    for folder, manifest in finished(config):
        session = manifest.session
        if not is_of(manifest, config) or session.get("from_store") or not session.get("generated_output_tokens"):
            continue
        seconds, load = float(session["seconds"]), float(session.get("loading_s") or 0.0)
        tokens = session["generated_output_tokens"] + _judged_meanwhile(manifest)
        without = seconds - load if load < (1 - _LEAST) * seconds else seconds
        slow, fast = tokens / max(seconds, 1e-9), tokens / max(without, 1e-9)
        return Pace(slow, fast, 0.0, f"{_shown(slow, fast)} new tokens a second, as in {folder.run_id}")
    return None


def _judged_meanwhile(manifest: Manifest) -> float:
    """New tokens of judges that the judge stage found in the store."""
    found = 0.0
    for record in manifest.judge_records.values():
        session = record.session
        calls = session.get("calls", 0) + session.get("from_store", 0)
        found += record.tokens.get("output", 0) * session.get("from_store", 0) / calls if calls else 0.0
    return found
