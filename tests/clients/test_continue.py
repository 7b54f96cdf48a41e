"""Continue against the real binary: its command `cn` without an account, by a model of its config.yaml."""

import json

from case import API_KEY, BASE_URL, NODE_MODULES, model, seen
from program import ProgramTest

SAID = "said-by-the-tool-42"


class Continue(ProgramTest):
    url = BASE_URL

    def ask(self, name, key=API_KEY):
        """What one run says. JSON is YAML; the key comes from the environment."""
        directory = self.home / ".continue"
        directory.mkdir(exist_ok=True)
        described = {"name": "Relayed", "provider": "openai", "model": name, "apiBase": f"{self.tee.url}/v1",
                     "apiKey": "${{ secrets.AI_PROXY_TOKEN }}", "capabilities": ["tool_use"]}
        (directory / "config.yaml").write_text(json.dumps(
            {"name": "mine", "version": "0.0.1", "schema": "v1", "models": [described]}), encoding="utf-8")
        run = self.start([NODE_MODULES / ".bin/cn", "--print", "--auto", "ask the tool"], AI_PROXY_TOKEN=key,
                         CONTINUE_TELEMETRY_ENABLED="0")
        return f"{run.stdout}\n{run.stderr}"

    def test_it_works_with_a_tool(self):
        name, tag = model("agent")
        said = self.ask(name)
        self.assertIn(f"The tool has said: ['{SAID}", said)
        self.assertEqual(self.tee.requests(), ["POST /v1/chat/completions"] * 2)
        for request in seen(tag)["requests"]:
            body = json.loads(request["body"])
            self.assertEqual((body["model"].rpartition("/")[2], body["stream"]), (tag, True))
            self.assertEqual(body["stream_options"], {"include_usage": True})
            self.assertNotIn(API_KEY, json.dumps(request))

    def test_an_error_of_ours_is_shown(self):
        for name, key, words in [("nobody/gpt", API_KEY, "未找到模型 nobody/gpt"),
                                 (model("agent")[0], "sk-wrong", "API token无效")]:
            self.assertIn(words, self.ask(name, key))
