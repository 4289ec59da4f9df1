"""Pictures: drawn wherever the data allow, in letters that exist, the same bytes for the same data."""

import json
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from judge_stubs import scripted, shown_answers
from judged import configured, execute, points
from matplotlib.font_manager import get_font
from typer.testing import CliRunner

from roleeval.cli.main import app
from roleeval.engines import ModelSource
from roleeval.judging import RubricJudge
from roleeval.report import Report, plots
from roleeval.report.judge_card import judge_cards
from roleeval.report.plots import canvas, rounds
from roleeval.report.plots.canvas import KINDS
from roleeval.report.plots.judges import agreement, controls
from roleeval.types import MODEL, Persona, Request, Sample, Transcript, Turn
from tests.report.tables.test_columns import info, session
from tests.report.tables.test_standings import MakeRun, model

SIZES = [{"base": 10**6, "adapters": {"total": n * 1000, "per_added_role": n}} for n in range(3)]


def drawn(root: Path, out: Path, monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...] = ("svg",)) -> dict[str, Path]:
    """File name -> file. One kind is enough for most tests, and three take their time."""
    monkeypatch.setattr(canvas, "KINDS", kinds)
    return {file.name: file for file in Report([root]).write_plots(out)}


def captions(files: dict[str, Path]) -> dict[str, str]:
    parts = files["captions.md"].read_text(encoding="utf-8").split("![](")[1:]
    return {name: text.strip() for name, _, text in (part.partition(".svg)") for part in parts)}


@pytest.fixture
def models(tmp_path: Path, make_run: MakeRun) -> Path:
    for number, name in enumerate(("base", "孙悟空", "$x_1$")):
        model(make_run, name, number / 20, folder=f"m{number}", parameters=SIZES[number])
    return tmp_path / "results"


def test_every_plot_that_the_data_allow_has_a_caption_with_n_and_data(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = drawn(models, tmp_path / "out", monkeypatch)
    kinds = {name.partition("_")[0] for name in files if name.endswith(".svg")}
    assert kinds == {"means", "differences", "parameters", "roles"}  # no lengths, no judge, no transcripts
    said = captions(files)
    assert len(said) == len(files) - 1
    for text in said.values():
        assert text.startswith("rolebench") and "n 48 a model" in text and "12 roles" in text
        assert "data embedded (hash dddddddddddd)" in text and "95 % intervals over roles" in text
    assert "from base" in next(text for name, text in said.items() if name.startswith("differences"))
    for file in files.values():
        if file.suffix == ".svg":
            ElementTree.parse(file)


def test_one_kind_of_file_is_enough_where_it_is_asked_for(
    tmp_path: Path, make_run: MakeRun, entry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session(make_run, entry, "alpha", [info("wit", headline=True, higher_is_better=True)])
    given = ["report", str(tmp_path / "results"), "--out", str(tmp_path / "out"), "--plots", "--plot-formats"]
    assert CliRunner().invoke(app, [*given, "png"]).exit_code == 0
    files = list((tmp_path / "out" / "plots").iterdir())
    assert {file.suffix for file in files} == {".png", ".md"}
    assert f"![]({max(files).name})" in (tmp_path / "out" / "plots" / "captions.md").read_text(encoding="utf-8")
    refused = CliRunner().invoke(app, [*given, "png,gif"])
    assert refused.exit_code == 1 and "--plot-formats gif: no such format" in refused.output


def test_three_kinds_of_file_are_the_same_bytes_twice(
    tmp_path: Path, make_run: MakeRun, entry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session(make_run, entry, "alpha", [info("wit", headline=True, higher_is_better=True)])
    first, second = (drawn(tmp_path / "results", tmp_path / out, monkeypatch, KINDS) for out in "ab")
    assert {file.suffix for file in first.values()} == {".svg", ".pdf", ".png", ".md"}
    assert {n: f.read_bytes() for n, f in first.items()} == {n: f.read_bytes() for n, f in second.items()}


def test_plots_of_an_earlier_report_do_not_stay(
    models: Path, tmp_path: Path, make_run: MakeRun, entry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "out" / "plots" / "means_gone.svg"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    session(make_run, entry, "alpha", [info("wit", headline=True, higher_is_better=True)])
    drawn(tmp_path / "results" / "rolebench" / "alpha", tmp_path / "out", monkeypatch)
    assert not old.exists()


def test_chinese_names_have_letters_and_no_boxes() -> None:
    with canvas.styled():
        import matplotlib
        from matplotlib.font_manager import FontProperties, fontManager

        files = fontManager._find_fonts_by_props(FontProperties(family=matplotlib.rcParams["font.family"]))
    fonts = [get_font(file) for file in files]
    for letter in "诸葛亮林黛玉王熙凤猪八戒孙悟空，。「」↑↓≈±–":
        assert any(font.get_char_index(ord(letter)) for font in fonts), letter


def test_points_over_a_series_are_a_line(
    tmp_path: Path, make_run: MakeRun, entry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = [
        info(f"judge/x@1-2/chunk_{n}", "points", judged=True, higher_is_better=True, series="chunk of 20", place=n)
        for n in (2, 1, 10)
    ]
    session(make_run, entry, "alpha", [*chunks, info("wit", headline=True)])
    files = drawn(tmp_path / "results", tmp_path / "out", monkeypatch)
    assert [name for name in files if name.startswith("course")] == ["course_arena_sessions_judge_x_chunk_of_20.svg"]
    (course,) = (text for name, text in captions(files).items() if name.startswith("course"))
    assert "points over chunk of 20" in course


def test_dimensions_of_a_judge_are_compared_by_family(
    tmp_path: Path, make_run: MakeRun, entry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"headline": True, "higher_is_better": True, "low": 0.0, "high": 10.0, "judged": True}
    infos = [info(f"judge/x@1-2/{name}", "points", **more) for name in ("tone", "wit", "pace")]
    infos.append(info("judge/x@1-2/overall", "points", primary=True, **more))
    for name in ("alpha", "beta"):
        session(make_run, entry, name, infos, mean=5.0)
    files = drawn(tmp_path / "results", tmp_path / "out", monkeypatch)
    assert "dimensions_arena_sessions_judge_x.svg" in files


def test_scenes_have_a_course_of_words_and_of_quoted_faults(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model(make_run, "alpha", 0.0)
    words = ("I know nothing.", "It was the porter, my friend!", "Good.", "Not mine")
    turns = tuple(Turn("R", (), text, text, "", "ok", "stop", 0, 0, "", part=MODEL) for text in words)
    samples = [Sample(f"s/{n}", n, "en", f"role{n}", Persona("R", "", "en"), "?", {}) for n in range(4)]
    flaws = [{"instance": words[1], "type": "knowledge", "severity": 3}]
    kept = [_Kept("judge/x@1-2", sample.id, {"flaws": flaws}) for sample in samples]
    monkeypatch.setattr(rounds, "_episodes", lambda row: [(s, Transcript(s.id, "ok", turns)) for s in samples])
    monkeypatch.setattr(rounds, "read_judgements", lambda file: kept)
    (row,) = Report([folder])._contents.collection.rows
    course = rounds.words_by_round([row])
    assert course is not None and course.ticks == ("1", "2", "3", "4")
    assert [entry.mean for entry in course.entries[0] if entry] == [3.0, 6.0, 1.0, 2.0]
    faults = rounds.quotes_by_round([row], "judge/x@1-2")
    assert faults is not None and [entry.mean for entry in faults.entries[0] if entry] == [0.0, 1.0, 0.0, 0.0]
    assert rounds.quotes_by_round([row], "judge/y@1-2") is None


class _Kept:
    control = None

    def __init__(self, column: str, sample_id: str, verdict: dict[str, Any]) -> None:
        self.column, self.sample_id, self.verdict = column, sample_id, verdict


def by_length(request: Request, *, shift: int) -> str:
    (text,) = shown_answers(request).values()
    return points(1 + (len(text) + shift) % 5, quote=text[:12])


def test_judges_have_agreement_and_controls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "KINDS", ("svg",))
    for name, shift in (("one", 0), ("two", 1)):
        judge = RubricJudge(
            name=name,
            engine=scripted(name, partial(by_length, shift=shift)),
            source=ModelSource("judge"),
            controls=3,
        )
        execute(configured(tmp_path, judge, limit=4))
    cards = judge_cards([tmp_path])
    with canvas.styled():
        drawings = [agreement(cards, "agreement"), *(controls(card, card.judge) for card in cards)]
        drawn = [drawing.saved() for drawing in drawings if drawing]
    assert [plot.name for plot in drawn] == ["agreement", "one", "two"]
    assert all("prompts rubric" in plot.caption and " n " in plot.caption for plot in drawn)


def test_the_command_needs_a_folder_for_plots(models: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(models), "--plots"])
    assert done.exit_code != 0 and "--out DIR" in done.output


def test_criteria_of_one_name_have_plots_of_their_own() -> None:
    plots_of = [canvas.Plot(name, "", {}) for name in ("roles_a", "roles_b", "roles_A", "roles_a")]
    assert [plot.name for plot in plots._apart(plots_of)] == ["roles_a", "roles_b", "roles_A_2", "roles_a_3"]


def test_names_of_files_are_safe(
    tmp_path: Path, make_run: MakeRun, entry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = session(make_run, entry, "alpha", [info("../../wit; rm", headline=True, higher_is_better=True)])
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["benchmark"]["name"] = "../a b"
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    files = drawn(tmp_path / "results", tmp_path / "out", monkeypatch)
    assert {file.parent for file in files.values()} == {tmp_path / "out" / "plots"}
