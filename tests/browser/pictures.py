"""Writes the pictures of the status page that the README shows: tests/browser/run.sh --pictures BINARY.

The proxy, its six providers and their answers are real. Nobody waits an hour for a picture: the last hour, the times and the
rates are put into the figures on their way to the page.
"""

import base64
import struct
import unittest
import zlib
from collections import Counter
from pathlib import Path

import scenes
from harness import eventually
from page import SCREENSHOTS, PageTest

WIDTH, HEIGHT = 1200, 1044
# Runs in the page before its script.
AN_HOUR = """
const real = fetch;
let seed = 7;
const random = () => (seed = seed * 16807 % 2147483647) / 2147483647;
const USUAL = { openai: [46, 420], anthropic: [31, 610], zhipu: [18, 380], siliconflow: [9, 1240], deepseek: [12, 530], ollama: [4, 90] };
globalThis.fetch = async (...request) => {
  const answer = await real(...request);
  if (!String(request[0]).endsWith("/v1/status")) return answer;
  const status = await answer.json();
  seed = 7;
  let chats = 0, errors = 0;
  for (const row of status.providers) {
    const [most, first] = USUAL[row.name];
    const since = { deepseek: 1140, ollama: 380 }[row.name];
    row.hour = Array.from({ length: 60 }, (_, minute) => {
      const count = Math.round(most * (0.55 + 0.45 * Math.sin(minute / 9 + most)) * (0.6 + 0.4 * random()));
      const age = (59 - minute) * 60;
      const failed = since ? (age < since ? count : 0) : row.name === "zhipu" && minute > 21 && minute < 27 ? Math.ceil(count / 3)
        : random() < 0.03 ? 1 : 0;
      chats += count;
      errors += failed;
      return [count, Math.min(count, failed)];
    });
    row.since = status.time - (since ?? 93600);
    row.first_byte_p50_ms = first;
    row.in_flight = { openai: 3, anthropic: 2, siliconflow: 1 }[row.name] ?? 0;
    row.check.age = 4;
  }
  status.uptime = 93600;
  status.started = status.time - status.uptime;
  Object.assign(status.rates, { chats_last_minute: 84, chats_last_hour: chats, errors_last_hour: errors, error_share: errors / chats,
    first_byte_p50_ms: 460, first_byte_p95_ms: 1870, in_flight: 6, streams_open: 5 });
  status.problems.forEach((problem, index) => problem.time -= 40 + 310 * index);
  return new Response(JSON.stringify(status));
};
"""


def small(png):
    """The same picture with a palette of its 256 commonest colours, and the nearest one for the others."""
    width, height, rows = pixels(png)
    counts = Counter(row[at:at + 3] for row in rows for at in range(0, len(row), 3))
    palette = [colour for colour, _ in counts.most_common(256)]
    index = {colour: number for number, colour in enumerate(palette)}
    for colour in counts:
        if colour not in index:
            distance = [sum((one - other) ** 2 for one, other in zip(colour, known)) for known in palette]
            index[colour] = distance.index(min(distance))
    data = b"".join(b"\0" + bytes(index[row[at:at + 3]] for at in range(0, len(row), 3)) for row in rows)
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return (png[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
            + chunk(b"PLTE", b"".join(palette)) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b""))


def pixels(png):
    """Width, height and rows of three bytes a pixel of a PNG of 8 bits without interlacing (RFC 2083 §6)."""
    width, height, _, kind = struct.unpack(">IIBB", png[16:26])
    size, data, at = {2: 3, 6: 4}[kind], b"", 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at:at + 8])
        data += png[at + 8:at + 8 + length] if name == b"IDAT" else b""
        at += length + 12
    data, above, rows = zlib.decompress(data), bytearray(width * size), []
    for start in range(0, len(data), width * size + 1):
        line = bytearray(data[start + 1:start + 1 + width * size])
        how = data[start]
        for index in range(len(line) if how else 0):
            left, corner = (line[index - size], above[index - size]) if index >= size else (0, 0)
            up = above[index]
            nearest = min((abs(up - corner), 0, left), (abs(left - corner), 1, up), (abs(left + up - 2 * corner), 2, corner))
            line[index] = line[index] + [0, left, up, (left + up) // 2, nearest[2]][how] & 255
        above = line
        rows.append(bytes(byte for number, byte in enumerate(line) if number % size < 3) if size == 4 else bytes(line))
    return width, height, rows


class Pictures(PageTest):
    def config(self):
        return scenes.six(self) | {"host": "localhost", "port": 8001}

    def test_pictures(self):
        scenes.traffic(self.proxy)
        script = self.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": AN_HOUR})
        self.addCleanup(self.browser.execute_cdp_cmd, "Page.removeScriptToEvaluateOnNewDocument", script)
        self.browser.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        for scheme in "light", "dark":
            self.open(scheme=scheme, width=WIDTH, height=HEIGHT)
            eventually("the figures are there", lambda: len(self.all("#problems li")) == 6)
            # As wide as the letters of most machines.
            self.browser.execute_script("document.body.style.fontFamily = 'Liberation Sans'")
            shot = {"captureBeyondViewport": False, "clip": {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT, "scale": 1}}
            picture = self.browser.execute_cdp_cmd("Page.captureScreenshot", shot)
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            path = SCREENSHOTS / f"status-{scheme}.png"
            path.write_bytes(small(base64.b64decode(picture["data"])))
            self.assertLess(path.stat().st_size, 120_000)


if __name__ == "__main__":
    unittest.main()
