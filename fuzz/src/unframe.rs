//! A second opinion on bodies: one pass over all bytes, after RFC 9112 §6 and §7.1.

use ai_proxy::wire::Framing;

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Complete.
    Done,
    /// More bytes must come, or may come.
    Open,
    /// Against the grammar.
    Broken,
}

/// What some bytes hold.
#[derive(Debug)]
pub struct Body {
    /// The body's bytes.
    pub data: Vec<u8>,
    /// How many bytes were looked at.
    pub consumed: usize,
    /// How it ended.
    pub end: End,
    /// Chunks begun.
    pub chunks: u64,
    /// The longest chunk extension or white space before one, in bytes.
    pub extension: usize,
    /// The trailer section without its line ends, in bytes.
    pub trailers: usize,
}

/// Takes the framing off.
pub fn unframe(framing: Framing, bytes: &[u8]) -> Body {
    let mut body = Body {
        data: Vec::new(),
        consumed: 0,
        end: End::Done,
        chunks: 0,
        extension: 0,
        trailers: 0,
    };
    match framing {
        Framing::None => {}
        Framing::UntilClose => {
            body.data = bytes.to_vec();
            body.consumed = bytes.len();
            body.end = End::Open;
        }
        Framing::Length(length) => {
            let here = bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            body.data = bytes[..here].to_vec();
            body.consumed = here;
            body.end = if here as u64 == length { End::Done } else { End::Open };
        }
        Framing::Chunked => {
            let mut reader = Reader { bytes, at: 0 };
            body.end = chunked(&mut reader, &mut body).err().unwrap_or(End::Done);
            body.consumed = reader.at;
        }
    }
    body
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn peek(&self) -> Result<u8, End> {
        self.bytes.get(self.at).copied().ok_or(End::Open)
    }

    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> Result<&'b [u8], End> {
        let start = self.at;
        while belongs(self.peek()?) {
            self.at += 1;
        }
        Ok(&self.bytes[start..self.at])
    }

    fn expect(&mut self, wanted: &[u8]) -> Result<(), End> {
        for byte in wanted {
            if self.peek()? != *byte {
                return Err(End::Broken);
            }
            self.at += 1;
        }
        Ok(())
    }
}

fn text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

fn chunked(reader: &mut Reader<'_>, body: &mut Body) -> Result<(), End> {
    loop {
        let start = reader.at;
        let digits = loop {
            let digits = &reader.bytes[start..reader.at];
            let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
            // 2^60 bytes are enough, and 64 digits.
            let full = digits.len() - zeros == 15 || digits.len() == 64;
            match reader.peek()? {
                byte if byte.is_ascii_hexdigit() && full => return Err(End::Broken),
                byte if byte.is_ascii_hexdigit() => reader.at += 1,
                _ => break digits,
            }
        };
        let digits = std::str::from_utf8(digits).expect("ASCII");
        let size = u64::from_str_radix(digits, 16).map_err(|_| End::Broken)?;
        let open = reader.at;
        let extended = extension(reader);
        body.extension = body.extension.max(reader.at - open);
        extended?;
        if size == 0 {
            return trailers(reader, body);
        }
        body.chunks += 1;
        let rest = &reader.bytes[reader.at..];
        let here = rest.len().min(usize::try_from(size).unwrap_or(usize::MAX));
        body.data.extend_from_slice(&rest[..here]);
        reader.at += here;
        if here as u64 != size {
            return Err(End::Open);
        }
        reader.expect(b"\r\n")?;
    }
}

fn extension(reader: &mut Reader<'_>) -> Result<(), End> {
    reader.run(|byte| byte == b' ' || byte == b'\t')?;
    if reader.peek()? == b';' {
        reader.run(text)?;
    }
    reader.expect(b"\r\n")
}

fn trailers(reader: &mut Reader<'_>, body: &mut Body) -> Result<(), End> {
    loop {
        if reader.peek()? == b'\r' {
            return reader.expect(b"\r\n");
        }
        let start = reader.at;
        let line = field_line(reader);
        body.trailers += reader.at - start;
        line?;
        reader.expect(b"\r\n")?;
    }
}

fn field_line(reader: &mut Reader<'_>) -> Result<(), End> {
    let name = reader
        .run(|byte| byte.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char::from(byte)))?;
    if name.is_empty() || reader.peek()? != b':' {
        return Err(End::Broken);
    }
    reader.run(text).map(drop)
}
