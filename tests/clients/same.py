"""Whether an SDK gets through the proxy what it gets from the provider itself, and the provider the same bytes."""

import base64
import re

import openai
from pydantic import BaseModel

from case import API_KEY, BASE_URL, PROVIDER_KEY, UPSTREAM_URL, ClientTest, model, seen

SETTINGS = {"max_retries": 0, "timeout": 20.0}
DIRECT = openai.OpenAI(base_url=f"{UPSTREAM_URL}/v1", api_key=PROVIDER_KEY, **SETTINGS)
RELAYED = openai.OpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, **SETTINGS)

# These speak of the connection, or the proxy has its own.
OWN_FIELDS = {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding",
              "x-request-id"}
BOUNDARY = re.compile(r'boundary="?([^";]+)')


def dumped(answer):
    """An answer of an SDK as plain data: models, lists in pages, events, bytes, text."""
    if isinstance(answer, openai.pagination.SyncCursorPage):
        return [dumped(entry) for entry in answer]
    if isinstance(answer, openai.Stream):
        return [dumped(event) for event in answer]
    if isinstance(answer, openai._legacy_response.HttpxBinaryResponseContent):
        return answer.content
    return answer.model_dump(warnings=False) if isinstance(answer, BaseModel) else answer


def plain(request):
    """What must be the same of a request. The boundary of a form is random and gets another name."""
    headers = {name: value for name, value in request["headers"].items() if name not in OWN_FIELDS}
    body = base64.b64decode(request["bytes"])
    if "content-length" in request["headers"]:
        assert int(request["headers"]["content-length"]) == len(body)
    found = BOUNDARY.search(headers.get("content-type", ""))
    if found:
        headers["content-type"] = headers["content-type"].replace(found[1], "BOUNDARY")
        body = body.replace(found[1].encode(), b"BOUNDARY")
    return {"method": request["method"], "target": request["target"], "headers": headers, "body": body,
            "chunked": "transfer-encoding" in request["headers"]}


class SameTest(ClientTest):
    maxDiff = 4000

    def both(self, ask, script="echo", relayed=RELAYED, prefix="scripted/"):
        """Asks the provider and then the proxy by `ask(client, model)`; gives the answer and the requests."""
        name, tag = model(script)
        name = name.removeprefix("scripted/")
        tagged = {"default_headers": {"x-tag": tag}}
        expected = dumped(ask(DIRECT.with_options(**tagged), name))
        direct = [plain(request) for request in seen(tag)["requests"]]
        self.assertTrue(direct, "the provider was not asked")
        got = dumped(ask(relayed.with_options(**tagged), prefix + name))
        through = [plain(request) for request in seen(tag)["requests"][len(direct):]]
        self.assertEqual(through, direct)
        self.assertEqual(got, expected)
        return got, through
