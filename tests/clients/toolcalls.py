"""What the scripted provider tells programs with tools: it calls the one it knows, then says what that gave."""

import json

from apis import USAGE, chunk_of, completion, message_item, send_message, send_response, words

# What the tools of these tests are asked for: Codex, Claude Code, Continue and the Agents SDK name them so.
SHELL = "echo said-by-the-tool-$((40 + 2))"
CALLS = {
    "exec_command": {"cmd": SHELL},
    "Bash": {"command": SHELL, "description": "says something"},
    "weather": {"city": "北京"},
}


def call(request):
    """The first of its tools that is known here, and what it is asked for."""
    names = [tool.get("name") for tool in request.get("tools", [])]
    return next(((name, CALLS[name]) for name in names if name in CALLS), (None, None))


def respond(connection, request):
    given = [item["output"] for item in request["input"]
             if isinstance(item, dict) and item.get("type") == "function_call_output"]
    name, arguments = call(request)
    if given or not name:
        item = message_item(f"The tool has said: {given}")
    else:
        item = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": name,
                "arguments": json.dumps(arguments, ensure_ascii=False)}
    send_response(connection, request, item)


def write(connection, request):
    given = [block["content"] for message in request["messages"] if isinstance(message["content"], list)
             for block in message["content"] if block["type"] == "tool_result"]
    name, arguments = call(request)
    if given or not name:
        return send_message(connection, request, [{"type": "text", "text": f"The tool has said: {given}"}], "end_turn")
    block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments}
    send_message(connection, request, [{"type": "text", "text": "I ask it."}, block], "tool_use")


def chat(connection, request, cut):
    given = [message["content"] for message in request["messages"] if message["role"] == "tool"]
    name, arguments = call({"tools": [tool["function"] for tool in request.get("tools", [])]})
    text, written = f"The tool has said: {given}", json.dumps(arguments, ensure_ascii=False)
    asked = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": written}}
    if given or not name:
        finish, message = "stop", {"content": text}
        deltas = [{"content": word} for word in words(text)]
    else:
        finish, message = "tool_calls", {"content": None, "tool_calls": [asked]}
        deltas = [{"tool_calls": [{"index": 0, **asked, "function": {"name": name, "arguments": ""}}]},
                  *({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in words(written))]
    if not request.get("stream"):
        return connection.json(completion(message, finish))
    connection.stream()
    connection.event(chunk_of({"role": "assistant", "content": None}))
    for delta in deltas:
        connection.event(chunk_of(delta))
        if cut:
            connection.reset()
    connection.event(chunk_of({}, finish))
    if request.get("stream_options", {}).get("include_usage"):
        connection.event({**chunk_of({}), "choices": [], "usage": USAGE})
    connection.finish()


AGENTS = {"/v1/responses": respond, "/v1/messages": write}
