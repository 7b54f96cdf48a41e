"""A scripted OpenAI-compatible provider for the client tests, on the standard library alone.

HTTP/1.1 with keep-alive, one thread a connection. The model's name says what happens, and a tag
behind it tells the tests' requests apart: `echo/t7`, `status-429/t8`. What was seen under a tag is
read back over `GET /seen/<tag>`, `GET /seen/<tag>/closed` waits until the proxy has hung up on it.

    python upstream.py      prints its port, serves until standard input ends
"""

import hashlib
import json
import re
import select
import socket
import sys
import threading
import time

WAIT_MAX = 10.0
PROVIDER_KEY = "sk-provider-key-4711"
# Fields that a provider sends and clients read.
PROVIDER_FIELDS = [
    ("x-request-id", "req_upstream_42"),
    ("x-ratelimit-limit-requests", "500"),
    ("x-ratelimit-remaining-requests", "499"),
    ("x-ratelimit-reset-tokens", "6ms"),
    ("openai-processing-ms", "17"),
    ("openai-version", "2020-10-01"),
    ("openai-organization", "acme"),
    ("anthropic-ratelimit-requests-remaining", "7"),
    ("x-custom", "kept as it is"),
]
REASONS = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
           409: "Conflict", 418: "I'm a teapot", 422: "Unprocessable Entity",
           429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable",
           520: "", 529: "Site Overloaded"}


class Gone(Exception):
    """The proxy has closed the connection."""


class Seen:
    """What came in under one tag."""

    def __init__(self):
        self.requests = []
        self.connections = []
        self.closed = threading.Event()


SEEN = {}
LOCK = threading.Lock()


def seen(tag):
    with LOCK:
        return SEEN.setdefault(tag, Seen())


class Connection:
    """One accepted connection: requests are read, answers written."""

    def __init__(self, sock, number):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.number, self.buffer = sock, number, b""

    def fill(self):
        try:
            piece = self.sock.recv(65536)
        except OSError:
            piece = b""
        if not piece:
            raise Gone
        self.buffer += piece

    def request(self):
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        fields = [line.split(": ", 1) for line in lines[1:]]
        lower = {name.lower(): value for name, value in fields}
        length = int(lower.get("content-length", 0))
        while len(self.buffer) < length:
            self.fill()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return {"method": method, "target": target, "headers": lower, "names": [f[0] for f in fields],
                "body": body}

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            raise Gone from None

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

    def json(self, status, value, fields=()):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'OK')}", "content-type: application/json",
                 *(f"{name}: {content}" for name, content in fields), f"content-length: {len(body)}"]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def events(self, fields=()):
        lines = ["HTTP/1.1 200 OK", "content-type: text/event-stream; charset=utf-8",
                 *(f"{name}: {content}" for name, content in fields), "transfer-encoding: chunked"]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n")

    def chunk(self, data):
        self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def event(self, value):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        self.chunk(f"data: {text}\n\n".encode())

    def done(self):
        self.event("[DONE]")
        self.send(b"0\r\n\r\n")

    def reset(self):
        """A close that cannot be taken for an orderly end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raise Gone


def chunk_of(delta, finish=None, **more):
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
            "model": "scripted", "choices": choices, **more}


def completion(message, finish="stop"):
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000,
            "model": "scripted", "choices": choices, "usage": usage}


def provider_error(status):
    return {"error": {"message": f"the provider says {status}", "type": "provider_type",
                      "param": "p", "code": f"provider_code_{status}"}}


def words_of(request):
    return request["messages"][-1]["content"]


def echo(connection, request, _):
    text = words_of(request)
    if not request.get("stream"):
        return connection.json(200, completion({"content": text}), PROVIDER_FIELDS)
    connection.events(PROVIDER_FIELDS)
    connection.event(chunk_of({"role": "assistant", "content": ""}))
    for word in re.findall(r"\S+\s*|\s+", text):
        connection.event(chunk_of({"content": word}))
    connection.event(chunk_of({}, "stop"))
    if request.get("stream_options", {}).get("include_usage"):
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        connection.event({**chunk_of({}), "choices": [], "usage": usage})
    connection.done()


def drip(connection, request, _):
    """Five events, a fifth of a second apart."""
    connection.events()
    for number in range(5):
        connection.event(chunk_of({"content": f"{number} "}))
        connection.pause(0.2)
    connection.done()


def tools(connection, request, _):
    call = {"id": "call_1", "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "北京"}'}}
    if not request.get("stream"):
        return connection.json(200, completion({"content": None, "tool_calls": [call]}, "tool_calls"))
    connection.events()
    connection.event(chunk_of({"role": "assistant", "content": None,
                               "tool_calls": [{"index": 0, **call, "function": {"name": "weather", "arguments": ""}}]}))
    for piece in ['{"ci', 'ty": ', '"北京"}']:
        connection.event(chunk_of({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}))
    connection.event(chunk_of({}, "tool_calls"))
    connection.done()


def digest(connection, request, _):
    text = words_of(request)
    proof = f"{len(text)} {hashlib.sha256(text.encode()).hexdigest()}"
    connection.json(200, completion({"content": proof}))


def status(connection, request, args):
    """status-<code>[-<retry-after>]"""
    fields = list(PROVIDER_FIELDS)
    if len(args) > 1:
        fields.append(("retry-after", args[1]))
    fields.append(("x-should-retry", "false"))
    connection.json(int(args[0]), provider_error(int(args[0])), fields)


def flaky(connection, request, args):
    """flaky-<failures>-<field>-<value>: fails so many times with 429 and this field."""
    failures, field, value = args
    if len(seen(request["tag"]).requests) <= int(failures):
        return connection.json(429, provider_error(429), [(field.replace("_", "-"), value)])
    echo(connection, request, ())


def cut(connection, request, _):
    """Three events, then the provider dies between two events."""
    connection.events()
    for number in range(3):
        connection.event(chunk_of({"content": f"{number} "}))
    connection.reset()


def cut_inside(connection, request, _):
    """The provider dies in the middle of an event."""
    connection.events()
    connection.event(chunk_of({"content": "0 "}))
    connection.chunk(b'data: {"id": "chatcmpl-1", "obj')
    connection.reset()


def half(connection, request, _):
    """Half of an answer that does not stream."""
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{")
    connection.reset()


def error_event(connection, request, _):
    """The provider itself reports an error within its stream."""
    connection.events()
    connection.event(chunk_of({"content": "0 "}))
    connection.event(provider_error(500))
    connection.done()


def silent(connection, request, _):
    """One event, then nothing."""
    connection.events()
    connection.event(chunk_of({"content": "0 "}))
    connection.pause(WAIT_MAX)


def slow(connection, request, _):
    connection.pause(WAIT_MAX)


def endless(connection, request, _):
    connection.events()
    for number in range(int(WAIT_MAX / 0.02)):
        connection.event(chunk_of({"content": f"{number} "}))
        connection.pause(0.02)
    connection.done()


def garbage(connection, request, _):
    connection.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    connection.reset()


SCRIPTS = {"echo": echo, "drip": drip, "tools": tools, "digest": digest, "status": status,
           "flaky": flaky, "cut": cut, "cut_inside": cut_inside, "half": half,
           "error_event": error_event, "silent": silent, "slow": slow, "endless": endless,
           "garbage": garbage}


def tell(connection, target):
    """The tests' own window: what was seen under a tag."""
    _, _, tag, *rest = target.split("/")
    record = seen(tag)
    if rest == ["closed"]:
        record.closed.wait(WAIT_MAX)
    requests = [{**request, "body": request["body"].decode()} for request in record.requests]
    connection.json(200, {"requests": requests, "connections": record.connections,
                          "closed": record.closed.is_set()})


def chat(connection, request):
    body = json.loads(request["body"])
    script, _, body["tag"] = body["model"].partition("/")
    name, *args = script.split("-")
    record = seen(body["tag"])
    with LOCK:
        record.requests.append(request)
        record.connections.append(connection.number)
    try:
        if request["headers"].get("authorization") != f"Bearer {PROVIDER_KEY}":
            return connection.json(401, provider_error(401))
        if name not in SCRIPTS:
            return connection.json(404, provider_error(404))
        SCRIPTS[name](connection, body, args)
    except Gone:
        record.closed.set()
        raise


def serve(sock, number):
    connection = Connection(sock, number)
    try:
        while True:
            request = connection.request()
            route = (request["method"], request["target"])
            if route == ("POST", "/v1/chat/completions"):
                chat(connection, request)
            elif route == ("GET", "/v1/models"):
                models = [{"id": name, "object": "model"} for name in SCRIPTS]
                connection.json(200, {"object": "list", "data": models})
            elif request["target"].startswith("/seen/"):
                tell(connection, request["target"])
            else:
                connection.json(404, provider_error(404))
    except Gone:
        sock.close()


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    sys.stdin.read()


def accept(listener):
    number = 0
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, number), daemon=True).start()
        number += 1


if __name__ == "__main__":
    main()
