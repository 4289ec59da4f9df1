"""Names and paths on the command line: taken as they are written, or the quoting is shown."""

import shlex
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from roleeval.cli.hydra_app import main
from roleeval.cli.quoting import quoted
from roleeval.errors import ConfigError


def understood(argument: str, *others: str) -> Any:
    """What Hydra makes of an argument's value, after it was quoted where that is needed."""
    override = OverridesParser.create().parse_override(quoted([*others, argument])[-1])
    if override.is_sweep_override():
        return [part.strip("'") for part in override.sweep_string_iterator()]
    return override.value()


@pytest.mark.parametrize(
    "value",
    [
        *("/r/a=b", "/结果", "/m/模型=1", "名字", "it's", 'a"b', "(a)", "/a{b}", "/a[b]", "~/x", "a&b;c", "a#b", "a^b"),
        *(
            "结果,b",
            "a!",
            "a'b\"c",
            "C:\\模\\",
            "e\u0301=",
            "a b=c",
            "{福尔摩斯: /a/b, Mr. Hyde: /c=1}",
            '{"a=b": "/x"}',
        ),
    ],
)
def test_a_value_is_what_was_written(value: str) -> None:
    assert understood(f"model.source.path={value}") == value


@given(st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="'\",$\\[]{}()"), min_size=1))
def test_no_name_is_refused_or_changed(name: str) -> None:
    assert str(understood(f"model.name=n{name}")) == f"n{name}"


@pytest.mark.parametrize(
    "argument", ["limit=3", "judge=gca", "a=[1,2]", "a={b: c}", "a='x=y'", "~judge", "+x@y.z=w", "a="]
)
def test_what_hydra_reads_stays_as_it_is(argument: str) -> None:
    assert quoted([argument]) == [argument]
    assert quoted(["--config-dir", "/模/a=b", argument]) == ["--config-dir", "/模/a=b", argument]


def test_none_of_a_part_is_what_hydra_cannot_say() -> None:
    assert quoted(["judge=null", "limit=3", "experiment=null"]) == ["limit=3"]
    assert quoted(["-m", "metrics=null", "model=a,b"]) == ["-m", "~metrics", "model=a,b"]
    assert quoted(["model.name=null", "limit=null"]) == ["model.name=null", "limit=null"]  # values, not parts
    for argument, words in {
        "benchmark=null": "every run has one benchmark",
        "model=null": "every run has one model",
        "engine=null": "every run has one engine",
        "judge=null,gca": "null cannot be swept over",
        "+judge=null": "remove it with ~judge",
        "price@judge.prices=null": "remove it with ~price@judge.prices",
        "hydra/launcher=null": "remove it with ~hydra/launcher",
    }.items():
        with pytest.raises(ConfigError, match=words):
            quoted(["-m", argument])
    with pytest.raises(ConfigError, match="an experiment's judge"):
        quoted(["judge=null", "experiment=zoo_scenes"])


def test_sweeps_and_lists_are_quoted_part_by_part() -> None:
    assert understood("model.name=模型,b=c,d", "-m") == ["模型", "b=c", "d"]
    assert understood("benchmark.splits=[a=1,b,米]") == ["a=1", "b", "米"]
    assert understood("engine.base_urls=[http://h/v1?x=1]") == ["http://h/v1?x=1"]


def test_a_comma_without_a_sweep_shows_the_quoting_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results_dir=/tmp/a,b", "limit=1"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "add -m" in said[0]
    (shown,) = shlex.split(said[0].rpartition("write ")[2])
    assert understood(shown) == "/tmp/a,b"


def test_a_key_that_no_command_line_holds_says_where_it_can_stand() -> None:
    with pytest.raises(ConfigError, match=r"adapters_map\.福尔摩斯: cannot be a key.*'KEY=\{NAME: VALUE\}'"):
        quoted(["+model.adapters_map.福尔摩斯=/a"])


def test_options_may_stand_anywhere() -> None:
    """Hydra's parser calls whatever stands behind one in the middle an unrecognized argument."""
    given = ["benchmark=coser", "--config-dir", "some dir=1", "limit=3", "-m", "model=base,her", "seed=2"]
    assert quoted(given) == [
        "--config-dir",
        "some dir=1",
        "-m",
        "benchmark=coser",
        "limit=3",
        "model=base,her",
        "seed=2",
    ]
