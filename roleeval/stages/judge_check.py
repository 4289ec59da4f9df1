"""Tries a judge's prompts before anything is generated: each must hold the answers that it is about."""

import logging
from collections.abc import Iterable, Iterator, Sequence

from roleeval.config import RunConfig
from roleeval.errors import ConfigError, RoleEvalError, cause_of
from roleeval.hashing import digest
from roleeval.judging import Answer, Case, Judge, Question, SeenTurn, members
from roleeval.types import MODEL, Sample

log = logging.getLogger("roleeval")

_OWN, _OTHER = "own/run", "another/run"
_TURNS = 24


def check_judges(config: RunConfig) -> None:
    """Asks each judge what it would ask about a sample of each language, with answers that stand nowhere else.

    Raises:
        ConfigError: a prompt leaves an answer out, or a pack is not what the judge needs.
    """
    judges = members(config.judge) if config.judge is not None and "judge" in config.options.stages else ()
    for sample in one_per_language(config.benchmark.samples(limit=1)) if judges else ():
        for judge in judges:
            check_prompts(judge, sample)


def check_prompts(judge: Judge, sample: Sample) -> None:
    """See `check_judges`; of one sample.

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
