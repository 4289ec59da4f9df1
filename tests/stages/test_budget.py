"""A budget ends a run before it is exceeded: what was asked is kept, the rest is missing, and a larger one goes on."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from judged import execute
from roleeval_stubs import StubOptions

from roleeval.benchmarks.coser import Coser
from roleeval.benchmarks.rolebench import RoleBench
from roleeval.cli.hydra_app import main
from roleeval.cli.invocation import invocation
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import Budget, BudgetOptions, ModelSource, Price
from roleeval.errors import ConfigError, OverBudgetError
from roleeval.judging import VoiceJudge
from roleeval.metrics import AnswerLength
from roleeval.models import Base
from roleeval.report import Report
from roleeval.stages.watching import Watch
from roleeval.types import Message, Request, Sampling


def make(folder: Path, calls: int | None = None, engine: StubOptions | None = None, **options: Any) -> RunConfig:
    return RunConfig(
        benchmark=RoleBench(splits=("eng_general",)),
        model=Base(name="stub", source=ModelSource("stub-model")),
        engine=engine or StubOptions(),
        metrics={"length": AnswerLength()},
        options=RunOptions(
            results_dir=str(folder),
            progress="quiet",
            **{"limit": 20, "budget": BudgetOptions(calls=calls), **options},
        ),
    )


def asked(file: Path) -> int:
    return len(file.read_text().split()) if file.exists() else 0


@pytest.mark.parametrize("in_flight", [1, 64])
def test_a_run_stops_at_its_budget_and_a_larger_one_asks_only_the_rest(tmp_path: Path, in_flight: int) -> None:
    stub = StubOptions(journal=str(tmp_path / "calls"), delay_s=0.001)
    part = execute(make(tmp_path / "r", 7, stub, max_in_flight=in_flight))
    assert asked(tmp_path / "calls") == 7
    assert (part.failed_samples, part.unasked_samples) == (0, 13)
    summary = part.folder.summary()
    assert summary is not None
    entry = summary["metrics"]["answer_words"]["eng_general"]
    assert (entry["n"], entry["missing"], entry["statuses"]) == (7, 13, {"ok": 7, "over_budget": 13})
    (watched,) = Watch([tmp_path / "r"]).look()
    assert (watched.state, watched.done, watched.planned) == ("stopped", 7, 20) and "13 samples" in watched.note
    whole = execute(make(tmp_path / "r", 20, stub))
    assert asked(tmp_path / "calls") == 20 and whole.unasked_samples == 0
    assert whole.folder == part.folder
    clean = execute(make(tmp_path / "clean")).folder.transcripts
    assert whole.folder.transcripts.read_bytes() == clean.read_bytes()


def test_stored_answers_cost_nothing(tmp_path: Path) -> None:
    execute(make(tmp_path, 7))
    assert execute(make(tmp_path, 13)).unasked_samples == 0


def test_scenes_under_way_are_played_to_their_end(tmp_path: Path) -> None:
    config = replace(make(tmp_path, 60, limit=None), benchmark=Coser(nsp="random"))
    manifest = execute(config).folder.manifest()
    assert manifest is not None
    assert manifest.samples.statuses["ok"] >= 2 and manifest.samples.statuses["over_budget"] >= 1


def _request(tokens: int) -> Request:
    return Request((Message("user", "x" * 36),), Sampling(max_tokens=tokens), 0)


def test_a_call_begins_only_where_the_most_it_may_cost_is_left() -> None:
    price = Price(input=1e4, output=1e4)  # a cent a token
    assert price.at_most(_request(10)) == pytest.approx((36 + 4 * 64 + 10) / 100, abs=1.0)

    async def spend() -> Budget:
        budget = Budget(BudgetOptions(usd=10.0))
        await budget.hold(6.0)
        second = asyncio.ensure_future(budget.hold(5.0))
        await asyncio.sleep(0)
        assert not second.done()  # 6 + 5 may be too much
        budget.settle(6.0, 2.0)
        await second
        budget.settle(5.0, 4.0)
        with pytest.raises(OverBudgetError, match=r"budget.usd=10 \(\$6 so far.*larger budget"):
            await budget.hold(5.0)
        await budget.hold(0.0)  # what costs nothing goes on
        return budget

    budget = asyncio.run(spend())
    assert (budget.usd, budget.refused) == (6.0, 1)


def test_a_failed_call_counts_with_the_most_it_may_have_cost(tmp_path: Path) -> None:
    prices = {"stub-model": Price(input=0.0, output=1e4)}
    config = make(tmp_path, engine=StubOptions(fail="?", journal=str(tmp_path / "calls")), fail_on_error=1.0)
    config = replace(config, options=replace(config.options, prices=prices, budget=BudgetOptions(usd=10.3)))
    execute(config)
    assert asked(tmp_path / "calls") <= 10 + 10


def test_a_budget_in_dollars_needs_the_price_of_every_endpoint(tmp_path: Path) -> None:
    from roleeval.engines.openai import OpenAIOptions

    config = replace(make(tmp_path), engine=OpenAIOptions(base_urls=("http://127.0.0.1:9/v1",)))
    config = replace(config, options=replace(config.options, budget=BudgetOptions(usd=1.0)))
    with pytest.raises(ConfigError, match=r"budget.usd=1: stub-model has no price.*conf/price/usd.yaml"):
        execute(config)


@pytest.fixture
def _here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("sys.argv", ["run_eval.py"])
    invocation.cache_clear()
    yield
    invocation.cache_clear()


def command(folder: Path, *given: str) -> int:
    stub = ["engine=stub", "model=base", "model.source.path=stub-model", "benchmark.splits=[eng_general]", "limit=5"]
    places = ["--config-dir", str(Path(__file__).parent.parent / "support" / "conf")]
    return main([*stub, "progress=quiet", f"results_dir={folder}", *given, *places])


@pytest.mark.usefixtures("_here")
def test_the_command_says_that_results_are_partial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path, "budget.calls=2") == 3
    said = capsys.readouterr().err
    assert "3 of 5 samples were not asked: budget.calls=2 is spent" in said
    assert "run the same command with a larger budget" in said
    manifest = json.loads(next(tmp_path.rglob("manifest.json")).read_text())
    assert manifest["samples"]["statuses"] == {"ok": 2, "over_budget": 3}


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("budget.calls=-1", "budget.calls: -1 is invalid"),
        ("budget.usd=-0.5", "budget.usd: -0.5 is invalid"),
        ("budget.eur=1", "budget.eur: unknown key"),
        ("+prices.m={input: 1}", "prices"),
        ("+prices.m={input: 1, outptu: 2}", "prices"),
        ("+prices.m={input: 1, output: 2, image: 3}", "prices.m.image"),
        ("+prices.m={input: -1, output: 2}", "prices"),
    ],
)
def test_bad_budgets_and_prices_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str, message: str
) -> None:
    assert command(tmp_path, given) in (1, 2)
    said = capsys.readouterr().err
    assert message in said


def test_judges_share_the_budget_and_ask_the_rest_with_a_larger_one(tmp_path: Path) -> None:
    judge = VoiceJudge(source=ModelSource("a-judge"), attempts=1, sampling=Sampling(max_tokens=8))
    stub = StubOptions(journal=str(tmp_path / "calls"))
    part = execute(replace(make(tmp_path / "r", 26, stub), judge=judge))
    assert asked(tmp_path / "calls") == 26 and part.unasked_samples == 0
    manifest = part.folder.manifest()
    assert manifest is not None
    (record,) = manifest.judge_records.values()
    assert record.unanswered == record.questions - 6 and record.failures["the budget was spent"] == record.unanswered
    summary = part.folder.summary()
    assert summary is not None
    judged = {name: entry for name, entry in summary["metrics"].items() if name.startswith("judge/")}
    assert judged and all(group["n"] < 20 for entry in judged.values() for group in entry.values())
    whole = execute(replace(make(tmp_path / "r", 100, stub), judge=judge)).folder.manifest()
    assert whole is not None
    assert [each.unanswered for each in whole.judge_records.values()] == [0]
    assert asked(tmp_path / "calls") == 20 + record.questions


def test_a_report_of_a_partial_run_has_its_coverage(tmp_path: Path) -> None:
    execute(make(tmp_path, 7))
    text = Report([tmp_path]).text("markdown")
    assert "| 0.350 |" in text and "over_budget 13" in text
