"""openai-python below `/p/scripted`, where every path of the provider's is reached and nothing is read."""

import openai

from apis import AUDIO
from case import API_KEY, BASE_URL, REQUEST_BYTES_MAX, UNICODE, user
from same import SETTINGS, SameTest

PASSED = openai.OpenAI(base_url=f"{BASE_URL}/p/scripted", api_key=API_KEY, **SETTINGS)
LINES = ("lines.jsonl", b'{"custom_id": "1"}\n', "application/jsonl")


class PassThrough(SameTest):
    def both(self, ask, script="echo"):
        return super().both(ask, script, relayed=PASSED, prefix="")

    def test_files(self):
        got, [request] = self.both(lambda client, _: client.files.create(file=LINES, purpose="batch"))
        self.assertEqual((got["filename"], got["bytes"]), ("lines.jsonl", len(LINES[1])))
        self.assertEqual(request["target"], "/v1/files")
        listed, requests = self.both(lambda client, _: client.files.list(purpose="batch", limit=2))
        self.assertEqual(len(listed), 3)
        self.assertEqual(len(requests), 2)
        self.assertEqual(self.both(lambda client, _: client.files.retrieve("file-7"))[0]["id"], "file-7")
        self.assertEqual(self.both(lambda client, _: client.files.content("file-7"))[0], AUDIO)
        self.assertTrue(self.both(lambda client, _: client.files.delete("file-7"))[0]["deleted"])

    def test_a_file_that_is_larger_than_other_requests_may_be(self):
        large = ("large.bin", AUDIO * (REQUEST_BYTES_MAX // len(AUDIO) + 9))
        got, _ = self.both(lambda client, _: client.files.create(file=large, purpose="user_data"))
        self.assertEqual(got["bytes"], len(large[1]))

    def test_batches(self):
        got, _ = self.both(lambda client, _: client.batches.create(
            input_file_id="file-1", endpoint="/v1/responses", completion_window="24h", metadata={"ü": "你好"}))
        self.assertEqual(got["status"], "validating")
        self.assertEqual(len(self.both(lambda client, _: client.batches.list())[0]), 3)
        self.assertEqual(self.both(lambda client, _: client.batches.cancel("batch_1"))[0]["status"], "cancelling")

    def test_a_vector_store(self):
        got, _ = self.both(lambda client, _: client.vector_stores.create(name="docs", file_ids=["file-1"]))
        self.assertEqual(got["name"], "docs")

    def test_chat_by_the_providers_own_name(self):
        got, _ = self.both(lambda client, name: client.chat.completions.create(model=name, messages=user(UNICODE)))
        self.assertEqual(got["choices"][0]["message"]["content"], UNICODE)
        chunks, _ = self.both(lambda client, name: client.chat.completions.create(
            model=name, messages=user(UNICODE), stream=True, stream_options={"include_usage": True}))
        self.assertEqual("".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks[:-1]), UNICODE)

    def test_responses_and_embeddings(self):
        self.both(lambda client, name: client.responses.create(model=name, input=UNICODE))
        self.both(lambda client, name: client.responses.create(model=name, input=UNICODE, stream=True))
        self.both(lambda client, name: client.embeddings.create(model=name, input=["four", "seven77"]))
        self.both(lambda client, _: client.responses.retrieve("resp_nobody"))

    def test_the_providers_list_is_its_own(self):
        names = [entry.id for entry in PASSED.models.list()]
        self.assertIn("echo", names)
        self.assertFalse([name for name in names if "/" in name])

    def test_the_providers_errors_are_its_own(self):
        with self.assertRaises(openai.RateLimitError) as caught:
            PASSED.chat.completions.create(model="status-429-9/x", messages=user("x"))
        self.assertEqual(caught.exception.body["code"], "provider_code_429")
        with self.assertRaises(openai.NotFoundError) as caught:
            PASSED.fine_tuning.jobs.list()
        self.assertEqual(caught.exception.body["code"], "provider_code_404")

    def test_a_token_is_needed(self):
        with self.assertRaisesRegex(openai.AuthenticationError, "API token无效"):
            PASSED.with_options(api_key="sk-wrong").files.list()

    def test_it_is_off_unless_it_was_asked_for(self):
        for provider in "hidden", "nobody":
            closed = PASSED.with_options(base_url=f"{BASE_URL}/p/{provider}")
            with self.assertRaises(openai.NotFoundError) as caught:
                closed.files.list()
            self.assertEqual(caught.exception.body["code"], 404)

    def test_nothing_above_the_providers_address_is_reached(self):
        for path in "../seen/x", "%2e%2e/seen/x", "files/..%2f..%2fseen/x", "files//x":
            with self.assertRaises(openai.APIStatusError) as caught:
                PASSED.with_options(base_url=f"{BASE_URL}/p/scripted/").get(path, cast_to=object)
            self.assertIn(caught.exception.status_code, (400, 404), path)
