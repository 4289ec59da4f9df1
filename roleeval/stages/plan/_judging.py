"""What a judge is asked about conversations that were played for a plan."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from roleeval.config import RunConfig
from roleeval.errors import concerns_one_item
from roleeval.hashing import digest
from roleeval.judging import REFERENCES, Answer, Case, Judge, Question, reference
from roleeval.results import read_transcripts
from roleeval.stages.identity import questions_of, same_questions
from roleeval.stages.plan._replies import finished
from roleeval.types import Sample, Transcript

Played = Sequence[tuple[Sample, Transcript]]
# Run id -> sample id -> answer.
Answers = Mapping[str, Mapping[str, Answer]]


def cases(judge: Judge, name: str, played: Played, others: Answers, *, made_up: Collection[str] = ()) -> list[Case]:
    """A run's cases.

    Args:
        judge: who is asked.
        name: of the run.
        played: of the run.
        others: the runs that it is compared with.
        made_up: runs whose replies are made up: of several, and of texts that stand for them, they may be equal.
    """
    found = []
    for sample, transcript in played:
        answers = {name: judge.view.of(transcript)}
        answers |= {other: known[sample.id] for other, known in others.items() if sample.id in known}
        found.append(Case(sample, name, _distinct(answers, made_up)))
    return found


def _distinct(answers: dict[str, Answer], made_up: Collection[str]) -> dict[str, Answer]:
    """Answers of which no made-up one equals another: models' own hardly do, and nobody compares equal ones.

    The same answers are changed whoever is compared with whom, because a pair is judged once.
    """
    known = {answer.text for name, answer in answers.items() if name not in made_up}
    for name in sorted(name for name in answers if name in made_up):
        answer = answers[name]
        if answer.given and answer.text in known:
            *before, last = answer.turns
            ending = digest(name)[:4]
            answers[name] = answer = replace(answer, turns=(*before, replace(last, text=last.text[:-4] + ending)))
        known.add(answer.text)
    return answers


def questions(judge: Judge, case: Case) -> list[Question]:
    """What the judge asks about a case."""
    try:
        return list(judge.questions(case))
    except Exception as error:
        if not concerns_one_item(error):
            raise
        return []  # what is wrong with it is said where it is asked


def opponents(
    judge: Judge, config: RunConfig, played: Played, others: Mapping[str, tuple[RunConfig, Played]]
) -> dict[str, dict[str, Answer]]:
    """The answers that a judge compares a run's with: of runs of the command, and of finished ones.

    Args:
        judge: who compares.
        config: of the run.
        played: of the run.
        others: name -> the command's other runs, as far as they were played.
    """
    against: Sequence[str] | None = getattr(judge, "against", None)
    asked = questions_of(config)
    found: dict[str, dict[str, Answer]] = {}
    for name, (other, played_there) in others.items():
        if same_questions(questions_of(other), asked, config):
            found[name] = {sample.id: judge.view.of(transcript) for sample, transcript in played_there}
    for folder, manifest in finished(config):
        if folder.run_id not in others and same_questions(manifest.identity, asked, config):
            found[folder.run_id] = {s.id: judge.view.of(t) for s, t in read_transcripts(folder.transcripts)}
    if against is not None:
        found = {name: answers for name, answers in found.items() if name.partition("/")[0] in against}
        if REFERENCES in against:
            texts = {sample.id: reference(sample) for sample, _ in played}
            found[REFERENCES] = {name: Answer.said(text) for name, text in texts.items() if text}
    return found
