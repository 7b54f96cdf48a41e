"""The recipes of docs/clients.md, as they stand there: only the address and the models are others."""

import re
from pathlib import Path

from case import BASE_URL, model

PAGE = Path(__file__).resolve().parents[2] / "docs/clients.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
MODEL = re.compile(r"\b(zhipu|openai|anthropic)/(glm|gpt|claude)-[\w.-]+")


def recipe(heading, language):
    """The one block in this language below this heading."""
    section = re.search(rf"^### {heading}$(.*?)(?=^##|\Z)", PAGE.read_text(encoding="utf-8"), re.M | re.S)[1]
    [code] = [code for kind, code in BLOCK.findall(section) if kind == language]
    return code


def here(heading, language, url=BASE_URL):
    """The same for the proxy of this run, and the tag of its model, which calls a tool that it is offered."""
    name, tag = model("agent")
    code, models = MODEL.subn(name, recipe(heading, language))
    code, addresses = re.subn("http://localhost:8001", url, code)
    assert models and addresses, code
    return code, tag
