"""What the runs of tests/clients, tests/browser and tests/fronts share: the proxy, and how tests are run."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import unittest

from provider import WAIT_MAX


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        return closed_soon.getsockname()[1]


def eventually(what, condition, wait=WAIT_MAX):
    """The first true value of `condition`."""
    deadline = time.monotonic() + wait
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen: {what}")
        time.sleep(0.02)


class Proxy:
    """A running `ai_proxy` in a directory of its own, with a configuration or as the demo."""

    def __init__(self, binary, directory, config=None):
        directory.mkdir(parents=True)
        host = "localhost"
        if config:
            config = {"host": "127.0.0.1", "port": 0} | config
            host = config["host"]
            path = directory / "config.json"
            path.write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
            path.chmod(0o600)
        self.log, self.banner, self.errors = (directory / name for name in ("ai_proxy.log", "stdout", "stderr"))
        with self.banner.open("wb") as out, self.errors.open("wb") as err:
            self.process = subprocess.Popen([binary], cwd=directory, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self.port = eventually("ai_proxy starts", self.listens_on)
        self.url = f"http://{host}:{self.port}"

    def listens_on(self):
        """The port, once the banner is complete."""
        if self.process.poll() is not None:
            raise AssertionError(f"ai_proxy did not start: {self.errors.read_text(encoding='utf-8')}")
        banner = self.banner.read_text(encoding="utf-8")
        found = re.search(r"listening on http://\S+:(\d+)\n", banner)
        return int(found[1]) if found and self.log.name in banner else None

    def said(self):
        """Everything it has printed and logged."""
        return "".join(path.read_text(encoding="utf-8") for path in (self.banner, self.errors, self.log))

    def stop(self):
        """Ends it as an operator would; returns its exit status."""
        self.process.terminate()
        return self.ended()

    def kill(self):
        """Ends it at once: a browser that keeps its connections makes a clean end take two seconds."""
        self.process.kill()
        self.ended()

    def ended(self):
        status = self.process.wait(timeout=15)
        sys.stderr.write(self.errors.read_text(encoding="utf-8"))
        return status


def forget_surroundings():
    """Nobody's own proxy or account may take part."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("OPENAI_", "ANTHROPIC_", "LANGCHAIN_", "LANGSMITH_")):
            del os.environ[name]


def tests_in(directory, pattern="test_*.py"):
    return unittest.defaultTestLoader.discover(str(directory), pattern)


def run(suite):
    """How many passed, failed and were skipped."""
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    return result.testsRun - failed - len(result.skipped), failed, len(result.skipped)


def close(name, *counts):
    """Prints the closing line, which .ci/run reads, and ends this process."""
    passed, failed, skipped = map(sum, zip(*counts))
    print(f"{name}: {passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)
