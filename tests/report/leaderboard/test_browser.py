"""The site in a real browser: what a reader can do, and what a model's text cannot."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from roleeval.report.judge_card import read_human_labels
from roleeval.report.leaderboard import Site

pytestmark = pytest.mark.slow  # a second each, and a browser

Open = Callable[..., Any]
ALPHA, BETA = "answers/alpha/seed1-0123abcd", "answers/beta/seed1-0123abcd"


@pytest.fixture
def opened(browser: Any, built: Site) -> Iterator[Open]:
    """Opens a view from the file; at the end nothing may have been logged, thrown or asked for outside the folder."""
    troubles: list[str] = []
    folder = built.page.parent.as_uri()
    contexts = []

    def go(view: str = "#/", *, width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 800}, accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: troubles.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: _within(request.url, folder) or troubles.append(f"asked: {request.url}"))
        page.goto(f"{built.page.as_uri()}{view}")
        ready(page)
        return page

    yield go
    for context in contexts:
        context.close()
    assert troubles == []


def _within(url: str, folder: str) -> bool:
    return url.startswith((f"{folder}/", "data:,", "blob:"))


def ready(page: Any) -> None:
    page.wait_for_selector("#page[data-ready]")


def view(page: Any, hash: str) -> None:
    """Goes to a view of the open page, and waits for it."""
    before = page.get_attribute("#page", "data-ready")
    page.evaluate("hash => { location.hash = hash }", hash)
    page.wait_for_function("before => document.getElementById('page').dataset.ready !== before", arg=before)


def first_cells(page: Any) -> list[str]:
    return [text.split("\n")[0] for text in page.locator("table.results tbody th").all_inner_texts()]


def test_leaderboard_leads_to_the_sentence_in_three_clicks(opened: Open) -> None:
    page = opened("#/")
    page.get_by_role("link", name="sessions", exact=True).first.click()
    page.get_by_role("heading", name="sessions").wait_for()
    page.locator("a.value[title*='Overall']").first.click()  # 1: a judge's number
    page.locator(".item a").first.click()  # 2: the worst sample
    mark = page.locator("mark.is-current").first
    mark.wait_for()
    assert mark.is_visible()
    assert mark.inner_text().startswith("Round 40”")
    in_sight = mark.evaluate(
        "node => { const box = node.getBoundingClientRect(); return box.top > 0 && box.bottom < innerHeight }"
    )
    assert in_sight
    card = page.locator(".finding.is-current")
    assert "contradiction" in card.inner_text()
    assert "It does not fit." in card.inner_text()


def test_sorting_by_a_column_and_back(opened: Open) -> None:
    page = opened("#/board/answers?group=eng/CUS")
    assert first_cells(page) == ["alpha", "beta"]  # the better one first
    page.get_by_role("button", name="Likeness").click()
    assert first_cells(page) == ["alpha", "beta"]
    assert page.locator("th[aria-sort=descending]").count() == 1
    page.get_by_role("button", name="Likeness").click()
    assert first_cells(page) == ["beta", "alpha"]
    assert page.locator("th[aria-sort=ascending]").count() == 1
    page.reload()
    ready(page)
    assert first_cells(page) == ["beta", "alpha"]


def test_the_table_over_benchmarks_is_sorted_as_it_says(opened: Open) -> None:
    page = opened("#/")
    assert "Model" in page.locator("th[aria-sort=ascending]").inner_text()
    assert first_cells(page)[1:3] == ["alpha", "beta"]  # families: hycora, base


def test_a_table_that_goes_on_fades_until_its_end_is_in_sight(opened: Open) -> None:
    page = opened("#/board/answers?group=eng/CUS", width=390)
    page.wait_for_selector(".scroll[data-more]")
    page.evaluate("() => { const box = document.querySelector('.scroll'); box.scrollLeft = box.scrollWidth; }")
    page.wait_for_selector(".scroll:not([data-more])")


def test_filters_by_family_judge_columns_and_name(opened: Open) -> None:
    page = opened("#/board/answers?group=eng/CUS")
    page.get_by_label("Family").select_option("hycora")
    page.wait_for_function("() => document.querySelectorAll('table.results tbody tr').length === 1")
    assert first_cells(page) == ["alpha"]
    page.get_by_label("Family").select_option("")
    page.get_by_label("Judge").select_option("none")
    page.wait_for_function("() => !document.querySelector('table.results thead').innerText.includes('Overall')")
    page.locator("details.menu summary").click()
    page.get_by_role("checkbox", name="Answer length").click()
    page.wait_for_function("() => !document.querySelector('table.results thead').innerText.includes('Answer length')")
    page.get_by_label("Model").fill("bet")
    page.wait_for_function("() => document.querySelectorAll('table.results tbody tr').length === 1")
    assert first_cells(page) == ["beta"]
    assert page.evaluate("document.activeElement.value") == "bet"  # still in the field


def test_intervals_are_drawn_and_said(opened: Open) -> None:
    page = opened("#/board/answers?group=eng/CUS")
    cell = page.locator("a.value[title*='Likeness, alpha']")
    assert "95 % interval" in cell.get_attribute("title")
    assert "missing" in cell.get_attribute("title")
    assert cell.locator("svg .range").count() == 1


def test_back_button_goes_through_the_views(opened: Open) -> None:
    page = opened("#/board/answers")
    page.locator("a.value").first.click()
    page.locator(".item a").first.click()
    page.locator(".talk").wait_for()
    page.go_back()
    page.locator(".list").wait_for()
    page.go_back()
    page.get_by_role("heading", name="answers", exact=True).wait_for()


def test_keys_walk_a_list_and_open_a_sample(opened: Open) -> None:
    page = opened(f"#/run/{ALPHA}?metric=words&group=eng&order=order")
    page.locator(".item").first.wait_for()
    for key in ("j", "ArrowDown", "k"):
        page.keyboard.press(key)
    assert page.locator(".item.current").get_attribute("data-place") == "1"
    page.keyboard.press("Enter")
    page.locator(".talk").wait_for()
    assert "eng%2F00001" in page.url
    before = page.get_attribute("#page", "data-ready")
    page.keyboard.press("j")
    page.wait_for_function("before => document.getElementById('page').dataset.ready !== before", arg=before)
    assert "eng%2F00002" in page.url


def test_a_failed_judgement_and_a_missing_value_are_explained(opened: Open) -> None:
    page = opened(f"#/sample/{ALPHA}/eng%2F00009")
    side = page.locator("aside.side").inner_text()
    assert "without a usable verdict, so the value is missing: no JSON in the reply" in side
    assert "no attempt of the judge gave a usable verdict" in side
    view(page, f"#/sample/{ALPHA}/eng%2F00007")
    assert "missing: the call of the model failed" in page.locator("aside.side").inner_text()
    view(page, f"#/sample/{ALPHA}/eng%2F00008")
    assert "that counts as the lowest value" in page.locator("#page").inner_text()


def test_thoughts_are_folded_away(opened: Open) -> None:
    page = opened(f"#/sample/{ALPHA}/eng%2F00013")
    assert "She hides this." not in page.locator("#page").inner_text()
    page.get_by_text("Thoughts (").click()
    page.get_by_text("She hides this.").wait_for()
    page.get_by_text("question with all attempts").click()
    page.get_by_text("not used: no JSON").wait_for()


def test_quotations_are_found_as_judges_give_them(opened: Open) -> None:
    """What `judging.verbatim` and `quoted` accept is found at its place, and nothing else is."""
    cases = [
        ("the sea is", "Upon my word, the sea is here.", "the sea is"),
        ("the sea\nis here", "Upon my word, the  sea is here.", "the  sea is here"),
        ('"No," she said', "He waited. “No,” she said.", "No,” she said"),
        ("it's 5 pm", "He says it’s ５ ｐｍ now.", "it’s ５ ｐｍ"),
        ("THE LAMP", "Mind the lamp.", "the lamp"),
        ("the lamp ... the sea", "Mind the lamp, and then the sea.", "the lamp|the sea"),
        # what a limit cut off is looked for by its first four fifths
        ("the lamp turns and the sea ansXX", "So the lamp turns and the sea answers.", "the lamp turns and the se"),
        ("nobody said this", "Mind the lamp.", ""),
        ("我是林黛玉", "她说：我是林黛玉。", "我是林黛玉"),
    ]
    page = opened("#/about")
    for quoted, text, expected in cases:
        found = page.evaluate(
            """([quote, text]) => {
              const sample = {turns: [{text}], judgements: [{judge: 0, parts: [{quote}]}]};
              const [finding] = RE.findings(sample, {judges: ['x']}, [0]);
              return finding.spans.map(([from, to]) => text.slice(from, to)).join('|');
            }""",
            [quoted, text],
        )
        assert found.strip() == expected, quoted


def test_scenes_and_sessions_read_as_conversations(opened: Open) -> None:
    page = opened("#/sample/scenes/alpha/seed1-0123abcd/scene-1")
    assert page.locator("article.turn.own").count() == 8
    assert page.locator("article.turn.scene .speaker").last.inner_text() == "Environment"
    assert "NSP: Sherlock Holmes" in page.locator(".talk > details").first.inner_text()
    view(page, "#/sample/sessions/alpha/seed1-0123abcd/session-1%2Frun_1?turn=90")
    page.wait_for_function("() => document.querySelectorAll('.talk article.turn').length === 102")
    assert page.locator("#turn-90.is-current").is_visible()
    assert page.locator("#turn-90 mark").inner_text().split() == ["the", "sea", "is", "everywhere"]
    assert "These words are not in the text" in page.locator("aside.side").inner_text()


def test_two_models_side_by_side_aligned_by_turn(opened: Open) -> None:
    runs = quote("sessions/alpha/seed1-0123abcd sessions/beta/seed1-0123abcd")
    page = opened(f"#/compare/sessions/session-1%2Frun_1?runs={runs}")
    rows = page.locator(".side-by-side .aligned:not(.heads)")
    assert rows.count() == 102
    assert rows.nth(0).inner_text().count("Mind the fourth step.") == 1  # what is the same stands once
    assert "of alpha" in rows.nth(40).locator(".cell").nth(0).inner_text()
    assert "of beta" in rows.nth(40).locator(".cell").nth(1).inner_text()
    assert rows.nth(40).locator("mark").count() == 2
    with page.expect_download() as both:
        page.get_by_role("button", name="Download").click()
    saved = [json.loads(line) for line in Path(both.value.path()).read_text(encoding="utf-8").splitlines()]
    assert [row["run"] for row in saved] == ["alpha/seed1-0123abcd", "beta/seed1-0123abcd"]


def test_differences_are_a_list_for_the_keyboard(opened: Open) -> None:
    page = opened(f"#/differ/answers?a={ALPHA}&b={BETA}&metric=likeness&group=eng/CUS")
    page.locator(".preview .aligned").first.wait_for()
    shown = page.locator(".item .num").all_inner_texts()
    gaps = [float(text.split("\n")[0].replace("−", "-")) for text in shown]
    assert gaps == sorted(gaps, key=abs, reverse=True)
    assert gaps[0] == 0.4
    first = page.locator(".preview > h2").inner_text()
    page.keyboard.press("j")
    page.wait_for_function("first => document.querySelector('.preview > h2').innerText !== first", arg=first)
    page.keyboard.press("Enter")
    page.locator(".side-by-side").wait_for()
    assert page.url.partition("#")[2].startswith("/compare/answers/")


def test_every_sample_and_turn_has_a_link(opened: Open) -> None:
    page = opened("#/sample/sessions/beta/seed1-0123abcd/session-0%2Frun_1")
    href = page.locator("#turn-3 .anchor").get_attribute("href")
    other = opened(href)
    assert other.locator("#turn-3.is-current").is_visible()


def test_downloads_hold_what_is_shown(opened: Open, tmp_path: Path) -> None:
    page = opened("#/board/answers?group=eng/CUS&family=hycora")
    with page.expect_download() as csv:
        page.get_by_role("button", name="CSV").click()
    lines = Path(csv.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("benchmark,model,family,run,metric,group,mean,ci_low,ci_high,n,missing")
    assert {line.split(",")[1] for line in lines[1:]} == {"alpha"}
    view(page, f"#/run/{ALPHA}?metric=likeness&group=eng/CUS")
    with page.expect_download() as found:
        page.get_by_role("button", name="JSONL").click()
    rows = [json.loads(line) for line in Path(found.value.path()).read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 66
    assert next(row for row in rows if row["sample"] == "eng/00007")["value"] is None


def test_citation_names_the_run(opened: Open) -> None:
    page = opened(f"#/run/{ALPHA}")
    page.get_by_role("button", name="Copy as citation").click()
    text = page.locator("dialog textarea").input_value()
    assert "@misc{roleeval-answers-alpha-seed1-0123abcd," in text
    assert "data embedded dddddddddddd" in text
    assert "judge-model" in text


def test_labels_are_blind_and_judge_card_reads_them(opened: Open, tmp_path: Path) -> None:
    page = opened("#/label/sessions")
    page.get_by_label("Your name").fill("me")
    page.get_by_label("Samples", exact=True).fill("2")
    page.get_by_role("button", name="Begin").click()
    page.locator(".choices").wait_for()
    task = page.locator(".task")
    assert "seed1" not in task.inner_text()
    for key in ("3", "5", "1", "2"):
        before = page.locator(".task [role=status]").inner_text()
        page.keyboard.press(key)
        if not before.startswith("4 of"):
            page.wait_for_function(
                "before => document.querySelector('.task [role=status]').innerText !== before", arg=before
            )
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save labels").click()
    file = tmp_path / "labels.jsonl"
    file.write_bytes(Path(saved.value.path()).read_bytes())
    labels = read_human_labels(file)
    assert [label.value for label in labels] == [2.0, 4.0, 0.0, 1.0]
    assert {label.criterion for label in labels} == {"overall"}
    assert {label.model for label in labels} == {"alpha/seed1-0123abcd", "beta/seed1-0123abcd"}
    assert {label.rater for label in labels} == {"me"}


@pytest.mark.parametrize("number", range(60, 65))
def test_hostile_text_is_only_text(opened: Open, number: int) -> None:
    page = opened(f"#/run/{ALPHA}?metric=likeness&group=eng/CUS&order=order")
    view(page, f"#/sample/{ALPHA}/eng%2F{number:05}")
    page.locator(".folds summary").first.click()
    assert page.title() != "owned"
    assert page.locator("#page script, #page img, #page iframe, #page a[href^='javascript']").count() == 0
    strange = page.evaluate(
        "[...document.querySelectorAll('#page *')].some(n => [...n.attributes].some(a => /^on/.test(a.name)))"
    )
    assert not strange
    text = page.locator("article.own > .text").inner_text()
    if number == 60:
        assert "<script>document.title='owned'</script>" in text
    if number == 62:
        assert "⟨U+202E⟩round⟨U+202C⟩" in text
        assert "with⟨U+200B⟩out" in text
    if number == 63:
        assert "⟨U+0000⟩⟨U+0007⟩⟨U+001B⟩[31m" in text


def test_hostile_names_are_only_names(opened: Open) -> None:
    page = opened("#/board/odd")
    page.locator("a.value").first.click()
    page.locator(".list").wait_for()
    page.locator(".side tbody th a").first.click()  # the role's page
    page.get_by_text("is played.").first.wait_for()
    page.locator(".item a").first.click()
    page.locator(".talk").wait_for()
    assert "⟨U+202E⟩" in page.locator("h1").inner_text() + page.locator(".crumbs").inner_text()
    assert page.locator("#page img").count() == 0
    page.locator("mark").first.click()
    page.reload()
    ready(page)
    assert page.locator("mark.is-current").count() == 1  # the address holds the quotation


def test_an_answer_of_5_mb_is_shown_in_parts(opened: Open) -> None:
    page = opened(f"#/sample/{ALPHA}/eng%2F00065")
    text = page.locator("article.own > .text")
    assert len(text.inner_text()) < 30_000
    page.get_by_role("button", name="more").click()
    assert len(text.inner_text()) > 100_000
    assert page.locator("mark").first.inner_text() == "it is true"


def test_plots_are_pictures_with_captions(opened: Open) -> None:
    page = opened("#/")
    page.get_by_role("link", name="Plots").click()
    picture = page.locator("figure.plot img")
    picture.wait_for()
    assert picture.evaluate("async node => { await node.decode(); return node.naturalWidth }") == 90
    assert page.locator("figcaption").inner_text() == "Means <b>of all</b>."


def test_a_damaged_run_says_so_and_keeps_its_numbers(opened: Open) -> None:
    page = opened("#/")
    page.get_by_text("not shown, and why").click()
    page.get_by_text("scenes/damaged/seed1-0123abcd").wait_for()
    view(page, "#/run/scenes/damaged/seed1-0123abcd")
    assert "The answers of this run are not shown" in page.locator(".warn").inner_text()
    assert page.locator("table.results").count() == 1


def test_a_wrong_link_is_a_sentence(opened: Open) -> None:
    page = opened("#/sample/answers/nobody/x/y")
    assert "This run is not among the results." in page.locator("#page").inner_text()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(opened: Open, width: int) -> None:
    page = opened("#/", width=width)
    runs = quote("sessions/alpha/seed1-0123abcd sessions/beta/seed1-0123abcd")
    views = (
        "#/board/answers",
        f"#/run/{ALPHA}",
        f"#/sample/{ALPHA}/eng%2F00061",
        f"#/compare/sessions/session-1%2Frun_1?runs={runs}",
        "#/differ/answers",
        "#/about",
    )
    for each in views:
        view(page, each)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), each


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_by_axe(opened: Open, scheme: str) -> None:
    script = _axe()
    page = opened("#/", color_scheme=scheme, bypass_csp=True)
    runs = quote("sessions/alpha/seed1-0123abcd sessions/beta/seed1-0123abcd")
    views = (
        "#/board/answers",
        f"#/run/{ALPHA}",
        "#/sample/sessions/alpha/seed1-0123abcd/session-1%2Frun_1",
        f"#/compare/sessions/session-1%2Frun_1?runs={runs}",
        "#/differ/answers",
        "#/label/answers",
        "#/about",
    )
    page.add_script_tag(content=script)
    found = []
    for each in views:
        view(page, each)
        page.wait_for_timeout(50)
        report = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
        found += [(each, v["id"], v["nodes"][0]["html"][:200]) for v in report["violations"]]
    assert found == []


def _axe() -> str:
    """axe-core, which is not part of the project: of axe-playwright-python, or a file that AXE_CORE names."""
    named = os.environ.get("AXE_CORE")
    if named:
        return Path(named).read_text(encoding="utf-8")
    package = pytest.importorskip("axe_playwright_python", reason="axe-core is not at hand (axe-playwright-python)")
    return Path(package.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
