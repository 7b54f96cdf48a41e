"""What the client tests share: where things are, as run.py has put it into the environment."""

import itertools
import json
import os
import re
import time
import unittest
import urllib.request
from pathlib import Path

import harness

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
OTHER_KEY = os.environ["OTHER_KEY"]
PROVIDER_KEY = os.environ["PROVIDER_KEY"]
NODE_MODULES = Path(os.environ["NODE_MODULES"])
# The same with `early_keepalive` and `sse_keepalive`.
EARLY_URL = os.environ["EARLY_URL"]
# With several keys, targets and aliases.
ROUTED_URL = os.environ["ROUTED_URL"]
UPSTREAM_URL = os.environ["UPSTREAM_URL"]
LOG_FILE = os.environ["LOG_FILE"]
DEMO_BANNER = os.environ["DEMO_BANNER"]
NON_STREAM_TIMEOUT = float(os.environ["NON_STREAM_TIMEOUT"])
STREAM_TIMEOUT = float(os.environ["STREAM_TIMEOUT"])
REQUEST_BYTES_MAX = int(os.environ["REQUEST_BYTES_MAX"])

# The promise: whoever hangs up drops the provider's connection within a second.
CLOSED_WITHIN = 1.0

UNICODE = "你好，世界 🌍👩‍👩‍👧‍👦 naïve Ω \u202eשלום\u202c \\ \"quoted\" \u2028 \x7f 𝒜 é ½ ﷽"

_numbers = itertools.count()


def model(script, provider="scripted"):
    """A model id with a tag of its own, and the tag."""
    tag = f"py{next(_numbers)}"
    return f"{provider}/{script}/{tag}", tag


def seen(tag, closed=False):
    """What the provider saw under this tag; with `closed`, once the proxy has hung up."""
    url = f"{UPSTREAM_URL}/seen/{tag}" + ("/closed" if closed else "")
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def asked(tag, body=json.loads):
    """The one request under this tag, its body read by `body`. No token of the client's came with it."""
    [request] = seen(tag)["requests"]
    assert API_KEY not in json.dumps(request), f"the client's token went upstream: {request}"
    return {**request, "body": body(request["body"]) if body else request["body"]}


def user(text):
    return [{"role": "user", "content": text}]


class ClientTest(unittest.TestCase):
    def assert_ended(self, tag, how):
        """What the proxy's log says of the one request under this tag."""
        pattern = re.compile(rf"模型: \S+/{tag} .* 结束: (.*) 耗时: ")
        lines = harness.eventually(
            f"a line for {tag}", lambda: pattern.findall(Path(LOG_FILE).read_text(encoding="utf-8")))
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(how, lines[0])

    def assert_complete(self, tag):
        self.assert_ended(tag, "完成 (complete)")

    def assert_closed(self, tag, since):
        """The proxy has hung up on the provider, and soon enough."""
        self.assertTrue(seen(tag, closed=True)["closed"], "the provider's connection stays open")
        self.assertLess(time.monotonic() - since, CLOSED_WITHIN)
