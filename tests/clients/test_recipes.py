"""The recipes of docs/clients.md against the real binary. Continue has its own file."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from case import API_KEY, BASE_URL, NODE_MODULES, ClientTest, seen
from program import WAIT_MAX, ProgramTest
from recipes import here, recipe

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


class Libraries(ClientTest):
    def assert_answers(self, heading, language, path, *command):
        code, tag = here(heading, language)
        # Node looks for packages beside the script.
        beside = NODE_MODULES.parent if language == "js" else None
        with tempfile.NamedTemporaryFile("w", suffix=".mjs", dir=beside, encoding="utf-8") as script:
            script.write(code)
            script.flush()
            done = subprocess.run(["/usr/bin/env", *command, script.name], stdin=subprocess.DEVNULL, timeout=WAIT_MAX,
                                  env={"PATH": os.environ["PATH"], "AI_PROXY_TOKEN": API_KEY}, capture_output=True, text=True)
        self.assertIn("The tool has said:", done.stdout, done.stderr)
        self.assertEqual([request["target"] for request in seen(tag)["requests"]], [path])

    def test_curl(self):
        self.assert_answers("curl", "bash", CHAT, "bash")

    def test_python(self):
        for heading, path in [("openai-python", CHAT), ("LangChain", CHAT), ("OpenAI Agents SDK", CHAT),
                              ("Anthropic's SDKs", MESSAGES)]:
            with self.subTest(heading):
                self.assert_answers(heading, "python", path, sys.executable)

    def test_node(self):
        for heading, path in [("openai-node", CHAT), ("Vercel AI SDK", CHAT), ("Anthropic's SDKs", MESSAGES)]:
            with self.subTest(heading):
                self.assert_answers(heading, "js", path, "node")


class Programs(ProgramTest):
    url = BASE_URL

    def assert_works(self, tag, path, *command):
        """The tool is called, and what it said comes back."""
        done = self.start(command, AI_PROXY_TOKEN=API_KEY, IS_SANDBOX="1", DISABLE_AUTOUPDATER="1",
                          CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1")
        self.assertIn("said-by-the-tool-42", done.stdout, done.stderr)
        requests = seen(tag)["requests"]
        self.assertEqual([request["target"] for request in requests], [path] * 2)
        self.assertNotIn(API_KEY, json.dumps(requests))

    def test_codex(self):
        code, tag = here("Codex CLI", "toml", self.tee.url)
        (self.home / ".codex").mkdir()
        (self.home / ".codex/config.toml").write_text(code, encoding="utf-8")
        self.assert_works(tag, "/v1/responses", NODE_MODULES / ".bin/codex", "exec", "--skip-git-repo-check",
                          "--dangerously-bypass-approvals-and-sandbox", "ask the tool")

    def test_claude_code(self):
        code, tag = here("Claude Code", "bash", self.tee.url)
        claude = f"'{NODE_MODULES}/.bin/claude' --print --dangerously-skip-permissions 'ask the tool'"
        self.assert_works(tag, f"{MESSAGES}?beta=true", "bash", "-c", re.sub("^claude$", claude, code, flags=re.M))

    def test_llm(self):
        code, tag = here("llm", "yaml")
        directory = self.home / ".config/io.datasette.llm"
        directory.mkdir(parents=True)
        (directory / "extra-openai-models.yaml").write_text(code, encoding="utf-8")
        llm = Path(sys.executable).with_name("llm")
        script = re.sub("^llm", f"'{llm}'", recipe("llm", "bash"), flags=re.M)
        done = self.start(["bash", "-ec", script], AI_PROXY_TOKEN=API_KEY)
        self.assertIn("The tool has said:", done.stdout, done.stderr)
        self.assertEqual([request["target"] for request in seen(tag)["requests"]], [CHAT])
