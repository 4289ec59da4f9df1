"""A whole run with models that think aloud: the numbers must be those of what they said, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
from roleeval_stubs import StubEngine, StubOptions

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import LoraNeed, ModelSource
from roleeval.metrics import AiSelfReferenceRate, AnswerLength, DistinctPerRole, EmptyRate, RougePltrdy
from roleeval.models import Base, Her, Rar
from roleeval.results import ResultFolder, read_transcripts
from roleeval.stages.run import run
from roleeval.stages.runtime import Runtime
from roleeval.types import Completion, Request

PLAN = "As an AI language model I plan what the role should say"
INNER = "Nobody must ever hear this"


@dataclass(frozen=True)
class Wrapped(StubOptions):
    """Answers like the stub, in the form that a model would give the same words."""

    form: str = "spoken"

    def build(self, source: ModelSource, lora: LoraNeed) -> "WrappedEngine":
        return WrappedEngine(self, source, lora)


class WrappedEngine(StubEngine):
    async def generate(self, request: Request) -> Completion:
        assert isinstance(self.options, Wrapped)
        return FORMS[self.options.form](await super().generate(request))


def spoken(done: Completion) -> Completion:
    return replace(done, text=f"(bows) {done.text}")


def as_her(done: Completion) -> Completion:
    text = f"<system_thinking>{PLAN}</system_thinking><role_thinking>{INNER}</role_thinking>"
    return replace(done, text=f"{text}<role_action>bows</role_action>{done.text}<role_thinking>{INNER}")


def as_rar(done: Completion) -> Completion:
    return replace(done, text=f"{PLAN}\n</think>\n\n{spoken(done).text}")


def as_a_server(done: Completion) -> Completion:
    return replace(spoken(done), reasoning=PLAN)


def as_cut(done: Completion) -> Completion:
    return replace(done, finish_reason="length")


FORMS: dict[str, Callable[[Completion], Completion]] = {
    "spoken": spoken,
    "her": as_her,
    "rar": as_rar,
    "server": as_a_server,
    "cut": as_cut,
}


def result(folder: Path, model: Base, form: str) -> ResultFolder:
    metrics = {
        "rouge": RougePltrdy(),
        "length": AnswerLength(),
        "empty": EmptyRate(),
        "distinct": DistinctPerRole(),
        "ai": AiSelfReferenceRate(),
    }
    config = RunConfig(
        benchmark=RoleBench(splits=("eng_specific", "zh_specific")),
        model=model,
        engine=Wrapped(form=form),
        metrics=metrics,
        options=RunOptions(results_dir=str(folder), progress="quiet", limit=12),
    )
    runtime = Runtime()
    try:
        return runtime.execute(lambda: run(config, runtime)).folder
    finally:
        runtime.close()


SOURCE = ModelSource("stub-model")


@pytest.mark.parametrize(
    ("model", "form", "thoughts"),
    [
        (Her(name="m", source=SOURCE), "her", f"{PLAN}\n{INNER}\n{INNER}"),
        (Rar(name="m", source=SOURCE, adapter_path=None), "rar", PLAN),
        (Base(name="m", source=SOURCE), "server", PLAN),
        (Her(name="m", source=SOURCE), "server", PLAN),
    ],
)
def test_scores_are_those_of_the_words_without_the_thoughts(
    tmp_path: Path, model: Base, form: str, thoughts: str
) -> None:
    plain = result(tmp_path / "plain", Base(name="m", source=SOURCE), "spoken")
    thinking = result(tmp_path / "thinking", model, form)
    pd.testing.assert_frame_equal(pd.read_parquet(plain.scores), pd.read_parquet(thinking.scores))
    assert plain.summary() == thinking.summary()
    for (sample, expected), (_, transcript) in zip(
        read_transcripts(plain.transcripts), read_transcripts(thinking.transcripts), strict=True
    ):
        (turn,) = transcript.turns
        assert transcript.answer == expected.answer and turn.thoughts == thoughts, sample.id
        assert turn.visible in turn.raw or form == "her"


def test_a_her_transcript_keeps_what_the_character_and_the_judges_may_read(tmp_path: Path) -> None:
    folder = result(tmp_path, Her(name="m", source=SOURCE), "her")
    turns = [turn for _, transcript in read_transcripts(folder.transcripts) for turn in transcript.turns]
    assert len(turns) == 24
    for turn in turns:
        assert PLAN in turn.raw and PLAN not in turn.own_history + turn.shown
        assert turn.own_history.count(f"<role_thinking>{INNER}</role_thinking>") == 2
        assert turn.shown.startswith(f"[{INNER}] (bows) ")


def test_what_was_cut_off_while_thinking_counts_as_an_empty_answer(tmp_path: Path) -> None:
    model = Rar(name="m", source=SOURCE, adapter_path=None)
    folder = result(tmp_path, model, "cut")
    scores = pd.read_parquet(folder.scores)
    assert set(scores[scores.metric == "answer_words"]["value"]) == {0.0}
    assert set(scores[scores.metric == "empty_rate"]["status"]) == {"truncated_reasoning"}
