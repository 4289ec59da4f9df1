"""Judging while others are played: it saves time, and changes nothing."""

import asyncio
import json
from pathlib import Path
from typing import cast

from judge_stubs import scripted
from judged import asked, configured, entry, execute, points

from roleeval.engines import ModelSource, StoredEngine
from roleeval.errors import EngineError
from roleeval.judging import RubricJudge
from roleeval.stages.ahead import JudgingAhead, _Bench
from roleeval.stages.run import RunOutcome
from roleeval.types import Completion, Message, Persona, Request, Sample, Sampling, Transcript, Turn


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


def test_when_all_is_played_only_the_questions_in_flight_are_waited_for() -> None:
    judge, begun, release = (
        RubricJudge(samples_per_item=5, attempts=1, sampling=Sampling(temperature=0.7, max_tokens=99)),
        0,
        asyncio.Event(),
    )

    class Slow:
        async def generate(self, request: Request) -> Completion:
            nonlocal begun
            begun += 1
            await release.wait()
            return Completion(points(3), "stop", 100, 20)

        async def close(self) -> None: ...

    async def main() -> None:
        ahead = JudgingAhead([_Bench(judge, cast("StoredEngine", Slow()), None)])
        turn = Turn("Holmes", (Message("user", "Who?"),), "I", "I", "", "ok", "stop", 9, 4, "")
        for name in "ab":
            sample = Sample(name, 0, "all", "Holmes", Persona("Holmes", "A detective.", "en"), "Who?", {"RAW": ("I",)})
            ahead.add(sample, Transcript(name, "ok", (turn,)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ending = asyncio.create_task(ahead.close())
        await asyncio.sleep(0)
        release.set()
        await ending

    asyncio.run(main())
    assert begun == 2  # of 2 times 5; the stage asks the others together
