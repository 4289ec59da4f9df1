"""`roleeval gate`: runs batch by batch with the stub engine, and stops where the gate is decided."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from roleeval_stubs import StubEngine, StubOptions
from typer.testing import CliRunner

import roleeval.report.regress
from roleeval.cli.hydra_app import main
from roleeval.cli.invocation import invocation
from roleeval.cli.main import app
from roleeval.report.regress import Regression, regress

CONF = Path(__file__).parent.parent / "support" / "conf"
STUB = ["--config-dir", str(CONF), "engine=stub", "model=base", "model.source.path=stub", "limit=15", "progress=quiet"]
ONE = [*STUB, "model.name=one", "benchmark.splits=[eng_general,zh_general]"]
TWO = ["-m", *STUB, "model.name=one,two", "benchmark.splits=[eng_general,zh_general]"]
SAMPLES = 30
WIDE = "metrics: [rougeL_f1_pltrdy_max]\nmargins: {rougeL_f1_pltrdy_max: 0.3}\n"
NARROW = WIDE.replace("0.3", "0.001")
BATCH = re.compile(r"roleeval: batch (\d) of 5 \((.+)\): (\w+) so far; (\d+) of (\d+) samples asked \((\d+)%\)")


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("sys.argv", ["roleeval"])
    invocation.cache_clear()
    yield
    invocation.cache_clear()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """main/ (the runs of two models), main.gz (their baseline), wide.yaml and narrow.yaml."""
    place = tmp_path_factory.mktemp("gate")
    (place / "wide.yaml").write_text(WIDE)
    (place / "narrow.yaml").write_text(NARROW)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.argv", ["roleeval"])
        assert main([*TWO, f"results_dir={place / 'main'}"]) == 0
    invocation.cache_clear()
    saved = CliRunner().invoke(app, ["regress", "--save", str(place / "main.gz"), str(place / "main")])
    assert saved.exit_code == 0
    return place


@pytest.fixture
def gate(place: Path, tmp_path: Path) -> Callable[..., Any]:
    """Runs the command; results are in now/, and a line per call in now.txt."""

    def run(arguments: list[str], *options: object, policy: str = "wide") -> Any:
        chosen = ["--baseline", place / "main.gz", "--policy", place / f"{policy}.yaml", *options]
        here = [f"results_dir={tmp_path / 'now'}", f"engine.journal={tmp_path / 'now.txt'}"]
        return CliRunner().invoke(app, ["gate", *map(str, chosen), "--", *arguments, *here], env={"COLUMNS": "100"})

    return run


def calls(tmp_path: Path) -> list[str]:
    file = tmp_path / "now.txt"
    return file.read_text().split() if file.exists() else []


def test_an_unchanged_model_has_the_verdict_of_a_whole_run_with_a_part_of_its_calls(
    place: Path, gate: Callable[..., Any], tmp_path: Path
) -> None:
    done = gate(ONE, "--format", "json", "--out", tmp_path / "gate.md")
    options = ["--sequential", "--format", "json", "--policy", place / "wide.yaml", "--baseline", place / "main.gz"]
    runs = place / "main" / "rolebench" / "one"
    whole = CliRunner().invoke(app, ["regress", *map(str, options), str(runs)])
    found, expected = json.loads(done.stdout), json.loads(whole.stdout)
    assert done.exit_code == whole.exit_code == 0
    assert (found["outcome"], found["sequential"]) == (expected["outcome"], expected["sequential"])
    assert found["sequential"]["share"] < 1
    assert (tmp_path / "gate.md").read_text().startswith("### roleeval regress")
    number, _, outcome, asked, planned, _ = BATCH.findall(done.stderr)[-1]
    assert (int(number), outcome) == (found["sequential"]["batches"], "PASS")
    assert len(calls(tmp_path)) == len(set(calls(tmp_path))) == int(asked) < int(planned) == SAMPLES
    left = SAMPLES - int(asked)
    assert f"{left} of 30 samples were not asked: {left / SAMPLES:.0%} of the calls saved" in done.stderr


def test_a_plainly_worse_model_stops_early(gate: Callable[..., Any], tmp_path: Path) -> None:
    done = gate([*ONE, "engine.script=roleeval_stubs:off_topic"], policy="narrow")
    assert done.exit_code == 1 and done.stdout.startswith("FAIL: ")
    number, _, outcome, asked, *_ = BATCH.findall(done.stderr)[-1]
    assert (number, outcome) == ("3", "FAIL") and len(calls(tmp_path)) == int(asked) < SAMPLES


def test_the_plan_is_the_same_at_every_look_and_the_last_run_is_an_ordinary_one(
    place: Path, gate: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans, built, build = [], [], StubOptions.build

    def seen(*sides: Any, **options: Any) -> Regression:
        plans.append(options["batches"])
        return regress(*sides, **options)

    def counted(self: StubOptions, *needs: Any) -> StubEngine:
        built.append(build(self, *needs))
        return built[-1]

    monkeypatch.setattr(roleeval.report.regress, "regress", seen)
    monkeypatch.setattr(StubOptions, "build", counted)
    monkeypatch.setattr("roleeval.report.regress.compare._repeated", lambda *_: set())  # as of a model at an endpoint
    done = gate(ONE, policy="narrow")
    assert done.exit_code == 3 and done.stdout.startswith("INCONCLUSIVE: ")
    assert len(plans) > 2 and all(plan == plans[0] for plan in plans)
    assert len(built) == 1  # all on the same engine
    lines = BATCH.findall(done.stderr)
    assert [line[0] for line in lines] == [str(number) for number in range(6 - len(plans), 6)]
    assert [name for line in lines for name in line[1].split(", ")] == [
        name.partition("/")[2] for batch in plans[0] for name in batch
    ]
    assert len(calls(tmp_path)) == len(set(calls(tmp_path))) == SAMPLES
    (whole,) = (place / "main" / "rolebench" / "one").iterdir()
    again = tmp_path / "now" / "rolebench" / "one" / whole.name
    assert (again / "transcripts.jsonl").read_bytes() == (whole / "transcripts.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            [*ONE, "model.name=three"],
            "main.gz: has no run of three on rolebench; leave it out of ARGS. There are: one on",
        ),
        ([*ONE, "clusters=[Mad Hatter]"], "clusters: roleeval gate chooses them"),
        ([*ONE, "run_name=mine"], "run_name=mine: each batch has its own folder"),
        ([*ONE, "limt=3"], "limt: unknown key"),
        ([*TWO, "hydra/launcher=joblib"], "leave hydra/launcher out"),
        ([*STUB, "benchmark=lm_eval", "benchmark.tasks=[x]"], "lm_eval scores itself, always in full"),
        (["--cfg", "job", *ONE], "ARGS ran nothing"),
        ([*ONE, "limit=1"], "has no samples within limit=1"),
        ([*ONE, "fail_on_error=0", "engine.fail=e"], "more than fail_on_error=0.0 allows"),
        ([*ONE, "budget.calls=2"], "samples were not asked: budget.calls=2 is spent"),
        ([*ONE, "model.sampling.max_tokens=5"], "other decoding: max_tokens"),
    ],
)
def test_what_cannot_be_run_or_compared_is_exit_code_2_with_the_cause(
    gate: Callable[..., Any], arguments: list[str], words: str
) -> None:
    done = gate(arguments)
    assert done.exit_code == 2 and words in done.stderr and "Traceback" not in done.output


def test_an_interrupted_gate_resumes_with_the_same_command(
    gate: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate, made = StubEngine.generate, []

    async def interrupted(self: StubEngine, request: Any) -> Any:
        made.append(request)
        if len(made) == 3:
            signal.raise_signal(signal.SIGINT)
        return await generate(self, request)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
    try:
        with monkeypatch.context() as patched:
            patched.setattr(StubEngine, "generate", interrupted)
            done = gate([*ONE, "max_in_flight=1"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.exit_code == 130 and "Run the same command again to resume" in done.stderr
    assert 0 < len(calls(tmp_path)) < SAMPLES
    invocation.cache_clear()
    assert gate([*ONE, "max_in_flight=1"]).exit_code == 0
    assert len(calls(tmp_path)) <= len(set(calls(tmp_path))) + 1  # one was in flight
