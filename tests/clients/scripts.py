"""The provider of the client tests, in a process of its own.

The model's name says what happens, and a tag behind it, or in the field `x-tag`, tells the tests' requests
apart: `echo/t7`, `status-429/t8`. What was seen under a tag is read back over `GET /seen/<tag>`,
`GET /seen/<tag>/closed` waits until the proxy has hung up on it. apis.py, uploads.py and stored.py have the
endpoints beside chat, toolcalls.py what programs with tools are told.

    python scripts.py       prints its port, serves until standard input ends
"""

import base64
import hashlib
import json
import re
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import stored  # noqa: E402
import uploads  # noqa: E402
from apis import ANTHROPIC_FIELDS, APIS, anthropic_error, chunk_of, completion  # noqa: E402
from provider import Gone, Provider  # noqa: E402
from toolcalls import AGENTS, chat  # noqa: E402

# Every endpoint at which a model's name says what happens.
APIS = {**APIS, **uploads.APIS}

WAIT_MAX = 10.0
PROVIDER_KEY = "sk-provider-key-4711"
# Those of a provider with several, the one above first.
PROVIDER_KEYS = [PROVIDER_KEY, "sk-provider-key-4712", "sk-provider-key-4713"]
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


def provider_error(status):
    return {"error": {"message": f"the provider says {status}", "type": "provider_type",
                      "param": "p", "code": f"provider_code_{status}"}}


def refuse(connection, status, fields=()):
    connection.json(provider_error(status), f"{status} {REASONS[status]}", fields)


def stream(connection, fields=()):
    connection.stream(fields, "text/event-stream; charset=utf-8")


def words_of(request):
    return request["messages"][-1]["content"]


def echo(connection, request, _):
    text = words_of(request)
    if not request.get("stream"):
        return connection.json(completion({"content": text}), fields=PROVIDER_FIELDS)
    stream(connection, PROVIDER_FIELDS)
    connection.event(chunk_of({"role": "assistant", "content": ""}))
    for word in re.findall(r"\S+\s*|\s+", text):
        connection.event(chunk_of({"content": word}))
    connection.event(chunk_of({}, "stop"))
    if request.get("stream_options", {}).get("include_usage"):
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        connection.event({**chunk_of({}), "choices": [], "usage": usage})
    connection.finish()


def drip(connection, request, _):
    """Five events, a fifth of a second apart."""
    stream(connection)
    for number in range(5):
        connection.event(chunk_of({"content": f"{number} "}))
        connection.pause(0.2)
    connection.finish()


def tools(connection, request, _):
    call = {"id": "call_1", "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "北京"}'}}
    if not request.get("stream"):
        return connection.json(completion({"content": None, "tool_calls": [call]}, "tool_calls"))
    stream(connection)
    connection.event(chunk_of({"role": "assistant", "content": None,
                               "tool_calls": [{"index": 0, **call, "function": {"name": "weather", "arguments": ""}}]}))
    for piece in ['{"ci', 'ty": ', '"北京"}']:
        connection.event(chunk_of({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}))
    connection.event(chunk_of({}, "tool_calls"))
    connection.finish()


def digest(connection, request, _):
    text = words_of(request)
    proof = f"{len(text)} {hashlib.sha256(text.encode()).hexdigest()}"
    connection.json(completion({"content": proof}))


def status(connection, request, args):
    """status-<code>[-<retry-after>]"""
    fields = list(PROVIDER_FIELDS)
    if len(args) > 1:
        fields.append(("retry-after", args[1]))
    fields.append(("x-should-retry", "false"))
    refuse(connection, int(args[0]), fields)


def busy(connection, request, args):
    """busy-<code>[-<retry-after>]: with no further word on whether to try again."""
    refuse(connection, int(args[0]), [("retry-after", wait) for wait in args[1:]])


def only(connection, request, args):
    """only-<number>: the key of this number answers, from 1; all others are at their limit."""
    if request["key"] != PROVIDER_KEYS[int(args[0]) - 1]:
        return refuse(connection, 429, [("retry-after", "20")])
    echo(connection, request, ())


def flaky(connection, request, args):
    """flaky-<failures>-<field>-<value>: fails so many times with 429 and this field."""
    failures, field, value = args
    if len(seen(request["tag"]).requests) <= int(failures):
        return refuse(connection, 429, [(field.replace("_", "-"), value)])
    echo(connection, request, ())


def cut(connection, request, _):
    """Three events, then the provider dies between two events."""
    stream(connection)
    for number in range(3):
        connection.event(chunk_of({"content": f"{number} "}))
    connection.reset()


def cut_inside(connection, request, _):
    """The provider dies in the middle of an event."""
    stream(connection)
    connection.event(chunk_of({"content": "0 "}))
    connection.chunk(b'data: {"id": "chatcmpl-1", "obj')
    connection.reset()


def half(connection, request, _):
    """Half of an answer that does not stream."""
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{")
    connection.reset()


def error_event(connection, request, _):
    """The provider itself reports an error within its stream."""
    stream(connection)
    connection.event(chunk_of({"content": "0 "}))
    connection.event(provider_error(500))
    connection.finish()


def silent(connection, request, _):
    """One event, then nothing."""
    stream(connection)
    connection.event(chunk_of({"content": "0 "}))
    connection.pause(WAIT_MAX)


def slow(connection, request, _):
    connection.pause(WAIT_MAX)


def endless(connection, request, _):
    stream(connection)
    for number in range(int(WAIT_MAX / 0.02)):
        connection.event(chunk_of({"content": f"{number} "}))
        connection.pause(0.02)
    connection.finish()


def agent(connection, request, args):
    """agent[-cut]: with `cut` the first answer breaks off."""
    chat(connection, request, cut=args and len(seen(request["tag"]).requests) == 1)


def garbage(connection, request, _):
    connection.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    connection.reset()


SCRIPTS = {"echo": echo, "drip": drip, "tools": tools, "digest": digest, "status": status,
           "busy": busy, "only": only, "flaky": flaky, "cut": cut, "cut_inside": cut_inside, "half": half,
           "error_event": error_event, "silent": silent, "slow": slow, "endless": endless,
           "garbage": garbage, "agent": agent}


def tell(connection, target):
    """The tests' own window: what was seen under a tag, the body as text and byte for byte."""
    _, _, tag, *rest = target.split("/")
    record = seen(tag)
    if rest == ["closed"]:
        record.closed.wait(WAIT_MAX)
    requests = [{**request, "body": request["body"].decode(errors="replace"),
                 "bytes": base64.b64encode(request["body"]).decode()} for request in record.requests]
    connection.json({"requests": requests, "connections": record.connections,
                     "closed": record.closed.is_set()})


def answer_api(connection, body, path, args):
    """An endpoint beside chat; `status`, `slow` and `late` are the same everywhere."""
    if body["script"].startswith("late"):
        connection.pause(0.5)
        body["script"] = body["script"].removeprefix("late_")
    if body["script"] == "slow":
        connection.pause(WAIT_MAX)
    elif body["script"] == "agent":
        # agent-cut: the first answer breaks off.
        if args and len(seen(body["tag"]).requests) == 1:
            body["script"] = args[0]
        AGENTS[path](connection, body)
    elif body["script"] != "status":
        APIS[path](connection, body)
    elif path.startswith("/v1/messages"):
        code, *seconds = args
        fields = [*ANTHROPIC_FIELDS, *(("retry-after", wait) for wait in seconds)]
        connection.json(anthropic_error(int(code)), f"{code} {REASONS[int(code)]}", fields)
    else:
        status(connection, body, args)


def content(request):
    """The fields of a body, whether JSON or a form."""
    if request["headers"].get("content-type", "").startswith("multipart/form-data"):
        return uploads.form(request)
    return json.loads(request["body"] or "{}")


def ask(connection, request):
    body = content(request)
    script, _, tag = body.get("model", "echo").partition("/")
    body["tag"] = request["headers"].get("x-tag", tag)
    name, *args = script.split("-")
    record = seen(body["tag"])
    with LOCK:
        record.requests.append(request)
        record.connections.append(connection.number)
    try:
        body["key"] = request["headers"].get("authorization", "").removeprefix("Bearer ")
        if body["key"] not in PROVIDER_KEYS:
            return refuse(connection, 401)
        path = request["target"].partition("?")[0]
        if request["method"] == "POST" and path in APIS:
            body["script"] = name
            return answer_api(connection, body, path, args)
        if path != "/v1/chat/completions":
            if not stored.answer(connection, request, body):
                refuse(connection, 404)
            return None
        if name not in SCRIPTS:
            return refuse(connection, 404)
        SCRIPTS[name](connection, body, args)
    except Gone:
        record.closed.set()
        raise


class Scripted(Provider):
    def answer(self, connection, request):
        if request["target"].startswith("/seen/"):
            tell(connection, request["target"])
        elif (request["method"], request["target"].partition("?")[0]) == ("GET", "/v1/models"):
            models = [{"id": name, "object": "model"} for name in SCRIPTS]
            connection.json({"object": "list", "data": models})
        else:
            ask(connection, request)


if __name__ == "__main__":
    print(Scripted().port, flush=True)
    sys.stdin.read()
