"""Every command line that README.md, docs/ and --help show is one that works: composed and built as it stands."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from hydra import compose
from omegaconf import OmegaConf

from roleeval.cli.explain import composing, overrides
from roleeval.cli.hydra_app import _commands
from roleeval.cli.hydra_sweep import _expanded
from roleeval.cli.main import app
from roleeval.cli.usage import _HEAD
from roleeval.config import parse_config
from roleeval.engines import ModelSource
from roleeval.resources import fetched_models
from roleeval.zoo._adapters import ADAPTERS
from roleeval.zoo._recipe import write_models
from roleeval.zoo.fetch import REAL_MODELS

ROOT = Path(__file__).parents[2]
_BEGINS = re.compile(r" {2,}((?:python run_eval\.py|python -m roleeval|roleeval) .*)")
_SYNOPSIS = re.compile(r"\[(--[^\]]+)\]")


def examples(text: str) -> Iterator[list[str]]:
    """The indented commands of a page; "[--out DIR]" is an option that may be given, and is."""
    lines = iter(text.splitlines())
    for line in lines:
        if begins := _BEGINS.fullmatch(line):
            command = begins[1]
            while command.endswith("\\"):
                command = command[:-1] + next(lines).strip()
            words = shlex.split(_SYNOPSIS.sub(r"\1", command), comments=True)
            yield words[1:] if words[0] == "python" else words


PAGES = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
PAGES["--help"] = re.sub(r"(?m)^( {2}python.*?\S)(?: {3,}| {4}).*$", r"\1", _HEAD)


def build(arguments: list[str]) -> int:
    """Composes and builds every run of a run_eval.py command line; the number of runs."""
    runs = 0
    for command in _commands(arguments):
        with composing():
            for job in _expanded(overrides(command)):
                node: Any = OmegaConf.to_container(compose("config", job), resolve=True)
                parse_config(node)
                runs += 1
    return runs


def parse(arguments: list[str]) -> None:
    """Parses a command line of `roleeval` as it would be before anything is done."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("roleeval", list(arguments))
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


def test_every_command_that_the_documentation_shows_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT / "tests" / "support" / "third_party")  # docs/extending.md is about what lies there
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in REAL_MODELS:  # as if they had been fetched
        (fetched_models() / name).mkdir(parents=True)
    write_models(tmp_path / "OUT", "zoo:base", ModelSource("zoo:base"), ADAPTERS)  # as if it had been built
    monkeypatch.syspath_prepend(str(Path.cwd()))
    shown = [(page, example) for page, text in PAGES.items() for example in examples(text)]
    assert len(shown) > 40 and len({page for page, _ in shown}) > 9
    broken = []
    for page, example in shown:
        try:
            if example[0] == "run_eval.py":
                assert build([str(tmp_path / word) if word == "OUT/conf" else word for word in example[1:]])
            elif example[:2] != ["-m", "roleeval.integrations.lm_eval.command"]:  # tests/integrations/lm_eval
                parse(example[2:] if example[0] == "-m" else example[1:])
        except (Exception, SystemExit) as error:
            broken.append(f"{page}: {shlex.join(example)}: {type(error).__name__} {error}")
    assert not broken, "\n".join(broken) + capsys.readouterr().err
