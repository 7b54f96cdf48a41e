"""Claude Code against the real binary: `claude --print` without an account, by ANTHROPIC_BASE_URL."""

import json

from case import API_KEY, BASE_URL, NODE_MODULES, model, seen
from program import ProgramTest

SAID = "said-by-the-tool-42"
# What it would ask its makers for beside the conversation.
QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}


class ClaudeCode(ProgramTest):
    url = BASE_URL

    def ask(self, name, words="ask the tool", **env):
        """The result of one run. As root it works only in what it is told is a sandbox."""
        run = self.start([NODE_MODULES / ".bin/claude", "--print", "--output-format", "json", "--model", name,
                          "--dangerously-skip-permissions", words],
                         ANTHROPIC_BASE_URL=self.tee.url, IS_SANDBOX="1", **env)
        self.told = f"{run.stdout}\n{run.stderr}"
        return json.loads(run.stdout)

    def assert_worked(self, result, tag, requests=2):
        """The tool was called, and what it said came back to the provider and from there to us."""
        self.assertEqual((result["subtype"], result["is_error"]), ("success", False), self.told)
        self.assertIn(SAID, result["result"])
        got = seen(tag)["requests"]
        self.assertEqual([(request["method"], request["target"]) for request in got],
                         [("POST", "/v1/messages?beta=true")] * requests)
        for request in got:
            self.assertEqual(json.loads(request["body"])["model"].rpartition("/")[2], tag)
            self.assertIn("claude-code", request["headers"]["anthropic-beta"])
            self.assertEqual(request["headers"]["anthropic-version"], "2023-06-01")
            self.assertNotIn(API_KEY, json.dumps(request))

    def test_it_works_with_a_tool(self):
        for field in "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY":
            name, tag = model("agent")
            self.assert_worked(self.ask(name, **{field: API_KEY}, **QUIET), tag)
        self.assertEqual(self.tee.requests(), ["POST /v1/messages?beta=true"] * 4)

    def test_it_finds_the_models_of_a_gateway(self):
        name, tag = model("agent")
        self.assert_worked(self.ask(name, ANTHROPIC_AUTH_TOKEN=API_KEY, DISABLE_AUTOUPDATER="1",
                                    CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY="1"), tag)
        asked = self.tee.requests()
        self.assertIn("GET /v1/models?limit=1000", asked)
        # It only opens a connection by this; any answer will do.
        self.assertIn("HEAD /api/hello", asked)
        [listed] = [said for said in self.tee.answered if b'"type":"model"' in said]
        self.assertRegex(bytes(listed), rb"^HTTP/1.1 200 ")

    def test_it_counts_tokens(self):
        name, tag = model("echo")
        result = self.ask(name, "/context", ANTHROPIC_AUTH_TOKEN=API_KEY, **QUIET)
        self.assertEqual((result["subtype"], result["is_error"]), ("success", False), self.told)
        self.assertIn("Tokens", result["result"])
        got = seen(tag)["requests"]
        self.assertEqual({request["target"] for request in got}, {"/v1/messages/count_tokens?beta=true"})
        self.assertNotIn(b"HTTP/1.1 4", b"".join(self.tee.answered))

    def test_an_answer_that_is_cut_is_asked_for_again(self):
        name, tag = model("agent-cut")
        self.assert_worked(self.ask(name, ANTHROPIC_AUTH_TOKEN=API_KEY, **QUIET), tag, requests=3)

    def test_an_error_of_ours_is_shown(self):
        # Of a model that is unknown it speaks in its own words. Left alone it asks eleven times, for minutes.
        for name, key, words in [("nobody/claude", API_KEY, "nobody/claude"),
                                 (model("agent")[0], "sk-wrong", "API token无效")]:
            result = self.ask(name, ANTHROPIC_AUTH_TOKEN=key, CLAUDE_CODE_MAX_RETRIES="0", **QUIET)
            self.assertTrue(result["is_error"], self.told)
            self.assertIn(words, result["result"])
