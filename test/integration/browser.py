"""A headless Chromium for the status page, driven through Debian's chromium-driver and
python3-selenium; each one with a profile of its own."""

import json
import os
import shutil

import pytest

from cluster import make_dir
from waiting import SLOW, wait_for

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WIDE, NARROW = (1280, 1000), (390, 844)


def need():
    """Skips where it is not installed (test/run installs it where there is apt)."""
    if not CHROMIUM or not DRIVER:
        pytest.skip("needs Debian's chromium and chromium-driver")
    pytest.importorskip("selenium")


class Browser:
    def __init__(self):
        from selenium import webdriver  # pylint: disable=import-outside-toplevel
        self.directory = make_dir("browser-")
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                     "--force-color-profile=srgb", "--hide-scrollbars",
                     f"--user-data-dir={self.directory}"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.chrome.service.Service(
            DRIVER, env={**os.environ, "HOME": self.directory})
        self.driver = webdriver.Chrome(service=service, options=options)
        self.driver.set_page_load_timeout(30 * SLOW)
        self.driver.set_script_timeout(30 * SLOW)
        self.resize(*WIDE)

    def close(self):
        self.driver.quit()
        shutil.rmtree(self.directory, ignore_errors=True)

    def renew(self):
        """As after a start: one tab, which remembers nothing, and no complaints."""
        self.driver.execute_cdp_cmd("Storage.clearDataForOrigin",
                                    {"origin": "*", "storageTypes": "all"})
        for handle in self.driver.window_handles[1:]:
            self.driver.switch_to.window(handle)
            self.driver.close()
        before, = self.driver.window_handles
        self.driver.switch_to.window(before)
        if self.driver.current_url.startswith("http"):
            self.run("localStorage.clear()")
        self.driver.switch_to.new_window("tab")
        after = self.driver.current_window_handle
        self.driver.switch_to.window(before)
        self.driver.close()
        self.driver.switch_to.window(after)
        self.resize(*WIDE)
        self.complaints()

    # ---- how it looks ----

    def resize(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def prefer(self, scheme):
        """As the system's setting would: "light" or "dark"."""
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def screenshot(self, path):
        """All of the page, not only what fits into the window."""
        width, height = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        before = self.run("return innerHeight")
        self.resize(width, height)
        self.driver.save_screenshot(path)
        self.resize(width, before)

    # ---- what is there ----

    def open(self, url):
        self.driver.get(url)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def one(self, selector):
        return self.driver.find_element("css selector", selector)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def text(self, selector):
        """What can be seen of it; "" while it is not there."""
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def shown(self, selector):
        return self.run("return document.querySelector(arguments[0])?.checkVisibility() ?? false",
                        selector)

    def wait_text(self, selector, words, timeout=20.0):
        wait_for(lambda: words in self.text(selector), f"{words!r} in {selector}", timeout)

    def wait_shown(self, selector, timeout=20.0):
        wait_for(lambda: self.shown(selector), f"{selector} to be shown", timeout)

    def click(self, selector):
        self.wait_shown(selector)
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        self.one(selector).click()

    def type(self, *keys):
        """Into whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def focused(self):
        return self.run("return document.activeElement.id")

    def fetch(self, method, path):
        """As a script of the page would, without what the page adds to it."""
        return self.driver.execute_async_script("""
            const [method, path, done] = arguments;
            fetch(path, {method}).then(got => done(got.status), error => done(String(error)));
            """, method, path)

    def complaints(self):
        """What the console has that is no mere message, since the last call."""
        return [json.dumps(line) for line in self.driver.get_log("browser")
                if line["level"] not in ("DEBUG", "INFO")]
