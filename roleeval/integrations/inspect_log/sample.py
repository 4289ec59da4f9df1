"""One sample of a run as Inspect's EvalSample: the conversation, what went wrong, and every value with its reasons."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from roleeval.metrics import MetricInfo
from roleeval.report.found.collect import RunResult
from roleeval.report.leaderboard.judged import RunJudgements, verdict_parts
from roleeval.report.leaderboard.scores import RunScores
from roleeval.results import KeptJudgement, ResultFolder
from roleeval.types import MODEL, Sample, Transcript, Turn

_STOPS = {"stop": "stop", "length": "max_tokens", "content_filter": "content_filter"}
# Inspect's words for why a value is missing or is what it is; any other status is said in our own.
_REASONS = {
    "no_answer": "no_response",
    "truncated_reasoning": "no_response",
    "refused": "refusal",
    "judge_failed": "grader_failed",
    "metric_failed": "scoring_failed",
}
# the episode did not happen, or not to its end
_FAILED = ("engine_failed", "context_overflow", "over_budget", "unsupported_role")


def in_order(infos: Iterable[MetricInfo]) -> list[MetricInfo]:
    """Metrics as Inspect's lists are to show them: headline before diagnostics, those first that stand for others."""
    return sorted(infos, key=lambda info: (not info.headline, not info.primary, info.judged, info.position, info.name))


class SampleMaker:
    """Makes EvalSamples of one run; reads its scores at once and its judgements sample by sample."""

    def __init__(self, folder: ResultFolder, run: RunResult) -> None:
        self._run = run
        self._scores = RunScores(folder.scores, run.facts.splits, digits=None)
        ranks = {info.name: rank for rank, info in enumerate(in_order(run.infos.values()))}
        columns = [(ranks.get(metric, len(ranks)), place) for place, (metric, _) in enumerate(self._scores.columns)]
        self._order = {place: order for order, (_, place) in enumerate(sorted(columns))}
        self._judged = RunJudgements(folder.judgements)

    def __enter__(self) -> "SampleMaker":
        self._judged.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._judged.__exit__(*error)

    def made(self, sample: Sample, transcript: Transcript) -> Any:
        """The EvalSample.

        Raises:
            ResultError: a judgement is damaged.
        """
        from inspect_ai.log import EvalSample

        own = [turn for turn in transcript.turns if turn.part == MODEL and not turn.aside]
        output = self._output(own)
        references = {name: list(texts) for name, texts in sample.references.items()}
        persona = sample.persona
        return EvalSample(
            id=sample.id,
            epoch=1,
            input=sample.question,
            target=next(iter(references.values()), ""),
            messages=list(_messages(sample, transcript)),
            output=output,
            model_usage={self._run.label: output.usage} if output.usage else {},
            scores=self._values(sample, own[-1].visible if own else ""),
            error=_error(transcript),
            metadata={
                "status": transcript.status,
                "split": sample.split,
                "cluster": sample.cluster,
                "role": persona.role,
                "description": persona.description,
                "language": persona.language,
                "references": references,
                **({"labels": dict(sample.labels)} if sample.labels else {}),
                **({"material": dict(sample.material)} if sample.material else {}),
                **({"prompts": prompts} if (prompts := dict(_prompts(transcript))) else {}),
            },
        )

    def _output(self, own: Sequence[Turn]) -> Any:
        from inspect_ai.model import ChatCompletionChoice, ModelOutput, ModelUsage

        if not own:
            return ModelOutput(model=self._run.label)
        read, written = sum(turn.prompt_tokens for turn in own), sum(turn.output_tokens for turn in own)
        choice = ChatCompletionChoice(
            message=_own(own[-1], ""), stop_reason=_STOPS.get(own[-1].finish_reason, "unknown")
        )
        usage = ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)
        return ModelOutput(model=self._run.label, choices=[choice], usage=usage, error=own[-1].error or None)

    def _values(self, sample: Sample, answer: str) -> dict[str, Any]:
        """Inspect's Score under the name of each metric and protocol; one without a value is unscored, and never 0.

        The first has the answer, which lists show.
        """
        from inspect_ai.scorer import Score

        judgements = self._judged.of(sample.id)
        found: dict[str, Any] = {}
        for place, value, *odd in sorted(self._scores.of(sample.id), key=lambda each: self._order[each[0]]):
            metric, protocol = self._scores.columns[place]
            status, detail = odd or ("ok", "")
            about: dict[str, Any] = {
                "reason": _REASONS.get(status, status) if status != "ok" else None,
                "explanation": "\n\n".join(_rationale(metric, judgements)) or None,
                "answer": answer if not found else None,
                "metadata": {"detail": orjson.loads(detail)} if detail else None,
            }
            name = f"{metric}/{protocol}" if protocol else metric
            found[name] = Score.unscored(**about) if value is None else Score(value=value, **about)
        return found


def _messages(sample: Sample, transcript: Transcript) -> Iterator[Any]:
    """The conversation: what the model under test was sent first, then turn by turn what was said.

    Where several speak, a text begins with its speaker's name. Calls that nobody hears are left out.
    """
    from inspect_ai.model import ChatMessageUser

    turns = [turn for turn in transcript.turns if not turn.aside]
    first = next((number for number, turn in enumerate(turns) if turn.part == MODEL), None)
    if first is not None:
        yield from _sent(turns[first], whole=first == 0)
    several = len({turn.speaker for turn in turns}) > 1
    for turn in turns:
        name = turn.speaker if several else ""
        if turn.part == MODEL or (name and name == sample.persona.role):
            yield _own(turn, name)
        else:
            yield ChatMessageUser(content=_named(turn.visible, name), metadata=_facts(turn))


def _sent(turn: Turn, *, whole: bool) -> Iterator[Any]:
    """What a turn's call was sent; where turns stand before it only the system prompt, as they follow by themselves."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds: Mapping[str, Any] = {
        "system": ChatMessageSystem,
        "user": ChatMessageUser,
        "assistant": ChatMessageAssistant,
    }
    for message in turn.messages:
        if whole or message.role == "system":
            yield kinds[message.role](content=message.content)
    if turn.prompt and whole:
        yield ChatMessageUser(content=turn.prompt)


def _own(turn: Turn, name: str) -> Any:
    """A turn of the model under test, its thoughts as reasoning, which viewers fold away and never take for text."""
    from inspect_ai.model import ChatMessageAssistant, ContentReasoning, ContentText

    text = _named(turn.visible, name)
    content = [ContentReasoning(reasoning=turn.thoughts), ContentText(text=text)] if turn.thoughts else text
    return ChatMessageAssistant(content=content, metadata=_facts(turn))


def _named(text: str, name: str) -> str:
    return f"{name}: {text}" if name else text


def _facts(turn: Turn) -> dict[str, Any]:
    told = {
        "part": turn.part if turn.part != MODEL else "",
        "status": turn.status if turn.status != "ok" else "",
        "error": turn.error,
        "adapter": turn.adapter,
        "raw": turn.raw if turn.raw != turn.visible else "",
    }
    return {key: value for key, value in told.items() if value}


def _prompts(transcript: Transcript) -> Iterator[tuple[str, str]]:
    """The system prompts of the other voices of the model under test, by speaker."""
    own = [turn for turn in transcript.turns if turn.part == MODEL and not turn.aside]
    for turn in own[1:]:
        if turn.speaker != own[0].speaker:
            for message in turn.messages:
                if message.role == "system":
                    yield turn.speaker, message.content


def _error(transcript: Transcript) -> Any:
    """Inspect's error of a sample that was not played, or not to its end."""
    from inspect_ai.log import EvalError

    if transcript.status not in _FAILED:
        return None
    said = next((turn.error for turn in reversed(transcript.turns) if turn.error), "")
    message = f"{transcript.status}: {said}" if said else transcript.status
    return EvalError(message=message, traceback="", traceback_ansi="")


def _rationale(metric: str, judgements: Sequence[KeptJudgement]) -> Iterator[str]:
    """What the judge of this metric said: of this criterion where it says so, else of everything."""
    own = [row for row in judgements if metric.startswith(f"{row.column}/")]
    parts = [(row, part) for row in own for part in verdict_parts(row.verdict or {})]
    criterion = metric.rpartition("/")[2]
    about = [(row, part) for row, part in parts if criterion in (part["about"], row.item.rpartition(":")[2])]
    for _, part in about or parts:
        facts = [f"{key} {part[key]}" for key in ("kind", "dimension", "severity", "score", "winner") if part.get(key)]
        where = f"turn {part['turn']}: " if part.get("turn") is not None else ""
        quote = f"> {part['quote']}\n" if part.get("quote") else ""
        yield f"{where}{quote}{part.get('why', '')} ({', '.join(map(str, facts))})".replace(" ()", "").strip()
    for row in own:
        if row.status != "ok":
            yield f"{row.status}: {row.reason}"
