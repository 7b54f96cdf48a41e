"""Several keys, several targets and aliases, as the SDKs of OpenAI and Anthropic see them."""

import json
import re
from collections import Counter
from pathlib import Path

import anthropic
import openai

from case import API_KEY, ROUTED_URL, UNICODE, ClientTest, model, seen, user
from scripts import PROVIDER_KEYS

PAGE = Path(__file__).resolve().parents[2] / "docs/routing.md"
CLIENT = openai.OpenAI(base_url=f"{ROUTED_URL}/v1", api_key=API_KEY, max_retries=0, timeout=20.0)
CLAUDE = anthropic.Anthropic(base_url=ROUTED_URL, api_key=API_KEY, max_retries=0, timeout=20.0)


def alias(name):
    """A name that this alias with a star takes, and the tag under which its requests are seen."""
    _, tag = model("")
    return f"{name}/{tag}", tag


def ask(name, stream=False, **more):
    """The text of the answer, and its headers."""
    raw = CLIENT.chat.completions.with_raw_response.create(model=name, messages=user(UNICODE), stream=stream, **more)
    answer = raw.parse()
    if not stream:
        return answer.choices[0].message.content, raw.headers
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices), raw.headers


def keys(tag):
    """The numbers of the keys with which the provider was asked, in order."""
    sent = [request["headers"]["authorization"].removeprefix("Bearer ") for request in seen(tag)["requests"]]
    return [PROVIDER_KEYS.index(key) + 1 for key in sent]


def attempts(tag):
    """How many calls reached the provider for each try of the SDK."""
    requests = seen(tag)["requests"]
    assert not [request for request in requests if "x-ai-proxy-retries" in request["headers"]]
    return Counter(request["headers"]["x-stainless-retry-count"] for request in requests)


class RoutedTest(ClientTest):
    def fails(self, kind, name, stream=False, client=CLIENT, **more):
        with self.assertRaises(kind) as caught:
            client.chat.completions.create(model=name, messages=user("x"), stream=stream, **more)
        return caught.exception

    def assert_rests(self, headers, stated):
        """Somebody may come back soon; what the provider said stands beside it."""
        self.assertIn(int(headers["retry-after"]), range(1, stated + 1))
        self.assertEqual(headers["x-ai-proxy-upstream-retry-after"], str(stated))


class Names(RoutedTest):
    def test_an_alias_is_a_model_of_the_list(self):
        self.assertEqual([entry.id for entry in CLIENT.models.list()][0], "fast")
        entry = CLIENT.models.retrieve("fast")
        self.assertEqual((entry.id, entry.owned_by, entry.object), ("fast", "ai_proxy", "model"))

    def test_patterns_are_not_listed(self):
        ids = [entry.id for entry in CLIENT.models.list()]
        self.assertFalse([name for name in ids if "*" in name])
        self.assertEqual(len(ids), len(set(ids)))

    def test_an_alias_is_asked_for_and_the_answer_says_whose_it_is(self):
        for stream in False, True:
            _, tag = model("")
            text, headers = ask("fast", stream, extra_headers={"x-tag": tag})
            self.assertEqual(text, UNICODE)
            self.assertEqual(headers["x-ai-proxy-model"], "keys/echo")
            self.assertNotIn("x-ai-proxy-attempts", headers)
            [request] = seen(tag)["requests"]
            self.assertEqual(json.loads(request["body"])["model"], "echo")


class Fallback(RoutedTest):
    def test_another_key_answers(self):
        for stream in False, True:
            name, tag = model("only-2", "keys")
            text, headers = ask(name, stream)
            self.assertEqual(text, UNICODE)
            *others, last = keys(tag)
            self.assertEqual(last, 2)
            self.assertNotIn(2, others)
            trail = ", ".join([*(f"keys#{number}=429" for number in others), "keys#2=200"])
            self.assertEqual(headers.get("x-ai-proxy-attempts"), trail if others else None)
            # What was refused rests: the next one goes where it is answered.
            ask(name, stream)
            self.assertEqual(keys(tag), [*others, 2, 2])

    def test_another_target_answers(self):
        for stream in False, True:
            name, tag = alias("limited")
            text, headers = ask(name, stream)
            self.assertEqual(text, UNICODE)
            self.assertEqual(headers["x-ai-proxy-model"], f"other/echo/{tag}")
            trail = headers["x-ai-proxy-attempts"].split(", ")
            self.assertEqual(trail[-1], "other=200")
            self.assertEqual({entry.partition("=")[2] for entry in trail[:-1]}, {"429"})
            models = [json.loads(request["body"])["model"] for request in seen(tag)["requests"]]
            self.assertEqual(models, [f"status-429-7/{tag}"] * (len(trail) - 1) + [f"echo/{tag}"])


class Failure(RoutedTest):
    def test_all_at_their_limit_is_a_rate_limit_error_with_the_soonest_time(self):
        for stream in False, True:
            name, tag = model("status-429-7", "two")
            error = self.fails(openai.RateLimitError, name, stream)
            self.assertEqual(error.code, "provider_code_429")
            self.assertEqual(error.body["message"], "the provider says 429")
            self.assertEqual(error.request_id, "req_upstream_42")
            headers = error.response.headers
            self.assert_rests(headers, 7)
            self.assertEqual(headers.get_list("x-should-retry"), ["false"])
            trail = headers["x-ai-proxy-attempts"].split(", ")
            self.assertEqual(trail[-1], "other=429")
            self.assertEqual(len(trail), len(keys(tag)))
            self.assertEqual(sorted(keys(tag)[:-1]), [1, 2, 3])

    def test_a_rate_limit_goes_before_other_errors(self):
        name, tag = alias("mixed")
        error = self.fails(openai.RateLimitError, name)
        self.assertEqual(error.code, "provider_code_429")
        self.assert_rests(error.response.headers, 7)
        self.assertEqual(len(seen(tag)["requests"]), 2)

    def test_other_errors_are_the_providers_own(self):
        for status, kind, calls in [(500, openai.InternalServerError, 2), (400, openai.BadRequestError, 1),
                                    (422, openai.UnprocessableEntityError, 1), (418, openai.APIStatusError, 1)]:
            for stream in False, True:
                name, tag = model(f"status-{status}", "two")
                error = self.fails(kind, name, stream)
                self.assertEqual(error.status_code, status)
                self.assertEqual(error.body, {"message": f"the provider says {status}", "param": "p",
                                              "type": "provider_type", "code": f"provider_code_{status}"})
                self.assertEqual(len(seen(tag)["requests"]), calls)

    def test_nobody_there_is_an_error_that_names_all(self):
        for stream in False, True:
            error = self.fails(openai.InternalServerError, "nobody/x", stream)
            self.assertEqual((error.status_code, error.type), (502, "http_error"))
            for name in "dead", "gone":
                self.assertIn(name, error.body["message"])
            trail = error.response.headers["x-ai-proxy-attempts"].split(", ")
            self.assertEqual(sorted(trail), ["dead=connect", "gone=connect"])


class Retries(RoutedTest):
    """The SDK asks three times, and each time the proxy makes at most three attempts."""

    def test_they_multiply_to_their_product_and_no_further(self):
        twice = CLIENT.with_options(max_retries=2)
        name, tag = model("busy-503", "repeated")
        self.fails(openai.InternalServerError, name, client=twice)
        self.assertEqual(attempts(tag), {"0": 3, "1": 3, "2": 3})

    def test_what_rests_is_not_asked_again(self):
        twice = CLIENT.with_options(max_retries=2)
        name, tag = model("busy-429-1", "repeated")
        self.fails(openai.RateLimitError, name, client=twice)
        counts = attempts(tag)
        self.assertEqual(counts["0"], 3)
        self.assertEqual(set(counts), {"0", "1", "2"})
        self.assertLessEqual(max(counts.values()), 3)

    def test_a_header_turns_those_of_the_proxy_off(self):
        client = CLIENT.with_options(max_retries=2, default_headers={"x-ai-proxy-retries": "0"})
        name, tag = model("busy-503", "repeated")
        self.fails(openai.InternalServerError, name, client=client)
        self.assertEqual(attempts(tag), {"0": 1, "1": 1, "2": 1})

    def test_a_header_cannot_raise_them(self):
        name, tag = model("busy-503", "repeated")
        self.fails(openai.InternalServerError, name, extra_headers={"x-ai-proxy-retries": "10"})
        self.assertEqual(attempts(tag), {"0": 3})

    def test_the_clients_of_the_page(self):
        blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
        here = []
        for block in blocks:
            block = block.replace("http://localhost:8001", ROUTED_URL)
            here.append(names := {})
            exec(block.replace("sk-my-own-long-random-text", API_KEY), names)
        few, off = here
        self.assertEqual((few["client"].max_retries, few["claude"].max_retries), (1, 1))
        for client, expected in [(few["client"], {"0": 3, "1": 3}), (off["client"], {"0": 1, "1": 1, "2": 1})]:
            name, tag = model("busy-503", "repeated")
            self.fails(openai.InternalServerError, name, client=client)
            self.assertEqual(attempts(tag), expected)
        name, _ = model("echo", "two")
        answer = few["claude"].messages.create(model=name, max_tokens=9, messages=user("x"))
        self.assertEqual(answer.content[0].text, "x")


class Claude(RoutedTest):
    def create(self, name, **more):
        return CLAUDE.messages.with_raw_response.create(model=name, max_tokens=99, messages=user(UNICODE), **more)

    def test_an_alias_with_a_star_keeps_the_rest_of_the_name(self):
        _, tag = model("")
        tag = f"claude-sonnet-{tag}"
        raw = self.create(tag)
        self.assertEqual(raw.parse().content[0].text, UNICODE)
        self.assertEqual(raw.headers["x-ai-proxy-model"], f"keys/echo/{tag}")
        with CLAUDE.messages.stream(model=tag, max_tokens=99, messages=user(UNICODE)) as stream:
            self.assertEqual("".join(stream.text_stream), UNICODE)
        self.assertEqual(CLAUDE.messages.count_tokens(model=tag, messages=user("x")).input_tokens, 1)
        targets = [request["target"] for request in seen(tag)["requests"]]
        self.assertEqual(targets, ["/v1/messages"] * 2 + ["/v1/messages/count_tokens"])

    def test_another_target_answers(self):
        name, tag = alias("limited")
        raw = self.create(name)
        self.assertEqual(raw.parse().content[0].text, UNICODE)
        self.assertEqual(raw.headers["x-ai-proxy-model"], f"other/echo/{tag}")
        name, tag = alias("limited")
        with CLAUDE.messages.stream(model=name, max_tokens=99, messages=user(UNICODE)) as stream:
            self.assertEqual("".join(stream.text_stream), UNICODE)
        self.assertEqual(json.loads(seen(tag)["requests"][-1]["body"])["model"], f"echo/{tag}")

    def test_all_at_their_limit_is_a_rate_limit_error(self):
        for stream in False, True:
            name, _ = model("status-429-7", "two")
            with self.assertRaises(anthropic.RateLimitError) as caught:
                self.create(name, stream=stream)
            error = caught.exception
            self.assertEqual(error.body["error"], {"type": "rate_limit_error", "message": "the provider says 429"})
            self.assert_rests(error.response.headers, 7)

    def test_nobody_there_is_an_error_in_its_shape(self):
        with self.assertRaises(anthropic.InternalServerError) as caught:
            self.create("nobody/x")
        self.assertEqual(caught.exception.status_code, 502)
        self.assertEqual(caught.exception.body["error"]["type"], "api_error")
        for name in "dead", "gone":
            self.assertIn(name, caught.exception.body["error"]["message"])
