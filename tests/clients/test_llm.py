"""`llm`, the command, against the real binary: by a model of its extra-openai-models.yaml."""

import json
import tempfile
from pathlib import Path

from click.testing import CliRunner
from llm.cli import cli

from case import API_KEY, BASE_URL, ClientTest, UNICODE, asked, model


class Llm(ClientTest):
    @classmethod
    def setUpClass(cls):
        # One for all of them: it takes two seconds to set up its database.
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.home = Path(directory.name)

    def ask(self, name, *options, key=API_KEY, **kind):
        """The command's end. It takes JSON for YAML, and runs in this process: to start it takes seconds, too."""
        models = [{"model_id": "relayed", "model_name": name, "api_base": f"{BASE_URL}/v1", "api_key_name": "relay",
                   **kind}]
        (self.home / "extra-openai-models.yaml").write_text(json.dumps(models), encoding="utf-8")
        (self.home / "keys.json").write_text(json.dumps({"relay": key}), encoding="utf-8")
        return CliRunner(env={"LLM_USER_PATH": str(self.home)}).invoke(cli, ["-m", "relayed", *options, UNICODE])

    def assert_said(self, path, *options, **kind):
        name, tag = model("echo")
        end = self.ask(name, *options, **kind)
        self.assertEqual((end.stdout, end.exit_code), (UNICODE + "\n", 0), end.output)
        request = asked(tag)
        self.assertEqual(request["target"], f"/v1/{path}")
        self.assertEqual(request["body"].get("stream", False), "--no-stream" not in options)
        self.assert_complete(tag)

    def test_chat(self):
        self.assert_said("chat/completions")
        self.assert_said("chat/completions", "--no-stream")

    def test_responses(self):
        self.assert_said("responses", responses=True)
        self.assert_said("responses", "--no-stream", responses=True)

    def test_completions(self):
        self.assert_said("completions", completion=True)

    def test_an_error_of_ours_is_shown(self):
        for name, key, words in [("nobody/x", API_KEY, "未找到模型 nobody/x"),
                                 (model("echo")[0], "sk-wrong", "API token无效")]:
            end = self.ask(name, key=key)
            self.assertEqual(end.exit_code, 1)
            self.assertIn(words, end.stderr)
