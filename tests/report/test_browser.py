"""The page in a real browser: no error, no request, everything works."""

import json
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tf_tokenrl.report import write_report

CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER),
    reason="needs chromium and chromedriver (Debian: chromium-driver)",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = Options()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('user')}")
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    driver = webdriver.Chrome(options, Service(executable_path=CHROMEDRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, run, tmp_path):
    """The browser, showing a fresh report."""
    path = write_report(run, tmp_path / "page.html")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(path.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def colours(page) -> list[str]:
    return page.execute_script(
        "return [...document.querySelectorAll('.token')].map("
        "token => getComputedStyle(token).backgroundColor)"
    )


def requested(page) -> set[str]:
    events = (
        json.loads(entry["message"])["message"]
        for entry in page.get_log("performance")
    )
    return {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        and event["params"]["documentURL"] == page.current_url
    }


def open_all(page) -> None:
    page.execute_script(
        "document.querySelectorAll('details').forEach(d => d.open = true)"
    )


def drawn(page) -> list[bool]:
    """For each figure: is there a line in it?"""
    return page.execute_script(
        "return [...document.querySelectorAll('.drawing')].map("
        "d => !!d.querySelector('svg .scatterlayer .trace .lines path'))"
    )


def test_only_the_file_itself_is_requested(page):
    open_all(page)
    own = page.current_url
    assert {u for u in requested(page) if not u.startswith("data:")} == {own}


def test_curves_are_drawn_and_the_others_when_opened(page):
    assert drawn(page) == [True] * 5 + [False] * 6
    page.find_element(By.CSS_SELECTOR, "details.more > summary").click()
    page.execute_async_script("requestAnimationFrame(arguments[0])")
    assert drawn(page) == [True] * 11


def test_choice_of_quantity_recolours_the_tokens(page):
    seen = []
    for name in ("reward", "advantage", "kl", "value"):
        page.find_element(By.ID, f"by-{name}").send_keys(Keys.SPACE)
        legends = page.find_elements(By.CSS_SELECTOR, ".legend")
        shown = [x.get_attribute("class") for x in legends if x.is_displayed()]
        assert shown == [f"legend for-{name}"]
        seen.append(tuple(colours(page)))
    assert len(set(seen)) == 4


def test_opposite_signs_get_different_hues(page):
    page.find_element(By.ID, "by-advantage").send_keys(Keys.SPACE)
    hue = page.execute_script(
        "const tokens = [...document.querySelectorAll('.token')];"
        "const by = t => +t.style.getPropertyValue('--advantage');"
        "tokens.sort((a, b) => by(a) - by(b));"
        "return [tokens[0], tokens.at(-1)].map(t => { const [l, a, b] ="
        " getComputedStyle(t).backgroundColor.match(/-?[\\d.e-]+/g);"
        " return +b })"
    )
    assert hue[0] > 0 > hue[1]  # oklab b: yellow against blue


def test_numbers_can_be_shown_without_a_pointer(page):
    content = (
        "return getComputedStyle(document.querySelector('.token'), '::after')"
        ".content"
    )
    assert page.execute_script(content) == "none"
    page.find_element(By.ID, "numbers").send_keys(Keys.SPACE)
    number = page.execute_script(
        "return document.querySelector('.token').dataset.reward"
    )
    assert page.execute_script(content) == f'"{number}"'


def test_script_in_a_prompt_is_only_text(page):
    open_all(page)
    shown = page.find_element(By.CSS_SELECTOR, ".prompt pre").text
    assert shown.endswith("</script><script>window.injected = 1</script>")
    assert page.execute_script("return window.injected") is None


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
            "height": 800,
            "deviceScaleFactor": 1,
            "mobile": False,
        },
    )
    open_all(page)
    root = "document.documentElement"
    assert page.execute_script(f"return {root}.scrollWidth") <= width
    ink, paper = page.execute_script(
        f"const s = getComputedStyle({root}), b = getComputedStyle(document."
        "body); return [b.color, b.backgroundColor].map(c => +c.match(/\\d+/))"
    )
    assert (ink < paper) == (scheme == "light")
