"""What the page shows, in which language, and on which screens."""

import time
import unittest

from harness import free_port
from page import TOKEN, PageTest


def luminance(colour):
    channels = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """As WCAG 2 defines it."""
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


class Page(PageTest):
    def test_it_speaks_the_browser_s_language(self):
        for languages, lang, words in [("en-US,en", "en", "Everything is up."),
                                       ("zh-CN,zh", "zh-CN", "一切正常"),
                                       ("zh-TW", "zh-CN", "一切正常"),
                                       ("fr-FR,zh-CN,en", "zh-CN", "一切正常"),
                                       ("fr-FR,en-GB,zh", "en", "Everything is up."),
                                       ("ja", "en", "Everything is up.")]:
            with self.subTest(languages):
                self.open(language=languages)
                self.assertEqual(self.text("summary"), words)
                self.assertEqual(self.find("summary").get_property("lang") or
                                 self.browser.execute_script("return document.documentElement.lang"), lang)

    def test_no_english_is_left_in_chinese(self):
        self.open(language="zh-CN")
        text = self.browser.execute_script("return document.body.innerText")
        for word in ["Models", "Providers", "Prompt", "Send", "since", "requests", "Filter"]:
            self.assertNotIn(word, text)
        self.assertEqual(self.find("filter").get_property("placeholder"), "筛选")
        self.assertEqual(self.text("h-answer"), "回答")

    def test_a_provider_goes_down_and_comes_back(self):
        self.assertEqual(self.text("summary"), "Everything is up.")
        self.shows("providers", "up")
        self.provider.stop()
        self.find("check").click()
        self.shows("summary", "No provider answers.")
        self.assertRegex(self.text("providers"), r"down since \d\d:\d\d:\d\d")
        self.assertEqual(self.browser.title, "▼ ai_proxy")
        self.screenshot("down")
        self.provider.start()
        # A report younger than two seconds would be served again.
        time.sleep(2)
        self.find("check").click()
        self.shows("summary", "Everything is up.")
        self.assertRegex(self.text("providers"), r"up since \d\d:\d\d:\d\d")

    def test_chats_are_counted_and_the_page_itself_is_not(self):
        self.provider.script = lambda connection, _: connection.json({"choices": []})
        self.shows("counters", "chats, last minute0")
        for number in range(1, 4):
            self.send()
            self.shows("progress", "Done")
            self.put("prompt", "")
            self.shows("counters", f"{number} in the last hour")
        self.shows("counters", "went wrong, last hour0 %0 of 3 chats")

    def test_it_lists_the_endpoints(self):
        for language, words in [("en", "Endpoints"), ("zh-CN", "接口")]:
            self.open(language=language)
            [summary] = self.all("summary")
            self.assertEqual(summary.text, words)
            summary.click()
            self.shows("endpoints", "POST /v1/audio/transcriptions\n")
            self.assertTrue(self.find("endpoints").is_displayed())

    def test_every_control_has_a_name(self):
        for control in self.all("input, textarea, button, #answer"):
            if control.is_displayed() or control.get_dom_attribute("id") in ("stop", "answer"):
                name = control.accessible_name if control.is_displayed() else "hidden"
                self.assertTrue(name, control.get_dom_attribute("id"))

    def test_text_has_contrast_in_light_and_dark(self):
        for scheme in "light", "dark":
            self.open(scheme=scheme)
            colours = {name: self.browser.execute_script(
                "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0]).trim()",
                f"--{name}").replace("#fff", "#ffffff" if scheme == "light" else "#fff")
                for name in ["ink", "soft", "good", "bad", "paper", "card", "edge", "focus"]}
            colours = {name: value[:7] for name, value in colours.items()}
            for ground in "paper", "card":
                for ink, least in [("ink", 7), ("soft", 4.5), ("bad", 4.5), ("good", 3), ("edge", 3), ("focus", 3)]:
                    self.assertGreaterEqual(contrast(colours[ink], colours[ground]), least, (scheme, ink, ground))

    def test_it_fits_a_phone(self):
        for width in 320, 390, 820, 1280:
            self.open(width=width)
            wide = self.browser.execute_script("return document.documentElement.scrollWidth")
            self.assertLessEqual(wide, width)

    def test_screenshots(self):
        self.provider.script = lambda connection, _: (
            connection.stream(), connection.delta("Let me think about it. ", "reasoning_content"),
            connection.delta("One answer, word by word. 一个回答。"), connection.finish())
        for language in "en", "zh":
            for scheme in "light", "dark":
                for width in 1280, 390:
                    self.open(language=language, scheme=scheme, width=width)
                    self.send(prompt="Hello 你好")
                    self.shows("answer", "一个回答。")
                    self.screenshot(f"{language}-{scheme}-{width}")


class Mixed(PageTest):
    more_providers = [{"provider": "dead", "baseurl": f"http://127.0.0.1:{free_port()}", "model_list": ["d"]}]

    def test_one_of_two_is_down(self):
        self.assertEqual(self.text("summary"), "1 of 2 providers down.")
        # The one in trouble comes first.
        states = [item.get_dom_attribute("class") for item in self.all("#providers tr")]
        self.assertEqual(states, ["down", "up"])
        # Words tell it too, not only colours.
        for item, word in zip(self.all("#providers .state"), ["down", "up"]):
            self.assertRegex(item.text, rf"^{word} since \d\d:\d\d:\d\d$")
        self.assertEqual([item.text for item in self.all("#providers .code")], ["connect", ""])


class Thousands(PageTest):
    models = [f"vendor/model-{number:04}" for number in range(3000)] + ["Needle-7B"]

    def test_the_list_is_cut_and_the_filter_finds(self):
        self.assertEqual(self.text("count"), "3,001")
        self.assertEqual(len(self.all("#models li")), 200)
        self.assertIn("2,801", self.text("more"))
        self.put("filter", "NEEDLE")
        self.assertEqual([item.text for item in self.all("#models li")], ["p/Needle-7B"])
        self.assertEqual((self.text("count"), self.text("more")), ("1 / 3,001", ""))
        self.put("filter", "vendor 0299")
        self.assertEqual([item.text for item in self.all("#models li")], ["p/vendor/model-0299"])
        self.put("filter", "nothing such")
        self.assertEqual((self.all("#models li"), self.text("more")), ([], "No model matches."))

    def test_a_model_is_picked_with_the_keyboard(self):
        self.put("filter", "needle")
        button = self.all("#models button")[0]
        button.send_keys("\n")
        self.assertEqual(self.find("model").get_property("value"), "p/Needle-7B")
        self.assertEqual(button.get_dom_attribute("aria-pressed"), "true")
        self.put("model", "0042")
        self.assertEqual(len(self.all("#suggestions option")), 1)

    def test_a_provider_s_models_are_one_click_away(self):
        self.put("filter", "nothing")
        self.all("#providers button")[0].click()
        self.assertEqual(self.find("filter").get_property("value"), "p/")
        self.assertEqual(self.browser.switch_to.active_element.get_dom_attribute("id"), "filter")

    def test_the_token_is_forgotten_with_the_page(self):
        self.put("token", TOKEN)
        self.open()
        self.assertEqual(self.find("token").get_property("value"), "")
        kept = "return JSON.stringify([localStorage, sessionStorage]) + document.cookie"
        self.assertEqual(self.browser.execute_script(kept), "[{},{}]")


if __name__ == "__main__":
    unittest.main()
