"""Codex CLI against the real binary: `codex exec` without an account, by a provider of its config.toml."""

import base64
import json

from case import API_KEY, BASE_URL, NODE_MODULES, model, seen
from program import ProgramTest

SAID = "said-by-the-tool-42"


def token_of_nobody():
    """What stands for an account: a token without a signature, which nobody checks."""
    account = {"chatgpt_plan_type": "pro", "chatgpt_account_id": "nobody", "chatgpt_user_id": "nobody"}
    claims = {"email": "nobody@example.com", "exp": 4102444800, "https://api.openai.com/auth": account}
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)] + [b"none"]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


class Codex(ProgramTest):
    url = BASE_URL

    def ask(self, name, config=(), provider=(), key=API_KEY):
        """The events of one run. Its analytics would wait for the network."""
        lines = ["analytics.enabled = false", *config]
        if provider is not None:
            lines += ['model_provider = "relay"', "[model_providers.relay]", 'name = "relay"',
                      f'base_url = "{self.tee.url}/v1"', 'wire_api = "responses"', 'env_key = "RELAY_KEY"', *provider]
        directory = self.home / ".codex"
        directory.mkdir(exist_ok=True)
        (directory / "config.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        run = self.start([NODE_MODULES / ".bin/codex", "exec", "--skip-git-repo-check", "--json", "--model", name,
                          "--dangerously-bypass-approvals-and-sandbox", "ask the tool"], RELAY_KEY=key)
        self.told = f"{run.stdout}\n{run.stderr}"
        return [json.loads(line) for line in run.stdout.splitlines()]

    def assert_worked(self, events, tag, requests=2):
        """The tool was called, and what it said came back to the provider and from there to us."""
        self.assertEqual(events[-1]["type"], "turn.completed", self.told)
        items = [event["item"] for event in events if event["type"] == "item.completed"]
        [command] = [item for item in items if item["type"] == "command_execution"]
        self.assertEqual(command["aggregated_output"].strip(), SAID)
        self.assertIn(SAID, items[-1]["text"])
        got = seen(tag)["requests"]
        self.assertEqual([(request["method"], request["target"]) for request in got],
                         [("POST", "/v1/responses")] * requests)
        for request in got:
            body = json.loads(request["body"])
            self.assertEqual(body["model"].rpartition("/")[2], tag)
            self.assertNotIn("content-encoding", request["headers"])
            self.assertNotIn(API_KEY, json.dumps(request))
            self.assertEqual(request["headers"]["originator"], "codex_exec")
        return got

    def test_it_works_with_a_tool(self):
        name, tag = model("agent")
        self.assert_worked(self.ask(name), tag)
        self.assertEqual(self.tee.requests(), ["POST /v1/responses"] * 2)

    def test_it_goes_on_over_http_when_a_web_socket_is_refused(self):
        name, tag = model("agent")
        self.assert_worked(self.ask(name, provider=["supports_websockets = true"]), tag)
        self.assertEqual(self.tee.requests(), ["GET /v1/responses"] + ["POST /v1/responses"] * 2)
        self.assertRegex(bytes(self.tee.answered[0]), rb"^HTTP/1.1 426 ")

    def test_its_zstd_is_unpacked(self):
        """Only with an account of ChatGPT's it compresses; here one that does not exist, and no server is asked."""
        token = {"id_token": token_of_nobody(), "access_token": API_KEY, "refresh_token": "x", "account_id": "nobody"}
        (self.home / ".codex").mkdir()
        (self.home / ".codex/auth.json").write_text(json.dumps({
            "auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": token, "last_refresh": "2100-01-01T00:00:00Z"}))
        name, tag = model("agent")
        events = self.ask(name, provider=None, config=[
            'cli_auth_credentials_store = "file"', f'openai_base_url = "{self.tee.url}/v1"',
            f'chatgpt_base_url = "{self.tee.url}/backend-api/"'])
        self.assert_worked(events, tag)
        posts = [said for said in self.tee.asked if said.startswith(b"POST /v1/responses ")]
        self.assertEqual(len(posts), 2)
        for said in posts:
            self.assertIn(b"\r\ncontent-encoding: zstd\r\n", said)
            self.assertNotIn(name.encode(), said.partition(b"\r\n\r\n")[2])

    def test_an_answer_that_is_cut_is_asked_for_again(self):
        name, tag = model("agent-cut")
        self.assert_worked(self.ask(name), tag, requests=3)

    def test_an_error_of_ours_is_shown(self):
        for name, key, words in [("nobody/gpt", API_KEY, "未找到模型 nobody/gpt"),
                                 (model("agent")[0], "sk-wrong", "API token无效")]:
            events = self.ask(name, key=key, provider=["request_max_retries = 0", "stream_max_retries = 0"])
            self.assertEqual(events[-1]["type"], "turn.failed", self.told)
            self.assertIn(words, events[-1]["error"]["message"])
