"""The only place that calls judges: attempts, the result of each, and what remains if none is usable."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from roleeval.engines import StoredEngine
from roleeval.errors import ContextOverflowError, OverBudgetError, RoleEvalError, cause_of, concerns_one_item
from roleeval.judging._protocol import Attempt, Judge, Judgement, Question, UnusableReplyError
from roleeval.models.reply import parse_plain
from roleeval.seeds import derive_seed
from roleeval.types import AdapterRef, Completion, Request

_log = logging.getLogger(__name__)

_LAST = 2  # what a scene waits for is served before its judges
TOO_LONG = "the question does not fit into the judge's context"  # Judgement.reason: an outcome, no fault of the engine
OVER_BUDGET = "the budget was spent"  # the same
_OUTCOMES = {ContextOverflowError: TOO_LONG, OverBudgetError: OVER_BUDGET}


async def ask(
    question: Question,
    judge: Judge,
    engine: StoredEngine,
    *,
    repeat: int = 0,
    adapter: AdapterRef | None = None,
) -> Judgement:
    """Asks until a reply is usable, at most `judge.attempts` times, each time with another seed.

    A call without any reply ends the question: engines have retries of their own, and going on would give a resumed
    run another verdict than an undisturbed one. So does a question that does not fit into the judge's context.

    Raises:
        EngineDeadError: the engine is gone.
        StoreError: a reply could not be kept.
    """
    attempts: list[Attempt] = []
    for number in range(judge.attempts):
        request = replace(_request(question, judge, repeat, number), adapter=adapter)
        try:
            done = await engine.generate(request)
        except Exception as error:
            if not concerns_one_item(error):
                raise
            _log.debug("judge %s, %s: %s", judge.name, question.item, cause_of(error), exc_info=error)
            attempts.append(_attempt(request, None, _told(error, judge)))
            reason = next(
                (why for kind, why in _OUTCOMES.items() if isinstance(error, kind)), "no reply from the judge"
            )
            return _judgement(question, repeat, attempts, reason=reason, answered=False)
        try:
            verdict = _verdict(question, done)
        except UnusableReplyError as error:
            cut = "; cut off, so raise judge.sampling.max_tokens" if done.finish_reason == "length" else ""
            attempts.append(_attempt(request, done, f"{error}{cut}"))
            continue
        attempts.append(_attempt(request, done, ""))
        done_well = _judgement(question, repeat, attempts, reason="", answered=True)
        return replace(done_well, verdict=verdict, status="ok")
    return _judgement(question, repeat, attempts, reason=attempts[-1].error, answered=True)


def _told(error: Exception, judge: Judge) -> str:
    if not isinstance(error, ContextOverflowError):
        return cause_of(error)
    engine = "engine" if judge.engine is None else "judge.engine"
    return error.said(engine=engine, tokens="judge.sampling.max_tokens")


def _request(question: Question, judge: Judge, repeat: int, attempt: int) -> Request:
    sampling = judge.sampling
    if attempt:
        sampling = replace(sampling, temperature=max(sampling.temperature, judge.retry_temperature))
    return Request(
        messages=question.messages,
        sampling=sampling,
        seed=derive_seed(judge.seed, question.item, turn=repeat, speaker=judge.name, attempt=attempt),
        json_schema=question.schema if judge.constrain else None,
        attempt=attempt,
        scope=judge.scope,
        affinity=question.sample_id,
        priority=_LAST,
    )


def _verdict(question: Question, done: Completion) -> Mapping[str, Any]:
    """The verdict in a reply; whatever goes wrong in reading it makes this reply unusable, and no other."""
    try:
        verdict = question.read(_reply(done, whole=question.schema is None))
        orjson.dumps(verdict)
    except (UnusableReplyError, RoleEvalError):
        raise
    except orjson.JSONEncodeError as error:
        raise UnusableReplyError(f"the verdict holds what cannot be kept ({error})") from error
    except Exception as error:
        _log.debug("%s: the judge's reply could not be read: %r", question.item, done.text[:200], exc_info=error)
        raise UnusableReplyError(f"the reply could not be read ({cause_of(error)})") from error
    return verdict


def _reply(done: Completion, *, whole: bool) -> str:
    """What the judge says when it has finished thinking; a free text (`whole`) counts by its end, so it needs one."""
    reply = parse_plain(done.text, done.finish_reason, done.reasoning)
    if reply.status == "refused":
        raise UnusableReplyError("the judge refused")
    if reply.status != "ok":
        raise UnusableReplyError("the judge's reply is empty or was cut off while it reasoned")
    if whole and done.finish_reason == "length":
        raise UnusableReplyError("the judge's reply was cut off")
    return reply.visible


def _attempt(request: Request, done: Completion | None, error: str) -> Attempt:
    return Attempt(
        seed=request.seed,
        temperature=request.sampling.temperature,
        raw=done.text if done else "",
        finish_reason=done.finish_reason if done else "error",
        prompt_tokens=done.prompt_tokens if done else 0,
        output_tokens=done.output_tokens if done else 0,
        error=error,
    )


def _judgement(question: Question, repeat: int, attempts: list[Attempt], *, reason: str, answered: bool) -> Judgement:
    return Judgement(
        item=question.item,
        sample_id=question.sample_id,
        slots=question.slots,
        repeat=repeat,
        verdict=None,
        status="judge_failed",
        reason=reason,
        answered=answered,
        attempts=tuple(attempts),
    )
