"""What the scripted provider keeps, so it says: responses, and the files, batches and vector stores that
only a pass-through reaches. Nothing is kept; an id and what came with it make the answer.
"""

import re
from urllib.parse import parse_qs

from apis import AUDIO, message_item, named, response_events, response_of
from uploads import proof


def page(connection, query, entries):
    """A list in pages of two, as SDKs walk through it with `after`."""
    ids = [entry["id"] for entry in entries]
    start = ids.index(query["after"]) + 1 if "after" in query else 0
    data = entries[start:start + 2]
    connection.json({"object": "list", "data": data, "first_id": data[0]["id"], "last_id": data[-1]["id"],
                     "has_more": start + 2 < len(entries)})


def response(connection, query, body, key):
    item = message_item(f"what {key} has said")
    about = {"tag": key.removeprefix("resp_")}
    if query.get("stream") != "true":
        return connection.json(response_of([item], **about))
    connection.stream()
    for event in response_events(item, about):
        if event["sequence_number"] > int(query.get("starting_after", -1)):
            named(connection, event)
    connection.end()


def cancelled(connection, query, body, key):
    connection.json(response_of([], "cancelled", key.removeprefix("resp_")))


def deleted_response(connection, query, body, key):
    connection.json({"id": key, "object": "response", "deleted": True})


def input_items(connection, query, body, key):
    content = [{"type": "input_text", "text": f"what {key} was asked"}]
    page(connection, query, [{"id": f"msg_{number}", "type": "message", "role": "user", "status": "completed",
                              "content": content} for number in range(3)])


def file_of(key, purpose="batch", name="lines.jsonl", length=7):
    return {"id": key, "object": "file", "bytes": length, "created_at": 1700000000, "filename": name,
            "purpose": purpose, "status": "processed"}


def new_file(connection, query, body):
    [(_, name, data)] = body["files"]
    connection.json({**file_of("file-1", body["purpose"], name, len(data)), "status_details": proof(body["files"])})


def files(connection, query, body):
    page(connection, query, [file_of(f"file-{number}", query.get("purpose")) for number in range(3)])


def file(connection, query, body, key):
    connection.json(file_of(key))


def file_content(connection, query, body, key):
    connection.answer("200 OK", [("content-type", "application/octet-stream"), ("content-length", len(AUDIO)),
                                 ("content-disposition", 'attachment; filename="lines.jsonl"')], AUDIO)


def deleted_file(connection, query, body, key):
    connection.json({"id": key, "object": "file", "deleted": True})


def batch_of(key, status, endpoint="/v1/responses"):
    return {"id": key, "object": "batch", "endpoint": endpoint, "input_file_id": "file-1", "status": status,
            "completion_window": "24h", "created_at": 1700000000}


def new_batch(connection, query, body):
    connection.json(batch_of("batch_1", "validating", body["endpoint"]))


def batches(connection, query, body):
    page(connection, query, [batch_of(f"batch_{number}", "completed") for number in range(3)])


def cancelled_batch(connection, query, body, key):
    connection.json(batch_of(key, "cancelling"))


def new_vector_store(connection, query, body):
    counts = {"in_progress": 0, "completed": 1, "failed": 0, "cancelled": 0, "total": 1}
    connection.json({"id": "vs_1", "object": "vector_store", "created_at": 1700000000, "name": body["name"],
                     "file_counts": counts, "last_active_at": 1700000000, "metadata": {}, "status": "completed",
                     "usage_bytes": 7})


ROUTES = {
    "GET /v1/responses/(id)": response, "DELETE /v1/responses/(id)": deleted_response,
    "POST /v1/responses/(id)/cancel": cancelled, "GET /v1/responses/(id)/input_items": input_items,
    "POST /v1/files": new_file, "GET /v1/files": files, "GET /v1/files/(id)": file,
    "GET /v1/files/(id)/content": file_content, "DELETE /v1/files/(id)": deleted_file,
    "POST /v1/batches": new_batch, "GET /v1/batches": batches, "POST /v1/batches/(id)/cancel": cancelled_batch,
    "POST /v1/vector_stores": new_vector_store,
}


def answer(connection, request, body):
    """Whether there is such an endpoint."""
    path, _, query = request["target"].partition("?")
    query = {name: values[-1] for name, values in parse_qs(query).items()}
    for route, tell in ROUTES.items():
        found = re.fullmatch(route.replace("(id)", r"([\w-]+)"), f"{request['method']} {path}")
        if found:
            tell(connection, query, body, *found.groups())
            return True
    return False
