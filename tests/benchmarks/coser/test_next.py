"""The next speaker: any decoration of a name is understood, and what is not is drawn by the scene's own chance."""

import subprocess
import sys
from pathlib import Path

import pytest
from coser_scenes import case, write
from hypothesis import given
from hypothesis import strategies as st

from roleeval.benchmarks.coser.data import Scene, read_scenes
from roleeval.benchmarks.coser.next import END, NOTES, RANDOM, READ, Draw, draw_pool, follow, read_answer

NAMES = ("Mrs. Ames", "Bo Jr.", "Cyrus", "Cyrus Vane", "The Abbé", "老板", "Environment")
ANSWERS = (*NAMES, RANDOM, END)


@pytest.mark.parametrize(
    ("reply", "answer", "note"),
    [
        ("Bo Jr.", "Bo Jr.", "exact"),
        ("  Bo Jr.\n", "Bo Jr.", "exact"),
        ("Cyrus: because he is angry", "Cyrus", "exact"),
        ("**Mrs. Ames**", "Mrs. Ames", "markdown"),
        ("- `Cyrus Vane`", "Cyrus Vane", "markdown"),
        ("1. Environment", "Environment", "markdown"),
        ('"Bo Jr."', "Bo Jr.", "quotes"),
        ("“Bo Jr”", "Bo Jr.", "quotes"),
        ("Cyrus.", "Cyrus", "quotes"),
        ("[END CHAT]", END, "quotes"),
        ("mrs.  ames", "Mrs. Ames", "case"),
        ("<end_chat>", END, "case"),
        ("RANDOM", RANDOM, "case"),
        ("Cyrus Vane, who has waited", "Cyrus Vane", "prefix"),
        ("Cyrus is next", "Cyrus", "prefix"),
        ("Mrs", "Mrs. Ames", "prefix"),
        ("老板", "老板", "exact"),
        ("Next Speaker: Cyrus", "Cyrus", "exact"),
        ("**Next Speaker:** Bo Jr.", "Bo Jr.", "markdown"),
        ("Ames", None, "unknown"),
        ("Cyrusine", None, "unknown"),
        ("Nobody: Cyrus", None, "unknown"),
        ("", None, "empty"),
        (" \n ", None, "empty"),
    ],
)
def test_replies_are_read_step_by_step(reply: str, answer: str | None, note: str) -> None:
    assert read_answer(reply, NAMES, form="name") == (answer, note)


@pytest.mark.parametrize(
    ("reply", "answer", "note"),
    [
        ("The lamp is out: someone must act.\nNext Speaker: Bo Jr.", "Bo Jr.", "exact"),
        ("Next Speaker: Cyrus. No.\nNext speaker: **The Abbé**", "The Abbé", "markdown"),
        ("It is over.\n<END CHAT>", END, "exact"),
        ("Mrs. Ames", "Mrs. Ames", "exact"),
        ("Somebody should speak.", None, "unknown"),
    ],
)
def test_the_field_of_a_reasoned_reply_is_read(reply: str, answer: str | None, note: str) -> None:
    assert read_answer(reply, NAMES, form="reasoned") == (answer, note)


DECORATIONS = [
    "{}",
    " {} ",
    "**{}**",
    "*{}*",
    "`{}`",
    "# {}",
    "- {}",
    "2) {}",
    '"{}"',
    "'{}'",
    "“{}”",
    "「{}」",
    "**“{}”**",
    "{}.",
    "{}!",
    "Next Speaker: {}",
    "**Next Speaker:** {}",
    "{}\n",
    "{}\n\nbecause of the lamp",
    "{}, I think",
    "{} (who is angry)",
]


@given(
    st.sampled_from(ANSWERS),
    st.sampled_from(DECORATIONS),
    st.sampled_from([str, str.upper, str.lower]),
    st.sampled_from(["name", "reasoned"]),
)
def test_every_name_is_understood_in_every_decoration(answer: str, decoration: str, cased: object, form: str) -> None:
    if form == "reasoned" and "because" in decoration:
        decoration = "Because of the lamp.\nNext Speaker: {}"
    reply = decoration.format(cased(answer))  # type: ignore[operator]
    assert read_answer(reply, NAMES, form=form)[0] == answer  # type: ignore[arg-type]


@given(st.text(), st.lists(st.text(min_size=1, max_size=12).filter(str.strip), max_size=5, unique=True))
def test_any_text_is_read_without_an_error(reply: str, names: list[str]) -> None:
    for form in ("name", "reasoned"):
        answer, note = read_answer(reply, names, form=form)  # type: ignore[arg-type]
        assert note in NOTES and (answer is None) == (note not in READ)
        assert answer is None or answer in (*names, RANDOM, END)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return read_scenes(write(tmp_path_factory.mktemp("scene"), [case()]))[0]


DRAW = Draw(1, "s", 4)


@given(
    answer=st.sampled_from([None, "Mrs. Ames", "Bo Jr.", "Cyrus", "Environment", RANDOM, END]),
    current=st.sampled_from(["Mrs. Ames", "Bo Jr.", "Cyrus", "Environment"]),
    may_end=st.booleans(),
    turn=st.integers(0, 99),
)
def test_nobody_speaks_twice_and_every_branch_has_a_name(
    scene: Scene, answer: str | None, current: str, may_end: bool, turn: int
) -> None:
    choice = follow(
        answer, "unknown" if answer is None else "exact", scene, current, may_end=may_end, draw=Draw(1, "s", turn)
    )
    assert choice.note in NOTES and choice.speaker != current
    if answer == END and may_end:
        assert choice.speaker is None and choice.note == "end"
    elif answer in scene.speakers and answer != current:
        assert (choice.speaker, choice.note) == (answer, "exact")
    else:
        assert choice.speaker in ("Mrs. Ames", "Bo Jr.", "Environment")  # never Cyrus, who is no major character
        expected = {None: "unknown", RANDOM: "random", END: "early_end"}.get(answer, "same_speaker")
        assert choice.note == expected


def test_all_speakers_can_be_drawn_where_no_major_one_is_left(tmp_path: Path) -> None:
    lines = [{"character": "Cyrus", "message": "Hm."}]
    data = case(speaking_characters_w_env=["Cyrus"], major_characters=[], dialogues=lines)
    (alone,) = read_scenes(write(tmp_path, [data]))
    assert draw_pool(alone, "Cyrus") == ("Environment",)
    assert draw_pool(alone, "Environment") == ("Cyrus",)


def test_the_draw_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from roleeval.benchmarks.coser.next import Draw\n"
        "print([Draw(s, f'b-{n}', n).one_of(['a', 'b', 'c', 'd']) for s in (1, 2) for n in range(12)])"
    )
    drawn = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(drawn) == 1
    letters = next(iter(drawn))
    assert all(letter in letters for letter in "abcd")
