"""Runs curl and the SDKs of Python and JavaScript against the real binary. Called by run.sh.

    python run.py BINARY NODE_MODULES

Starts the scripted provider, `ai_proxy` in front of it, a second `ai_proxy` without any file (the
demo, on its fixed port 8001), a third that sends keep-alives and a fourth with several keys and aliases,
runs the tests, stops everything and looks at what is left.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
API_KEY = "sk-client-token-2468"
OTHER_KEY = "sk-another-token-1357"
NON_STREAM_TIMEOUT = 3.0
STREAM_TIMEOUT = 2.0
REQUEST_BYTES_MAX = 4 * 1024 * 1024

sys.path[:0] = [str(HERE), str(HERE.parent)]
import harness  # noqa: E402
from scripts import PROVIDER_KEY, PROVIDER_KEYS  # noqa: E402


def configuration(upstream_url):
    url = f"{upstream_url}/v1"
    return {
        "host": "localhost", "log_level": "INFO",
        "providers": [
            {"provider": "scripted", "baseurl": url + "/", "token": PROVIDER_KEY, "model_list": [],
             "passthrough": True},
            f"dead|http://127.0.0.1:{harness.free_port()}/v1|{PROVIDER_KEY}",
            {"provider": "listed", "baseurl": url, "token": PROVIDER_KEY, "model_list": ["echo/one"]},
            {"provider": "hidden", "baseurl": url, "token": PROVIDER_KEY},
        ],
        "tokens": [f"客户端测试|{API_KEY}", f"另一个|{OTHER_KEY}"],
        "supported_models": ["^(scripted|listed|dead)/"],
        "stream_timeout": STREAM_TIMEOUT, "non_stream_timeout": NON_STREAM_TIMEOUT,
        "max_request_size": REQUEST_BYTES_MAX,
    }


def early(config):
    """The same with both kinds of keep-alives, and with little patience."""
    return {**config, "early_keepalive": 0.1, "sse_keepalive": 0.1}


def routed(upstream_url):
    """Several keys and targets. Behind a star stands what a model's name says to the scripted provider."""
    url = f"{upstream_url}/v1"
    gone = [{"provider": name, "baseurl": f"http://127.0.0.1:{harness.free_port()}/v1", "model_list": []}
            for name in ("dead", "gone")]
    return {
        "log_level": "INFO",
        "providers": [
            {"provider": "keys", "baseurl": url, "token": PROVIDER_KEYS},
            {"provider": "other", "baseurl": url, "token": PROVIDER_KEY},
            *gone,
        ],
        "aliases": {
            "fast": "keys/echo",
            "claude-*": "keys/echo/claude-*",
            "two/*": ["keys/*", "other/*"],
            "limited/*": ["keys/status-429-7/*", "other/echo/*"],
            "mixed/*": ["other/status-429-7/*", "keys/status-500/*"],
            "nobody/*": ["dead/*", "gone/*"],
            "repeated/*": {"targets": ["keys/*", "other/*"], "retries": 2},
        },
        "tokens": [f"客户端测试|{API_KEY}"],
        "stream_timeout": STREAM_TIMEOUT, "non_stream_timeout": NON_STREAM_TIMEOUT,
    }


def farewell(proxies):
    """A test case of what is left once all tests are through."""

    class Farewell(unittest.TestCase):
        def test_nothing_is_left_in_flight(self):
            about = subprocess.run(["curl", "-sS", proxies[0].url + "/"], capture_output=True, text=True)
            print(f"  {about.stdout}")
            self.assertEqual(about.returncode, 0)

        def test_the_programs_stop_in_peace(self):
            self.assertEqual([proxy.stop() for proxy in proxies], [0] * len(proxies))

        def test_they_did_not_panic(self):
            for proxy in proxies:
                self.assertNotIn("panicked", proxy.errors.read_text(encoding="utf-8"))

        def test_they_kept_their_secrets(self):
            for proxy in proxies[0], proxies[3]:
                said = proxy.said()
                self.assertIn("状态: 200", said)
                for secret in API_KEY, OTHER_KEY, *PROVIDER_KEYS, "sk-wrong":
                    self.assertNotIn(secret, said)

    return unittest.defaultTestLoader.loadTestsFromTestCase(Farewell)


def run_node(modules):
    """Node resolves packages from the script's own directory, so the scripts are copied beside them."""
    beside = Path(modules).parent
    for old in beside.glob("*.mjs"):
        old.unlink()
    for script in HERE.glob("*.mjs"):
        (beside / script.name).write_bytes(script.read_bytes())
    tests = sorted(str(path) for path in beside.glob("*.test.mjs"))
    done = subprocess.run(["node", "--test", "--test-reporter=spec", *tests],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    print(done.stdout, done.stderr, sep="", flush=True)
    counts = {name: int(count) for name, count in
              re.findall(r"^ℹ (pass|fail|cancelled|skipped) (\d+)$", done.stdout, re.M)}
    failed = counts.get("fail", 0) + counts.get("cancelled", 0)
    if done.returncode and not failed:
        failed = 1
    return counts.get("pass", 0), failed, counts.get("skipped", 0)


def main():
    binary, modules = sys.argv[1:]
    harness.forget_surroundings()
    upstream = subprocess.Popen([sys.executable, HERE / "scripts.py"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
    upstream_url = f"http://127.0.0.1:{int(upstream.stdout.readline())}"
    counts, proxies = [], []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            proxies.append(harness.Proxy(binary, Path(scratch, "proxy"), configuration(upstream_url)))
            proxies.append(harness.Proxy(binary, Path(scratch, "demo")))
            proxies.append(harness.Proxy(binary, Path(scratch, "early"), early(configuration(upstream_url))))
            proxies.append(harness.Proxy(binary, Path(scratch, "routed"), routed(upstream_url)))
            os.environ.update({
                "BASE_URL": proxies[0].url, "API_KEY": API_KEY, "UPSTREAM_URL": upstream_url,
                "OTHER_KEY": OTHER_KEY, "PROVIDER_KEY": PROVIDER_KEY, "NODE_MODULES": modules,
                "LOG_FILE": str(proxies[0].log), "EARLY_URL": proxies[2].url, "ROUTED_URL": proxies[3].url,
                "DEMO_BANNER": str(proxies[1].banner), "DEMO_URL": proxies[1].url,
                "NON_STREAM_TIMEOUT": str(NON_STREAM_TIMEOUT), "STREAM_TIMEOUT": str(STREAM_TIMEOUT),
                "REQUEST_BYTES_MAX": str(REQUEST_BYTES_MAX),
            })
            counts.append(harness.run(harness.tests_in(HERE)))
            counts.append(run_node(modules))
            counts.append(harness.run(farewell(proxies)))
        finally:
            if any(failed for _, failed, _ in counts) and proxies:
                lines = proxies[0].log.read_text(encoding="utf-8").splitlines()
                lines = [line for line in lines if " INFO " not in line]
                print("--- what the proxy logged above INFO, and its standard error", *lines, sep="\n")
                print(proxies[0].errors.read_text(encoding="utf-8"))
            for process in [proxy.process for proxy in proxies] + [upstream]:
                if process.poll() is None:
                    process.kill()
    harness.close("clients", *counts)


if __name__ == "__main__":
    main()
