//! Follows one answer as its bytes arrive and compares its body with what the mock upstream sent: status,
//! framing, length and every byte. Both framings are understood; a proxy may choose either.

/// What the body must be.
pub struct Expected {
    body: Vec<u8>,
    /// The body has exactly this length; otherwise it repeats for ever.
    length: Option<u64>,
}

impl Expected {
    /// `ends` is false for a stream that repeats `body` until somebody leaves.
    pub fn new(body: Vec<u8>, ends: bool) -> Expected {
        let length = ends.then_some(body.len() as u64);
        Expected { body, length }
    }

    fn matches(&self, seen: u64, mut bytes: &[u8]) -> bool {
        let mut at = (seen % self.body.len() as u64) as usize;
        while !bytes.is_empty() {
            let count = bytes.len().min(self.body.len() - at);
            if bytes[..count] != self.body[at..at + count] {
                return false;
            }
            bytes = &bytes[count..];
            at = 0;
        }
        true
    }
}

enum Phase {
    Head(Vec<u8>),
    Length(u64),
    /// The size so far and whether the digits have ended.
    ChunkSize(u64, bool),
    ChunkData(u64),
    /// CRLF after a chunk: bytes still to come.
    ChunkEnd(u8),
    /// CRLF after the last chunk: bytes still to come.
    LastEnd(u8),
    Done,
}

/// One answer on its way.
pub struct Answer {
    phase: Phase,
    /// Body bytes received and found right.
    pub seen: u64,
}

impl Answer {
    /// Nothing received yet.
    pub fn new() -> Answer {
        Answer { phase: Phase::Head(Vec::new()), seen: 0 }
    }

    /// Takes what has arrived; true when the answer is complete. The error says what is wrong with it.
    pub fn feed(&mut self, mut bytes: &[u8], expected: &Expected) -> Result<bool, String> {
        while !bytes.is_empty() {
            bytes = self.step(bytes, expected)?;
        }
        match (&self.phase, expected.length) {
            (Phase::Done, Some(length)) if self.seen == length => Ok(true),
            (Phase::Done, _) => Err(format!("body ended after {} bytes", self.seen)),
            _ => Ok(false),
        }
    }

    /// Consumes some of `bytes` and returns the rest.
    fn step<'b>(&mut self, bytes: &'b [u8], expected: &Expected) -> Result<&'b [u8], String> {
        match &mut self.phase {
            Phase::Head(kept) => {
                if kept.is_empty() {
                    return match head(bytes)? {
                        Some((phase, length)) => {
                            self.phase = phase;
                            Ok(&bytes[length..])
                        }
                        None => {
                            kept.extend_from_slice(bytes);
                            Ok(&[])
                        }
                    };
                }
                let before = kept.len();
                kept.extend_from_slice(bytes);
                let Some((phase, length)) = head(kept)? else {
                    return Ok(&[]);
                };
                self.phase = phase;
                Ok(&bytes[length - before..])
            }
            Phase::Length(left) => {
                let count = bytes.len().min(*left as usize);
                *left -= count as u64;
                if *left == 0 {
                    self.phase = Phase::Done;
                }
                self.body(bytes, count, expected)
            }
            Phase::ChunkSize(size, ended) => {
                match bytes[0] {
                    b'\n' if *size == 0 => self.phase = Phase::LastEnd(2),
                    b'\n' => self.phase = Phase::ChunkData(*size),
                    byte if !*ended && byte.is_ascii_hexdigit() => {
                        *size =
                            *size * 16 + u64::from((byte as char).to_digit(16).unwrap_or_default());
                    }
                    _ => *ended = true,
                }
                Ok(&bytes[1..])
            }
            Phase::ChunkData(left) => {
                let count = bytes.len().min(*left as usize);
                *left -= count as u64;
                if *left == 0 {
                    self.phase = Phase::ChunkEnd(2);
                }
                self.body(bytes, count, expected)
            }
            Phase::ChunkEnd(left) | Phase::LastEnd(left) => {
                let wanted = if *left == 2 { b'\r' } else { b'\n' };
                if bytes[0] != wanted {
                    return Err(format!("byte {:#04x} where a chunk should end", bytes[0]));
                }
                *left -= 1;
                self.phase = match self.phase {
                    Phase::ChunkEnd(0) => Phase::ChunkSize(0, false),
                    Phase::LastEnd(0) => Phase::Done,
                    Phase::ChunkEnd(left) => Phase::ChunkEnd(left),
                    _ => Phase::LastEnd(1),
                };
                Ok(&bytes[1..])
            }
            Phase::Done => Err(format!("{} bytes after the end of the answer", bytes.len())),
        }
    }

    fn body<'b>(
        &mut self,
        bytes: &'b [u8],
        count: usize,
        expected: &Expected,
    ) -> Result<&'b [u8], String> {
        if !expected.matches(self.seen, &bytes[..count]) {
            return Err(format!("body differs within {count} bytes after {}", self.seen));
        }
        self.seen += count as u64;
        Ok(&bytes[count..])
    }
}

/// The framing that the head announces, and the head's length; `None` while it is incomplete.
fn head(bytes: &[u8]) -> Result<Option<(Phase, usize)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("head: {error}")),
    };
    if response.code != Some(200) {
        return Err(format!("answer {}", String::from_utf8_lossy(bytes)));
    }
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let value = std::str::from_utf8(header.value).ok().and_then(|value| value.parse().ok());
            let body = value.ok_or("Content-Length is not a number")?;
            let phase = if body == 0 { Phase::Done } else { Phase::Length(body) };
            return Ok(Some((phase, length)));
        }
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(Some((Phase::ChunkSize(0, false), length)));
        }
    }
    Err("neither length nor chunks".to_owned())
}
