"""curl, as a person types it, against the real binary."""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse

from case import (API_KEY, BASE_URL, DEMO_BANNER, LOG_FILE, REQUEST_BYTES_MAX,
                  UNICODE, ClientTest, model, seen, user)
from harness import free_port

CHAT = "/v1/chat/completions"
BEARER = ["-H", f"Authorization: Bearer {API_KEY}"]


def shell(command):
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout


def curl(path, *options, base=BASE_URL):
    done = subprocess.run(["curl", "-sS", "--max-time", "20", *options, base + path],
                          capture_output=True, timeout=30)
    return done.returncode, done.stdout, done.stderr.decode()


def answer(path, *options, base=BASE_URL):
    """Status, fields (by lower-case name) and body of one answer."""
    code, output, errors = curl(path, "-i", *options, base=base)
    assert code == 0, (code, errors)
    head, body = output.split(b"\r\n\r\n", 1)
    while head.startswith(b"HTTP/1.1 1"):
        head, body = body.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    return int(lines[0].split(" ")[1]), fields, body.decode()


def chat(body, *options, **more):
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return answer(CHAT, *BEARER, "--data-binary", text, *options, **more)


class Demo(ClientTest):
    """`ai_proxy` without any file: the commands it prints work as printed."""

    def setUp(self):
        with open(DEMO_BANNER, encoding="utf-8") as banner:
            self.commands = re.findall(r"^.*?(curl .*)$", banner.read(), re.M)

    def test_three_commands_are_printed(self):
        self.assertEqual(len(self.commands), 3, self.commands)

    def test_the_models_command(self):
        code, output = shell(self.commands[0])
        self.assertEqual(code, 0)
        models = json.loads(output)
        self.assertIsInstance(models["data"][0].pop("created"), int)
        model = {"id": "demo/echo", "object": "model", "owned_by": "demo"}
        self.assertEqual(models, {"object": "list", "data": [model]})

    def test_the_chat_command(self):
        code, output = shell(self.commands[1])
        self.assertEqual(code, 0)
        message = json.loads(output)["choices"][0]["message"]
        self.assertEqual(message, {"role": "assistant", "content": "Hello from the demo"})

    def test_the_stream_command(self):
        self.assertIn(" -N ", self.commands[2])
        code, output = shell(self.commands[2])
        self.assertEqual(code, 0)
        events = [line[6:] for line in output.split("\n") if line.startswith("data: ")]
        self.assertEqual(events[-1], "[DONE]")
        deltas = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1]]
        self.assertEqual("".join(deltas), "Hello from the demo")
        self.assertGreaterEqual(len([word for word in deltas if word]), 4)


class SmallEndpoints(ClientTest):
    def test_about(self):
        status, fields, body = answer("/")
        self.assertEqual((status, fields["content-type"]), (200, "application/json"))
        self.assertIn("ai_proxy", body)
        self.assertIn(CHAT, body)

    def test_head_works_wherever_get_does(self):
        for path in "/", "/health", "/v1/models":
            code, output, _ = curl(path, "-I")
            self.assertEqual(code, 0)
            head, rest = output.decode().split("\r\n\r\n")
            self.assertTrue(head.startswith("HTTP/1.1 200"), head)
            self.assertEqual(rest, "")
            self.assertRegex(head.lower(), r"content-length: [1-9]")

    def test_health_names_every_provider(self):
        status, _, body = answer("/health")
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(body), {
            "status": "degraded",
            "providers": {"scripted": True, "dead": False, "listed": True, "hidden": True},
            "healthy_providers": 3, "total_providers": 4})

    def test_models_are_in_the_promised_form(self):
        _, _, body = answer("/v1/models")
        self.assertTrue(body.startswith(
            '{"object":"list","data":[{"id":"scripted/echo","object":"model","owned_by":"scripted","created":'), body)

    def test_reload_from_this_machine(self):
        status, _, body = answer("/v1/reload", "-X", "POST")
        self.assertEqual(status, 200)
        told = json.loads(body)
        self.assertEqual((told["message"], told["providers_count"]), ("配置重新加载成功", 4))

    def test_unknown_paths_and_wrong_methods(self):
        self.assertEqual(answer("/v1/nothing")[0], 404)
        for path, method, allowed in [(CHAT, "GET", "POST"), ("/v1/models", "POST", "GET, HEAD"),
                                      ("/v1/reload", "GET", "POST"), ("/health", "DELETE", "GET, HEAD")]:
            status, fields, body = answer(path, "-X", method)
            self.assertEqual((status, fields["allow"]), (405, allowed))
            self.assertEqual(json.loads(body)["error"]["code"], 405)

    def test_every_address_of_localhost_is_listened_on(self):
        port = urllib.parse.urlsplit(BASE_URL).port
        for entry in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM):
            host = f"[{entry[4][0]}]" if entry[0] == socket.AF_INET6 else entry[4][0]
            self.assertEqual(answer("/", "-g", base=f"http://{host}:{port}")[0], 200)


class Chats(ClientTest):
    def test_without_a_token_the_text_is_exact(self):
        status, fields, body = answer(CHAT, "-d", "{}")
        self.assertEqual((status, fields["content-type"]), (401, "application/json"))
        self.assertEqual(body, '{"error":{"message":"未提供API token","type":"http_error","code":401}}\n')

    def test_only_the_models_name_changes(self):
        name, tag = model("echo")
        body = ('{ "z":1.0, "a":1e400,\n\t"model" :\t"%s", "n":12345678901234567890123, "a":"\\u00e9\\/é",'
                '"messages":[{"role":"user","content":"%s"}] }' % (name, "hi"))
        self.assertEqual(chat(body)[0], 200)
        sent = seen(tag)["requests"][0]["body"]
        self.assertEqual(sent, body.replace(name, f"echo/{tag}"))

    def test_a_providers_answer_is_relayed_byte_for_byte(self):
        name, _ = model("status-429-3")
        status, fields, body = chat({"model": name, "messages": user("x")})
        self.assertEqual(status, 429)
        self.assertEqual((fields["retry-after"], fields["x-request-id"]), ("3", "req_upstream_42"))
        self.assertEqual(body, json.dumps({"error": {
            "message": "the provider says 429", "type": "provider_type", "param": "p",
            "code": "provider_code_429"}}))

    def test_a_stream_arrives_as_it_is_made(self):
        name, _ = model("drip")
        body = json.dumps({"model": name, "stream": True, "messages": user("x")})
        began = time.monotonic()
        with subprocess.Popen(["curl", "-sSN", *BEARER, "-d", body, BASE_URL + CHAT],
                              stdout=subprocess.PIPE) as process:
            times = [time.monotonic() - began for line in process.stdout if line.startswith(b"data: {")]
        self.assertEqual(process.returncode, 0)
        self.assertEqual(len(times), 5)
        self.assertGreater(times[-1] - times[0], 0.6)
        for earlier, later in zip(times, times[1:]):
            self.assertGreater(later - earlier, 0.05, times)

    def test_a_killed_curl_closes_the_provider(self):
        name, tag = model("endless")
        body = json.dumps({"model": name, "stream": True, "messages": user("x")})
        with subprocess.Popen(["curl", "-sSN", *BEARER, "-d", body, BASE_URL + CHAT],
                              stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            began = time.monotonic()
            process.kill()
        self.assert_closed(tag, began)

    def test_a_cut_stream_makes_curl_fail(self):
        name, _ = model("cut")
        body = json.dumps({"model": name, "stream": True, "messages": user("x")})
        code, output, _ = curl(CHAT, *BEARER, "-N", "-d", body)
        self.assertEqual(code, 18, output)
        last = [line for line in output.decode().split("\n") if line.startswith("data: ")][-1]
        self.assertEqual(json.loads(last[6:])["error"]["code"], 502)

    def test_large_bodies_chunked_bodies_and_old_http(self):
        text = "大" * 400_000
        body = json.dumps({"model": model("digest")[0], "messages": user(text)}, ensure_ascii=False)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(body)
            file.flush()
            for options in [[], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"],
                            ["--http1.0"]]:
                status, _, said = answer(CHAT, *BEARER, "--data-binary", f"@{file.name}", *options)
                self.assertEqual(status, 200, (options, said))
                self.assertTrue(json.loads(said)["choices"][0]["message"]["content"].startswith("400000 "))

    def test_an_old_client_gets_a_stream_without_chunks(self):
        name, _ = model("echo")
        status, fields, body = chat({"model": name, "stream": True, "messages": user(UNICODE)}, "--http1.0")
        self.assertEqual(status, 200)
        self.assertNotIn("transfer-encoding", fields)
        self.assertTrue(body.endswith("data: [DONE]\n\n"))

    def test_a_body_over_the_limit_is_a_413(self):
        for options in [], ["-H", "Transfer-Encoding: chunked"]:
            with tempfile.NamedTemporaryFile() as file:
                file.truncate(REQUEST_BYTES_MAX + 1)
                status, _, body = answer(CHAT, *BEARER, "--data-binary", f"@{file.name}", *options)
            self.assertEqual(status, 413, body)
            self.assertIn(str(REQUEST_BYTES_MAX), json.loads(body)["error"]["message"])

    def test_bad_json_is_located(self):
        status, _, body = chat('{"model":\n"a/b",}')
        self.assertEqual(status, 400)
        self.assertRegex(json.loads(body)["error"]["message"], r"line 2.*column|第 ?2 ?行")

    def test_two_requests_share_a_connection(self):
        urls = [BASE_URL + "/", BASE_URL + "/v1/models"]
        done = subprocess.run(["curl", "-sv", *urls], capture_output=True, text=True, timeout=20)
        self.assertIn("Re-using existing connection", done.stderr)

    def test_the_log_can_be_searched_as_promised(self):
        name, tag = model("echo")
        chat({"model": name, "messages": user("x")})
        command = f"grep '耗时:' '{LOG_FILE}' | awk '{{print $(NF-1)}}' | sort -n"
        deadline = time.monotonic() + 3
        while not shell(f"grep '{tag}' '{LOG_FILE}'")[1] and time.monotonic() < deadline:
            time.sleep(0.05)
        code, output = shell(command)
        self.assertEqual(code, 0)
        self.assertTrue(output)
        for line in output.splitlines():
            self.assertRegex(line, r"^\d+\.\d{3}$")


NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@unittest.skipUnless(NGINX, "nginx is not installed")
class BehindNginx(ClientTest):
    """nginx in front, with its defaults: HTTP/1.0 towards us, and buffering of what we send."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.port = free_port()
        path = os.path.join(cls.directory.name, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"""
                daemon off; master_process off; pid {cls.directory.name}/pid; error_log stderr crit;
                events {{ worker_connections 64; }}
                http {{
                    access_log off; client_body_temp_path {cls.directory.name}/b;
                    proxy_temp_path {cls.directory.name}/p; fastcgi_temp_path {cls.directory.name}/f;
                    uwsgi_temp_path {cls.directory.name}/u; scgi_temp_path {cls.directory.name}/s;
                    server {{ listen 127.0.0.1:{cls.port};
                        location / {{ proxy_pass {BASE_URL.replace('localhost', '127.0.0.1')}; }} }}
                }}""")
        cls.process = subprocess.Popen([NGINX, "-p", cls.directory.name, "-c", path])
        cls.base = f"http://127.0.0.1:{cls.port}"
        deadline = time.monotonic() + 5
        while curl("/", base=cls.base)[0] and time.monotonic() < deadline:
            time.sleep(0.05)

    @classmethod
    def tearDownClass(cls):
        cls.process.terminate()
        cls.process.wait()
        cls.directory.cleanup()

    def test_a_stream_is_not_buffered(self):
        name, _ = model("drip")
        body = json.dumps({"model": name, "stream": True, "messages": user("x")})
        began = time.monotonic()
        with subprocess.Popen(["curl", "-sSN", *BEARER, "-d", body, self.base + CHAT],
                              stdout=subprocess.PIPE) as process:
            times = [time.monotonic() - began for line in process.stdout if line.startswith(b"data: {")]
        self.assertEqual(process.returncode, 0)
        self.assertEqual(len(times), 5)
        self.assertGreater(times[-1] - times[0], 0.6, times)

    def test_errors_and_chats_pass(self):
        self.assertEqual(answer(CHAT, "-d", "{}", base=self.base)[2],
                         '{"error":{"message":"未提供API token","type":"http_error","code":401}}\n')
        status, fields, _ = chat({"model": model("echo")[0], "messages": user("x")}, base=self.base)
        self.assertEqual((status, fields["x-request-id"]), (200, "req_upstream_42"))

    def test_hanging_up_on_nginx_closes_the_provider(self):
        name, tag = model("endless")
        body = json.dumps({"model": name, "stream": True, "messages": user("x")})
        with subprocess.Popen(["curl", "-sSN", *BEARER, "-d", body, self.base + CHAT],
                              stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            began = time.monotonic()
            process.kill()
        self.assert_closed(tag, began)
