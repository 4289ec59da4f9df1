"""Tries judges before anything is generated: prompts hold the answers that they are about, and models take them."""

import logging
from collections.abc import Iterable, Iterator, Sequence

from roleeval.config import RunConfig
from roleeval.engines import Engine, Measures
from roleeval.errors import ConfigError, RoleEvalError, SourceError, cause_of
from roleeval.hashing import digest
from roleeval.judging import Answer, Case, Judge, Question, SeenTurn, members
from roleeval.stages import cast
from roleeval.stages.runtime import Runtime
from roleeval.types import MODEL, Message, Request, Sample, Sampling

log = logging.getLogger("roleeval")

_OWN, _OTHER = "own/run", "another/run"
_TURNS = 24


async def check_judges(config: RunConfig, runtime: Runtime) -> None:
    """Asks each judge what it would ask about a sample of each language, with answers that stand nowhere else.

    Loads nothing.

    Raises:
        ConfigError: a prompt leaves an answer out, or a pack is not what the judge needs; or the judge's model has no
            chat template, or one that does not take such questions.
    """
    judges = members(config.judge) if config.judge is not None and "judge" in config.options.stages else ()
    samples = list(one_per_language(config.benchmark.samples(limit=1))) if judges else []
    for judge in judges:
        check_judge(judge, config, await runtime.engine(*cast.judge_model(judge, config)), samples)


def check_judge(judge: Judge, config: RunConfig, engine: Engine, samples: Sequence[Sample]) -> None:
    """See `check_judges`; of one judge with its engine."""
    questions = [question for sample in samples for question in check_prompts(judge, sample)]
    for roles in dict.fromkeys(tuple(message.role for message in question.messages) for question in questions):
        request = Request(tuple(Message(role, "Who?") for role in roles), Sampling(max_tokens=1), 0)
        try:
            if isinstance(engine, Measures):
                engine.require_room(request)
        except SourceError as error:
            raise ConfigError(f"judge {judge.name}: {error.said(cast.judge_source(judge, config))}") from error


def check_prompts(judge: Judge, sample: Sample) -> Sequence[Question]:
    """The judge's questions about a sample, with answers that stand nowhere else.

    Raises:
        ConfigError: a prompt leaves an answer out, or a pack is not what the judge needs.
    """
    marks = {run: f"qz{digest(run)[:10]}" for run in ((_OWN, _OTHER) if judge.compares else (_OWN,))}
    texts = {run: f"I say {mark} to that." for run, mark in marks.items()}
    questions = _questions(judge, Case(sample, _OWN, {run: Answer.said(text) for run, text in texts.items()}))
    if not questions:  # a judge of conversations
        questions = _questions(judge, Case(sample, _OWN, {run: _conversation(text) for run, text in texts.items()}))
    for question in questions:
        text = "\n".join(message.content for message in question.messages).casefold()
        if left_out := [run for run in question.slots if run in marks and marks[run] not in text]:
            which = "" if len(marks) == 1 else " of the run itself" if left_out[0] == _OWN else " of the other run"
            raise ConfigError(
                f"judge.pack={judge.pack}: a question of judge {judge.name} does not hold the answer{which} that it is"
                " about; put its place into user.txt: {answer}, {answer_a} and {answer_b}, or {answers}"
                f" (docs/judging.md; asked about {sample.id})"
            )
    return questions


def _questions(judge: Judge, case: Case) -> Sequence[Question]:
    try:
        return judge.questions(case)
    except RoleEvalError:
        raise
    except Exception as error:  # a judge may need more of an answer than one that is made up
        log.debug("judge %s: not tried on %s: %s", judge.name, case.sample.id, cause_of(error), exc_info=error)
        return ()


def _conversation(text: str) -> Answer:
    """A conversation in which every turn says the same, long enough to be judged part by part."""
    parts = ("user", MODEL)
    turns = (SeenTurn(number, parts[number % 2], parts[number % 2], text) for number in range(_TURNS))
    return Answer(tuple(turns), conversation=True)


def one_per_language(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The first sample of each language: packs have prompts for each."""
    seen: set[str] = set()
    for sample in samples:
        if sample.persona.language not in seen:
            seen.add(sample.persona.language)
            yield sample
