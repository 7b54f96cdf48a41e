"""Continue against the real binary: its command `cn` without an account, by the recipe of docs/clients.md."""

import json
import re

from case import API_KEY, BASE_URL, NODE_MODULES, model, seen
from program import ProgramTest
from recipes import here


class Continue(ProgramTest):
    url = BASE_URL

    def ask(self, code, key=API_KEY):
        """What one run says."""
        directory = self.home / ".continue"
        directory.mkdir(exist_ok=True)
        (directory / "config.yaml").write_text(code, encoding="utf-8")
        run = self.start([NODE_MODULES / ".bin/cn", "--print", "--auto", "ask the tool"], AI_PROXY_TOKEN=key,
                         CONTINUE_TELEMETRY_ENABLED="0")
        return f"{run.stdout}\n{run.stderr}"

    def test_it_works_with_a_tool(self):
        code, tag = here("Continue", "yaml", self.tee.url)
        self.assertIn("The tool has said: ['said-by-the-tool-42", self.ask(code))
        self.assertEqual(self.tee.requests(), ["POST /v1/chat/completions"] * 2)
        for request in seen(tag)["requests"]:
            body = json.loads(request["body"])
            self.assertEqual((body["model"].rpartition("/")[2], body["stream"]), (tag, True))
            self.assertEqual(body["stream_options"], {"include_usage": True})
            self.assertNotIn(API_KEY, json.dumps(request))

    def test_an_error_of_ours_is_shown(self):
        code, _ = here("Continue", "yaml", self.tee.url)
        for name, key, words in [("nobody/gpt", API_KEY, "未找到模型 nobody/gpt"),
                                 (model("agent")[0], "sk-wrong", "API token无效")]:
            self.assertIn(words, self.ask(re.sub("(?m)^( *model:).*$", rf"\1 {name}", code), key))
