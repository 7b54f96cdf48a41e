"""A provider in the hands of the test that runs it, and the proxy in front of it.

For tests/browser and tests/fronts. A provider's script runs in a thread of the test itself, so the two
wait for each other and nothing depends on time.
"""

import json
import re
import socket
import subprocess
import threading
import time

WAIT_MAX = 20.0


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


class Gone(Exception):
    """The other side has closed."""


class Connection:
    """One accepted connection: requests are read, answers written."""

    def __init__(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(WAIT_MAX)
        self.sock, self.buffer = sock, b""

    def fill(self):
        try:
            piece = self.sock.recv(65536)
        except OSError as error:
            raise Gone from error
        if not piece:
            raise Gone
        self.buffer += piece

    def request(self):
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        start, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = start.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self.buffer) < length:
            self.fill()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return {"method": method, "target": target, "headers": headers, "body": body}

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def json(self, value, status="200 OK"):
        body = json.dumps(value).encode()
        self.send(f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
                  f"content-length: {len(body)}\r\n\r\n".encode() + body)

    def stream(self):
        self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    def chunk(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def event(self, data):
        self.chunk(f"data: {data}\n\n")

    def delta(self, content, key="content"):
        self.event(json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                               "choices": [{"index": 0, "delta": {key: content}, "finish_reason": None}]}))

    def finish(self):
        self.event("[DONE]")
        self.send(b"0\r\n\r\n")

    def wait_for_close(self):
        """Whether the proxy hangs up."""
        try:
            while True:
                self.fill()
        except Gone as gone:
            return not isinstance(gone.__cause__, TimeoutError)


class Provider:
    """`script(connection, request)` answers chats; the list of models needs none."""

    def __init__(self, models=("m",), script=None, port=0):
        self.models, self.script, self.port = list(models), script, port
        self.requests, self.open = [], set()
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        self.open.add(sock)
        connection = Connection(sock)
        try:
            while True:
                request = connection.request()
                self.requests.append(request)
                if request["method"] == "GET":
                    connection.json({"object": "list", "data": [{"id": name} for name in self.models]})
                else:
                    self.script(connection, request)
        except Gone:
            pass
        finally:
            self.open.discard(sock)
            sock.close()

    def stop(self):
        """Refuses connections and cuts those that are there."""
        # A listener that another thread waits on closes only once it is shut down.
        for sock in [self.listener, *self.open]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()


class Proxy:
    """A running `ai_proxy`, with a configuration or as the demo."""

    def __init__(self, binary, directory, config):
        directory.mkdir(parents=True)
        path = directory / "config.json"
        path.write_text(json.dumps({"host": "127.0.0.1", "port": 0} | config, ensure_ascii=False))
        path.chmod(0o600)
        self.log = directory / "ai_proxy.log"
        self.process = subprocess.Popen([binary], cwd=directory, stdin=subprocess.DEVNULL, text=True,
                                        stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        self.port = int(re.search(r"listening on http://\S+:(\d+)$", line.strip())[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self):
        """Ends it as an operator would; returns its exit status."""
        with self.process:
            self.process.terminate()
            return self.process.wait(timeout=15)

    def kill(self):
        """Ends it at once: a browser that keeps its connections makes a clean end take two seconds."""
        with self.process:
            self.process.kill()
