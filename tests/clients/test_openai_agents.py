"""The Agents SDK of OpenAI against the real binary: with its default, the Responses API, and with chat."""

import asyncio
import json

import agents
from agents.exceptions import UserError
from openai import AsyncOpenAI

from case import API_KEY, BASE_URL, ClientTest, UNICODE, model, seen

# Traces would go to OpenAI, with a key of its own.
agents.set_tracing_disabled(True)


@agents.function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"In {city}: {UNICODE}"


def run(agent, words, start=agents.Runner.run, provider=(), read=None, **more):
    """One run, with a client that is closed behind it; `read` makes something of the result before that.

    The SDK itself splits names at their slash; `unknown_prefix_mode` tells it that they are whole.
    """
    async def go():
        async with AsyncOpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0, timeout=20.0) as client:
            models = agents.MultiProvider(**{
                "openai_client": client, "unknown_prefix_mode": "model_id", **dict(provider)})
            result = start(agent, words, run_config=agents.RunConfig(model_provider=models), **more)
            return await (read(result) if read else result)

    return asyncio.run(go())


class Agents(ClientTest):
    def agent(self, script, **more):
        name, self.tag = model(script)
        return agents.Agent(name="tester", instructions="Be brief.", model=name, **more)

    def assert_path(self, path, times=1):
        requests = seen(self.tag)["requests"]
        self.assertEqual([request["target"] for request in requests], [path] * times)
        self.assertNotIn(API_KEY, json.dumps(requests))
        return [json.loads(request["body"]) for request in requests]

    def test_an_answer(self):
        self.assertEqual(run(self.agent("echo"), UNICODE).final_output, UNICODE)
        self.assert_path("/v1/responses")
        self.assert_complete(self.tag)

    def test_an_answer_after_a_tool(self):
        result = run(self.agent("agent", tools=[weather]), "How is it?")
        self.assertIn("In 北京: 你好，世界", result.final_output)
        _, second = self.assert_path("/v1/responses", times=2)
        self.assertEqual(second["input"][-1]["output"], f"In 北京: {UNICODE}")

    def test_a_stream_with_a_tool(self):
        async def read(result):
            kinds = [event.data.type async for event in result.stream_events() if event.type == "raw_response_event"]
            return result.final_output, kinds

        said, kinds = run(self.agent("agent", tools=[weather]), "How is it?", agents.Runner.run_streamed, read=read)
        self.assertIn("In 北京", said)
        self.assertEqual(kinds.count("response.completed"), 2)
        self.assertGreater(kinds.count("response.output_text.delta"), 3)
        self.assert_path("/v1/responses", times=2)

    def test_a_run_goes_on_from_the_last_response(self):
        agent = self.agent("echo")
        first = run(agent, "one")
        second = run(agent, "two", previous_response_id=first.last_response_id)
        self.assertEqual(second.final_output, "two")
        first, second = self.assert_path("/v1/responses", times=2)
        self.assertNotIn("previous_response_id", first)
        self.assertEqual(second["previous_response_id"], f"resp_{self.tag}")

    def test_chat(self):
        result = run(self.agent("echo"), UNICODE, provider={"openai_use_responses": False})
        self.assertEqual(result.final_output, UNICODE)
        self.assert_path("/v1/chat/completions")

    def test_without_that_setting_it_does_not_ask_at_all(self):
        with self.assertRaisesRegex(UserError, "Unknown prefix: scripted"):
            run(self.agent("echo"), "x", provider={"unknown_prefix_mode": "error"})
        self.assertEqual(seen(self.tag)["requests"], [])
