"""JSON that people give: what is wrong is said in words, for every kind of wrong, and what is right is read."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleeval.benchmarks.coser.data import read_scenes
from roleeval.benchmarks.coser.memory import _from_file
from roleeval.benchmarks.rolebench.data import read_descriptions, read_raw_targets, read_rows
from roleeval.errors import DataError
from roleeval.jsonfiles import json_lines, parse_json, read_json

ROW = {"role": "Holmes", "question": "Who\u2028are you?", "generated": ["I am\u2029Holmes.\x85"], "type": ""}
BOM = b"\xef\xbb\xbf"
WRONG = {
    "half a pair": (b'{"a": "\\ud83d"}', "half of a surrogate pair"),
    "half a pair as a key": (b'{"\\ud83d": 1}', "half of a surrogate pair"),
    "latin-1": (b'{"a": "caf\xe9"}', "not UTF-8"),
    "nested": (b"[" * 100_000, "nested too deeply"),
    "half": (b'{"a": ', "not valid JSON"),
    "a number of 5000 digits": (b"9" * 5000, "limit"),
    "nothing": (b"", "not valid JSON"),
    "nul": (b'{"a": "\x00"}', "not valid JSON"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_json_is_said_in_words(kind: str) -> None:
    content, words = WRONG[kind]
    with pytest.raises(ValueError, match=words):
        parse_json(content)


def test_a_whole_pair_is_text() -> None:
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_a_byte_order_mark_is_no_part_of_the_value(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(BOM + b"[1]")
    assert read_json(tmp_path / "f") == [1]
    assert [parse_json(line) for _, line in json_lines(tmp_path / "f")] == [[1]]


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    file = tmp_path / "test.jsonl"
    lines = [json.dumps(ROW, ensure_ascii=False).encode(), b"", json.dumps(ROW).encode()]
    file.write_bytes(BOM + b"\r\n".join(lines))
    assert [(row.number, row.question, row.generated) for row in read_rows(file)] == [
        (1, ROW["question"], tuple(ROW["generated"])),
        (3, ROW["question"], tuple(ROW["generated"])),
    ]


def test_instructions_and_memories_hold_line_separators(tmp_path: Path) -> None:
    folder = tmp_path / "instructions-eng"
    folder.mkdir()
    line = json.dumps({"instruction": "One\u2028two?", "target": "Three\u2029four."}, ensure_ascii=False)
    (folder / "a.jsonl").write_bytes(BOM + line.encode())
    assert read_raw_targets(tmp_path, "en") == {"One\u2028two?": "Three\u2029four."}
    memory = {"book": "B", "character": "C", "text": "One\u2028two.", "i_p": 1}
    (tmp_path / "m.jsonl").write_bytes(BOM + json.dumps(memory, ensure_ascii=False).encode())
    assert list(_from_file(tmp_path / "m.jsonl")) == [(("B", "C"), (1, "One\u2028two."))]


@pytest.mark.parametrize("kind", WRONG)
def test_every_reader_names_file_and_line(tmp_path: Path, kind: str) -> None:
    content, _ = WRONG[kind]
    for name in ("instructions-eng", "profiles-eng"):
        (tmp_path / name).mkdir()
    (tmp_path / "profiles-eng" / "desc.json").write_bytes(content)
    with pytest.raises(DataError, match=r"desc\.json: "):
        read_descriptions(tmp_path, "en")
    (tmp_path / "scenes.json").write_bytes(content)
    with pytest.raises(DataError, match=r"scenes\.json"):
        read_scenes(tmp_path / "scenes.json")
    if kind == "nothing":
        return
    good = {"instruction": "One?", "target": "Two."}
    (tmp_path / "instructions-eng" / "a.jsonl").write_bytes(json.dumps(good).encode() + b"\n" + content)
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: "):
        read_raw_targets(tmp_path, "en")
    (tmp_path / "m.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=r"m\.jsonl, line 1: "):
        list(_from_file(tmp_path / "m.jsonl"))


def test_half_a_pair_in_one_scene_is_that_scenes(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_bytes(b'[{"book": "\\ud83d"}, {"book": 1}]')
    skipped: list[str] = []
    with pytest.raises(DataError, match="no usable scene"):
        read_scenes(tmp_path / "s.json", on_error="skip", skipped=skipped)
    assert [reason.partition("json, ")[2].partition(":")[0] for reason in skipped] == ["case 1", "case 2"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries({}, optional=dict.fromkeys(("role", "question", "generated", "type"), VALUES))


@given(rows=st.lists(FIELDS.map(lambda row: json.dumps({**ROW, **row}).encode()) | st.binary(max_size=40), max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_rows_are_read_skipped_or_refused_by_line(
    rows: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "test.jsonl"
    file.write_bytes(b"\n".join([json.dumps(ROW).encode(), *rows]))
    skipped: list[str] = []
    found = list(read_rows(file, on_error="skip", skipped=skipped))
    filled = sum(bool(line.strip()) for line in file.read_bytes().split(b"\n"))
    assert len(found) + len(skipped) == filled
    for row in found:
        "".join((row.role, row.question, row.type, *row.generated)).encode()


@given(scenes=VALUES)
@settings(max_examples=100, deadline=None)
def test_any_scenes_are_read_or_refused(scenes: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "scenes.json"
    file.write_text(json.dumps([scenes]))
    with pytest.raises(DataError):
        read_scenes(file, on_error="skip")
