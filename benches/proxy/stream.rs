//! A connection of the mock upstream: plain, or with TLS on it. Neither ever waits.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use openssl::ssl::{Ssl, SslContext, SslStream};

pub enum Stream {
    Plain(TcpStream),
    /// The handshake goes on with every read and write until it is done.
    Tls(Box<SslStream<TcpStream>>),
}

impl Stream {
    /// With TLS when there is a context for it.
    pub fn new(stream: TcpStream, tls: Option<&SslContext>) -> io::Result<Stream> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let Some(context) = tls else {
            return Ok(Stream::Plain(stream));
        };
        let mut ssl = Ssl::new(context)?;
        ssl.set_accept_state();
        Ok(Stream::Tls(Box::new(SslStream::new(ssl, stream)?)))
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref(),
        }
    }

    /// Whether more may be there after a read of `count` bytes: TLS hands out a record at a time, and a
    /// full buffer says nothing of what is left.
    pub fn may_hold_more(&self, count: usize, room: usize) -> bool {
        matches!(self, Stream::Tls(_)) || count == room
    }

    /// Takes leave as TLS asks for; the socket closes when this value goes.
    pub fn close(&mut self) {
        if let Stream::Tls(stream) = self {
            // A client that is gone already misses nothing.
            let _ = stream.shutdown();
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
