"""Proxies to look at: with six providers of which two are down, with forty, with none."""

import json
import urllib.error
import urllib.request

from harness import free_port
from page import TOKEN
from provider import Provider

CLIENTS = {"laptop": "sk-laptop-2468", "home-assistant": "sk-home-1357", "notes": "sk-notes-8642", "browser": TOKEN}
NAMES = ["openai", "anthropic", "zhipu", "siliconflow", "deepseek", "ollama"]
MODELS = {"openai": ["gpt-4o", "gpt-4o-mini", "o3", "text-embedding-3-large"], "anthropic": ["claude-sonnet-4-5"],
          "zhipu": ["glm-4.6", "glm-4-flash"], "siliconflow": ["deepseek-ai/DeepSeek-V3", "Qwen/Qwen3-32B"]}


class Refusing(Provider):
    """Accepts no key."""

    def answer(self, connection, request):
        self.requests.append(request)
        connection.json({"error": {"message": "bad key"}}, "401 Unauthorized")


def script(connection, request):
    """Fails for some models, and else says two words."""
    body = json.loads(request["body"])
    if "busy" in body["model"]:
        return connection.json({"error": {"message": "slow down"}}, "429 Too Many Requests")
    if "broken" in body["model"]:
        return connection.json({"error": {"message": "oops"}}, "500 Internal Server Error")
    if not body.get("stream"):
        return connection.json({"choices": [{"message": {"content": "hello"}}]})
    connection.stream()
    for word in ["Hello", " from a model."]:
        connection.delta(word)
    connection.event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}})
    connection.finish()


def config(providers):
    tokens = [f"{client}|{token}" for client, token in CLIENTS.items()]
    return {"providers": providers, "tokens": tokens, "log_level": "INFO"}


def models(name):
    return [*MODELS[name], *(f"{name}-model-{number:03}" for number in range(75))][:75]


def six(test):
    """Two are down, one for its key and one because nobody is there; 300 models."""
    well = [Provider(models(name), script) for name in NAMES[:4]]
    refusing = Refusing()
    for provider in [*well, refusing]:
        test.addCleanup(provider.stop)
    urls = [*(provider.url for provider in well), refusing.url, f"http://127.0.0.1:{free_port()}/v1"]
    return config([{"provider": name, "baseurl": url} for name, url in zip(NAMES, urls)])


def forty(test):
    """Three are down; a thousand models."""
    well = Provider([f"vendor/some-model-with-a-long-name-{number:02}-instruct" for number in range(27)], script)
    test.addCleanup(well.stop)
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    return config([{"provider": f"provider-{number:02}", "baseurl": nobody if number % 13 == 7 else well.url}
                   for number in range(40)])


def none(_):
    return {"providers": [], "tokens": []}


def chat(proxy, model, client="laptop", **more):
    """A chat that is over when this returns; its status."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], **more}).encode()
    headers = {"authorization": f"Bearer {CLIENTS.get(client, client)}", "content-type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(
                f"{proxy.url}/v1/chat/completions", body, headers), timeout=20) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def traffic(proxy):
    """Chats of several clients, of which some go wrong."""
    for number in range(24):
        name = NAMES[number % 4]
        chat(proxy, f"{name}/{MODELS[name][0]}", [*CLIENTS][number % 3], stream=number % 2 == 0)
    for model, client in [("zhipu/glm-4.6-busy", "notes"), ("openai/gpt-4o-broken", "laptop"), ("nobody/x", "laptop"),
                          ("deepseek/deepseek-chat", "home-assistant"), ("deepseek/deepseek-chat", "home-assistant"),
                          ("openai/gpt-4o", "sk-wrong"), ("ollama/llama3.2", "laptop")]:
        chat(proxy, model, client)
