"""openai-python, asynchronous, against the real binary."""

import asyncio
import time
import unittest

import openai

from case import API_KEY, BASE_URL, ClientTest, UNICODE, model, seen, user

STREAMS = 50


class Async(ClientTest, unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)
        self.client = openai.AsyncOpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0,
                                         timeout=20.0)
        self.chat = self.client.chat.completions
        self.addAsyncCleanup(self.client.close)

    async def text(self, name, words):
        stream = await self.chat.create(model=name, messages=user(words), stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def test_plain_chats_and_models(self):
        name, _ = model("echo")
        answer = await self.chat.create(model=name, messages=user(UNICODE))
        self.assertEqual(answer.choices[0].message.content, UNICODE)
        self.assertIn("scripted/echo", [entry.id async for entry in self.client.models.list()])

    async def test_fifty_streams_at_once_do_not_mix(self):
        names = [model("drip" if number % 5 == 0 else "echo")[0] for number in range(STREAMS)]
        words = [f"stream {number} says " + f"{number} " * 20 for number in range(STREAMS)]
        texts = await asyncio.gather(*map(self.text, names, words))
        for name, expected, text in zip(names, words, texts):
            self.assertEqual(text, "0 1 2 3 4 " if "/drip/" in name else expected)

    async def test_a_cancelled_stream_closes_the_provider(self):
        name, tag = model("endless")
        task = asyncio.create_task(self.text(name, "go"))
        while not seen(tag)["requests"]:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        began = time.monotonic()
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assert_closed(tag, began)

    async def test_a_cancelled_wait_closes_the_provider(self):
        name, tag = model("slow")
        task = asyncio.create_task(self.chat.create(model=name, messages=user("go")))
        while not seen(tag)["requests"]:
            await asyncio.sleep(0.02)
        began = time.monotonic()
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assert_closed(tag, began)

    async def test_breaking_off_closes_the_provider(self):
        name, tag = model("endless")
        stream = await self.chat.create(model=name, messages=user("go"), stream=True)
        async for _ in stream:
            break
        began = time.monotonic()
        await stream.close()
        self.assert_closed(tag, began)

    async def test_errors_keep_their_kinds(self):
        for script, kind in [("status-400", openai.BadRequestError), ("status-429", openai.RateLimitError),
                             ("status-529", openai.InternalServerError), ("cut", openai.APIError),
                             ("nothing", openai.NotFoundError)]:
            with self.assertRaises(kind):
                await self.text(model(script)[0], "go")
