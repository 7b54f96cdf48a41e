"""Programs that work with tools: started in a home of their own, and what they say to the proxy is listened to."""

import os
import re
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from case import ClientTest

WAIT_MAX = 60


class Tee:
    """Between a client and the proxy: hands on every byte and keeps it."""

    def __init__(self, url):
        host, port = re.search(r"//(.*):(\d+)", url).groups()
        self.target, self.asked, self.answered = (host, int(port)), [], []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            proxy = socket.create_connection(self.target)
            for source, sink, kept in [(client, proxy, self.asked), (proxy, client, self.answered)]:
                said = bytearray()
                kept.append(said)
                threading.Thread(target=self.pump, args=(source, sink, said), daemon=True).start()

    @staticmethod
    def pump(source, sink, said):
        try:
            while data := source.recv(65536):
                said += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def requests(self):
        """The first lines of all requests, in the order of their connections."""
        heads = re.findall(rb"(?:^|(?<=[}\n]))([A-Z]+ /\S*) HTTP/1\.1\r\n", b"\n".join(self.asked))
        return [head.decode() for head in heads]


class ProgramTest(ClientTest):
    url = None

    def setUp(self):
        self.tee = Tee(self.url)
        self.addCleanup(self.tee.close)
        scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.addCleanup(scratch.cleanup)
        self.home, self.work = (Path(scratch.name, name) for name in ("home", "work"))
        self.home.mkdir()
        self.work.mkdir()

    def start(self, command, **env):
        """Runs it to its end, in a surrounding without anything of ours."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "TERM": "dumb", **env}
        return subprocess.run(command, env=env, cwd=self.work, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=WAIT_MAX)
