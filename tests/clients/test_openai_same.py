"""openai-python on the rows that take JSON: the same bytes and the same answer as without the proxy."""

from case import UNICODE, user
from same import SameTest


class Same(SameTest):
    def whole_and_streamed(self, ask):
        self.both(lambda client, name: ask(client)(model=name))
        events, _ = self.both(lambda client, name: ask(client)(model=name, stream=True))
        self.assertGreater(len(events), 1)

    def test_chat(self):
        self.whole_and_streamed(lambda client: lambda **more: client.chat.completions.create(
            messages=user(UNICODE), temperature=0.1, seed=2**53, logit_bias={"50256": -100}, **more))
        self.both(lambda client, name: client.chat.completions.create(model=name, messages=user("x"), tools=[
            {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]), "tools")

    def test_completions(self):
        self.whole_and_streamed(lambda client: lambda **more: client.completions.create(prompt=UNICODE, **more))

    def test_responses(self):
        self.whole_and_streamed(lambda client: lambda **more: client.responses.create(
            input=user(UNICODE), reasoning={"effort": "low"}, metadata={"model": "scripted/echo"}, **more))
        self.both(lambda client, name: client.responses.compact(model=name, input=UNICODE))
        self.both(lambda client, name: client.responses.input_tokens.count(model=name, input=UNICODE))

    def test_embeddings(self):
        for text in UNICODE, ["four", UNICODE], [1, 2, 100257], [[1], [2, 3]]:
            for form in {}, {"encoding_format": "base64"}, {"encoding_format": "float"}:
                self.both(lambda client, name: client.embeddings.create(model=name, input=text, dimensions=3, **form))

    def test_moderations(self):
        self.both(lambda client, name: client.moderations.create(model=name, input=UNICODE))
        self.both(lambda client, name: client.moderations.create(model=name, input=[UNICODE, "violence"]))

    def test_images(self):
        self.whole_and_streamed(lambda client: lambda **more: client.images.generate(prompt=UNICODE, **more))

    def test_speech(self):
        self.both(lambda client, name: client.audio.speech.create(
            model=name, input=UNICODE, voice="alloy", speed=1.25))
