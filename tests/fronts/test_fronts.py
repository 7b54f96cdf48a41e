"""Streams, leaving clients and stopping proxies behind each front."""

import http.client
import json
import subprocess
import threading
import unittest

import openai

from front import TOKEN, Haproxy, Nginx
from harness import eventually
from provider import WAIT_MAX

WORDS = [f"word-{number}" for number in range(20)]
CLIENTS = 8
STOPS = 6
CHAT = json.dumps({"model": "p/m", "messages": [{"role": "user", "content": "hi"}]})
STREAM = json.dumps({"model": "p/m", "stream": True, "messages": [{"role": "user", "content": "hi"}]})
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


class Acknowledged:
    """A script that sends no word before the one before has arrived at the client."""

    def __init__(self):
        self.arrived = threading.Semaphore(0)
        self.unacknowledged = None

    def __call__(self, connection, _):
        connection.stream()
        for word in WORDS:
            connection.delta(word)
            if not self.arrived.acquire(timeout=WAIT_MAX):
                self.unacknowledged = word
                return
        connection.finish()


class Promises:
    def post(self, body, path="/v1/chat/completions"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_MAX)
        connection.request("POST", path, body, HEADERS)
        return connection, connection.getresponse()

    def curl(self, body):
        fields = [f"-H{name}: {value}" for name, value in HEADERS.items()]
        return subprocess.Popen(["curl", "-sSN", *fields, "-d", body, f"{self.url}/v1/chat/completions"],
                                stdout=subprocess.PIPE, text=True)

    def openai(self):
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=TOKEN, max_retries=0, timeout=WAIT_MAX)

    def test_each_event_reaches_curl_before_the_next_is_sent(self):
        script = self.provider.script = Acknowledged()
        found = []
        with self.curl(STREAM) as curl:
            for line in curl.stdout:
                if line.startswith("data: {"):
                    found.append(json.loads(line[6:])["choices"][0]["delta"]["content"])
                    script.arrived.release()
        self.assertEqual((found, script.unacknowledged, curl.returncode), (WORDS, None, 0))

    def test_each_event_reaches_openai_python_before_the_next_is_sent(self):
        script = self.provider.script = Acknowledged()
        found = []
        with self.openai() as client:
            for chunk in client.chat.completions.create(**json.loads(STREAM)):
                found.append(chunk.choices[0].delta.content)
                script.arrived.release()
        self.assertEqual((found, script.unacknowledged), (WORDS, None))

    def leave(self, script, until):
        closed = threading.Event()

        def watched(connection, request):
            script(connection, request)
            if connection.wait_for_close():
                closed.set()

        self.provider.script = watched
        with self.curl(STREAM) as curl:
            until(curl)
            curl.kill()
        self.assertTrue(closed.wait(WAIT_MAX), "the provider's connection stays open")

    def test_a_client_that_leaves_a_stream_drops_the_provider(self):
        def script(connection, _):
            connection.stream()
            connection.delta("one")

        self.leave(script, lambda curl: curl.stdout.readline())

    def test_a_client_that_leaves_while_it_waits_drops_the_provider(self):
        asked = threading.Event()
        self.leave(lambda *_: asked.set(), lambda _: asked.wait(WAIT_MAX))

    def test_no_request_is_lost_or_doubled_when_a_proxy_stops(self):
        self.provider.script = lambda connection, request: connection.json(
            {"you": request["headers"]["x-tag"]})
        over, failures, tags = threading.Event(), [], []

        def insist(name):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_MAX)
            number = 0
            while not over.is_set():
                tag = f"{name}-{number}"
                number += 1
                try:
                    connection.request("POST", "/v1/chat/completions", CHAT, HEADERS | {"X-Tag": tag})
                    answer = connection.getresponse()
                    body = answer.read()
                    if (answer.status, json.loads(body)) != (200, {"you": tag}):
                        failures.append((tag, answer.status, body))
                except Exception as error:
                    failures.append((tag, repr(error)))
                    connection.close()
                tags.append(tag)
            connection.close()

        clients = [threading.Thread(target=insist, args=(name,)) for name in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for stop in range(STOPS):
                number = stop % 2
                self.assertEqual(self.proxies[number].stop(), 0)
                seen = len(tags)
                eventually("requests go on without it", lambda: len(tags) > seen + 100)
                self.proxies[number] = self.start_proxy(number)
                eventually("it is used again", lambda: "耗时" in self.proxies[number].log.read_text())
        finally:
            over.set()
            for client in clients:
                client.join()
        print(f"  {len(tags)} requests, {len(failures)} failed", end=" ")
        self.assertEqual(failures, [])
        reached = [request["headers"]["x-tag"] for request in self.provider.requests
                   if request["method"] == "POST"]
        self.assertEqual(sorted(reached), sorted(tags))

    def test_streams_on_a_stopping_proxy_run_to_their_end(self):
        script = self.provider.script = Acknowledged()
        with self.openai() as client:
            streams = [iter(client.chat.completions.create(**json.loads(STREAM))) for _ in range(4)]
            found = [[next(stream).choices[0].delta.content] for stream in streams]
            stopping = threading.Thread(target=self.proxies[0].stop)
            stopping.start()
            eventually("it stops", lambda: "stopping" in self.proxies[0].log.read_text())
            for _ in streams * len(WORDS):
                script.arrived.release()
            for words, stream in zip(found, streams):
                words.extend(chunk.choices[0].delta.content for chunk in stream)
            stopping.join()
        self.assertEqual(found, [WORDS] * 4)
        used = ["耗时" in proxy.log.read_text() for proxy in self.proxies]
        self.assertEqual(used, [True, True], "both had streams")

    def test_a_provider_s_refusal_passes_as_it_is(self):
        self.provider.script = lambda connection, _: connection.send(
            b"HTTP/1.1 529 Overloaded\r\nretry-after-ms: 12\r\ncontent-length: 2\r\n\r\n{}")
        connection, answer = self.post(CHAT)
        self.assertEqual((answer.status, answer.getheader("retry-after-ms"), answer.read()), (529, "12", b"{}"))
        connection.close()

    def test_large_requests_pass(self):
        self.provider.script = lambda connection, request: connection.json({"bytes": len(request["body"])})
        body = json.dumps({"model": "p/m", "messages": [{"role": "user", "content": "x" * 8_000_000}]})
        connection, answer = self.post(body)
        self.assertEqual(json.load(answer), {"bytes": len(body) - len("p/")})
        connection.close()

    def test_reload_is_closed_and_the_page_is_open(self):
        connection, answer = self.post("", "/v1/reload")
        self.assertEqual(answer.status, 403)
        connection.close()
        page = subprocess.run(["curl", "-sS", "-H", "Accept: text/html", self.url], capture_output=True)
        self.assertTrue(page.stdout.startswith(b"<!doctype html>"), page.stdout[:100])

    def test_the_name_of_a_session_goes_through(self):
        # Providers keep their prompt caches by it, and some clients write it with an underscore.
        self.provider.script = lambda connection, request: connection.json(
            {name: request["headers"].get(name) for name in ("session_id", "session-id")})
        with self.openai() as client:
            sent = {"session_id": "s-1", "session-id": "s-2"}
            answer = client.post("/responses", body={"model": "p/m"}, cast_to=object, options={"headers": sent})
        self.assertEqual(answer, sent)

    def test_a_query_goes_through(self):
        self.provider.script = lambda connection, request: connection.json({"target": request["target"]})
        connection, answer = self.post(CHAT, "/v1/messages?beta=true&x=%C3%BC")
        self.assertEqual(json.load(answer), {"target": "/v1/messages?beta=true&x=%C3%BC"})
        connection.close()

    def test_a_client_that_wants_websocket_is_told_to_use_http(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_MAX)
        fields = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        connection.request("GET", "/v1/responses", headers=fields)
        answer = connection.getresponse()
        self.assertEqual(answer.status, 426)
        self.assertEqual(json.load(answer)["error"]["code"], 426)
        connection.close()

    def test_a_request_id_goes_through(self):
        self.provider.script = lambda connection, request: connection.json(
            {"id": request["headers"]["x-request-id"]})
        connection, answer = self.post(CHAT)
        name = json.load(answer)["id"]
        self.assertEqual(answer.getheader("x-request-id"), name)
        self.assertRegex(name, r"^[0-9a-f-]{32,36}$", "the front's, not the proxy's")
        connection.close()


class BehindNginx(Nginx, Promises, unittest.TestCase):
    pass


class BehindHaproxy(Haproxy, Promises, unittest.TestCase):
    pass
