"""openai-python on the endpoints beside chat."""

import base64
import json
import struct

import openai

from apis import AUDIO, IMAGE
from case import API_KEY, BASE_URL, EARLY_URL, ClientTest, UNICODE, asked, model

CLIENT = openai.OpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0, timeout=20.0)


class Apis(ClientTest):
    def assert_asked(self, tag, path):
        """The provider got one request, at this path, under its own name of the model."""
        request = asked(tag)
        self.assertEqual((request["method"], request["target"]), ("POST", f"/v1{path}"))
        self.assertTrue(request["body"]["model"].endswith(f"/{tag}"), request["body"])
        self.assertFalse(request["body"]["model"].startswith("scripted/"), request["body"])
        return request["body"]

    def test_completions(self):
        name, tag = model("echo")
        answer = CLIENT.completions.create(model=name, prompt=UNICODE)
        self.assertEqual(answer.choices[0].text, UNICODE)
        self.assert_asked(tag, "/completions")

    def test_completions_stream(self):
        name, tag = model("echo")
        pieces = [chunk.choices[0].text
                  for chunk in CLIENT.completions.create(model=name, prompt=UNICODE, stream=True)]
        self.assertEqual("".join(pieces), UNICODE)
        self.assertGreater(len(pieces), 5)
        self.assert_complete(tag)

    def test_embeddings(self):
        name, tag = model("echo")
        answer = CLIENT.embeddings.create(model=name, input=["four", "seven77"])
        self.assertEqual([entry.embedding for entry in answer.data],
                         [[4.0, -0.5, 0.15625], [7.0, -0.5, 0.15625]])
        # What the SDK asks for when the caller does not say.
        self.assertEqual(self.assert_asked(tag, "/embeddings")["encoding_format"], "base64")
        self.assert_complete(tag)

    def test_embeddings_in_either_format(self):
        raw = CLIENT.embeddings.create(model=model("echo")[0], input="four", encoding_format="base64")
        self.assertEqual(struct.unpack("<3f", base64.b64decode(raw.data[0].embedding)), (4.0, -0.5, 0.15625))
        numbers = CLIENT.embeddings.create(model=model("echo")[0], input="four", encoding_format="float")
        self.assertEqual(numbers.data[0].embedding, [4.0, -0.5, 0.15625])

    def test_embeddings_of_tokens(self):
        for tokens in [[1, 2, 100257], [[1, 2, 3], [4]]]:
            name, tag = model("echo")
            answer = CLIENT.embeddings.create(model=name, input=tokens, dimensions=3)
            self.assertEqual(answer.data[0].embedding[0], 3.0)
            self.assertEqual(asked(tag)["body"]["input"], tokens)

    def test_moderations(self):
        name, tag = model("echo")
        [result] = CLIENT.moderations.create(model=name, input="some violence").results
        self.assertTrue(result.flagged)
        self.assertFalse(result.categories.harassment_threatening)
        self.assertEqual(result.category_scores.harassment_threatening, 1.0e-12)
        self.assert_asked(tag, "/moderations")

    def test_a_moderation_without_a_model_is_told_that_it_needs_one(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            CLIENT.moderations.create(input="some violence")
        self.assertIn("model", caught.exception.body["message"])

    def test_rerank(self):
        name, tag = model("echo")
        answer = CLIENT.post("/rerank", cast_to=object, body={
            "model": name, "query": "q", "documents": ["a", "b"]})
        self.assertEqual([result["relevance_score"] for result in answer["results"]], [1.0, 0.5])
        self.assert_asked(tag, "/rerank")

    def test_images(self):
        name, tag = model("echo")
        answer = CLIENT.images.generate(model=name, prompt="a cat", size="1024x1024")
        self.assertEqual(base64.b64decode(answer.data[0].b64_json), IMAGE)
        self.assert_asked(tag, "/images/generations")

    def test_images_stream(self):
        name, tag = model("echo")
        events = list(CLIENT.images.generate(model=name, prompt="a cat", stream=True, partial_images=1))
        self.assertEqual([event.type for event in events],
                         ["image_generation.partial_image", "image_generation.completed"])
        self.assertEqual(base64.b64decode(events[1].b64_json), IMAGE)
        self.assert_complete(tag)

    def test_speech_is_binary(self):
        name, tag = model("echo")
        spoken = CLIENT.audio.speech.create(model=name, input="hello", voice="alloy")
        self.assertEqual(spoken.content, AUDIO)
        self.assertEqual(spoken.response.headers["content-type"], "audio/mpeg")
        self.assert_asked(tag, "/audio/speech")
        self.assert_complete(tag)

    def test_speech_is_read_as_it_comes(self):
        name, tag = model("echo")
        with CLIENT.audio.speech.with_streaming_response.create(
                model=name, input="hello", voice="alloy") as spoken:
            self.assertEqual(b"".join(spoken.iter_bytes(1000)), AUDIO)
        self.assert_complete(tag)

    def test_speech_as_events(self):
        name, tag = model("echo")
        with CLIENT.audio.speech.with_streaming_response.create(
                model=name, input="hello", voice="alloy", stream_format="sse") as spoken:
            events = [json.loads(line[6:]) for line in spoken.iter_lines() if line.startswith("data: ")]
        self.assertEqual([event["type"] for event in events], ["speech.audio.delta", "speech.audio.done"])
        self.assertEqual(base64.b64decode(events[0]["audio"]), AUDIO[:300])
        self.assert_complete(tag)


class Responses(ClientTest):
    def test_a_response(self):
        name, tag = model("echo")
        answer = CLIENT.responses.create(model=name, input=UNICODE, reasoning={"effort": "low"})
        self.assertEqual(answer.output_text, UNICODE)
        self.assertEqual(answer.usage.total_tokens, 7)
        request = asked(tag)
        self.assertEqual(request["target"], "/v1/responses")
        self.assertEqual(request["body"]["reasoning"], {"effort": "low"})

    def test_a_response_streams(self):
        name, tag = model("echo")
        events = list(CLIENT.responses.create(model=name, input=UNICODE, stream=True))
        said = [event.delta for event in events if event.type == "response.output_text.delta"]
        self.assertEqual("".join(said), UNICODE)
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        self.assertEqual(events[-1].type, "response.completed")
        self.assertEqual(events[-1].response.output_text, UNICODE)
        self.assert_complete(tag)

    def test_the_stream_helper_puts_a_response_together(self):
        name, tag = model("echo")
        with CLIENT.responses.stream(model=name, input="word by word") as stream:
            for _ in stream:
                pass
            self.assertEqual(stream.get_final_response().output_text, "word by word")
        self.assert_complete(tag)

    def test_whoever_leaves_at_the_final_event_has_all(self):
        name, tag = model("echo")
        with CLIENT.responses.create(model=name, input="word by word", stream=True) as stream:
            for event in stream:
                if event.type == "response.completed":
                    break
        self.assert_complete(tag)

    def test_a_response_that_is_cut_raises(self):
        name, tag = model("cut")
        said = []
        with self.assertRaises(openai.APIError) as caught:
            for event in CLIENT.responses.create(model=name, input="one two three four", stream=True):
                said.append(event.type)
        self.assertIn("scripted", str(caught.exception))
        self.assertNotIn("response.completed", said)
        self.assert_ended(tag, "上游中断")

    def test_tokens_are_counted(self):
        name, tag = model("echo")
        self.assertEqual(CLIENT.responses.input_tokens.count(model=name, input="eleven char").input_tokens, 11)
        self.assertEqual(asked(tag)["target"], "/v1/responses/input_tokens")

    def test_a_response_is_compacted(self):
        name, tag = model("echo")
        answer = CLIENT.responses.compact(model=name, input=[{"role": "user", "content": "long"}])
        self.assertEqual(answer.output[0].encrypted_content, "gAAAAA==")
        self.assertEqual(asked(tag)["target"], "/v1/responses/compact")

    def test_the_providers_errors_are_its_own(self):
        for ask in [lambda name: CLIENT.responses.create(model=name, input="x"),
                    lambda name: CLIENT.responses.create(model=name, input="x", stream=True),
                    lambda name: CLIENT.embeddings.create(model=name, input="x"),
                    lambda name: CLIENT.audio.speech.create(model=name, input="x", voice="alloy")]:
            with self.assertRaises(openai.RateLimitError) as caught:
                ask(model("status-429-9")[0])
            self.assertEqual(caught.exception.body["code"], "provider_code_429")
            self.assertEqual(caught.exception.response.headers["retry-after"], "9")

    def test_keep_alives_are_skipped_and_a_late_refusal_is_an_error(self):
        patient = CLIENT.with_options(base_url=f"{EARLY_URL}/v1")
        with patient.responses.stream(model=model("late")[0], input=UNICODE) as stream:
            self.assertEqual(stream.get_final_response().output_text, UNICODE)
        with self.assertRaises(openai.APIError) as caught:
            list(patient.responses.create(model=model("late_status-429")[0], input="x", stream=True))
        self.assertEqual(caught.exception.body["code"], 429)

    def test_a_path_that_stands_there_twice_is_explained(self):
        twice = CLIENT.with_options(base_url=f"{BASE_URL}/v1/v1")
        with self.assertRaises(openai.NotFoundError) as caught:
            twice.responses.create(model="scripted/echo", input="x")
        self.assertIn("/v1/v1/responses", caught.exception.body["message"])


class Tokens(ClientTest):
    def test_azures_client_shows_its_token_in_a_field_of_its_own(self):
        azure = openai.AzureOpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, api_version="2024-10-21",
                                   max_retries=0)
        name, tag = model("echo")
        # For most other endpoints this class puts the model into the path.
        self.assertEqual(azure.responses.create(model=name, input="four").output_text, "four")
        request = asked(tag)
        self.assertEqual(request["target"], "/v1/responses?api-version=2024-10-21")
        self.assertNotIn("api-key", request["headers"])

    def test_a_query_is_kept(self):
        name, tag = model("echo")
        CLIENT.embeddings.create(model=name, input="four", extra_query={"a": "b c", "d": "ü"})
        self.assertEqual(asked(tag)["target"], "/v1/embeddings?a=b+c&d=%C3%BC")
