//! What loads the echo server, in the measuring process, whose CPU does not count.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use smol::LocalExecutor;

use super::{Load, MESSAGE_BYTES, QUIT, REPORT};
use crate::ours::{self, Connection, Reactor};
use crate::Result;

/// Between two messages of a connection that is paced.
const PACE: Duration = Duration::from_millis(10);
const MESSAGE: [u8; MESSAGE_BYTES] = [b'm'; MESSAGE_BYTES];

/// What the server says of itself.
pub struct Report {
    /// CPU seconds so far.
    pub cpu: f64,
    /// Resident KB.
    pub rss: f64,
    /// Threads.
    pub threads: f64,
}

/// Sends the load's messages and waits for each answer.
pub fn run(address: SocketAddr, load: Load) -> Result<()> {
    let each = load.messages / load.connections;
    if load.paced {
        return paced(address, load.connections, each);
    }
    let reactor = Reactor::new()?;
    let executor = LocalExecutor::new();
    let mut tasks = Vec::new();
    for _ in 0..load.connections {
        let connection = Connection::open(&reactor, address)?;
        tasks.push(executor.spawn(closed_loop(connection, each)));
    }
    ours::block_on(&reactor, &executor, async {
        for task in tasks {
            task.await?;
        }
        Ok(())
    })
}

async fn closed_loop(mut connection: Connection, count: usize) -> io::Result<()> {
    let mut bytes = Vec::new();
    for _ in 0..count {
        connection.write_all(&MESSAGE).await?;
        bytes.clear();
        while bytes.len() < MESSAGE_BYTES {
            if connection.fill(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
    Ok(())
}

/// A thread per connection, because sleeps of our own clock end together.
fn paced(address: SocketAddr, connections: usize, each: usize) -> Result<()> {
    let begun = Instant::now();
    let connection = |index: usize| {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut due = begun + PACE.mul_f64(index as f64 / connections as f64);
        for _ in 0..each {
            due += PACE;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            exchange(&mut stream, &MESSAGE)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..connections).map(|index| scope.spawn(move || connection(index))).collect();
        threads.into_iter().try_for_each(|thread| {
            let done: io::Result<()> = thread.join().map_err(|_| "a thread panicked")?;
            Ok(done?)
        })
    })
}

fn exchange(stream: &mut TcpStream, message: &[u8]) -> io::Result<[u8; MESSAGE_BYTES]> {
    let mut answer = [0; MESSAGE_BYTES];
    stream.write_all(message)?;
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// Connections that have each been used once.
pub fn open(address: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let open = |_| {
        let mut stream = TcpStream::connect(address)?;
        exchange(&mut stream, &MESSAGE)?;
        Ok(stream)
    };
    (0..count).map(open).collect()
}

/// Asks the server what it uses.
pub fn report(address: SocketAddr) -> Result<Report> {
    let answer = exchange(&mut TcpStream::connect(address)?, &[REPORT; MESSAGE_BYTES])?;
    let text = std::str::from_utf8(&answer)?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [cpu, rss, threads] => Ok(Report { cpu, rss, threads }),
        _ => Err(format!("the server said {text:?}").into()),
    }
}

/// Ends the server.
pub fn quit(address: SocketAddr) -> io::Result<()> {
    TcpStream::connect(address)?.write_all(&[QUIT; MESSAGE_BYTES])
}
