"""CoSER's scenes: what is read, and that a malformed scene is named by case and key."""

import json
from pathlib import Path
from typing import Any

import pytest
from coser_scenes import case, cases, write

from roleeval.benchmarks.coser import Coser
from roleeval.benchmarks.coser.data import ENVIRONMENT, read_scenes
from roleeval.benchmarks.coser.memory import Memory, Retrieval
from roleeval.errors import ConfigError, DataError

LINE = {"character": "Cyrus", "message": "Yes."}


def test_a_scene_is_read_whole(tmp_path: Path) -> None:
    (scene,) = read_scenes(write(tmp_path, [case(book="A-Z", i_p=3, i_c=2)]))
    assert (scene.id, scene.split, scene.speakers[0]) == ("A-Z-3-2", "id", "Mrs. Ames")
    assert scene.characters == ("Mrs. Ames", "Bo Jr.", "Cyrus")
    assert scene.profile("Mrs. Ames") == "The widow.\n\nShe keeps the house."
    assert (scene.profile("Bo Jr."), scene.profile("Cyrus")) == ("He is twelve.", "A lodger.")
    assert scene.motivation("Mrs. Ames", ("thought", "motivation")) == "I want the lamp lit."
    assert scene.motivation("Mrs. Ames", ("motivation", "thought")) == "to see"
    assert scene.motivation("Bo Jr.", ("thought", "motivation")) == "to hide what I took"
    assert scene.motivation("Cyrus", ("thought",)) == ""


def test_the_environment_can_always_speak(tmp_path: Path) -> None:
    lines = [LINE]
    (scene,) = read_scenes(
        write(tmp_path, [case(speaking_characters_w_env=["Cyrus"], dialogues=lines, major_characters=[])])
    )
    assert scene.speakers == ("Cyrus", ENVIRONMENT)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"speaking_characters_w_env": []}, ["speaking_characters_w_env", "no speaker"]),
        ({"speaking_characters_w_env": ["Environment"]}, ["speaking_characters_w_env", "besides Environment"]),
        (
            {"speaking_characters_w_env": ["Mrs. Ames", "Bo Jr.", "Cyrus", "Nobody"]},
            ["speaking_characters_w_env", "'Nobody'", "nowhere else"],
        ),
        ({"dialogues": [{"character": "Zoe", "message": "Hm."}]}, ["dialogues, turn 1", "'Zoe'"]),
        ({"dialogues": [LINE, {"character": "Cyrus", "message": "[What was that"}]}, ["turn 2", "message", "']'"]),
        ({"dialogues": [{"character": "Cyrus", "message": "What) was that"}]}, ["turn 1", "unbalanced ')'"]),
        ({"dialogues": [{"character": "Cyrus", "message": "([)]"}]}, ["turn 1", "unbalanced"]),
        ({"dialogues": [{"character": "Cyrus", "message": 7}]}, ["turn 1", "message", "7"]),
        ({"dialogues": [{"character": None, "message": "x"}]}, ["turn 1", "character"]),
        ({"dialogues": []}, ["dialogues", "non-empty"]),
        ({"tag": "train"}, ["tag", "id, ood", "'train'"]),
        ({"scenario": " "}, ["scenario", "non-empty"]),
        ({"i_p": "3"}, ["i_p", "'3'"]),
        ({"plot": None}, ["plot", "object"]),
        ({"plot": {"summary": 1}}, ["plot.summary"]),
        ({"major_characters": ["Zoe"]}, ["major_characters", "'Zoe'"]),
        ({"key_characters": [{"name": "Cyrus", "thought": 5}]}, ["key_characters, Cyrus", "thought"]),
        ({"character_profiles": {"Cyrus": 5}}, ["character_profiles"]),
        ({"topic": "\ud800"}, ["topic", "surrogate"]),
    ],
)
def test_a_malformed_scene_is_named_by_case_and_key(tmp_path: Path, change: dict[str, Any], words: list[str]) -> None:
    file = tmp_path / "scenes.json"
    file.write_text(json.dumps([case(1), case(2, **change), case(3)]), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_scenes(file)
    for word in ("case 2", "on_error=skip", *words):
        assert word in str(caught.value)
    bench = Coser(data_file=str(file), on_error="skip")
    assert bench.count(limit=None) == 2 and bench.describe()["rows_skipped"] == 1


def test_a_scene_that_stands_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"case 2 \(The Lamp-10-0\): book, i_p, i_c"):
        read_scenes(write(tmp_path, [case(), case()]))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty file"), (b"{}", "JSON list"), (b"[", "not valid JSON"), (b"\xff", "UTF-8"), (b"[]", "no usable")],
)
def test_a_file_that_holds_no_scenes_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_scenes(file)
    with pytest.raises(DataError, match=r"benchmark\.data_file"):
        read_scenes(tmp_path / "missing.json")


def test_a_limit_is_per_split_and_long_scenes_come_first(tmp_path: Path) -> None:
    bench = Coser(data_file=str(write(tmp_path)))
    samples = list(bench.samples(limit=2))
    assert bench.count(limit=2) == len(samples) == 4
    assert sorted(s.index for s in samples) == [0, 1, 2, 3]
    assert [s.split for s in sorted(samples, key=lambda s: s.index)] == ["id", "id", "ood", "ood"]
    lengths = [len(s.material["reference"].split("\n\n")) for s in samples]
    assert lengths == sorted(lengths, reverse=True)
    assert {s.id for s in samples} == {s.id for s in Coser(data_file=str(write(tmp_path))).samples(limit=2)}


def test_judges_get_the_reference_without_thoughts_and_the_environment_untouched(tmp_path: Path) -> None:
    sample = next(iter(Coser(data_file=str(write(tmp_path, [case(turns=4)]))).samples(limit=None)))
    assert sample.material["reference"].split("\n\n") == [
        "Mrs. Ames: (looks up) I counted 0, dear friend.",
        "Bo Jr.: (looks up) I counted 1, dear friend.",
        "Cyrus: (looks up) I counted 2, dear friend.",
        "Environment: The lamp [the old one] flickers 3 times.",
    ]
    assert sample.material["reference_shown"].startswith("Mrs. Ames: [Is it 0?] (looks up)")
    assert sample.material["major_characters"] == "Mrs. Ames, Bo Jr."
    assert (sample.cluster, sample.labels) == ("The Lamp", {})


def test_the_real_file_loads_whole(root: Path) -> None:
    import os

    file = Path(os.environ.get("ROLEEVAL_SHARED", root.parent / "shared")) / "data" / "coser" / "test_set.json"
    if not file.is_file():
        pytest.skip("CoSER's test_set.json is not at hand (set ROLEEVAL_SHARED to the folder that has data/coser)")
    scenes = read_scenes(file)
    assert len(scenes) == 200 and sum(scene.split == "id" for scene in scenes) == 100
    assert sum(len(scene.lines) for scene in scenes) == 2578
    speakers = [(scene, name) for scene in scenes for name in scene.characters]
    assert len(speakers) == 479
    assert sum(bool(scene.motivation(name, ("thought", "motivation"))) for scene, name in speakers) == 451
    assert sum(scene.speakers[0] != scene.lines[0].speaker for scene in scenes) == 46


def test_retrieval_knows_only_earlier_plots_of_the_same_book(tmp_path: Path) -> None:
    scenes = read_scenes(write(tmp_path, [case(n) for n in range(5)] + [case(1, book="Another")]))
    memory = Memory(Retrieval(passages=2), scenes)
    assert memory.recall(scenes[0], "Mrs. Ames", "oil") == ()
    assert memory.recall(scenes[1], "Mrs. Ames", "oil") == ("She looked for oil in plot 0.",)
    assert memory.recall(scenes[4], "Mrs. Ames", "the oil of plot 3, and of plot 1") == (
        "She looked for oil in plot 1.",
        "She looked for oil in plot 3.",
    )
    assert set(memory.background(scenes[4], ("thought",))) == {"Mrs. Ames", "Bo Jr.", "Cyrus"}
    assert Memory(Retrieval(), scenes).background(scenes[4], ("thought",)) == {}


def test_retrieval_reads_a_file_and_names_what_is_wrong_in_it(tmp_path: Path) -> None:
    file = tmp_path / "past.jsonl"
    file.write_text('{"book": "The Lamp", "character": "Cyrus", "text": "He once had a dog.", "i_p": 1}\n')
    scenes = read_scenes(write(tmp_path, [case()]))
    assert Memory(Retrieval(passages=1, file=str(file)), scenes).recall(scenes[0], "Cyrus", "dog") == (
        "He once had a dog.",
    )
    file.write_text('{"book": "The Lamp"}\n')
    with pytest.raises(DataError, match="line 1: expected book, character, text and i_p"):
        Memory(Retrieval(passages=1, file=str(file)), scenes)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"continue_from": 20}, "continue_from"), ({"call_attempts": 0}, "call_attempts"), ({"splits": ()}, "splits")],
)
def test_impossible_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=f"benchmark.{words}"):
        Coser(**options)


def test_the_data_hash_follows_the_file(tmp_path: Path) -> None:
    before = Coser(data_file=str(write(tmp_path))).data_hash
    assert before == Coser(data_file=str(write(tmp_path))).data_hash
    assert before != Coser(data_file=str(write(tmp_path, cases(3)))).data_hash


def test_the_embedded_scenes_load() -> None:
    assert Coser().count(limit=None) >= 6
