"""LangChain's OpenAI and Anthropic classes against the real binary."""

from unittest import mock

import tiktoken
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from case import API_KEY, BASE_URL, ClientTest, UNICODE, asked, model

# A table of tokens that need not be fetched: each byte is one.
BYTES = tiktoken.Encoding("bytes", pat_str=r"[\s\S]", mergeable_ranks={bytes([byte]): byte for byte in range(256)},
                          special_tokens={})
OPENAI = {"base_url": f"{BASE_URL}/v1", "api_key": API_KEY, "max_retries": 0}


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return city


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

    def assert_calls(self, chat):
        """A tool, whole and streamed."""
        bound = chat.bind_tools([weather])
        first, *more = bound.stream("x")
        for answer in bound.invoke("x"), sum(more, first):
            [call] = answer.tool_calls
            self.assertEqual((call["name"], call["args"]), ("weather", {"city": "北京"}))

    def test_openai_chats(self):
        self.assert_chats(lambda name: ChatOpenAI(model=name, **OPENAI), "chat/completions")

    def test_openai_responses(self):
        self.assert_chats(lambda name: ChatOpenAI(model=name, use_responses_api=True, **OPENAI), "responses")

    def test_anthropic_messages(self):
        self.assert_chats(lambda name: ChatAnthropic(
            model=name, base_url=BASE_URL, api_key=API_KEY, max_retries=0, max_tokens=99), "messages")

    def test_tools(self):
        self.assert_calls(ChatOpenAI(model=model("tools")[0], **OPENAI))
        self.assert_calls(ChatOpenAI(model=model("agent")[0], use_responses_api=True, **OPENAI))
        self.assert_calls(ChatAnthropic(model=model("agent")[0], base_url=BASE_URL, api_key=API_KEY, max_retries=0,
                                        max_tokens=99))

    def test_embeddings_of_tokens_in_base64(self):
        name, tag = model("echo")
        with mock.patch("tiktoken.get_encoding", return_value=BYTES):
            embeddings = OpenAIEmbeddings(model=name, tiktoken_model_name="unknown", **OPENAI)
            self.assertEqual(embeddings.embed_documents(["four", "你好"]),
                             [[4.0, -0.5, 0.15625], [6.0, -0.5, 0.15625]])
        body = asked(tag)["body"]
        self.assertEqual(body["input"], [list(b"four"), list("你好".encode())])
        self.assertEqual(body["encoding_format"], "base64")

    def test_embeddings(self):
        name, tag = model("echo")
        # Without the check no table of tokens is fetched from elsewhere.
        embeddings = OpenAIEmbeddings(model=name, check_embedding_ctx_length=False, **OPENAI)
        self.assertEqual(embeddings.embed_documents(["four", "seven77"]),
                         [[4.0, -0.5, 0.15625], [7.0, -0.5, 0.15625]])
        self.assertEqual(asked(tag)["body"]["input"], ["four", "seven77"])
