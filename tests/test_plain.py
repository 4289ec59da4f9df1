"""Texts of models, servers and files are shown on terminals and in logs, never obeyed."""

import json
import logging
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roleeval.cli._say import say, show_json
from roleeval.cli.logs import set_up_logs
from roleeval.cli.main import app
from roleeval.plain import plain, plain_lines

WILD = "a\x1b[31mred\x1b]0;title\x07\rforged\x08\x7f\x9b2J\u202eback\u2066iso\u200bz\ud83dend"
SHOWN = "a[31mred]0;title forged2JbackisozendQ"[:-1]


def obeyed(text: str) -> list[str]:
    return [c for c in text if c != "\n" and unicodedata.category(c)[0] == "C"]


def test_control_and_invisible_characters_are_taken_out() -> None:
    assert plain(WILD) == SHOWN
    assert plain("Ein Satz, 一句话, é ✨") == "Ein Satz, 一句话, é ✨"
    assert plain("a\nb\u2028c\x85d\te") == "a b c d e"
    assert plain_lines(f"{WILD}\n{WILD}\n") == f"{SHOWN}\n{SHOWN}\n"


@pytest.fixture
def log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    logger = logging.getLogger("roleeval")
    before = logger.handlers[:], logger.propagate, logger.level
    logger.handlers = []
    set_up_logs("log", str(tmp_path / "log.txt"))
    yield tmp_path / "log.txt"
    for handler in logger.handlers:
        handler.close()
    logger.handlers, logger.propagate, logger.level = before


def test_the_log_and_the_terminal_obey_nothing(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # pytest's own record would hold half a surrogate pair, which cannot be sent between its processes
    logger = logging.getLogger("roleeval")
    logger.handlers = [handler for handler in logger.handlers if type(handler).__module__ != "_pytest.logging"]
    try:
        raise ValueError(f"the server says {WILD}\nforged line")
    except ValueError as error:
        logging.getLogger("roleeval").error("it failed: %s", error, exc_info=error)
    logging.getLogger("roleeval.engines").warning("%s\n2026-01-01 ERROR forged", WILD)
    printed = capsys.readouterr()
    written = log.read_text(encoding="utf-8")
    assert SHOWN in written and "Traceback" in written
    assert SHOWN in "".join(line.strip() for line in printed.err.splitlines())
    assert obeyed(written + printed.err + printed.out) == []
    assert not [line for line in written.splitlines() if line.startswith("2026-01-01 ERROR forged")]


def test_no_job_of_a_sweep_loses_the_warnings_of_modules(log: Path) -> None:
    """hydra/job_logging=default disables all loggers before each job: what modules warn of was lost."""
    module = logging.getLogger("roleeval.engines.some_module")
    module.disabled = True
    try:
        set_up_logs("log", str(log))
        module.warning("the adapter has no effect")
    finally:
        module.disabled = False
    assert "the adapter has no effect" in log.read_text()


def test_secrets_reach_neither_the_log_nor_the_terminal(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("http://user:canary@host/v1?api_key=canary refused 'Authorization': 'Bearer canarycanary'")
    except ValueError as error:
        logging.getLogger("roleeval").error("it failed: %s", error, exc_info=error)
    say("engine.base_urls=[http://user:canary@host/v1]")
    captured = capsys.readouterr()
    assert "canary" not in captured.err + captured.out + log.read_text()


def test_what_commands_print_obeys_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"{WILD}\n{WILD}")
    show_json(json.dumps({"role": WILD}, ensure_ascii=False, indent=2))
    captured = capsys.readouterr()
    assert captured.err == f"{SHOWN}\n{SHOWN}\n"
    assert obeyed(captured.out) == []
    assert json.loads(captured.out) == {"role": WILD}


def test_an_error_about_a_file_obeys_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "no\x1b[2Jsuch\rfolder"
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exit_code == 1 and "no[2Jsuch folder" in done.stderr.replace("\n", "")
    assert obeyed(done.stderr + done.stdout) == []


def test_scores_of_a_wild_file_obey_nothing(tmp_path: Path) -> None:
    rows = {"references": [{"role": WILD[:-4], "question": "q\x1b[1m?", "generated": ["x"]}], "predictions": []}
    for name, lines in rows.items():
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    row = {"role": "\x9bother", "question": "\u202eq", "generated": ["y\x1b[1m"]}
    (tmp_path / "predictions").write_text(json.dumps(row) + "\n")
    arguments = ["--references", str(tmp_path / "references"), "--predictions", str(tmp_path / "predictions")]
    for more in ([], ["--json"]):
        done = CliRunner().invoke(app, ["score", "rolebench", *arguments, "--language", "en", *more])
        assert obeyed(done.stderr + done.stdout) == []
