"""Model lists and single models, by openai-python and anthropic-sdk, against the real binary."""

import datetime

import anthropic
import openai

from case import API_KEY, BASE_URL, ClientTest

OPENAI = openai.OpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0, timeout=20.0)
ANTHROPIC = anthropic.Anthropic(base_url=BASE_URL, api_key=API_KEY, max_retries=0, timeout=20.0)


class Models(ClientTest):
    def test_openai_retrieves_what_it_lists(self):
        listed = {entry.id: entry for entry in OPENAI.models.list()}
        for name in ["scripted/echo", "listed/echo/one"]:
            self.assertEqual(OPENAI.models.retrieve(name), listed[name])

    def test_openai_is_told_what_is_unknown(self):
        with self.assertRaisesRegex(openai.NotFoundError, "未找到模型 hidden/echo"):
            OPENAI.models.retrieve("hidden/echo")

    def test_anthropic_pages_through_the_list_in_both_directions(self):
        listed = [entry.id for entry in OPENAI.models.list()]
        self.assertGreater(len(listed), 4)
        self.assertEqual([entry.id for entry in ANTHROPIC.models.list(limit=2)], listed)
        self.assertEqual([entry.id for entry in ANTHROPIC.models.list()], listed)
        self.assertEqual([entry.id for entry in ANTHROPIC.beta.models.list(limit=3)], listed)
        pages = list(ANTHROPIC.models.list(limit=2, before_id=listed[-1]).iter_pages())
        self.assertTrue(all(len(page.data) <= 2 for page in pages))
        backwards = [entry.id for page in reversed(pages) for entry in page.data]
        self.assertEqual(backwards, listed[:-1])

    def test_anthropic_retrieves_what_it_lists(self):
        for entry in ANTHROPIC.models.list():
            self.assertEqual((entry.type, entry.display_name), ("model", entry.id))
            self.assertIsInstance(entry.created_at, datetime.datetime)
            self.assertEqual(ANTHROPIC.models.retrieve(entry.id).model_dump(), entry.model_dump())

    def test_anthropic_is_told_what_is_wrong(self):
        with self.assertRaises(anthropic.NotFoundError) as unknown:
            ANTHROPIC.models.retrieve("hidden/echo")
        self.assertEqual(unknown.exception.body["error"]["type"], "not_found_error")
        self.assertIn("未找到模型 hidden/echo", unknown.exception.body["error"]["message"])
        self.assertRaises(anthropic.BadRequestError, ANTHROPIC.models.list, limit=0)
        self.assertRaises(anthropic.BadRequestError, ANTHROPIC.models.list, after_id="hidden/echo")
