"""The two fronts as deploy/ has them, on free ports, before two proxies with one scripted provider."""

import itertools
import os
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import Proxy, eventually, free_port
from provider import Provider

BINARY = os.environ["BINARY"]
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
TOKEN = "sk-fronts-8642"

# What nginx.conf is included by; Debian's own, as far as it matters.
NGINX = """
daemon off; pid nginx.pid; error_log nginx.log warn; worker_processes 2; events {{}}
http {{
    access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include {site};
}}
"""


def listens(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


class FrontTest:
    """Mixed into a TestCase for each front, which says how it is started."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)
        self.directory.chmod(0o755)
        self.provider = Provider(["m"])
        self.addCleanup(self.provider.stop)
        self.ports = [free_port(), free_port()]
        self.names = itertools.count()
        self.proxies = [self.start_proxy(number) for number in (0, 1)]
        self.addCleanup(lambda: [proxy.stop() for proxy in self.proxies])
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start_front()
        eventually("the front is there", lambda: listens(self.port))

    def start_proxy(self, number):
        config = {"port": self.ports[number], "tokens": [f"fronts|{TOKEN}"], "log_level": "INFO",
                  "providers": [{"provider": "p", "baseurl": self.provider.url, "passthrough": True}]}
        return Proxy(BINARY, self.directory / f"proxy-{next(self.names)}", config)

    def example(self, name, listen):
        """A file of deploy/ with the addresses of this test."""
        text = (DEPLOY / name).read_text()
        for old, new in [(listen, listen.replace("80", f"127.0.0.1:{self.port}").replace(" :", " ")),
                         ("127.0.0.1:8001", f"127.0.0.1:{self.ports[0]}"),
                         ("127.0.0.1:8002", f"127.0.0.1:{self.ports[1]}")]:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = self.directory / name
        path.write_text(text)
        return path

    def run_front(self, *command):
        check = subprocess.run([*command, *self.check], capture_output=True, text=True)
        self.assertEqual(check.returncode, 0, check.stderr)
        self.assertNotRegex(check.stderr.lower(), "warn")
        front = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(front.wait)
        self.addCleanup(front.terminate)


class Nginx(FrontTest):
    check = ["-t"]

    def start_front(self):
        site = self.example("nginx.conf", "listen 80;")
        (self.directory / "main.conf").write_text(NGINX.format(site=site))
        self.run_front("nginx", "-p", self.directory, "-e", "nginx.log", "-c", self.directory / "main.conf")


class Haproxy(FrontTest):
    check = ["-c"]

    def start_front(self):
        self.run_front("haproxy", "-f", self.example("haproxy.cfg", "bind :80"))
