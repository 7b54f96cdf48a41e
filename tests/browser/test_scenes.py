"""The page as it looks in every situation, in both languages, light and dark, wide and narrow: nothing overflows, and
axe-core finds nothing."""

import os
import time
import unittest
from pathlib import Path

import scenes
from harness import eventually
from page import PageTest

AXE = Path(os.environ["AXE"]).read_text(encoding="utf-8")


class Scene(PageTest):
    name = None

    def look(self):
        """Opens the page in every manner, and looks at it."""
        for language in "en", "zh":
            for scheme in "light", "dark":
                for width in 1280, 390:
                    with self.subTest(language=language, scheme=scheme, width=width):
                        self.arrange(language, scheme, width)
                        self.screenshot(f"{self.name}-{language}-{scheme}-{width}")
                        self.check(width)

    def arrange(self, language, scheme, width):
        self.open(language=language, scheme=scheme, width=width)
        self.settle()

    def settle(self):
        """Waits until every provider was looked at."""
        rows = "[...document.querySelectorAll('#providers tr')]"
        eventually("all are known", lambda: self.browser.execute_script(
            f"return {rows}.every(row => row.className === 'up' || row.className === 'down')"))

    def check(self, width):
        wide = self.browser.execute_script("return document.documentElement.scrollWidth")
        self.assertLessEqual(wide, width)
        self.browser.execute_script(AXE)
        found = self.browser.execute_async_script(
            "const done = arguments[0];"
            "axe.run({resultTypes: ['violations']}).then(({violations}) => done(violations.map("
            "({id, nodes}) => [id, nodes.slice(0, 3).map(node => [node.html, node.failureSummary])])), done)")
        self.assertEqual(found, [])


class Demo(Scene):
    name = "demo"

    def config(self):
        return None

    def test_demo(self):
        self.look()


class Six(Scene):
    name = "six"

    def config(self):
        return scenes.six(self)

    def test_six(self):
        scenes.traffic(self.proxy)
        self.look()


class Forty(Scene):
    name = "forty"

    def config(self):
        return scenes.forty(self)

    def test_forty(self):
        self.look()


class Gone(Scene):
    name = "gone"
    expected_in_console = "ERR_CONNECTION_REFUSED"

    def config(self):
        return scenes.six(self)

    def test_gone(self):
        scenes.traffic(self.proxy)
        self.open()
        self.settle()
        self.proxy.stop()
        self.shows("summary", "The proxy does not answer.")
        self.look()

    def arrange(self, language, scheme, width):
        # There is nobody to open it anew from.
        self.tune(language, scheme, width)
        if self.browser.execute_script("return language") != language:
            self.find("language").click()


class Nobody(Scene):
    name = "none"

    def config(self):
        return scenes.none(self)

    def test_none(self):
        self.look()


if __name__ == "__main__":
    unittest.main()
