"""GCA through the real vLLM: a constrained reply is always a verdict, whatever the model knows of judging."""

import asyncio
from pathlib import Path

import pytest

from roleeval.benchmarks.coser import GcaJudge
from roleeval.engines import CompletionStore, LoraNeed, ModelSource, StoredEngine
from roleeval.engines.vllm import VllmOptions
from roleeval.judging import Judgement, ask
from roleeval.resources import zoo_path
from roleeval.types import Sampling
from tests.benchmarks.coser.test_gca import scene

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

SOURCE = ModelSource(str(zoo_path("base")))


def test_a_small_judge_lists_flaws_with_severities_from_1_to_10(tmp_path: Path) -> None:
    judge = GcaJudge(source=SOURCE, max_flaws=2, sampling=Sampling(max_tokens=512))

    async def judged() -> list[Judgement]:
        store = CompletionStore(tmp_path / "store.sqlite")
        served = VllmOptions().build(SOURCE, LoraNeed())
        engine = StoredEngine(served, store)
        try:
            return list(await asyncio.gather(*(ask(question, judge, engine) for question in judge.questions(scene()))))
        finally:
            await engine.close()
            await served.close()
            store.close()

    judgements = asyncio.run(judged())
    assert [judgement.status for judgement in judgements] == ["ok"] * 4
    for judgement in judgements:
        assert judgement.verdict is not None and judgement.verdict["coerced"] == 0
        assert len(judgement.verdict["flaws"]) <= 2 and len(judgement.attempts) == 1
        assert all(flaw["severity"] in range(1, 11) for flaw in judgement.verdict["flaws"])
    ((_, rows),) = judge.scores([(scene(), judgements)])
    assert 0 <= {row.metric: row.value or 0 for row in rows}["avg"] <= 100
