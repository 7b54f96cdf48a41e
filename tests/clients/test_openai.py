"""openai-python, synchronous, against the real binary."""

import hashlib
import json
import time

import openai

from case import (API_KEY, BASE_URL, NON_STREAM_TIMEOUT, STREAM_TIMEOUT, UNICODE, ClientTest,
                  model, seen, user)


CLIENT = openai.OpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0, timeout=20.0)


def client(**options):
    """All share CLIENT's connections."""
    return CLIENT.with_options(**options)


def text_of(stream):
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


class Plain(ClientTest):
    chat = CLIENT.chat.completions

    def test_models_are_listed_with_their_provider(self):
        ids = [entry.id for entry in CLIENT.models.list()]
        self.assertIn("scripted/echo", ids)
        self.assertIn("listed/echo/one", ids)
        self.assertTrue(all(entry.owned_by for entry in CLIENT.models.list()))
        self.assertTrue(all(type(entry.created) is int for entry in CLIENT.models.list()))
        self.assertFalse([name for name in ids if name.startswith("hidden/")])

    def test_a_chat_is_answered(self):
        name, tag = model("echo")
        answer = self.chat.create(model=name, messages=user("hello"))
        self.assertEqual(answer.choices[0].message.content, "hello")
        self.assertEqual(answer.usage.total_tokens, 7)
        self.assertEqual(answer._request_id, "req_upstream_42")
        request = seen(tag)["requests"][0]
        self.assertEqual(json.loads(request["body"])["model"], f"echo/{tag}")
        self.assertNotIn(API_KEY, json.dumps(request))

    def test_headers_pass_both_ways(self):
        name, tag = model("echo")
        raw = client(organization="org-1", project="proj-1").chat.completions.with_raw_response.create(
            model=name, messages=user("hello"), extra_headers={"X-Mine": "yes", "Cookie": "c=1"})
        for field, value in [("x-request-id", "req_upstream_42"), ("x-custom", "kept as it is"),
                             ("x-ratelimit-limit-requests", "500"),
                             ("x-ratelimit-remaining-requests", "499"),
                             ("x-ratelimit-reset-tokens", "6ms"), ("openai-processing-ms", "17"),
                             ("anthropic-ratelimit-requests-remaining", "7"),
                             ("content-type", "application/json")]:
            self.assertEqual(raw.headers.get(field), value, field)
        self.assertEqual(raw.parse().choices[0].message.content, "hello")
        sent = seen(tag)["requests"][0]["headers"]
        self.assertEqual(sent["x-mine"], "yes")
        self.assertEqual(sent["openai-organization"], "org-1")
        self.assertEqual(sent["openai-project"], "proj-1")
        self.assertEqual(sent["x-stainless-lang"], "python")
        self.assertEqual(sent["accept-encoding"], "identity")
        self.assertNotIn("cookie", sent)

    def test_every_request_field_passes(self):
        fields = {
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": {
                "type": "object", "properties": {"city": {"type": "string"}}}}}],
            "tool_choice": "auto", "parallel_tool_calls": False, "seed": 2**53 + 1, "temperature": 0.1,
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
            "logit_bias": {"50256": -100}, "stop": ["\n", "终"], "user": "u-1", "n": 1,
            "extra_body": {"enable_thinking": True, "big": 123456789012345678901234567890,
                           "tiny": 1e-300, "nested": {"model": "not this", "stream": "nor this"}},
        }
        name, tag = model("tools")
        answer = self.chat.create(model=name, messages=user("weather?"), **fields)
        call = answer.choices[0].message.tool_calls[0]
        self.assertEqual(json.loads(call.function.arguments), {"city": "北京"})
        sent = json.loads(seen(tag)["requests"][0]["body"])
        for key, value in {**fields, **fields["extra_body"]}.items():
            if key != "extra_body":
                self.assertEqual(sent[key], value, key)

    def test_tool_calls_stream(self):
        name, _ = model("tools")
        pieces = [chunk.choices[0].delta.tool_calls for chunk in
                  self.chat.create(model=name, messages=user("weather?"), stream=True)]
        arguments = "".join(call[0].function.arguments for call in pieces if call)
        self.assertEqual(json.loads(arguments), {"city": "北京"})

    def test_unicode_survives(self):
        for stream in False, True:
            name, tag = model("echo")
            answer = self.chat.create(model=name, messages=user(UNICODE), stream=stream)
            said = text_of(answer) if stream else answer.choices[0].message.content
            self.assertEqual(said, UNICODE)
            sent = json.loads(seen(tag)["requests"][0]["body"])
            self.assertEqual(sent["messages"][0]["content"], UNICODE)

    def test_a_prompt_of_a_megabyte(self):
        text = "龙与lorem ipsum 🐉\n" * 50_000
        self.assertGreater(len(text.encode()), 1_000_000)
        name, _ = model("digest")
        answer = self.chat.create(model=name, messages=user(text))
        proof = f"{len(text)} {hashlib.sha256(text.encode()).hexdigest()}"
        self.assertEqual(answer.choices[0].message.content, proof)

    def test_an_answer_of_two_megabytes_streams_back(self):
        text = "x" * 999 + " "
        name, _ = model("echo")
        self.assertEqual(text_of(self.chat.create(model=name, messages=user(text * 2000), stream=True)),
                         text * 2000)

    def test_chats_share_connections(self):
        tags = []
        for _ in range(10):
            name, tag = model("echo")
            tags.append(tag)
            self.chat.create(model=name, messages=user("again"))
            text_of(self.chat.create(model=name, messages=user("again"), stream=True))
        connections = [number for tag in tags for number in seen(tag)["connections"]]
        self.assertEqual(len(connections), 20)
        self.assertEqual(len(set(connections)), 1)


class Streams(ClientTest):
    chat = CLIENT.chat.completions

    def test_a_stream_ends_with_its_usage(self):
        name, _ = model("echo")
        chunks = list(self.chat.create(model=name, messages=user("one two three"), stream=True,
                                       stream_options={"include_usage": True}))
        self.assertEqual(text_of(chunks), "one two three")
        self.assertEqual(chunks[-1].usage.total_tokens, 7)
        self.assertEqual(chunks[-2].choices[0].finish_reason, "stop")

    def test_a_stream_comes_as_it_is_made(self):
        name, _ = model("drip")
        began = time.monotonic()
        times = [time.monotonic() - began
                 for _ in self.chat.create(model=name, messages=user("go"), stream=True)]
        self.assertEqual(len(times), 5)
        self.assertLess(times[0], 0.2 + 0.5)
        for earlier, later in zip(times, times[1:]):
            self.assertGreater(later - earlier, 0.05, times)

    def test_the_streaming_helper_works(self):
        name, _ = model("echo")
        with self.chat.stream(model=name, messages=user("a b c")) as stream:
            text = "".join(event.delta for event in stream if event.type == "content.delta")
            final = stream.get_final_completion()
        self.assertEqual(text, "a b c")
        self.assertEqual(final.choices[0].message.content, "a b c")

    def test_streaming_raw_response_has_the_headers(self):
        name, _ = model("echo")
        with self.chat.with_streaming_response.create(
                model=name, messages=user("a"), stream=True) as raw:
            self.assertEqual(raw.headers["x-request-id"], "req_upstream_42")
            self.assertEqual(raw.headers["cache-control"], "no-cache")
            self.assertEqual(raw.headers["x-accel-buffering"], "no")
            self.assertEqual(raw.headers["content-type"], "text/event-stream; charset=utf-8")
            self.assertTrue(list(raw.iter_lines()))

    def test_breaking_off_closes_the_provider(self):
        name, tag = model("endless")
        stream = self.chat.create(model=name, messages=user("go"), stream=True)
        for number, _ in enumerate(stream):
            if number == 3:
                break
        began = time.monotonic()
        stream.close()
        self.assert_closed(tag, began)

    def test_leaving_a_silent_stream_closes_the_provider(self):
        name, tag = model("silent")
        with self.chat.create(model=name, messages=user("go"), stream=True) as stream:
            next(iter(stream))
            began = time.monotonic()
        self.assert_closed(tag, began)

    def test_a_cut_stream_raises(self):
        name, _ = model("cut")
        said = []
        with self.assertRaises(openai.APIError) as caught:
            for chunk in self.chat.create(model=name, messages=user("go"), stream=True):
                said.append(chunk.choices[0].delta.content)
        self.assertEqual(said, ["0 ", "1 ", "2 "])
        self.assertIn("scripted", caught.exception.message)
        self.assertEqual(caught.exception.code, "502")

    def test_a_stream_cut_inside_an_event_raises(self):
        name, _ = model("cut_inside")
        with self.assertRaises(openai.APIConnectionError):
            text_of(self.chat.create(model=name, messages=user("go"), stream=True))

    def test_a_silent_stream_times_out_with_an_error(self):
        name, tag = model("silent")
        began = time.monotonic()
        with self.assertRaises(openai.APIError) as caught:
            text_of(self.chat.create(model=name, messages=user("go"), stream=True))
        took = time.monotonic() - began
        self.assertGreater(took, STREAM_TIMEOUT - 0.1)
        self.assertLess(took, STREAM_TIMEOUT + 1.5)
        self.assertIn("timed out", caught.exception.message)
        self.assertTrue(seen(tag, closed=True)["closed"])

    def test_the_providers_own_error_event_is_its_own(self):
        name, _ = model("error_event")
        with self.assertRaises(openai.APIError) as caught:
            text_of(self.chat.create(model=name, messages=user("go"), stream=True))
        self.assertEqual(caught.exception.message, "the provider says 500")
        self.assertEqual(caught.exception.code, "provider_code_500")


class Errors(ClientTest):
    def create(self, name, expected, stream=False, **options):
        with self.assertRaises(expected) as caught:
            client(**options).chat.completions.create(model=name, messages=user("go"), stream=stream)
        return caught.exception

    def test_a_wrong_token_is_an_authentication_error(self):
        error = self.create(model("echo")[0], openai.AuthenticationError, api_key="sk-wrong")
        self.assertEqual(error.status_code, 401)
        self.assertIn("API token无效", error.body["message"])
        self.assertEqual(error.type, "http_error")

    def test_an_unknown_model_is_not_found(self):
        for name in ["nobody/gpt", "no-slash", "listed/other", "hidden/echo/x", "scripted/"]:
            error = self.create(name, openai.NotFoundError)
            self.assertIn("未找到模型", error.body["message"])
            self.assertIn(name, error.body["message"])

    def test_the_providers_errors_are_its_own(self):
        for status, expected in [(400, openai.BadRequestError), (401, openai.AuthenticationError),
                                 (403, openai.PermissionDeniedError), (404, openai.NotFoundError),
                                 (409, openai.ConflictError), (418, openai.APIStatusError),
                                 (422, openai.UnprocessableEntityError), (429, openai.RateLimitError),
                                 (500, openai.InternalServerError), (503, openai.InternalServerError),
                                 (520, openai.InternalServerError), (529, openai.InternalServerError)]:
            for stream in False, True:
                error = self.create(model(f"status-{status}")[0], expected, stream=stream)
                self.assertEqual(error.status_code, status)
                self.assertEqual(error.body, {"message": f"the provider says {status}", "param": "p",
                                              "type": "provider_type", "code": f"provider_code_{status}"})
                self.assertEqual(error.request_id, "req_upstream_42")

    def test_a_rate_limit_tells_when_to_come_back(self):
        error = self.create(model("status-429-7")[0], openai.RateLimitError)
        self.assertEqual(error.response.headers["retry-after"], "7")
        self.assertEqual(error.response.headers["x-should-retry"], "false")

    def test_a_bad_request_is_explained(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            CLIENT.post("/chat/completions", body={"messages": []}, cast_to=object)
        self.assertIn("model", caught.exception.body["message"])

    def test_a_dead_provider_is_a_502_with_its_name(self):
        for name in ["dead/x", model("garbage")[0], model("half")[0]]:
            for stream in False, True:
                error = self.create(name, openai.InternalServerError, stream=stream)
                self.assertEqual(error.status_code, 502)
                self.assertIn(name.split("/")[0], error.body["message"])

    def test_a_slow_provider_is_a_504(self):
        name, tag = model("slow")
        began = time.monotonic()
        error = self.create(name, openai.InternalServerError)
        self.assertEqual(error.status_code, 504)
        self.assertIn(f"{NON_STREAM_TIMEOUT:g} s", error.body["message"])
        self.assertLess(time.monotonic() - began, NON_STREAM_TIMEOUT + 1.5)
        self.assertTrue(seen(tag, closed=True)["closed"])

    def test_a_client_that_gives_up_closes_the_provider(self):
        name, tag = model("slow")
        self.create(name, openai.APITimeoutError, timeout=0.3)
        self.assert_closed(tag, time.monotonic())

    def test_nobody_listening_is_a_connection_error(self):
        nobody = client(base_url="http://localhost:1/v1")
        self.assertRaises(openai.APIConnectionError, nobody.models.list)


class Retries(ClientTest):
    def test_retries_wait_as_long_as_the_provider_asks(self):
        for field, value, least in [("retry-after", "1", 1.0), ("retry_after_ms", "700", 0.7)]:
            name, tag = model(f"flaky-1-{field.replace('-', '_')}-{value}")
            began = time.monotonic()
            answer = client(max_retries=2).chat.completions.create(model=name, messages=user("again"))
            took = time.monotonic() - began
            self.assertEqual(answer.choices[0].message.content, "again")
            self.assertGreaterEqual(took, least)
            self.assertLess(took, least + 1.5)
            counts = [request["headers"]["x-stainless-retry-count"] for request in seen(tag)["requests"]]
            self.assertEqual(counts, ["0", "1"])

    def test_retries_obey_the_provider_that_forbids_them(self):
        name, tag = model("status-429-1")
        with self.assertRaises(openai.RateLimitError):
            client(max_retries=2).chat.completions.create(model=name, messages=user("again"))
        self.assertEqual(len(seen(tag)["requests"]), 1)

    def test_the_proxy_itself_repeats_nothing(self):
        name, tag = model("half")
        with self.assertRaises(openai.InternalServerError):
            CLIENT.chat.completions.create(model=name, messages=user("once"))
        self.assertEqual(len(seen(tag)["requests"]), 1)
