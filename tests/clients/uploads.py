"""What the scripted provider says to forms with files, as OpenAI says it: it tells what it got."""

import base64
import hashlib
import re

from apis import IMAGE, RESPONSE_USAGE, named, words


def form(request):
    """The fields of a form, and under "files" what each file is: its field, its name and its bytes."""
    boundary = re.search(r'boundary="?([^";]+)', request["headers"]["content-type"])[1].encode()
    first, *parts, last = (b"\r\n" + request["body"]).split(b"\r\n--" + boundary)
    assert (first, last.strip()) == (b"", b"--"), (first, last)
    fields = {"files": []}
    for part in parts:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        named_so = re.search(r'[; ]name="([^"]*)"', head.decode())[1]
        file = re.search(r'filename="([^"]*)"', head.decode())
        if file:
            fields["files"].append((named_so, file[1], value))
        else:
            fields[named_so] = value.decode()
    return fields


def proof(files):
    return " ".join(f"{field} {name} {len(data)} {hashlib.sha256(data).hexdigest()[:16]};"
                    for field, name, data in files)


def transcribe(connection, request):
    text = proof(request["files"])
    if request.get("stream") == "true":
        connection.stream()
        for word in words(text):
            connection.event({"type": "transcript.text.delta", "delta": word})
        connection.event({"type": "transcript.text.done", "text": text,
                          "usage": {"type": "duration", "seconds": 1}})
        return connection.end()
    if request.get("response_format") in ("text", "srt", "vtt"):
        said = f"{text}\n".encode()
        kind, length = ("content-type", "text/plain; charset=utf-8"), ("content-length", len(said))
        return connection.answer("200 OK", [kind, length], said)
    connection.json({"text": text, "language": request.get("language"),
                     "usage": {"type": "duration", "seconds": 1}})


def picture(connection, request):
    """The picture itself, and in words what was sent."""
    image = base64.b64encode(IMAGE).decode()
    about = {"created_at": 1700000000, "size": "1024x1024", "quality": "low", "background": "opaque",
             "output_format": "png"}
    if request.get("stream") != "true":
        data = [{"b64_json": image, "revised_prompt": proof(request["files"])}]
        return connection.json({"created": 1700000000, "data": data})
    connection.stream()
    named(connection, {"type": "image_edit.partial_image", "b64_json": image, "partial_image_index": 0, **about})
    named(connection, {"type": "image_edit.completed", "b64_json": image, **about, "usage": RESPONSE_USAGE})
    connection.end()


APIS = {"/v1/audio/transcriptions": transcribe, "/v1/audio/translations": transcribe,
        "/v1/images/edits": picture, "/v1/images/variations": picture}
