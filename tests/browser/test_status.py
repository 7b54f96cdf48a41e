"""What the page makes of the proxy's figures: reasons, problems, a proxy that is gone, and who can use it how."""

import json
import shlex
import threading
import time
import unittest

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

import scenes
from harness import Proxy, eventually
from page import BINARY, TOKEN, PageTest
from provider import WAIT_MAX, Provider


class Six(PageTest):
    def config(self):
        return scenes.six(self)

    def test_reasons_are_told_in_the_viewer_s_language(self):
        self.shows("summary", "2 of 6 providers down.")
        self.assertEqual([item.text for item in self.all("#providers b")][:2], ["deepseek", "ollama"])
        self.assertEqual([item.text for item in self.all("#providers .code")][:2], ["401", "connect"])
        self.shows("providers", "the provider does not accept the key, status 401")
        self.find("language").click()
        self.shows("providers", "提供商不接受密钥，状态 401")
        self.shows("summary", "6 个提供商中有 2 个不可用")

    def test_the_last_problems_are_told(self):
        scenes.traffic(self.proxy)
        eventually("all are there", lambda: len(self.all("#problems li")) == 6)
        told = [item.text for item in self.all("#problems .line")]
        # Two of the same in a row are one line.
        self.assertRegex(told[2], r"^\d\d:\d\d:\d\d\s+401\s+deepseek/deepseek-chat\s+home-assistant\s+provider\s+× 2$")
        self.assertRegex(told[3], r"404\s+nobody/x\s+laptop\s+client$")
        self.assertIn("too many requests, or the quota is used up, status 429", self.text("problems"))
        self.assertFalse(self.find("calm").is_displayed())
        self.find("language").click()
        self.assertIn("请求过多，或额度已用完，状态 429", self.text("problems"))
        strips = [strip.accessible_name for strip in self.all("#providers svg")]
        self.assertEqual(strips[0], "2 次请求，2 次失败")

    def test_the_chosen_language_is_remembered(self):
        self.find("language").click()
        self.open()
        self.shows("summary", "6 个提供商中有 2 个不可用")
        self.assertEqual(self.browser.execute_script("return document.documentElement.lang"), "zh-CN")
        self.find("language").click()
        self.open(language="zh")
        self.shows("summary", "2 of 6 providers down.")
        self.browser.execute_script("localStorage.clear()")

    def test_what_a_client_needs_is_copied(self):
        self.browser.execute_cdp_cmd("Browser.grantPermissions", {
            "permissions": ["clipboardReadWrite"], "origin": self.proxy.url})
        for index, (name, text) in enumerate([("base", f"{self.proxy.url}/v1"), ("curl", "curl http")]):
            button = self.all("[data-copy]")[index]
            button.click()
            eventually("it says so", lambda: button.text == "Copied")
            copied = self.browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
            self.assertEqual(copied, self.text(name))
            self.assertTrue(copied.startswith(text))
            eventually("it can be copied again", lambda: button.text == "Copy")

    def test_a_command_to_copy_survives_the_shell(self):
        self.put("model", "p/it's \"quoted\" $HOME")
        command = self.text("curl")
        self.assertNotIn(TOKEN, command)
        words = shlex.split(command)
        self.assertEqual(json.loads(words[words.index("-d") + 1])["model"], "p/it's \"quoted\" $HOME")


class Gone(PageTest):
    expected_in_console = "ERR_CONNECTION"

    def test_a_proxy_that_is_gone_is_told_and_one_that_comes_back_too(self):
        self.shows("summary", "Everything is up.")
        colour = lambda: self.find("summary").value_of_css_property("color")
        before = colour()
        self.proxy.stop()
        self.shows("summary", "The proxy does not answer.")
        self.assertRegex(self.text("checked"), r"^No answer since \d\d:\d\d:\d\d\.$")
        self.assertNotEqual(colour(), before)
        self.assertEqual(self.browser.title, "▼ ai_proxy")
        directory = self.proxy.log.parent
        again = Proxy(BINARY, directory / "again", self.config() | {"port": self.proxy.port})
        self.addCleanup(again.kill)
        self.shows("summary", "Everything is up.")
        self.assertEqual(colour(), before)


class Slow(PageTest):
    def setUp(self):
        self.gate = threading.Event()
        self.addCleanup(self.gate.set)
        test = self

        class Silent(Provider):
            def answer(self, connection, request):
                test.gate.wait(WAIT_MAX)
                super().answer(connection, request)

        self.slow = Silent()
        self.addCleanup(self.slow.stop)
        self.more_providers = [{"provider": "slow", "baseurl": self.slow.url, "model_list": ["s"]}]
        super().setUp()

    def test_one_slow_provider_holds_back_no_other_row(self):
        states = lambda: [item.get_dom_attribute("class") for item in self.all("#providers tr")]
        eventually("the other row is there", lambda: states() == ["unknown", "up"])
        self.assertEqual([item.text for item in self.all("#providers .state")][0], "not checked")
        self.gate.set()
        eventually("both are", lambda: states() == ["up", "up"])


class Forty(PageTest):
    def config(self):
        return scenes.forty(self)

    def test_neither_forty_providers_nor_a_thousand_models_stretch_the_box(self):
        self.shows("summary", "3 of 40 providers down.")
        self.assertLess(self.find("try").size["height"], 450)
        self.assertLess(self.find("models").size["height"], 310)
        self.assertEqual(len(self.all("#providers tr")), 12)
        [button] = self.all("#rest button")
        self.assertEqual(button.text, "Show all 40")
        button.click()
        self.assertEqual(len(self.all("#providers tr")), 40)
        self.assertLess(self.find("try").size["height"], 450)
        button.click()
        self.assertEqual(len(self.all("#providers tr")), 12)


class Nobody(PageTest):
    def config(self):
        return scenes.none(self)

    def test_empty_states_say_what_to_do(self):
        for language, provider, model, token, problem in [
                ("en", "Write a provider into config.json", "name them in model_list", "add one to tokens",
                 "Nothing has gone wrong"),
                ("zh", "写入提供商", "写在 model_list 中", "tokens 中添加", "没有出错")]:
            with self.subTest(language):
                self.open(language=language)
                for name, text in [("none", provider), ("more", model), ("tokens", token), ("calm", problem)]:
                    self.shows(name, text)
                    self.assertTrue(self.find(name).is_displayed())
                self.assertIn(f"curl -X POST {self.proxy.url}/v1/reload", self.text("example"))


class Demo(PageTest):
    def config(self):
        return None

    def test_the_demo_chats_without_a_mouse(self):
        self.shows("summary", "Everything is up.")
        self.assertEqual(self.find("token").get_property("value"), "sk-test-123456")
        self.assertIn("Bearer sk-test-123456", self.text("curl"))
        focused = lambda: self.browser.switch_to.active_element.get_dom_attribute("id")
        keys = ActionChains(self.browser)
        for _ in range(30):
            keys.send_keys(Keys.TAB).perform()
            if focused() == "model":
                break
        self.assertEqual(focused(), "model")
        for expected in ["token", "prompt", "send"]:
            keys.send_keys(Keys.TAB).perform()
            self.assertEqual(focused(), expected)
        keys.send_keys(Keys.ENTER).perform()
        self.shows("progress", "Done in")
        self.assertEqual(self.text("answer"), "Say hello in one sentence.")
        self.assertRegex(self.text("progress"), r"· \d+ tokens in, 5 out$")
        self.screenshot("keyboard")
        # Back in the prompt, another one, sent from there.
        self.assertEqual(focused(), "send")
        keys.key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
        keys.key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys("once more").perform()
        keys.key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
        self.shows("answer", "once more")
        self.shows("counters", "2 in the last hour")


class Quiet(PageTest):
    def test_a_page_that_is_open_costs_few_checks(self):
        self.shows("summary", "Everything is up.")
        time.sleep(8)
        # The list at the start, and at most the check of a page that came before it was known.
        self.assertLessEqual(len(self.provider.requests), 2)


if __name__ == "__main__":
    unittest.main()
