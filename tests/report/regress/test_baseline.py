"""Baseline files: small, the same for the same runs, and never read wrongly."""

import gzip
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import gate_runs
import pytest
import site_results as made
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated

from roleeval.errors import ResultError, RoleEvalError
from roleeval.report.regress import read_baseline, read_folder, regress, save_baseline
from roleeval.report.regress.render import as_json, junit, markdown
from roleeval.types import Score


@pytest.fixture
def file(tmp_path: Path, before: Path) -> Path:
    save_baseline(tmp_path / "b.json.gz", read_folder(before))
    return tmp_path / "b.json.gz"


def test_a_baseline_holds_what_the_folder_says(file: Path, before: Path) -> None:
    (there,), (here,) = list(read_baseline(file)), list(read_folder(before))
    assert replace(here, path=None) == there
    assert len(there.samples) == 96 and there.samples[5].cluster == "role05"


def test_texts_only_if_asked_for(tmp_path: Path, before: Path, file: Path) -> None:
    assert b"This is answer" not in gzip.decompress(file.read_bytes())
    save_baseline(tmp_path / "t", read_folder(before), texts=True)
    (run,) = read_baseline(tmp_path / "t")
    assert run.spoken["eng/00003"].turns == (("role03", "This is answer 3.", "This is answer 3."),)


def test_the_same_runs_give_the_same_bytes(tmp_path: Path, before: Path, file: Path) -> None:
    save_baseline(tmp_path / "again", read_folder(before))
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_four_hundred_samples_and_ten_metrics_are_less_than_three_hundred_kilobytes(tmp_path: Path) -> None:
    rng, episodes = random.Random(0), []
    for number in range(400):
        episode = made.single(number, f"Answer {rng.random()}.")
        more = [Score("likeness", rng.random(), group=f"part{part}") for part in range(9)]
        episodes.append(replace(episode, scores=[*episode.scores, *more]))
    made.write(tmp_path / "r", made.Run("answers", "m", episodes))
    assert save_baseline(tmp_path / "b", read_folder(tmp_path / "r")) < 300_000


def rewritten(file: Path, **changes: Any) -> None:
    node = json.loads(gzip.decompress(file.read_bytes())) | changes
    file.write_bytes(gzip.compress(json.dumps(node).encode()))


@pytest.mark.parametrize("version", [0, 2, "2", None])
def test_another_version_is_refused_by_name(file: Path, version: Any) -> None:
    rewritten(file, format=version, roleeval="9.9")
    with pytest.raises(ResultError, match=r"format .*of roleeval '9.9'.*reads format 1.*--save"):
        read_baseline(file)


def test_a_damaged_file_is_refused_in_a_sentence(file: Path) -> None:
    whole = file.read_bytes()
    rng = random.Random(1)
    damaged = [whole[:size] for size in (0, 5, 30, len(whole) // 2, len(whole) - 1)]
    damaged += [
        whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :] for at in rng.sample(range(20, len(whole)), 40)
    ]
    for content in damaged:
        file.write_bytes(content)
        with pytest.raises(ResultError, match="--save") as caught:
            read_baseline(file)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"runs": [{}]},
        {"runs": None},
        {"kind": "other"},
        {"runs": [[]]},
    ],
)
def test_what_holds_no_runs_is_refused(file: Path, change: dict[str, Any]) -> None:
    rewritten(file, **change)
    with pytest.raises(ResultError, match=r"damaged|is no baseline"):
        read_baseline(file)


@pytest.mark.parametrize("key", ["samples", "values"])
def test_rows_that_do_not_fit_their_samples_are_damage(file: Path, key: str) -> None:
    node = json.loads(gzip.decompress(file.read_bytes()))
    node["runs"][0]["series"][0][key] = [999]
    rewritten(file, runs=node["runs"])
    with pytest.raises(ResultError, match="damaged"):
        read_baseline(file)


def test_two_runs_of_one_model_that_are_not_its_seeds_are_refused(tmp_path: Path) -> None:
    gate_runs.write(tmp_path, run="seed1-a")
    other = gate_runs.write(tmp_path, run="seed2-b", seed=2)
    read_folder(tmp_path)  # two seeds
    gate_runs.about(other, model={"adapters": {"a": "1" * 64}})
    with pytest.raises(ResultError, match="holds 2 runs of m on answers, which differ in adapters"):
        read_folder(tmp_path)


@pytest.fixture(scope="module")
def two_roles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small folder, and its baseline."""
    place = tmp_path_factory.mktemp("small")
    folder = gate_runs.write(place, roles=["03", "04"])
    save_baseline(place / "b", read_folder(folder))
    return folder, place / "b"


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_a_file_holds_it_is_compared_or_refused(two_roles: tuple[Path, Path], data: st.DataObject) -> None:
    folder, file = two_roles
    whole = file.read_bytes()
    changed = data.draw(mutated(json.loads(gzip.decompress(whole))))
    file.write_bytes(gzip.compress(json.dumps(changed).encode(), 1))
    try:
        found = regress(file, folder)
        as_json.as_json(found)
        junit.junit(found)
        markdown.markdown(found)
    except RoleEvalError as error:
        assert str(error)
    finally:
        file.write_bytes(whole)
