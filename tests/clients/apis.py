"""What the scripted provider says on the endpoints beside chat, as OpenAI and Anthropic say it, and a chat's shapes.

Each endpoint answers with the words it was given, streamed when that was asked for.
"""

import base64
import json
import re
import struct

# A file that is no text in any encoding.
AUDIO = bytes(range(256)) * 300
IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(reversed(range(256)))
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
RESPONSE_USAGE = {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 4,
                  "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7}
ANTHROPIC_FIELDS = [
    ("request-id", "req_anthropic_42"),
    ("anthropic-organization-id", "acme"),
    ("anthropic-ratelimit-requests-remaining", "7"),
]
ANTHROPIC_KINDS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
                   404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
                   529: "overloaded_error"}


def anthropic_error(status):
    kind = ANTHROPIC_KINDS.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": f"the provider says {status}"},
            "request_id": "req_anthropic_42"}


def words(text):
    return re.findall(r"\S+\s*|\s+", text)


def named(connection, event):
    """An event whose name stands before its data."""
    data = json.dumps(event, ensure_ascii=False)
    connection.chunk(f"event: {event['type']}\ndata: {data}\n\n")


def chunk_of(delta, finish=None, **more):
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
            "model": "scripted", "choices": choices, **more}


def completion(message, finish="stop"):
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000,
            "model": "scripted", "choices": choices, "usage": usage}


def completions(connection, request):
    def piece(text, finish):
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
        return {"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": "scripted",
                "choices": [choice]}

    if not request.get("stream"):
        return connection.json({**piece(request["prompt"], "stop"), "usage": USAGE})
    connection.stream()
    for word in words(request["prompt"]):
        connection.event(piece(word, None))
    connection.event(piece("", "stop"))
    connection.finish()


def embeddings(connection, request):
    """The first number is the length of what is embedded: of a text, or of an array of tokens."""
    inputs = request["input"]
    if isinstance(inputs, str) or isinstance(inputs[0], int):
        inputs = [inputs]
    data = []
    for index, one in enumerate(inputs):
        vector = [float(len(one)), -0.5, 0.15625]
        if request.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack("<3f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    connection.json({"object": "list", "data": data, "model": "scripted", "usage": usage})


def moderations(connection, request):
    flagged = "violence" in request["input"]
    result = {"flagged": flagged, "categories": {"violence": flagged, "harassment/threatening": False},
              "category_scores": {"violence": 9.8e-05, "harassment/threatening": 1.0e-12},
              "category_applied_input_types": {"violence": ["text"]}}
    connection.json({"id": "modr-1", "model": "scripted", "results": [result]})


def rerank(connection, request):
    results = [{"index": index, "relevance_score": 1 / (index + 1)}
               for index, _ in enumerate(request["documents"])]
    connection.json({"id": "rerank-1", "results": results, "usage": {"total_tokens": 7}})


def images(connection, request):
    image = base64.b64encode(IMAGE).decode()
    if not request.get("stream"):
        return connection.json({"created": 1700000000, "data": [{"b64_json": image}]})
    about = {"created_at": 1700000000, "size": "1024x1024", "quality": "low", "background": "opaque",
             "output_format": "png", "b64_json": image}
    connection.stream()
    named(connection, {"type": "image_generation.partial_image", "partial_image_index": 0, **about})
    named(connection, {"type": "image_generation.completed", **about, "usage": RESPONSE_USAGE})
    connection.end()


def speech(connection, request):
    if request.get("stream_format") == "sse":
        connection.stream()
        audio = base64.b64encode(AUDIO[:300]).decode()
        connection.event({"type": "speech.audio.delta", "audio": audio})
        connection.event({"type": "speech.audio.done", "usage": RESPONSE_USAGE})
        return connection.end()
    connection.stream(kind="audio/mpeg")
    for start in range(0, len(AUDIO), 7000):
        connection.chunk(AUDIO[start:start + 7000])
    connection.end()


def words_of_input(request):
    """The last words of a request of `responses`."""
    said = request["input"]
    while not isinstance(said, str):
        last = said[-1]
        said = last["text"] if "text" in last else last["content"]
    return said


def response_of(output, status="completed", tag="1", **more):
    return {"id": f"resp_{tag}", "object": "response", "created_at": 1700000000, "status": status, **more,
            "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "model": "scripted",
            "output": output, "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto",
            "tools": [], "top_p": 1.0, "usage": RESPONSE_USAGE if output else None}


def message_item(text):
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def response_events(item, about):
    """The events of a response whose only item is this one, numbered. `about` is for response_of."""
    added, text, within = {**item, "status": "in_progress"}, [], {"output_index": 0}
    if item["type"] == "message":
        [part] = item["content"]
        added["content"] = []
        within |= {"item_id": item["id"], "content_index": 0}
        text = [
            {"type": "response.content_part.added", **within, "part": {**part, "text": ""}},
            *({"type": "response.output_text.delta", **within, "delta": word, "logprobs": []}
              for word in words(part["text"])),
            {"type": "response.output_text.done", **within, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **within, "part": part},
        ]
    begun = {"response": response_of([], "in_progress", **about)}
    events = [
        {"type": "response.created", **begun}, {"type": "response.in_progress", **begun},
        {"type": "response.output_item.added", "output_index": 0, "item": added}, *text,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response_of([item], **about)},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def send_response(connection, request, item):
    about = {"tag": request["tag"]}
    if "conversation" in request:
        about["conversation"] = {"id": request["conversation"]}
    if not request.get("stream"):
        return connection.json(response_of([item], **about))
    connection.stream((), "text/event-stream; charset=utf-8")
    for event in response_events(item, about):
        if request["script"] == "cut" and event["sequence_number"] == (6 if item["type"] == "message" else 3):
            connection.reset()
        named(connection, event)
    connection.end()


def responses(connection, request):
    send_response(connection, request, message_item(words_of_input(request)))


def compact(connection, request):
    connection.json({"id": "resp_2", "object": "response.compaction", "created_at": 1700000000,
                     "output": [{"id": "cmp_1", "type": "compaction", "encrypted_content": "gAAAAA=="}],
                     "usage": RESPONSE_USAGE})


def input_tokens(connection, request):
    connection.json({"object": "response.input_tokens", "input_tokens": len(words_of_input(request))})


def message_of(content, reason):
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
             "output_tokens": 4 if content else 1}
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": content,
            "stop_reason": reason, "stop_sequence": None, "usage": usage}


def messages(connection, request):
    said = request["messages"][-1]["content"]
    text = said if isinstance(said, str) else said[-1]["text"]
    blocks, reason = [{"type": "text", "text": text}], "end_turn"
    if request.get("tools"):
        blocks.append({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "北京"}})
        reason = "tool_use"
    send_message(connection, request, blocks, reason)


def send_message(connection, request, blocks, reason):
    if not request.get("stream"):
        return connection.json(message_of(blocks, reason), fields=ANTHROPIC_FIELDS)
    connection.stream(ANTHROPIC_FIELDS, "text/event-stream; charset=utf-8")
    named(connection, {"type": "message_start", "message": message_of([], None)})
    for index, block in enumerate(blocks):
        stream_block(connection, index, block)
        if index == 0:
            named(connection, {"type": "ping"})
            if request["script"] == "late":
                connection.pause(0.5)
            if request["script"] == "cut":
                connection.reset()
            if request["script"] == "overloaded":
                named(connection, anthropic_error(529))
                return connection.end()
    named(connection, {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None},
                       "usage": {"output_tokens": 4}})
    named(connection, {"type": "message_stop"})
    connection.end()


def stream_block(connection, index, block):
    if block["type"] == "text":
        start = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": word} for word in words(block["text"])]
    else:
        start, written = {**block, "input": {}}, json.dumps(block["input"], ensure_ascii=False)
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", written[:4], written[4:]]]
    named(connection, {"type": "content_block_start", "index": index, "content_block": start})
    for delta in deltas:
        named(connection, {"type": "content_block_delta", "index": index, "delta": delta})
    named(connection, {"type": "content_block_stop", "index": index})


def count_tokens(connection, request):
    connection.json({"input_tokens": len(request["messages"])}, fields=ANTHROPIC_FIELDS)


APIS = {
    "/v1/completions": completions, "/v1/embeddings": embeddings, "/v1/moderations": moderations,
    "/v1/rerank": rerank, "/v1/images/generations": images, "/v1/audio/speech": speech,
    "/v1/responses": responses, "/v1/responses/compact": compact,
    "/v1/responses/input_tokens": input_tokens, "/v1/messages": messages,
    "/v1/messages/count_tokens": count_tokens,
}
