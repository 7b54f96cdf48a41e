"""A page that comes from elsewhere: it chats, streams and reads what it is told, where `cors_origins` lists it."""

import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from harness import Proxy, eventually
from page import BINARY, SCRATCH, TOKEN, driver
from provider import WAIT_MAX, Provider

PAGE = b"""<!doctype html><meta charset="utf-8"><title>elsewhere</title><link rel="icon" href="data:,"><script>
const seen = {};
async function ask(proxy, path, token, body, more = {}) {
  for (const name of Object.keys(seen)) delete seen[name];
  seen.text = "";
  try {
    const answer = await fetch(proxy + path, body === null ? {} : {
      method: "POST", body: JSON.stringify(body),
      headers: { authorization: "Bearer " + token, "content-type": "application/json", ...more } });
    seen.status = answer.status;
    seen.headers = Object.fromEntries(answer.headers);
    const decoder = new TextDecoder(), reader = answer.body.getReader();
    for (let piece; !(piece = await reader.read()).done;)
      seen.text += decoder.decode(piece.value, { stream: true });
    seen.done = true;
  } catch (error) { seen.error = error.name; }
}
</script>"""


class Page(BaseHTTPRequestHandler):
    """Serves the page under any path."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


class Elsewhere(unittest.TestCase):
    """The page on another port of this machine: another origin."""

    def setUp(self):
        self.browser = driver()
        self.provider = Provider(["m"])
        self.addCleanup(self.provider.stop)
        site = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=site.serve_forever, daemon=True).start()
        self.addCleanup(site.server_close)
        self.addCleanup(site.shutdown)
        self.site = site.server_address[1]
        self.addCleanup(self.browser.get, "about:blank")

    def start(self, *origins, **more):
        directory = Path(tempfile.mkdtemp(dir=SCRATCH.name), "proxy")
        providers = [{"provider": "p", "baseurl": self.provider.url}]
        config = {"providers": providers, "tokens": [f"browser|{TOKEN}"], "cors_origins": origins, **more}
        self.proxy = Proxy(BINARY, directory, config)
        self.addCleanup(self.proxy.kill)
        self.browser.get(f"http://127.0.0.1:{self.site}/")

    def ask(self, path="/v1/chat/completions", token=TOKEN, body=(), **more):
        body = {"model": "p/m", "messages": []} | dict(body) if body is not None else None
        self.browser.execute_script("ask(...arguments)", self.proxy.url, path, token, body, more)

    def seen(self):
        return self.browser.execute_script("return seen")

    def end(self):
        """What the page has seen, once its request is over."""
        return eventually("the request is over", lambda: next(
            (seen for seen in [self.seen()] if "done" in seen or "error" in seen), None))

    def test_it_chats_and_reads_what_it_is_told(self):
        fields = [("retry-after", "7"), ("x-ratelimit-remaining-tokens", "41"), ("x-unnamed", "1"),
                  ("access-control-allow-origin", "*"), ("access-control-allow-credentials", "true"),
                  ("vary", "Accept-Encoding")]
        self.provider.script = lambda connection, _: connection.json({"answer": 1}, fields=fields)
        self.start("http://127.0.0.1:*")
        self.ask(**{"x-stainless-lang": "js"})
        seen = self.end()
        self.assertEqual((seen.get("status"), seen["text"]), (200, '{"answer": 1}'), seen)
        for name, value in ("retry-after", "7"), ("x-ratelimit-remaining-tokens", "41"):
            self.assertEqual(seen["headers"].get(name), value)
        self.assertTrue(seen["headers"]["x-request-id"])
        self.assertNotIn("x-unnamed", seen["headers"])
        told = self.provider.requests[-1]["headers"]
        self.assertEqual(told["x-stainless-lang"], "js")
        self.assertNotIn("origin", told)

    def test_it_streams(self):
        shown = threading.Semaphore(0)

        def script(connection, _):
            connection.stream([("access-control-allow-origin", "*")])
            for word in "one", "two":
                connection.event(word)
                # The next word is not even sent before the page has this one.
                if not shown.acquire(timeout=WAIT_MAX):
                    return
            connection.finish()

        self.provider.script = script
        self.start(f"http://127.0.0.1:{self.site}")
        self.ask(body={"stream": True})
        for text in "data: one\n\n", "data: one\n\ndata: two\n\n":
            eventually(text, lambda text=text: self.seen()["text"] == text)
            shown.release()
        self.assertTrue(self.end()["text"].endswith("data: [DONE]\n\n"))

    def test_it_sees_errors_also_behind_an_early_head(self):
        released = threading.Event()

        def script(connection, request):
            if b'"slow"' in request["body"]:
                released.wait(WAIT_MAX)
            connection.json({"error": "busy"}, "429 Too Many Requests", [("retry-after", "3")])

        self.provider.script = script
        self.start("*", early_keepalive=0.1)
        for what, status in (
                ({"token": "sk-wrong"}, 401), ({"body": {"model": "x/y"}}, 404), ({"path": "/v1/nothing"}, 404),
                ({"path": "/v1/messages", "token": "sk-wrong"}, 401), ({"body": None}, 405), ({}, 429)):
            with self.subTest(what):
                self.ask(**what)
                # Chromium asks before it sends a token, and there is no such path to ask about.
                expected = {"error": "TypeError"} if what.get("path") == "/v1/nothing" else {"status": status}
                seen = self.end()
                self.assertEqual(seen, seen | expected)
        self.assertEqual(seen["headers"]["retry-after"], "3")
        self.ask(body={"stream": True, "user": "slow"})
        eventually("a sign of life", lambda: "keep-alive" in self.seen()["text"])
        released.set()
        seen = self.end()
        self.assertEqual((seen["status"], "busy" in seen["text"]), (200, True), seen)

    def test_a_page_that_is_not_listed_can_read_nothing_and_chat_with_nobody(self):
        self.provider.script = lambda connection, _: connection.json(
            {}, fields=[("access-control-allow-origin", "*")])
        self.start("https://chat.example")
        for what in ({}, {"path": "/v1/models", "body": None}, {"path": "/", "body": None}):
            with self.subTest(what):
                self.ask(**what)
                self.assertEqual(self.end().get("error"), "TypeError")
        self.assertEqual([request for request in self.provider.requests if request["method"] == "POST"], [])
