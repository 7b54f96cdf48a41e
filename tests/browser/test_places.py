"""Where the page is opened: below a path of a front, under another name, in a tab that nobody looks at."""

import subprocess
import tempfile
import time
from pathlib import Path

from harness import eventually, free_port
from page import SCRATCH, TOKEN, PageTest

NGINX = """
daemon off; pid nginx.pid; error_log nginx.log; events {{}}
http {{
    access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;
    uwsgi_temp_path u; scgi_temp_path s;
    server {{
        listen 127.0.0.1:{port};
        location /ai/ {{ proxy_pass {proxy}/; proxy_http_version 1.1; }}
        location = /bare {{ proxy_pass {proxy}/; }}
        location /bare/ {{ proxy_pass {proxy}/; proxy_http_version 1.1; }}
    }}
}}
"""


class BelowAPath(PageTest):
    def setUp(self):
        super().setUp()
        directory, port = Path(tempfile.mkdtemp(dir=SCRATCH.name)), free_port()
        directory.chmod(0o755)
        (directory / "nginx.conf").write_text(NGINX.format(port=port, proxy=self.proxy.url))
        command = ["nginx", "-p", directory, "-e", "nginx.log", "-c", directory / "nginx.conf"]
        nginx = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.addCleanup(nginx.wait)
        self.addCleanup(nginx.terminate)
        self.front = f"http://127.0.0.1:{port}"
        eventually("nginx is there", (directory / "nginx.pid").exists)

    def test_everything_works_with_and_without_the_last_slash(self):
        self.provider.script = lambda connection, _: (
            connection.stream(), connection.delta("through the front"), connection.finish())
        for path in "/ai/", "/bare", "/bare/":
            with self.subTest(path):
                self.open(url=self.front + path)
                self.shows("summary", "Everything is up.")
                self.assertEqual([item.text for item in self.all("#models li")], ["p/m", "p/other"])
                self.assertEqual(self.text("base"), f"{self.front}{path.rstrip('/')}/v1")
                self.send()
                self.shows("progress", "Done")
                self.assertEqual(self.text("answer"), "through the front")


class UnderAnotherName(PageTest):
    """Only a token opens the figures there."""

    def test_it_shows_what_is_open_and_the_rest_for_a_token(self):
        for language, hint, button in [("en", "type a token", "Send"), ("zh", "填入 token", "发送")]:
            with self.subTest(language):
                self.open(url=self.proxy.url.replace("127.0.0.1", "ai.test"), language=language)
                self.shows("providers", "up" if language == "en" else "正常")
                self.assertEqual(self.text("send"), button)
                self.assertIn(hint, self.text("calm"))
                self.assertEqual(len(self.all("#counters > div")), 4)
                self.assertEqual([item.text for item in self.all("#models li")], ["p/m", "p/other"])
                self.screenshot(f"without-figures-{language}")
                self.put("token", TOKEN + "\t")
                eventually("the figures are there", lambda: len(self.all("#counters > div")) == 6)
                self.assertNotIn(hint, self.text("calm"))

    def test_it_chats_with_a_provider_that_refuses_pages(self):
        def script(connection, request):
            # As Ollama does with pages of hosts that it does not know.
            if "origin" in request["headers"]:
                return connection.json({"error": "forbidden"}, "403 Forbidden")
            connection.stream()
            connection.delta("hello from the neighbour")
            connection.finish()

        self.provider.script = script
        self.open(url=self.proxy.url.replace("127.0.0.1", "ai.test"))
        self.send()
        self.shows("progress", "Done")
        self.assertEqual(self.text("answer"), "hello from the neighbour")
        self.screenshot("under-another-name")
        told = self.provider.requests[-1]["headers"].keys()
        self.assertFalse([name for name in told if name.startswith("sec-") or name in {"origin", "referer", "dnt"}])


class Hidden(PageTest):
    def test_nobody_is_probed_while_nobody_looks(self):
        page = self.browser.current_window_handle
        self.browser.switch_to.new_window("tab")
        time.sleep(1)
        before = len(self.provider.requests)
        # Longer than the page waits between two checks.
        time.sleep(32)
        self.assertEqual(len(self.provider.requests), before)
        self.browser.close()
        self.browser.switch_to.window(page)
        eventually("the page looks again", lambda: len(self.provider.requests) > before)
