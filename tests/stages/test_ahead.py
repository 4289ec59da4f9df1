"""Judging while others are played: it saves time, and changes nothing."""

import json
from pathlib import Path

from judge_stubs import scripted
from judged import asked, configured, entry, execute, points

from roleeval.engines import ModelSource
from roleeval.errors import EngineError
from roleeval.judging import RubricJudge
from roleeval.stages.run import RunOutcome
from roleeval.types import Request


def session(outcome: RunOutcome) -> dict[str, int]:
    manifest = json.loads((outcome.folder.path / "manifest.json").read_text())
    (record,) = manifest["judges"].values()
    return {name: record["session"][name] for name in ("calls", "from_store")}


def test_finished_answers_are_judged_while_others_are_written(tmp_path: Path) -> None:
    judge = RubricJudge(engine=scripted("ahead", lambda request: points(4)), source=ModelSource("judge"))
    outcome = execute(configured(tmp_path, judge))
    assert session(outcome)["from_store"] > 0
    assert asked("ahead") == 20  # nothing twice
    assert entry(outcome, "/overall")["mean"] == 4


def test_the_folder_is_that_of_judging_afterwards(tmp_path: Path) -> None:
    def opinion(request: Request) -> str:
        return points(1 + request.seed % 5)

    folders = []
    for name, stages in (("at once", ("generate", "score", "judge")), ("apart", ("generate", "score"))):
        judge = RubricJudge(engine=scripted(name, opinion), source=ModelSource("judge"))
        outcome = execute(configured(tmp_path / name, judge, stages=stages))
        if "judge" not in stages:
            assert asked(name) == 0
            outcome = execute(configured(tmp_path / name, judge, stages=("judge",)))
            assert session(outcome) == {"calls": 20, "from_store": 0}
        folders.append(outcome.folder)
    assert folders[0].judgements.read_bytes() == folders[1].judgements.read_bytes()
    assert folders[0].summary() == folders[1].summary()


def test_a_judge_that_does_not_reply_is_left_to_the_stage(tmp_path: Path) -> None:
    calls = 0

    def rarely(request: Request) -> str | Exception:
        nonlocal calls
        calls += 1
        return EngineError("no line") if calls == 1 else points(3)

    judge = RubricJudge(engine=scripted("rarely", rarely), source=ModelSource("judge"), max_in_flight=1)
    outcome = execute(configured(tmp_path, judge))
    assert entry(outcome, "/overall")["n"] == 10
    assert session(outcome) == {"calls": 20, "from_store": 0}
