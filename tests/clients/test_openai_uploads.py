"""openai-python's forms with files: the same bytes and the same answer as without the proxy."""

import asyncio
import hashlib
import io

import openai

from apis import AUDIO, IMAGE
from case import API_KEY, BASE_URL, REQUEST_BYTES_MAX, UNICODE, asked, model
from same import RELAYED, SameTest

# Bytes that a reader of forms could stumble over, and a name for them.
BINARY = ("gute Ä\"u\\ 你好.mp3", b"\r\n--\r\n----\0\xff\r\n\r\nname=\"model\"\r\n\r\nx\r\n--" + AUDIO, "audio/mpeg")
PICTURE = ("cat.png", IMAGE, "image/png")
MASK = ("mask.png", IMAGE[::-1], "image/png")


def sixteen(data):
    return hashlib.sha256(data).hexdigest()[:16]


class Transcriptions(SameTest):
    def test_a_transcription(self):
        got, [request] = self.both(lambda client, name: client.audio.transcriptions.create(
            model=name, file=BINARY, language="de", prompt=UNICODE, timestamp_granularities=["word", "segment"],
            temperature=0.2))
        self.assertIn(f" {len(BINARY[1])} {sixteen(BINARY[1])};", got["text"])
        self.assertEqual(request["target"], "/v1/audio/transcriptions")
        self.assertFalse(request["chunked"])

    def test_a_transcription_is_complete_in_the_log(self):
        name, tag = model("echo")
        RELAYED.audio.transcriptions.create(model=name, file=("a.wav", b"RIFF"))
        self.assert_complete(tag)

    def test_files_of_other_kinds(self):
        for file in [("empty.wav", b""), ("crlf", b"\r\n"), ("open.wav", io.BytesIO(AUDIO)), io.BytesIO(b"x"), b"bare"]:
            def ask(client, name):
                if hasattr(file, "seek"):
                    file.seek(0)
                return client.audio.transcriptions.create(model=name, file=file)
            self.both(ask)

    def test_a_transcription_as_events(self):
        events, _ = self.both(lambda client, name: client.audio.transcriptions.create(
            model=name, file=BINARY, stream=True))
        self.assertEqual(events[-1]["type"], "transcript.text.done")
        self.assertEqual("".join(event["delta"] for event in events[:-1]), events[-1]["text"])
        name, tag = model("echo")
        list(RELAYED.audio.transcriptions.create(model=name, file=BINARY, stream=True))
        self.assert_complete(tag)

    def test_a_transcription_as_text(self):
        for kind in "text", "srt", "vtt":
            got, _ = self.both(lambda client, name: client.audio.transcriptions.create(
                model=name, file=BINARY, response_format=kind))
            self.assertIsInstance(got, str)
            self.assertIn(sixteen(BINARY[1]), got)

    def test_a_translation(self):
        got, [request] = self.both(lambda client, name: client.audio.translations.create(
            model=name, file=BINARY, prompt=UNICODE, response_format="json"))
        self.assertIn(sixteen(BINARY[1]), got["text"])
        self.assertEqual(request["target"], "/v1/audio/translations")

    def test_the_asynchronous_client(self):
        async def ask():
            async with openai.AsyncOpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0) as client:
                return await client.audio.transcriptions.create(model=name, file=BINARY)
        name, tag = model("echo")
        self.assertIn(sixteen(BINARY[1]), asyncio.run(ask()).text)
        self.assert_complete(tag)

    def test_the_providers_errors_are_its_own(self):
        for stream in False, True:
            with self.assertRaises(openai.RateLimitError) as caught:
                RELAYED.audio.transcriptions.create(model=model("status-429-9")[0], file=BINARY, stream=stream)
            self.assertEqual(caught.exception.body["code"], "provider_code_429")
            self.assertEqual(caught.exception.response.headers["retry-after"], "9")

    def test_ours_are_errors_too(self):
        with self.assertRaisesRegex(openai.NotFoundError, "未找到模型 nobody/whisper"):
            RELAYED.audio.transcriptions.create(model="nobody/whisper", file=BINARY)
        with self.assertRaises(openai.AuthenticationError):
            RELAYED.with_options(api_key="sk-wrong").audio.transcriptions.create(
                model=model("echo")[0], file=BINARY)
        with self.assertRaisesRegex(openai.BadRequestError, "model"):
            RELAYED.post("/audio/transcriptions", cast_to=object, files={"file": BINARY},
                         options={"headers": {"Content-Type": "multipart/form-data"}})

    def test_one_that_is_larger_than_any_other_request_may_be(self):
        large = ("large.wav", AUDIO * (REQUEST_BYTES_MAX // len(AUDIO) + 9))
        self.assertGreater(len(large[1]), REQUEST_BYTES_MAX)
        self.both(lambda client, name: client.audio.transcriptions.create(model=name, file=large))


class Routes(SameTest):
    """The route is named beside the form: neither name reaches the provider."""

    def ask(self, tag, **named):
        answer = RELAYED.with_options(default_headers={"x-tag": tag}).audio.transcriptions.create(
            model="whisper", file=BINARY, **named)
        self.assertIn(sixteen(BINARY[1]), answer.text)
        request = asked(tag, body=None)
        self.assertEqual(request["target"], "/v1/audio/transcriptions")
        self.assertNotIn("x-ai-proxy-model", request["headers"])
        self.assertNotIn("whisper", request["body"])
        self.assertIn(f"echo/{tag}", request["body"])

    def test_in_the_query(self):
        name, tag = model("echo")
        self.ask(tag, extra_query={"model": name})

    def test_in_a_field(self):
        name, tag = model("echo")
        self.ask(tag, extra_headers={"x-ai-proxy-model": name})


class Images(SameTest):
    def test_an_edit(self):
        got, [request] = self.both(lambda client, name: client.images.edit(
            model=name, image=PICTURE, prompt=UNICODE, size="1024x1024", n=1))
        self.assertIn(f"image cat.png {len(IMAGE)} {sixteen(IMAGE)};", got["data"][0]["revised_prompt"])
        self.assertEqual(request["target"], "/v1/images/edits")

    def test_an_edit_of_two_images_with_a_mask(self):
        got, _ = self.both(lambda client, name: client.images.edit(
            model=name, image=[PICTURE, ("dog.png", IMAGE[9:], "image/png")], mask=MASK, prompt="both"))
        said = got["data"][0]["revised_prompt"]
        for words in f"cat.png {len(IMAGE)} {sixteen(IMAGE)};", "dog.png", f"mask mask.png {len(IMAGE)}":
            self.assertIn(words, said)

    def test_an_edit_as_events(self):
        events, _ = self.both(lambda client, name: client.images.edit(
            model=name, image=PICTURE, prompt="a cat", stream=True, partial_images=1))
        self.assertEqual([event["type"] for event in events], ["image_edit.partial_image", "image_edit.completed"])

    def test_a_variation(self):
        got, [request] = self.both(lambda client, name: client.images.create_variation(model=name, image=PICTURE, n=1))
        self.assertIn(sixteen(IMAGE), got["data"][0]["revised_prompt"])
        self.assertEqual(request["target"], "/v1/images/variations")
