"""The report in a real browser: what it shows, that it works, that nothing else runs."""

import pytest

from edgeconv.report import render
from edgeconv.verify import verdict_to_json
from tests.browser import Browser
from tests.unit.report.pages import (
    BENCH,
    HOSTILE,
    JPEG,
    MANIFEST,
    RECIPE,
    RECOVERY,
    SUSPICION,
    assert_equals_its_source,
    full_verdict,
    hostile,
    layers,
)

pytestmark = pytest.mark.long

CHANGED = [
    {"file": "model.tflite", "item": "cat/1.jpg", "reference": "cat", "candidate": "dog"}
    | {"expected": "cat"},
    {"file": "model.onnx", "item": "cat/1.jpg", "reference": "cat", "candidate": "fox"}
    | {"expected": "cat"},
]
DOCUMENTS = {
    "verdict.json": verdict_to_json(full_verdict()),
    "manifest.json": MANIFEST,
    "bench.json": BENCH,
    "recovery.json": RECOVERY,
}
FIGURES = """[...document.querySelectorAll("data")].map(
    (e) => [e.dataset.from ?? "", e.getAttribute("value"), e.textContent])"""
ORDER = """[...document.querySelectorAll("#t0 tbody tr")].map(
    (e) => e.querySelector("code").textContent)"""
BARS = """[...document.querySelectorAll(".blame")[0].querySelectorAll("svg.layer")].sort(
    (a, b) => parseFloat(a.getAttribute("x")) - parseFloat(b.getAttribute("x"))).map(
    (e) => document.getElementById(e.dataset.row).querySelector("code").textContent)"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("browser") / "profile")
    yield found
    found.close()


@pytest.fixture
def report(tmp_path, browser):
    path = tmp_path / "report.html"
    pictures = {"cat/1.jpg": JPEG}
    told = (full_verdict(), MANIFEST, BENCH, RECIPE, CHANGED, pictures)
    path.write_text(render(*told, recovery=RECOVERY))
    browser.console.clear()
    browser.requests.clear()
    return path


def middle(browser, selector):
    """Where an element's middle is, in the window, after it was scrolled there."""
    return browser.run(
        f"""new Promise((done) => {{
            const e = document.querySelector({selector!r});
            e.scrollIntoView({{block: "center", behavior: "instant"}});
            // The event of the scrolling comes with the next frame.
            requestAnimationFrame(() => requestAnimationFrame(() => {{
                const r = e.getBoundingClientRect();
                done([r.x + r.width / 2, r.y + r.height / 2]); }})); }})"""
    )


def test_every_figure_in_the_browser_equals_the_document_it_names(browser, report):
    browser.open(report)
    figures = browser.run(FIGURES)
    assert len(figures) > 100
    assert_equals_its_source(figures, DOCUMENTS)
    assert browser.run('document.getElementById("recipe").textContent') == RECIPE.strip()
    assert SUSPICION in browser.run("document.body.innerText")


@pytest.mark.parametrize("scripts", [True, False])
def test_the_page_asks_for_nothing_and_complains_of_nothing(browser, report, scripts):
    browser.open(report, scripts=scripts)
    assert browser.console == []
    outside = [url for url in browser.requests if not url.startswith("data:image/jpeg")]
    assert [url for url in outside if url != "data:,"] == [report.as_uri()]
    widths = browser.run("[...document.images].map((e) => e.naturalWidth)")
    assert widths == [8], "the thumbnail was not drawn"


@pytest.mark.parametrize(
    ("dark", "paper"), [(False, "rgb(252, 251, 249)"), (True, "rgb(23, 22, 20)")]
)
def test_both_schemes_have_their_colours(browser, report, dark, paper):
    browser.open(report, dark=dark)
    assert browser.run("getComputedStyle(document.body).backgroundColor") == paper


@pytest.mark.parametrize("width", [360, 390, 768, 1200])
def test_nothing_is_wider_than_a_phone(browser, report, width):
    browser.open(report, width=width)
    assert browser.run("document.documentElement.scrollWidth") == width
    wide = browser.run(
        """[...document.querySelectorAll("body *")].filter((e) =>
        !e.closest(".scroll, nav, pre, thead")
        && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 99))"""
    )
    assert wide == []


def test_without_scripts_the_tables_are_whole_and_no_button_is_dead(browser, report):
    browser.open(report, scripts=False)
    assert browser.run(ORDER) == [each["name"] for each in layers()]
    assert browser.run('document.querySelectorAll("button").length') == 0
    assert browser.run('document.querySelectorAll("svg.layer title").length') == 2 * len(layers())
    assert_equals_its_source(browser.run(FIGURES), DOCUMENTS)


def test_a_click_on_a_column_sorts_the_table_and_a_second_turns_it_round(browser, report):
    browser.open(report)
    known = [each for each in layers() if each["sqnr_db"] is not None]
    rising = [each["name"] for each in sorted(known, key=lambda each: each["sqnr_db"])]
    unknown = [each["name"] for each in layers() if each["sqnr_db"] is None]
    button = "#t0 th:nth-child(2) button"
    browser.click(*middle(browser, button))
    assert browser.run(ORDER) == rising[::-1] + unknown
    browser.click(*middle(browser, button))
    assert browser.run(ORDER) == rising + unknown
    assert browser.run('document.querySelector("#t0 th[aria-sort]").ariaSort') == "ascending"
    browser.click(*middle(browser, "#t0 th:first-child button"))
    assert browser.run(ORDER) == sorted(each["name"] for each in layers())


def test_the_bars_stand_in_the_order_of_the_graph_until_another_is_asked_for(browser, report):
    browser.open(report)
    graph = [each["name"] for each in sorted(layers(), key=lambda each: each["order"])]
    assert browser.run(BARS) == graph
    browser.click(*middle(browser, ".blame .tools button:nth-child(3)"))
    assert browser.run(BARS) == [each["name"] for each in layers()]
    browser.click(*middle(browser, ".blame .tools button:nth-child(1)"))
    assert browser.run(BARS) == graph


def test_a_bar_under_the_pointer_tells_its_row(browser, report):
    browser.open(report)
    browser.hover(*middle(browser, '.blame svg.layer[data-row="l0-1"]'))
    tip = browser.run('document.querySelector(".tip").innerText')
    jump = layers()[1]
    assert jump["name"] in tip and "20.0%" in tip and f"{jump['sqnr_db']:.1f} dB" in tip
    assert jump["reason"] in tip
    assert browser.run('document.querySelector("tr.marked").id') == "l0-1"
    browser.hover(2, 2)
    assert browser.run('document.querySelector(".tip").hidden') is True


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_run_nothing_and_stay_readable(tmp_path, browser, text):
    path = tmp_path / "report.html"
    path.write_text(render(*hostile(text)))
    browser.console.clear()
    browser.requests.clear()
    browser.open(path)
    # The tooltip and the sorted table are made by the script, of the same text.
    browser.hover(*middle(browser, '.blame svg.layer[data-row="l0-0"]'))
    browser.click(*middle(browser, "#t0 th:nth-child(2) button"))
    assert browser.console == []
    outside = [url for url in browser.requests if not url.startswith("data:")]
    assert outside == [path.as_uri()]
    assert browser.run("document.scripts.length") == 1
    assert browser.run('document.querySelectorAll("iframe, img:not([src^=data])").length') == 0
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
    assert browser.run('document.querySelector("h1").textContent') == shown
    assert browser.run('document.querySelector(".tip strong").textContent') == shown


def test_a_script_that_got_in_would_not_run(tmp_path, browser):
    """What the policy is for: a hole in the escaping, made here by hand."""
    path = tmp_path / "report.html"
    text = render(full_verdict())
    path.write_text(
        text.replace(
            "<h2", "<script>document.title = 'taken'</script><img src=x onerror=alert(1)><h2"
        )
    )
    browser.console.clear()
    browser.open(path)
    assert browser.run("document.title") == "model · fail"
    assert any("Content Security Policy" in line for line in browser.console)
