"""anthropic-sdk-python against the real binary, with its token in either field."""

import anthropic

from case import API_KEY, BASE_URL, EARLY_URL, ClientTest, UNICODE, asked, model, user

KEYED = anthropic.Anthropic(base_url=BASE_URL, api_key=API_KEY, max_retries=0, timeout=20.0)
BEARER = anthropic.Anthropic(base_url=BASE_URL, auth_token=API_KEY, max_retries=0, timeout=20.0)
TOOLS = [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]


def create(client, name, **more):
    return client.messages.create(model=name, max_tokens=99, messages=user("x"), **more)


class Messages(ClientTest):
    def test_a_message_is_answered(self):
        for client in KEYED, BEARER:
            name, tag = model("echo")
            answer = client.messages.create(model=name, max_tokens=99, messages=user(UNICODE))
            self.assertEqual(answer.content[0].text, UNICODE)
            self.assertEqual(answer.usage.output_tokens, 4)
            self.assertEqual(answer._request_id, "req_anthropic_42")
            request = asked(tag)
            self.assertEqual(request["target"], "/v1/messages")
            self.assertEqual(request["body"]["model"], f"echo/{tag}")
            self.assertRegex(request["headers"]["anthropic-version"], r"^\d{4}-\d\d-\d\d$")
            self.assertNotIn("x-api-key", request["headers"])

    def test_a_beta_keeps_its_query_and_its_header(self):
        name, tag = model("echo")
        KEYED.beta.messages.create(model=name, max_tokens=99, messages=user("x"), betas=["one-2025", "two-2025"],
                                   extra_query={"beta": "true"})
        request = asked(tag)
        self.assertEqual(request["target"], "/v1/messages?beta=true")
        self.assertEqual(request["headers"]["anthropic-beta"], "one-2025,two-2025")

    def test_a_stream_with_tools(self):
        for client in KEYED, BEARER:
            name, tag = model("echo")
            with client.messages.stream(model=name, max_tokens=99, messages=user(UNICODE), tools=TOOLS) as stream:
                self.assertEqual("".join(stream.text_stream), UNICODE)
                answer = stream.get_final_message()
            self.assertEqual(answer.stop_reason, "tool_use")
            self.assertEqual(answer.content[1].input, {"city": "北京"})
            self.assert_complete(tag)

    def test_raw_events(self):
        name, tag = model("echo")
        kinds = [event.type for event in create(KEYED, name, stream=True)]
        self.assertEqual((kinds[0], kinds[-1]), ("message_start", "message_stop"))
        self.assert_complete(tag)

    def test_whoever_leaves_at_the_final_event_has_all(self):
        name, tag = model("echo")
        with create(KEYED, name, stream=True) as stream:
            for event in stream:
                if event.type == "message_stop":
                    break
        self.assert_complete(tag)

    def test_tokens_are_counted(self):
        for client in KEYED, BEARER:
            name, tag = model("echo")
            counted = client.messages.count_tokens(model=name, messages=user("x"), tools=TOOLS)
            self.assertEqual(counted.input_tokens, 1)
            self.assertEqual(asked(tag)["target"], "/v1/messages/count_tokens")


class Errors(ClientTest):
    def fails(self, expected, client, name, **more):
        with self.assertRaises(expected) as caught:
            create(client, name, **more)
        return caught.exception

    def test_the_providers_errors_are_its_own(self):
        for status, expected in [(400, anthropic.BadRequestError), (401, anthropic.AuthenticationError),
                                 (403, anthropic.PermissionDeniedError), (404, anthropic.NotFoundError),
                                 (429, anthropic.RateLimitError), (500, anthropic.InternalServerError),
                                 (529, anthropic.InternalServerError)]:
            for stream in False, True:
                error = self.fails(expected, KEYED, model(f"status-{status}-9")[0], stream=stream)
                self.assertEqual(error.status_code, status)
                self.assertEqual(error.body["error"]["message"], f"the provider says {status}")
                self.assertEqual(error.request_id, "req_anthropic_42")
                self.assertEqual(error.response.headers["retry-after"], "9")
        self.assertEqual(type(error).__name__, "OverloadedError")

    def assert_ours(self, error, status, kind, words):
        self.assertEqual(error.status_code, status)
        self.assertEqual(error.body["type"], "error")
        self.assertEqual(error.body["error"]["type"], kind)
        self.assertIn(words, error.body["error"]["message"])
        self.assertTrue(error.body["request_id"])
        self.assertEqual(error.type, kind)

    def test_a_wrong_token_is_an_authentication_error(self):
        name = model("echo")[0]
        for wrong in KEYED.with_options(api_key="sk-wrong"), BEARER.with_options(auth_token="sk-wrong"):
            error = self.fails(anthropic.AuthenticationError, wrong, name)
            self.assert_ours(error, 401, "authentication_error", "API token无效")

    def test_an_unknown_model_is_not_found(self):
        error = self.fails(anthropic.NotFoundError, KEYED, "nobody/claude")
        self.assert_ours(error, 404, "not_found_error", "未找到模型 nobody/claude")

    def test_a_bad_request_is_explained(self):
        with self.assertRaises(anthropic.BadRequestError) as caught:
            KEYED.post("/v1/messages", body={"messages": []}, cast_to=object)
        self.assert_ours(caught.exception, 400, "invalid_request_error", "model")

    def test_a_dead_provider_is_a_502_with_its_name(self):
        for stream in False, True:
            error = self.fails(anthropic.InternalServerError, KEYED, "dead/x", stream=stream)
            self.assert_ours(error, 502, "api_error", "dead")

    def test_a_slow_provider_is_a_504(self):
        error = self.fails(anthropic.InternalServerError, KEYED, model("slow")[0])
        self.assert_ours(error, 504, "timeout_error", "响应超时")

    def test_a_stream_that_is_cut_raises(self):
        name, tag = model("cut")
        said = []
        with self.assertRaises(anthropic.APIStatusError) as caught:
            for event in create(KEYED, name, stream=True):
                said.append(event.type)
        self.assertEqual(caught.exception.body["error"]["type"], "api_error")
        self.assertIn("scripted", caught.exception.body["error"]["message"])
        self.assertEqual(said[0], "message_start")
        self.assertNotIn("message_stop", said)
        self.assert_ended(tag, "上游中断")

    def test_an_error_within_a_stream_is_the_providers(self):
        with self.assertRaises(anthropic.APIStatusError) as caught:
            list(create(KEYED, model("overloaded")[0], stream=True))
        self.assertEqual(caught.exception.body["error"]["type"], "overloaded_error")

    def test_a_base_url_with_v1_in_it_is_explained(self):
        error = self.fails(anthropic.NotFoundError, KEYED.with_options(base_url=f"{BASE_URL}/v1"), "scripted/x")
        self.assertIn("/v1/v1/messages", str(error))


class KeepAlive(ClientTest):
    patient = KEYED.with_options(base_url=EARLY_URL)

    def test_pings_before_and_within_a_stream_are_skipped(self):
        with self.patient.messages.stream(model=model("late")[0], max_tokens=99, messages=user(UNICODE),
                                          tools=TOOLS) as stream:
            self.assertEqual("".join(stream.text_stream), UNICODE)
            self.assertEqual(stream.get_final_message().content[1].input, {"city": "北京"})

    def test_a_late_refusal_is_an_error_all_the_same(self):
        with self.assertRaises(anthropic.APIStatusError) as caught:
            list(create(self.patient, model("late_status-429")[0], stream=True))
        detail = caught.exception.body["error"]
        self.assertEqual(detail["type"], "rate_limit_error")
        self.assertEqual(detail["upstream"]["error"]["message"], "the provider says 429")
