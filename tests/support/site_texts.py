"""Texts of three kinds of benchmarks for the site, and those that would like to be more than text."""

from collections.abc import Iterator

import site_results as made

from roleeval.types import Persona, Sample, Score, Transcript

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">",
    "[a link](javascript:document.title='owned') javascript:alert(1) <a href='javascript:alert(1)'>x</a>",
    "turned \u202eround\u202c, with\u200bout width, \u2066isolated\u2069, \ufeffmarked",
    "broken \ufffd\ufffe\uffff \x00\x07\x1b[31m and \U000e0001 text \u2028 line",
    "</script><script>roleevalData('index', '{}')</script> ${1+1} `tick` {{7*7}} '\"><svg onload=alert(1)>",
)
LONG = "I do assure you, it is true. " * 180_000  # 5 MB
SPEAKERS = ("Sherlock Holmes", "Elizabeth Bennet", "Long John Silver")


def singles(model: str) -> Iterator[made.Episode]:
    """Answers of a benchmark with references; the models differ in some."""
    better = 0.2 if model == "alpha" else 0.0
    for number in range(60):
        persona = made.HER if number % 2 else made.HIM
        yield made.single(
            number,
            f"{model} says: upon my word, answer {number} is a fine one.",
            persona=persona,
            likeness=None if number == 7 else round(0.3 + better * (number % 3) + number / 200, 4),
            errors=None if number == 9 else [made.error("answer 13 is a fine", 3)] if number == 13 else (),
            question=f"Question {number}: who are you?",
            thoughts="She hides this." if number == 13 else "",
            status="no_answer" if number == 8 else "ok",
        )
    for number, text in enumerate(HOSTILE, start=60):
        yield made.single(number, text, question=text, likeness=0.1, errors=[made.error(text[:40], 2, why=text)])
    yield made.single(65, LONG, likeness=0.9, errors=[made.error("it is true", 1)])
    yield made.single(66, "我是林黛玉。", persona=made.DAIYU, likeness=0.4, split="zh")


ODD = "<img src=x onerror=alert(1)> \u202e% ? # & + 名"


def odd() -> Iterator[made.Episode]:
    """Names that would like to be more than names: of ids, splits, roles and clusters."""
    persona = Persona(ODD, f"{ODD} is played.", "en")
    for number in range(3):
        sample = Sample(f"{ODD}/../{number}", number, "a b&c", ODD, persona, ODD, {ODD: (ODD,)}, {ODD: ODD}, {ODD: ODD})
        said = made.turn(f"{ODD} {number}", speaker=ODD)
        scores = [Score("words", float(number))]
        yield made.Episode(
            sample, Transcript(sample.id, "ok", (said,)), scores, [made.error(ODD, 2, kind=ODD, why=ODD)]
        )


def scenes(model: str) -> Iterator[made.Episode]:
    """Scenes with several speakers, an environment, and calls that nobody hears."""
    for number in range(3):
        turns = []
        for place in range(8):
            turns.append(made.turn(f"{SPEAKERS[place % 3]}", part="next", speaker="NSP", aside=True, note="exact"))
            turns.append(
                made.turn(f"{model}, scene {number}: line {place} by candle light.", speaker=SPEAKERS[place % 3])
            )
        turns.append(made.turn("(The wind pushes at the door.)", part="environment", speaker="Environment"))
        yield made.conversation(f"scene-{number}", number, turns)


def sessions(model: str) -> Iterator[made.Episode]:
    """Long sessions with a user; the judge names the turn."""
    for number in range(4):
        turns = [made.turn("Mind the fourth step.", part="given", speaker="Nils")]
        for place in range(1, 102):
            speaker, part = ("Iris", "user") if place % 2 else ("Nils", made.MODEL)
            turns.append(
                made.turn(f"“Round {place}” of {model}, and the  sea\nis everywhere.", part=part, speaker=speaker)
            )
        errors = [
            made.error('"Round 40" of ' + model + ", and the sea", 3, turn=40, kind="contradiction"),
            made.error("the sea is everywhere", 1, turn=90, kind="repetition"),
            made.error("words that nobody said", 2, turn=12, kind="invented"),
        ]
        yield made.conversation(f"session-{number}/run_1", number, turns, errors=errors if number == 1 else ())
