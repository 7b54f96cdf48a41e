"""openai-python on responses that the provider keeps: they are found again by the id that it gave."""

import openai

from case import OTHER_KEY, model, seen
from same import RELAYED, SameTest


class Stored(SameTest):
    def setUp(self):
        """A response that the provider has given through the proxy."""
        name, tag = model("echo")
        self.id = RELAYED.responses.create(model=name, input="first", store=True).id
        self.assertEqual(self.id, f"resp_{tag}")

    def both(self, ask, **more):
        return super().both(lambda client, _: ask(client.responses), **more)

    def test_it_is_retrieved(self):
        got, [request] = self.both(lambda responses: responses.retrieve(
            self.id, include=["message.output_text.logprobs", "reasoning.encrypted_content"]))
        self.assertEqual(got["output"][0]["content"][0]["text"], f"what {self.id} has said")
        self.assertTrue(request["target"].startswith(f"/v1/responses/{self.id}?include"), request["target"])

    def test_its_events_are_retrieved(self):
        events, [request] = self.both(lambda responses: responses.retrieve(self.id, stream=True, starting_after=3))
        self.assertEqual(events[0]["sequence_number"], 4)
        self.assertEqual(events[-1]["type"], "response.completed")
        self.assertIn("starting_after=3", request["target"])
        self.assertIn("stream=true", request["target"])

    def test_it_is_cancelled(self):
        got, [request] = self.both(lambda responses: responses.cancel(self.id))
        self.assertEqual(got["status"], "cancelled")
        self.assertEqual((request["method"], request["target"]), ("POST", f"/v1/responses/{self.id}/cancel"))

    def test_it_is_deleted(self):
        _, [request] = self.both(lambda responses: responses.delete(self.id))
        self.assertEqual((request["method"], request["target"]), ("DELETE", f"/v1/responses/{self.id}"))

    def test_its_input_items_are_listed_in_pages(self):
        items, requests = self.both(lambda responses: responses.input_items.list(self.id, order="asc", limit=2))
        self.assertEqual([item["id"] for item in items], ["msg_0", "msg_1", "msg_2"])
        self.assertEqual(len(requests), 2)
        self.assertIn("after=msg_1", requests[1]["target"])

    def test_one_whose_events_were_seen_is_found_as_well(self):
        name, tag = model("echo")
        self.id = list(RELAYED.responses.create(model=name, input="x", stream=True, background=True))[0].response.id
        self.assertEqual(self.id, f"resp_{tag}")
        self.test_it_is_retrieved()
        self.test_it_is_cancelled()


class Continued(SameTest):
    def setUp(self):
        self.name, self.tag = model("echo")

    def first(self, client=RELAYED, **more):
        return client.responses.create(model=self.name, input="first", **more)

    def second(self, got=200, client=RELAYED, **more):
        """What comes after it; what the provider got of that."""
        tag = model("echo")[1]
        tagged = client.with_options(default_headers={"x-tag": tag})
        try:
            self.assertEqual(tagged.responses.create(input="second", **more).output_text, "second")
        finally:
            self.requests = seen(tag)["requests"]
        [request] = self.requests
        return request["body"]

    def test_without_a_model_nothing_is_added(self):
        body = self.second(previous_response_id=self.first().id)
        self.assertEqual(body, f'{{"input":"second","previous_response_id":"resp_{self.tag}"}}')

    def test_with_a_model_it_is_named_as_the_provider_does(self):
        body = self.second(previous_response_id=self.first().id, model=self.name)
        self.assertIn(f'"model":"echo/{self.tag}"', body)

    def test_a_chain_goes_on(self):
        id = self.first().id
        for _ in range(3):
            tagged = RELAYED.with_options(default_headers={"x-tag": model("echo")[1]})
            id = tagged.responses.create(input="again", previous_response_id=id).id

    def test_streamed(self):
        id = self.first().id
        tagged = RELAYED.with_options(default_headers={"x-tag": model("echo")[1]})
        events = list(tagged.responses.create(input="word by word", previous_response_id=id, stream=True))
        self.assertEqual(events[-1].response.output_text, "word by word")
        # This helper wants a model.
        with tagged.responses.stream(model=self.name, input="word by word", previous_response_id=id) as stream:
            self.assertEqual(stream.get_final_response().output_text, "word by word")

    def test_a_conversation(self):
        conversation = f"conv_{self.tag}"
        self.assertEqual(self.first(conversation=conversation).conversation.id, conversation)
        self.assertIn(conversation, self.second(conversation=conversation))

    def test_a_model_of_another_provider_is_refused(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.second(previous_response_id=self.first().id, model="listed/echo/one")
        self.assertIn("scripted", caught.exception.body["message"])
        self.assertIn("listed", caught.exception.body["message"])
        self.assertEqual(self.requests, [])


class Unknown(SameTest):
    def test_an_id_that_nobody_gave_is_explained(self):
        for ask in [RELAYED.responses.retrieve, RELAYED.responses.cancel, RELAYED.responses.delete,
                    lambda id: list(RELAYED.responses.input_items.list(id))]:
            with self.assertRaisesRegex(openai.NotFoundError, "model"):
                ask("resp_unknown")

    def test_anothers_id_is_unknown(self):
        id = RELAYED.responses.create(model=model("echo")[0], input="x").id
        other = RELAYED.with_options(api_key=OTHER_KEY)
        with self.assertRaises(openai.NotFoundError):
            other.responses.retrieve(id)
        self.assertEqual(RELAYED.responses.retrieve(id).id, id)

    def test_the_caller_says_whose_it_is(self):
        for named in [{"extra_query": {"model": "scripted/x"}},
                      {"extra_headers": {"x-ai-proxy-model": "scripted/x"}}]:
            id, tag = f"resp_{model('echo')[1]}", model("echo")[1]
            got = RELAYED.with_options(default_headers={"x-tag": tag}).responses.retrieve(id, **named)
            self.assertEqual(got.id, id)
            [request] = seen(tag)["requests"]
            self.assertEqual(request["target"], f"/v1/responses/{id}")
            self.assertNotIn("x-ai-proxy-model", request["headers"])

    def test_a_strange_id_is_refused(self):
        with self.assertRaises(openai.BadRequestError):
            RELAYED.responses.retrieve("resp 1;%")
