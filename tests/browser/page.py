"""What the browser tests share: one Chromium, and a page for each test."""

import atexit
import base64
import os
import tempfile
import unittest
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from harness import Proxy, eventually
from provider import Provider

BINARY = os.environ["BINARY"]
SCREENSHOTS = Path(os.environ["SCREENSHOTS"])
TOKEN = "sk-browser-1357"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--host-resolver-rules=MAP ai.test 127.0.0.1"]
SCRATCH = tempfile.TemporaryDirectory()
_driver = None


def driver():
    """The browser, started once."""
    global _driver
    if not _driver:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in FLAGS + [f"--user-data-dir={SCRATCH.name}/profile"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        _driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        atexit.register(_driver.quit)
        # Away from the new tab, which has its own things to say.
        _driver.get("about:blank")
    return _driver


class PageTest(unittest.TestCase):
    """A proxy with one scripted provider `p`, and the page open in English."""

    models = ["m", "other"]
    more_providers = []
    # A part of each line that the console may hold.
    expected_in_console = None

    def setUp(self):
        self.browser = driver()
        self.provider = Provider(self.models)
        self.addCleanup(self.provider.stop)
        self.proxy = Proxy(BINARY, Path(tempfile.mkdtemp(dir=SCRATCH.name), "proxy"), self.config())
        self.addCleanup(self.proxy.kill)
        self.browser.get_log("browser")
        self.open()

    def config(self):
        """What the proxy is started with; nothing: as the demo."""
        providers = [{"provider": "p", "baseurl": self.provider.url}, *self.more_providers]
        return {"providers": providers, "tokens": [f"browser|{TOKEN}"], "log_level": "INFO"}

    def tearDown(self):
        lines = [line["message"] for line in self.browser.get_log("browser")]
        expected = self.expected_in_console
        surprises = [line for line in lines if not (expected and expected in line)]
        self.browser.get("about:blank")
        self.assertEqual(surprises, [])

    def open(self, language="en-US,en", scheme="light", width=1280, height=900, url=None):
        """Opens the page anew and waits for its first look at the providers."""
        self.tune(language, scheme, width, height)
        self.browser.get(url or self.proxy.url + "/")
        # The models come last.
        eventually("the page has looked", lambda: self.text("count"))

    def tune(self, language="en-US,en", scheme="light", width=1280, height=900):
        """The browser's language, colours and size."""
        command = self.browser.execute_cdp_cmd
        agent = self.browser.execute_script("return navigator.userAgent")
        command("Network.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": language})
        command("Emulation.setEmulatedMedia",
                {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        command("Emulation.setDeviceMetricsOverride",
                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def screenshot(self, name):
        picture = self.browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))

    def find(self, name):
        return self.browser.find_element(By.ID, name)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def text(self, name):
        return self.find(name).get_property("textContent")

    def shows(self, name, text):
        """Waits until the element holds this text."""
        try:
            eventually(text, lambda: text in self.text(name))
        except AssertionError:
            self.fail(f"{name} shows {self.text(name)!r}, not {text!r}")

    def put(self, name, text):
        self.find(name).clear()
        self.find(name).send_keys(text)

    def send(self, model="p/m", token=TOKEN, prompt="hello"):
        self.put("model", model)
        self.put("token", token)
        self.put("prompt", prompt)
        self.find("send").click()
