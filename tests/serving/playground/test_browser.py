"""The page in a real browser: a person's whole path."""

import http.server
import threading

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 60
# Selects the first occurrence of a text in the first answer, as a pointer
# would: by UTF-16 units.
SELECT = """
const [text] = arguments;
const place = document.querySelector(".tokens");
const start = place.textContent.indexOf(text);
const at = (offset) => {
  for (const span of place.children) {
    const node = span.firstChild;
    const length = span.textContent.length;
    if (node && offset <= length) return [node, offset];
    offset -= length;
  }
};
const range = document.createRange();
range.setStart(...at(start));
range.setEnd(...at(start + text.length));
getSelection().removeAllRanges();
getSelection().addRange(range);
"""


@pytest.fixture
def page(browser, server):
    browser.get_log("browser")
    browser.get(f"http://127.0.0.1:{server.http_port}/playground/")
    browser.execute_script("sessionStorage.clear()")
    browser.refresh()
    yield browser
    assert browser.get_log("browser") == []


def until(page, condition):
    return WebDriverWait(page, SECONDS).until(lambda _: condition())


def find(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def texts(page, selector):
    """As they stand in the page, whether in sight or not."""
    return page.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map("
        "e => e.textContent)",
        selector,
    )


def ask(page, prompt, compare=False):
    page.execute_script(
        "document.getElementById('prompt').value = arguments[0]", prompt
    )
    until(page, lambda: texts(page, "#model") == ["speller"])
    if find(page, "#compare").is_selected() != compare:
        find(page, "#compare").click()
    find(page, "#seed").clear()
    find(page, "#seed").send_keys("1")
    find(page, "#ask button.main").click()
    until(page, lambda: texts(page, "#status") == ["The answer is complete."])


def said(page):
    """The page's word on the last judgement, once it is there."""
    last = ("", "Saving …")
    until(page, lambda: texts(page, ".said")[0] not in last)
    return texts(page, ".said")[0]


def judgements(store):
    return [judged.judgement for judged in store.read(store.first)]


def test_ask_look_judge_edit_and_return(page, store):
    ask(page, "open a file")
    assert texts(page, ".tokens") == ["open a file"]
    tokens = page.find_elements(By.CSS_SELECTOR, ".token")
    assert len(tokens) == len("open a file")
    assert "Log-prob" in tokens[3].get_attribute("title")
    assert "version 8" in find(page, ".facts").text
    colours = {t.value_of_css_property("background-color") for t in tokens}
    assert len(colours) > 5
    find(page, "#by-value").send_keys(Keys.SPACE)
    other = {t.value_of_css_property("background-color") for t in tokens}
    assert other != colours
    find(page, ".thumb[data-score='1']").click()
    assert "stored" in said(page)
    assert find(page, ".thumb").get_attribute("aria-pressed") == "true"
    page.find_elements(By.CSS_SELECTOR, ".stars button")[3].click()
    until(page, lambda: len(judgements(store)) == 2)
    find(page, ".edit").click()
    field = find(page, ".editor textarea")
    assert field.get_attribute("value") == "open a file"
    field.send_keys(" now")
    find(page, ".save").click()
    until(page, lambda: len(judgements(store)) == 3)
    thumb, stars, edit = judgements(store)
    assert (thumb.kind, thumb.score) == ("thumb", 1)
    assert (stars.kind, stars.score) == ("score", 0.75)
    assert (edit.kind, edit.edit) == ("edit", "open a file now")
    assert len({thumb.rater, stars.rater, edit.rater}) == 1 and thumb.rater
    ask(page, "another")
    assert len(page.find_elements(By.CSS_SELECTOR, "#history button")) == 2
    page.refresh()
    page.find_elements(By.CSS_SELECTOR, "#history button")[1].click()
    assert texts(page, ".tokens") == ["open a file"]
    find(page, ".thumb[data-score='-1']").click()
    assert "stored" in said(page)
    late = judgements(store)[-1]
    assert (late.answer, late.score) == (thumb.answer, -1)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("💩This is an annotation.", "annotation"),
        ("👩‍👩‍👧 are a family", "family"),
        ("👩‍👩‍👧 are a family", "👩‍👩‍👧"),
        ("été e\u0301te\u0301 fini", "fini"),
        ("مرحبا بالعالم", "بالعالم"),
        ("one\r\ntwo  ", "two"),
    ],
)
@pytest.mark.parametrize("score", [1, -1])
def test_a_marked_part_is_stored_in_code_points(page, store, text, word, score):
    shown = text.replace("\r\n", "\n")  # a text field has no \r
    ask(page, text)
    assert texts(page, ".tokens") == [shown]
    page.execute_script(SELECT, word)
    find(page, f".span[data-score='{score}']").click()
    assert "stored" in said(page)
    (span,) = judgements(store)
    assert (span.start, span.end) == (
        shown.index(word),
        shown.index(word) + len(word),
    )
    assert span.score == score
    painted = texts(page, ".token.good, .token.bad")
    assert "".join(painted) == word


def test_the_keyboard_is_enough(page, store):
    ask(page, "abcdef")
    place = find(page, ".tokens")
    place.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert "“b”: Log-prob" in find(page, ".token-note").text
    keys = ActionChains(page).key_down(Keys.SHIFT)
    keys.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).key_up(Keys.SHIFT)
    keys.send_keys("b").perform()
    assert "stored" in said(page)
    (span,) = judgements(store)
    assert (span.start, span.end, span.score) == (1, 4, -1)


def test_two_versions_side_by_side_until_the_vote(page, store):
    ask(page, "abc", compare=True)
    assert texts(page, "#answers h3") == ["Left", "Right"]
    whole = page.execute_script("return document.documentElement.outerHTML")
    assert "stable" not in whole and "canary" not in whole
    assert "version" not in "".join(texts(page, ".facts"))
    find(page, "#preference [data-side='right']").click()
    until(page, lambda: "vote is stored" in texts(page, "#revealed")[0])
    told = texts(page, "#revealed")[0]
    assert "stable, version 7" in told and "canary, version 8" in told
    buttons = page.find_elements(By.CSS_SELECTOR, "#preference button")
    assert not any(button.is_enabled() for button in buttons)
    (vote,) = judgements(store)
    assert (vote.kind, vote.side, vote.blind) == ("pair", "right", True)


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "</script><script>window.injected = 1</script>",
        "\"'><b>&amp;",
    ],
)
def test_markup_in_an_answer_is_text(page, text):
    ask(page, text)
    assert texts(page, ".tokens") == [text]
    assert texts(page, "#history button")[0].startswith(text)
    find(page, ".tokens").send_keys(Keys.ARROW_RIGHT)
    assert page.execute_script("return window.injected") is None
    assert not page.find_elements(By.CSS_SELECTOR, ".tokens img, .tokens b")


def test_what_cannot_be_stored_is_said_and_kept(page, server, store):
    ask(page, "abc")
    find(page, ".edit").click()
    find(page, ".editor textarea").send_keys(" better")
    page.execute_script(
        "window.real = fetch; window.fetch = () => Promise.reject(Error('off'))"
    )
    find(page, ".save").click()
    until(page, lambda: "Not saved: off" in texts(page, ".said")[0])
    field = find(page, ".editor textarea")
    assert field.get_attribute("value") == "abc better"
    # It is stored, but the answer is lost on the way back.
    page.execute_script(
        "window.fetch = (...a) => real(...a).then(() => { throw Error('x') })"
    )
    find(page, ".save").click()
    until(page, lambda: "Not saved: x" in texts(page, ".said")[0])
    page.execute_script("window.fetch = real")
    find(page, ".save").click()
    until(page, lambda: "stored" in texts(page, ".said")[0])
    (edit,) = judgements(store)
    assert edit.edit == "abc better"


EVIL = """<!doctype html><title>evil</title><script>
const base = "http://127.0.0.1:%d";
const body = JSON.stringify([{answer: "%s", kind: "thumb", score: -1}]);
const tries = [
  ["/v1/feedback/records", {method: "POST", body}],
  ["/v1/feedback/records", {method: "POST", body, mode: "no-cors"}],
  ["/v1/feedback/records", {method: "POST", body,
    headers: {"Content-Type": "application/json"}}],
  ["/playground/api/judgements", {method: "POST", body, mode: "no-cors"}],
  ["/playground/", {}],
  ["/playground/api/settings", {}],
];
Promise.all(tries.map(([path, options]) =>
  fetch(base + path, options).then(
    (r) => r.text().then((text) => text), () => ""))
).then((found) => { window.found = found; });
</script>"""


def test_another_site_can_neither_read_nor_write(browser, server, store, page):
    ask(page, "abc")
    answer = list(store.answers())[-1][1].key
    text = EVIL % (server.http_port, answer)

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        browser.get(f"http://localhost:{site.server_address[1]}/")
        found = until(
            browser, lambda: browser.execute_script("return window.found")
        )
        browser.get_log("browser")  # it complains, as it should
        site.shutdown()
    assert found == [""] * 6
    assert judgements(store) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1280])
def test_fits_the_screen_in_both_schemes(page, scheme, width):
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {
            "width": width,
            "height": 900,
            "deviceScaleFactor": 1,
            "mobile": False,
        },
    )
    ask(page, "Return the length of a list, or None", compare=True)
    root = "document.documentElement"
    assert page.execute_script(f"return {root}.scrollWidth") <= width
    ink, paper = page.execute_script(
        f"const s = getComputedStyle({root}), b = getComputedStyle(document."
        "body); return [b.color, b.backgroundColor].map(c => +c.match(/\\d+/))"
    )
    assert (ink < paper) == (scheme == "light")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_everything_that_can_be_used_has_a_name(page):
    ask(page, "abc", compare=True)
    find(page, ".edit").click()
    unnamed = page.execute_script(
        "return [...document.querySelectorAll('button, input, textarea')]"
        ".filter(e => e.offsetParent !== null && !(e.textContent.trim() ||"
        " e.getAttribute('aria-label') || e.labels?.length)).map("
        "e => e.outerHTML)"
    )
    assert unnamed == []
