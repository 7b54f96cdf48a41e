"""Runs curl, openai-python and openai-node against the real binary. Called by run.sh.

    python run.py BINARY NODE_MODULES

Starts the scripted provider, `ai_proxy` in front of it, and a second `ai_proxy` without any file (the
demo, on its fixed port 8001), runs the tests, stops everything and looks at what is left.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
API_KEY = "sk-client-token-2468"
NON_STREAM_TIMEOUT = 3.0
STREAM_TIMEOUT = 2.0
REQUEST_BYTES_MAX = 4 * 1024 * 1024
START_MAX = 10.0

sys.path.insert(0, str(HERE))
from upstream import PROVIDER_KEY  # noqa: E402


class Proxy:
    """One running `ai_proxy`."""

    def __init__(self, binary, directory, config=None):
        self.directory = directory
        directory.mkdir()
        if config:
            path = directory / "config.json"
            path.write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
            path.chmod(0o600)
        self.banner, self.errors = directory / "stdout", directory / "stderr"
        with self.banner.open("wb") as out, self.errors.open("wb") as err:
            self.process = subprocess.Popen([binary], cwd=directory, stdout=out, stderr=err,
                                            stdin=subprocess.DEVNULL)
        self.url = f"http://localhost:{self.port()}"

    def port(self):
        deadline = time.monotonic() + START_MAX
        while time.monotonic() < deadline and self.process.poll() is None:
            banner = self.banner.read_text(encoding="utf-8")
            found = re.search(r"listening on http://\S+:(\d+)\n", banner)
            if found and "ai_proxy.log" in banner:
                return int(found[1])
            time.sleep(0.02)
        sys.exit(f"ai_proxy did not start: {self.errors.read_text(encoding='utf-8')}")

    def log(self):
        return (self.directory / "ai_proxy.log").read_text(encoding="utf-8")


def configuration(upstream_url):
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        dead = closed_soon.getsockname()[1]
    url = f"{upstream_url}/v1"
    return {
        "host": "localhost", "port": 0, "log_level": "INFO",
        "providers": [
            {"provider": "scripted", "baseurl": url + "/", "token": PROVIDER_KEY, "model_list": []},
            f"dead|http://127.0.0.1:{dead}/v1|{PROVIDER_KEY}",
            {"provider": "listed", "baseurl": url, "token": PROVIDER_KEY, "model_list": ["echo/one"]},
            {"provider": "hidden", "baseurl": url, "token": PROVIDER_KEY},
        ],
        "tokens": [f"客户端测试|{API_KEY}"],
        "supported_models": ["^(scripted|listed|dead)/"],
        "stream_timeout": STREAM_TIMEOUT, "non_stream_timeout": NON_STREAM_TIMEOUT,
        "max_request_size": REQUEST_BYTES_MAX,
    }


def farewell(proxies):
    """A test case of what is left once all tests are through."""

    class Farewell(unittest.TestCase):
        def test_nothing_is_left_in_flight(self):
            about = subprocess.run(["curl", "-sS", proxies[0].url + "/"], capture_output=True, text=True)
            print(f"  {about.stdout}")
            self.assertEqual(about.returncode, 0)

        def test_the_programs_stop_in_peace(self):
            for proxy in proxies:
                proxy.process.send_signal(signal.SIGTERM)
            for proxy in proxies:
                self.assertEqual(proxy.process.wait(timeout=15), 0)

        def test_they_did_not_panic(self):
            for proxy in proxies:
                self.assertNotIn("panicked", proxy.errors.read_text(encoding="utf-8"))

        def test_they_kept_their_secrets(self):
            for proxy in proxies[:1]:
                said = proxy.log() + proxy.errors.read_text(encoding="utf-8")
                said += proxy.banner.read_text(encoding="utf-8")
                self.assertIn("状态: 200", said)
                for secret in API_KEY, PROVIDER_KEY, "sk-wrong":
                    self.assertNotIn(secret, said)

    return unittest.defaultTestLoader.loadTestsFromTestCase(Farewell)


def run_python(suite):
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    return result.testsRun - failed - len(result.skipped), failed, len(result.skipped)


def run_node(modules):
    """Node resolves packages from the script's own directory, so the script is copied beside them."""
    script = Path(modules).parent / "openai.test.mjs"
    script.write_bytes((HERE / "openai.test.mjs").read_bytes())
    done = subprocess.run(["node", "--test", "--test-reporter=spec", str(script)],
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
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("OPENAI_"):
            del os.environ[name]
    upstream = subprocess.Popen([sys.executable, HERE / "upstream.py"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
    upstream_url = f"http://127.0.0.1:{int(upstream.stdout.readline())}"
    counts, proxies = [], []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            proxies.append(Proxy(binary, Path(scratch, "proxy"), configuration(upstream_url)))
            proxies.append(Proxy(binary, Path(scratch, "demo")))
            os.environ.update({
                "BASE_URL": proxies[0].url, "API_KEY": API_KEY, "UPSTREAM_URL": upstream_url,
                "LOG_FILE": str(proxies[0].directory / "ai_proxy.log"),
                "DEMO_BANNER": str(proxies[1].banner), "DEMO_URL": proxies[1].url,
                "NON_STREAM_TIMEOUT": str(NON_STREAM_TIMEOUT), "STREAM_TIMEOUT": str(STREAM_TIMEOUT),
                "REQUEST_BYTES_MAX": str(REQUEST_BYTES_MAX),
            })
            counts.append(run_python(unittest.defaultTestLoader.discover(str(HERE), "test_*.py")))
            counts.append(run_node(modules))
            counts.append(run_python(farewell(proxies)))
        finally:
            if any(failed for _, failed, _ in counts) and proxies:
                lines = [line for line in proxies[0].log().splitlines() if " INFO " not in line]
                print("--- what the proxy logged above INFO, and its standard error", *lines, sep="\n")
                print(proxies[0].errors.read_text(encoding="utf-8"))
            for process in [proxy.process for proxy in proxies] + [upstream]:
                if process.poll() is None:
                    process.kill()
    passed, failed, skipped = map(sum, zip(*counts))
    print(f"clients: {passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
