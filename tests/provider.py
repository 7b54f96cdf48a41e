"""A provider in the hands of a test: HTTP/1.1 with keep-alive, one thread a connection, no package needed.

Its script runs in the provider's thread, so that test and provider can wait for each other and nothing
depends on time. tests/browser, tests/fronts and deploy/smoke.py hand in scripts of their own;
tests/clients/scripts.py has a set of them, chosen by the model's name.
"""

import json
import select
import socket
import threading
import time

WAIT_MAX = 20.0


class Gone(Exception):
    """The proxy has closed the connection."""


class Connection:
    """One accepted connection: requests are read, answers written."""

    def __init__(self, sock, number):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.number, self.buffer = sock, number, b""
        self.received = 0

    def fill(self):
        try:
            piece = self.sock.recv(65536)
        except OSError as error:
            raise Gone from error
        if not piece:
            raise Gone
        self.received += len(piece)
        self.buffer += piece

    def request(self):
        """The next request, however long it takes to come."""
        self.sock.settimeout(None)
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        self.sock.settimeout(WAIT_MAX)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        start, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = start.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            body = self.chunks()
        else:
            body = self.take(int(headers.get("content-length", 0)))
        return {"method": method, "target": target, "headers": headers, "body": body}

    def take(self, length):
        pieces, have = [self.buffer], len(self.buffer)
        while have < length:
            self.buffer = b""
            self.fill()
            pieces.append(self.buffer)
            have += len(self.buffer)
        data = b"".join(pieces)
        self.buffer = data[length:]
        return data[:length]

    def chunks(self):
        """A body that comes in chunks, put together."""
        body = []
        while True:
            while b"\r\n" not in self.buffer:
                self.fill()
            size, self.buffer = self.buffer.split(b"\r\n", 1)
            body.append(self.take(int(size, 16)))
            assert self.take(2) == b"\r\n"
            if not body[-1]:
                return b"".join(body)

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def answer(self, status, fields, body=b""):
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields)]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def json(self, value, status="200 OK", fields=()):
        body = json.dumps(value).encode()
        kind, length = ("content-type", "application/json"), ("content-length", len(body))
        self.answer(status, [kind, *fields, length], body)

    def stream(self, fields=(), kind="text/event-stream"):
        self.answer("200 OK", [("content-type", kind), *fields, ("transfer-encoding", "chunked")])

    def chunk(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def event(self, data):
        """An event in a chunk of its own: text as it is, anything else as JSON."""
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        self.chunk(f"data: {text}\n\n")

    def delta(self, content, key="content"):
        self.event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                    "choices": [{"index": 0, "delta": {key: content}, "finish_reason": None}]})

    def end(self):
        self.send(b"0\r\n\r\n")

    def finish(self):
        self.event("[DONE]")
        self.end()

    def pause(self, seconds):
        """Sleeps; notices at once when the proxy hangs up."""
        if select.select([self.sock], [], [], seconds)[0]:
            try:
                if self.sock.recv(1, socket.MSG_PEEK):
                    time.sleep(seconds)
                    return
            except OSError:
                pass
            raise Gone

    def wait_for_close(self):
        """Whether the proxy hangs up."""
        try:
            while True:
                self.fill()
        except Gone as gone:
            return not isinstance(gone.__cause__, TimeoutError)

    def reset(self):
        """A close that cannot be taken for an orderly end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raise Gone


class Provider:
    """`script(connection, request)` answers chats; the list of models needs none."""

    def __init__(self, models=("m",), script=None, tls=None):
        self.models, self.script, self.tls = list(models), script, tls
        self.requests, self.open, self.past = [], {}, 0
        self.port = 0
        self.start()

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/v1"

    def start(self):
        """Listens, after a stop on the port it had."""
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        number = 0
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock, number), daemon=True).start()
            number += 1

    def serve(self, sock, number):
        if self.tls:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:
                return
        self.open[sock] = connection = Connection(sock, number)
        try:
            while True:
                self.answer(connection, connection.request())
        except Gone:
            pass
        finally:
            self.past += connection.received
            del self.open[sock]
            sock.close()

    def answer(self, connection, request):
        self.requests.append(request)
        if request["method"] == "GET":
            connection.json({"object": "list", "data": [{"id": name} for name in self.models]})
        else:
            self.script(connection, request)

    @property
    def received(self):
        """Bytes that have come on all connections so far."""
        return self.past + sum(connection.received for connection in list(self.open.values()))

    def stop(self):
        """Refuses connections and cuts those that are there."""
        # A listener that another thread waits on closes only once it is shut down.
        for sock in [self.listener, *self.open]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()
