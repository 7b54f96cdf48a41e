#!/usr/bin/env python3
"""Chats without end, as clients with a retry do; says at the end what became of them.

    deploy/traffic.py URL MODEL SECONDS

Each of eight clients opens a new connection for each chat, every second one streamed. A chat whose
connection is refused or breaks before its answer is repeated once, as OpenAI's SDKs would; a chat
that fails again, or breaks off in the middle of its answer, is lost. Exits with 1 if one was lost.
"""

import http.client
import json
import sys
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

CLIENTS = 8
TOKEN = "sk-test-123456"


class Lost(Exception):
    pass


def chat(address, model, stream):
    """One try. OSError and HTTPException: no answer began, so another try is in order."""
    connection = http.client.HTTPConnection(address, timeout=30)
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "one two three"}]}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": "Bearer " + TOKEN})
        answer = connection.getresponse()
        if answer.status >= 500:
            raise http.client.HTTPException(str(answer.status))
        try:
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Lost(f"broken off: {error!r}") from error
    finally:
        connection.close()
    whole = text.rstrip().endswith(b"[DONE]") if stream else b"three" in text
    if answer.status != 200 or not whole:
        raise Lost(f"{answer.status} {text[-200:]!r}")


def client(address, model, until, counts):
    stream = False
    while time.monotonic() < until:
        counts["chats"] += 1
        stream = not stream
        for attempt in (1, 2):
            try:
                chat(address, model, stream)
                break
            except Lost as error:
                counts["lost"] += 1
                print(error, file=sys.stderr)
                break
            except (OSError, http.client.HTTPException) as error:
                counts["retried" if attempt == 1 else "lost"] += 1
                print(f"try {attempt}: {error!r}", file=sys.stderr)
                time.sleep(0.05)


def main():
    url, model, seconds = sys.argv[1:]
    counts, until = Counter(chats=0, retried=0, lost=0), time.monotonic() + float(seconds)
    arguments = (urlsplit(url).netloc, model, until, counts)
    clients = [threading.Thread(target=client, args=arguments) for _ in range(CLIENTS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    print("traffic:", ", ".join(f"{number} {what}" for what, number in counts.items()))
    sys.exit(counts["lost"] > 0)


main()
