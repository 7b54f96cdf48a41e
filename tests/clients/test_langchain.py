"""LangChain's OpenAI and Anthropic classes against the real binary."""

from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from case import API_KEY, BASE_URL, ClientTest, UNICODE, asked, model

OPENAI = {"base_url": f"{BASE_URL}/v1", "api_key": API_KEY, "max_retries": 0}


class LangChain(ClientTest):
    def assert_chats(self, chat, path):
        """Whole and streamed."""
        self.assertEqual(chat(model("echo")[0]).invoke(UNICODE).text, UNICODE)
        name, tag = model("echo")
        pieces = [piece.text for piece in chat(name).stream(UNICODE)]
        self.assertEqual("".join(pieces), UNICODE)
        self.assertGreater(len(pieces), 5)
        self.assertEqual(asked(tag)["target"].partition("?")[0], f"/v1/{path}")
        self.assert_complete(tag)

    def test_openai_chats(self):
        self.assert_chats(lambda name: ChatOpenAI(model=name, **OPENAI), "chat/completions")

    def test_openai_responses(self):
        self.assert_chats(lambda name: ChatOpenAI(model=name, use_responses_api=True, **OPENAI), "responses")

    def test_anthropic_messages(self):
        self.assert_chats(lambda name: ChatAnthropic(
            model=name, base_url=BASE_URL, api_key=API_KEY, max_retries=0, max_tokens=99), "messages")

    def test_embeddings(self):
        name, tag = model("echo")
        # Without the check no table of tokens is fetched from elsewhere.
        embeddings = OpenAIEmbeddings(model=name, check_embedding_ctx_length=False, **OPENAI)
        self.assertEqual(embeddings.embed_documents(["four", "seven77"]),
                         [[4.0, -0.5, 0.15625], [7.0, -0.5, 0.15625]])
        self.assertEqual(asked(tag)["body"]["input"], ["four", "seven77"])
