import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.support import spelled
from tf_tokenrl.feedback import FeedbackStore
from tf_tokenrl.serving import Flags, Server

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
CONFIG = """
model_config_list {{ config {{
  name: "speller" base_path: "{base}" model_platform: "tensorflow"
  model_version_policy {{ all {{}} }}
  version_labels {{ key: "stable" value: 7 }}
  version_labels {{ key: "canary" value: 8 }}
}} }}
"""


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    """The embedded server with its page, over a model that spells prompts."""
    folder = tmp_path_factory.mktemp("playground")
    base = folder / "speller"
    spelled.put(base, 7)
    spelled.put(base, 8)
    config = folder / "models.config"
    config.write_text(CONFIG.format(base=base))
    flags = Flags(
        model_config_file=str(config),
        allow_version_labels_for_unavailable_models=True,
        port=0,
        rest_api_port=-1,
        feedback=f"sqlite:///{folder}/feedback.db",
        playground=True,
        playground_model="speller",
        playground_labels="stable,canary",
    )
    with Server(flags) as running:
        yield running


@pytest.fixture
def store(server):
    """Its store; only what a test adds is read."""
    with FeedbackStore(server._flags.feedback) as opened:
        found = [judged.position for judged in opened.read()]
        opened.first = max(found, default=0)
        yield opened


@pytest.fixture(scope="package")
def browser(tmp_path_factory):
    if not (CHROMIUM and CHROMEDRIVER):
        pytest.skip("needs chromium and chromedriver (Debian: chromium-driver)")
    options = Options()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('user')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(executable_path=CHROMEDRIVER))
    driver.set_window_size(1280, 1000)
    yield driver
    driver.quit()
