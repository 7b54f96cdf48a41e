"""The box to try a model: streams in pieces of any size, ends of every kind, and hostile text."""

import json
import threading

from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.common.keys import Keys

from harness import eventually
from page import TOKEN, PageTest
from provider import WAIT_MAX

HOSTILE = ['<img src=x onerror="window.pwned=1">', "\"'><script>window.pwned=1</script>",
           "javascript:window.pwned=1", "__proto__", "a&amp;b {0} $& $1 `", "constructor"]


class Chat(PageTest):
    def test_an_answer_arrives_word_by_word(self):
        shown = threading.Semaphore(0)

        def script(connection, _):
            connection.stream()
            for word in ["one ", "two ", "three"]:
                connection.delta(word)
                # The next word is not even sent before the page shows this one.
                if not shown.acquire(timeout=WAIT_MAX):
                    return
            connection.finish()

        self.provider.script = script
        self.send(prompt="count")
        for text in ["one ", "one two ", "one two three"]:
            self.shows("answer", text)
            self.assertEqual(self.text("answer"), text)
            self.assertEqual(self.text("progress"), "Streaming…")
            self.assertTrue(self.find("stop").is_displayed())
            shown.release()
        self.shows("progress", "Done in ")
        self.assertFalse(self.find("stop").is_displayed())
        request = self.provider.requests[-1]
        self.assertEqual(json.loads(request["body"]), {
            "model": "m", "stream": True, "messages": [{"role": "user", "content": "count"}],
            "stream_options": {"include_usage": True}})

    def test_events_may_be_cut_anywhere(self):
        events = ("\ufeff: keep-alive\r\n\r\ndata: {\"a\":1}\r\n\r\n:x\ndata:b\ndata: c\n\nevent: e\nid: 1\n\n"
                  "data: d\r\rdata\n\ndata: [DONE]\n\ndata: unfinished\n")
        cuts = """
            const bytes = new TextEncoder().encode(arguments[0]), seen = new Set();
            for (let i = 0; i <= bytes.length; i++) for (let j = i; j <= bytes.length; j++) {
              const decoder = new TextDecoder(), events = new Events(), found = [];
              for (const piece of [bytes.slice(0, i), bytes.slice(i, j), bytes.slice(j)])
                found.push(...events.feed(decoder.decode(piece, { stream: true })));
              seen.add(JSON.stringify(found));
            }
            return [...seen];"""
        expected = ['{"a":1}', "b\nc", "d", "[DONE]"]
        self.assertEqual([json.loads(found) for found in self.browser.execute_script(cuts, events)], [expected])

    def test_characters_may_be_cut_on_the_wire(self):
        def script(connection, _):
            connection.stream()
            connection.chunk(": keep-alive\r\n\r\n")
            event = json.dumps({"choices": [{"delta": {"content": "天空 🌍 é"}}]}, ensure_ascii=False)
            for byte in f"data: {event}\r\n\r\n".encode():
                connection.chunk(bytes([byte]))
            connection.finish()

        self.provider.script = script
        self.send()
        self.shows("progress", "Done")
        self.assertEqual(self.text("answer"), "天空 🌍 é")

    def test_thoughts_are_dimmed(self):
        def script(connection, _):
            connection.stream()
            for key, text in [("reasoning_content", "hm"), ("reasoning_content", "m"), ("content", "yes")]:
                connection.delta(text, key)
            connection.finish()

        self.provider.script = script
        self.send()
        self.shows("progress", "Done")
        parts = [(part.get_dom_attribute("class"), part.text) for part in self.all("#answer span")]
        self.assertEqual(parts, [("thought", "hmm"), ("said", "yes")])
        colours = [part.value_of_css_property("color") for part in self.all("#answer span")]
        self.assertNotEqual(*colours)

    def test_stop_drops_the_provider_s_connection(self):
        closed = threading.Event()

        def script(connection, _):
            connection.stream()
            connection.delta("endless")
            if connection.wait_for_close():
                closed.set()

        self.provider.script = script
        self.send()
        self.shows("answer", "endless")
        self.find("stop").click()
        self.assertTrue(closed.wait(WAIT_MAX), "the provider's connection stays open")
        self.shows("progress", "Stopped after")
        self.assertTrue(self.find("send").is_displayed())

    def test_leaving_drops_it_too(self):
        closed = threading.Event()
        self.provider.script = lambda connection, _: connection.wait_for_close() and closed.set()
        self.send()
        eventually("the chat is under way", lambda: self.provider.requests[-1]["method"] == "POST")
        self.browser.get("about:blank")
        self.assertTrue(closed.wait(WAIT_MAX), "the provider's connection stays open")

    def test_ends_of_every_kind(self):
        def without_done(connection, _):
            connection.stream()
            connection.delta("half")
            connection.send(b"0\r\n\r\n")

        def error_event(connection, _):
            connection.stream()
            connection.delta("half")
            connection.event('{"error":{"message":"overloaded <b>now</b>"}}')
            connection.wait_for_close()

        def garbage(connection, _):
            connection.stream()
            connection.event("not json")
            connection.wait_for_close()

        def whole(connection, _):
            connection.json({"choices": [{"message": {"content": "all at once"}}]})

        for script, said, answer in [(without_done, "Cut off before its end.", "half"),
                                     (error_event, "overloaded <b>now</b>", "half"),
                                     (garbage, "Not an answer: not json", ""), (whole, "Done", "all at once")]:
            with self.subTest(script.__name__):
                self.provider.script = script
                self.send()
                self.shows("progress", said)
                eventually("it is over", lambda: self.find("send").is_displayed())
                self.assertEqual(self.text("answer"), answer)
                failed = self.find("progress").get_dom_attribute("class") == "failed"
                self.assertEqual(failed, script is not whole)

    def test_tokens_are_shown_when_they_are_told(self):
        def told(connection, _):
            connection.stream()
            connection.delta("hi")
            connection.event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}})
            connection.finish()

        self.provider.script = told
        self.send()
        self.shows("progress", "9 tokens in, 5 out")
        self.assertRegex(self.text("progress"), r"^Done in [\d.]+ s, first word after [\d.]+ s · 9 tokens in, 5 out$")

    def test_ctrl_enter_sends(self):
        self.provider.script = lambda connection, _: (
            connection.stream(), connection.delta("hi"), connection.finish())
        self.put("model", "p/m")
        self.put("token", TOKEN)
        self.find("prompt").send_keys("hello", Keys.CONTROL, Keys.ENTER)
        self.shows("answer", "hi")


class Cut(PageTest):
    expected_in_console = "ERR_INCOMPLETE_CHUNKED_ENCODING"

    def test_a_provider_that_dies_is_told(self):
        shown = threading.Event()

        def script(connection, _):
            connection.stream()
            connection.delta("half")
            shown.wait(WAIT_MAX)
            connection.sock.shutdown(2)

        self.provider.script = script
        self.send()
        self.shows("answer", "half")
        shown.set()
        eventually("it is over", lambda: self.find("send").is_displayed())
        self.assertEqual(self.find("progress").get_dom_attribute("class"), "failed")
        # The proxy tells the cause in an event. Chromium drops it when the broken end comes with it.
        self.assertRegex(self.text("progress"), "provider p|Cut off before its end.")
        self.assertEqual(self.text("answer"), "half")


class Strict(PageTest):
    expected_in_console = "400 (Bad Request)"

    def test_a_provider_that_does_not_know_how_to_count_is_asked_without(self):
        def script(connection, request):
            if "stream_options" in json.loads(request["body"]):
                return connection.json({"error": {"message": "unknown field stream_options"}}, "400 Bad Request")
            connection.stream()
            connection.delta("hi")
            connection.finish()

        self.provider.script = script
        self.send()
        self.shows("progress", "Done")
        self.assertEqual(self.text("answer"), "hi")


class Refused(PageTest):
    expected_in_console = "Failed to load resource"

    def test_errors_are_shown_by_their_message(self):
        def busy(connection, _):
            connection.json({"error": {"message": "slow down"}}, "429 Too Many Requests")

        def bare(connection, _):
            connection.send(b"HTTP/1.1 500 Oops\r\ncontent-length: 11\r\n\r\n<h1>no</h1>")

        for options, script, said in [({"token": ""}, None, "401: no API token"),
                                      ({"token": "sk-wrong"}, None, "401: invalid API token"),
                                      ({"model": "nobody/x"}, None, "404: no such model"),
                                      ({}, busy, "429: slow down"), ({}, bare, "500: <h1>no</h1>")]:
            with self.subTest(said):
                self.provider.script = script
                self.send(**options)
                self.shows("progress", said)
                self.assertEqual(self.find("progress").get_dom_attribute("class"), "failed")

    def test_errors_of_the_proxy_follow_the_language(self):
        self.send(token="sk-wrong")
        self.shows("progress", "401: invalid API token")
        self.find("language").click()
        self.assertEqual(self.text("progress"), "401: API token无效")
        # What a provider says is left as it is.
        self.provider.script = lambda connection, _: connection.json(
            {"error": {"message": "余额不足 (code 1113)"}}, "402 Payment Required")
        for _ in range(2):
            self.send()
            self.shows("progress", "402: 余额不足 (code 1113)")
            self.find("language").click()

    def test_a_token_that_no_header_can_hold_is_told(self):
        self.send(token="令牌")
        self.shows("progress", "No connection: ")


class Hostile(PageTest):
    models = HOSTILE
    more_providers = [{"provider": name, "baseurl": "http://127.0.0.1:9", "model_list": HOSTILE}
                      for name in HOSTILE if "/" not in name]

    def test_names_and_answers_are_only_text(self):
        def script(connection, _):
            connection.stream()
            for text in HOSTILE:
                connection.delta(text)
            connection.event(json.dumps({"error": {"message": HOSTILE[0]}}))
            connection.wait_for_close()

        self.provider.script = script
        names = [item.get_property("textContent") for item in self.all("#providers b")]
        # Those that are down come first.
        self.assertEqual(names, [*(name for name in HOSTILE if "/" not in name), "p"])
        shown = [item.get_property("textContent") for item in self.all("#models li")]
        self.assertEqual(shown[:len(HOSTILE)], [f"p/{name}" for name in HOSTILE])
        self.all("#models button")[0].click()
        self.assertEqual(self.find("model").get_property("value"), f"p/{HOSTILE[0]}")
        self.put("filter", "<img")
        self.send(model=f"p/{HOSTILE[0]}")
        self.shows("progress", HOSTILE[0])
        self.assertEqual(self.text("answer"), "".join(HOSTILE))
        self.assertEqual(json.loads(self.provider.requests[-1]["body"])["model"], HOSTILE[0])
        self.assertEqual(self.all("main img, main script, main b[onerror]"), [])
        self.assertIsNone(self.browser.execute_script("return window.pwned ?? null"))
        with self.assertRaises(NoAlertPresentException):
            self.browser.switch_to.alert.accept()
