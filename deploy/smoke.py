#!/usr/bin/env python3
"""Does this binary work here? Starts it as users do and asks it what users ask.

    deploy/smoke.py [--dns] [--system-ca FILE] [--work DIR] [--seen-as DIR] COMMAND [ARGUMENT ...]

COMMAND starts ai_proxy: a path, or something that runs it elsewhere (an emulator, another root).
Checks the demo, whole and streamed; then a provider behind TLS with an authority of its own, by
name, whole and streamed; then that a stranger's certificate is refused; then SIGHUP and SIGTERM.

--dns        answer for provider.test on port 53, where COMMAND's /etc/resolv.conf must point
--system-ca  put the authority into this file, where system roots are, in place of SSL_CERT_FILE
--work       write files here, and read the log here
--seen-as    what COMMAND calls that directory
"""

import argparse
import atexit
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from provider import Provider  # noqa: E402

TOKEN = "sk-test-123456"
KEY = "the-provider's-key"
STREAM = [b'data: {"choices":[{"delta":{"content":"%d"}}]}\n\n' % n for n in range(5)] + [
    b"data: [DONE]\n\n"
]


def answer(connection, request):
    """Answers any chat; a 401 tells that the key did not arrive."""
    if request["headers"].get("authorization") != "Bearer " + KEY:
        return connection.json({}, "401 Unauthorized")
    asked = json.loads(request["body"])
    if not asked.get("stream"):
        return connection.json({"model": asked["model"], "said": "over TLS"})
    connection.stream()
    for event in STREAM:
        connection.chunk(event)
        time.sleep(0.05)
    connection.end()


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def tls_provider(work, name):
    """An https provider whose certificate is signed by a new authority: its port and that authority."""
    ca, ca_key, leaf, key, request = (work / f"{name}.{x}" for x in ("ca", "cak", "crt", "key", "csr"))
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *new, "-subj", f"/CN={name} CA", "-keyout", ca_key, "-out", ca)
    openssl("req", *new, "-subj", "/CN=leaf", "-addext", "subjectAltName=DNS:localhost,DNS:provider.test",
            "-keyout", key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-copy_extensions", "copy",
            "-out", leaf)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf, key)
    return Provider(script=answer, tls=context).port, ca.read_text()


def answer_dns():
    """A name server for which every name is 127.0.0.1 and has no other address."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))

    def serve():
        while True:
            asked, client = server.recvfrom(512)
            question = asked[12:asked.index(0, 12) + 5]
            address = b""
            if question[-4:-2] == b"\0\1":
                address = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"
            counts = b"\0\1" + (b"\0\1" if address else b"\0\0") + b"\0" * 4
            server.sendto(asked[:2] + b"\x81\x80" + counts + question + address, client)

    threading.Thread(target=serve, daemon=True).start()


class Program:
    """The program under test, until it is told to stop."""

    def __init__(self, command, work, environment):
        self.process = subprocess.Popen(
            command, cwd=work, env=environment, stdout=subprocess.PIPE, text=True, errors="replace"
        )
        # Nothing is left when a check fails.
        atexit.register(self.process.kill)
        self.banner = ""
        for line in self.process.stdout:
            self.banner += line
            if match := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.url = match[0]
                return
        sys.exit(f"it did not start: {self.banner}")

    def chat(self, model, stream=False):
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello there"}]}
        request = urllib.request.Request(
            self.url + "/v1/chat/completions", json.dumps(body).encode(), {"Authorization": "Bearer " + TOKEN}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        expect("SIGTERM ends it with", self.process.wait(20), 0)


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"smoke: {what}: got {got!r}, wanted {wanted!r}")
    print(f"smoke: {what}: ok")


def demo(command, work, environment):
    program = Program(command, work, environment)
    status, text = program.chat("demo/echo")
    expect("the demo answers", (status, "hello there" in text), (200, True))
    status, text = program.chat("demo/echo", stream=True)
    whole = text.count("data: ") > 2 and text.rstrip().endswith("data: [DONE]")
    expect("the demo streams to its end", (status, whole), (200, True))
    program.stop()


def over_tls(command, work, seen_as, environment, system_ca, host):
    port, authority = tls_provider(work, "known")
    stranger, _ = tls_provider(work, "stranger")
    one = lambda name, port: {"provider": name, "baseurl": f"https://{host}:{port}/v1",
                              "token": "${SMOKE_KEY}", "model_list": ["m"]}
    config = {"host": "127.0.0.1", "port": 0, "log_level": "INFO", "tokens": [f"smoke|{TOKEN}"],
              "providers": [one("known", port), one("stranger", stranger)]}
    file, owner = work / "smoke.json", work.stat()
    file.write_text(json.dumps(config))
    file.chmod(0o600)
    os.chown(file, owner.st_uid, owner.st_gid)
    environment = dict(environment, SMOKE_KEY=KEY)
    if system_ca:
        Path(system_ca).write_text(authority)
    else:
        (work / "ca.pem").write_text(authority)
        environment["SSL_CERT_FILE"] = f"{seen_as}/ca.pem"
    program = Program([*command, "--config", f"{seen_as}/smoke.json"], work, environment)
    expect("a TLS provider answers", program.chat("known/m"), (200, '{"model": "m", "said": "over TLS"}'))
    status, text = program.chat("known/m", stream=True)
    expect("a TLS provider streams", (status, text.encode()), (200, b"".join(STREAM)))
    status, text = program.chat("stranger/m")
    expect("a stranger is refused", status, 502)
    print("smoke:   " + json.loads(text)["error"]["message"])
    expect("in words without a source file", re.search(r"\.c\b", text), None)
    log = work / "ai_proxy.log"
    if log.exists():
        log.rename(work / "ai_proxy.log.1")
        program.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while not log.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        expect("SIGHUP opens a new log", log.exists(), True)
    expect("and after it a TLS provider answers", program.chat("known/m")[0], 200)
    program.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dns", action="store_true")
    parser.add_argument("--system-ca")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seen-as")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    # What CI sets for its own tools must not decide what the program trusts.
    environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    with tempfile.TemporaryDirectory() as directory:
        work = options.work or Path(directory)
        seen_as = options.seen_as or str(work)
        demo(options.command, work, environment)
        if options.dns:
            answer_dns()
        host = "provider.test" if options.dns else "localhost"
        over_tls(options.command, work, seen_as, environment, options.system_ca, host)


main()
