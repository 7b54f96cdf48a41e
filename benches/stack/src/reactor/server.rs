//! The server, on either reactor. Both read into one scratch buffer of the thread and keep nothing of a
//! connection while it is idle.

use std::cell::RefCell;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncWriteExt, FutureExt};
use smol::{Async, LocalExecutor, Timer};

use super::{MESSAGE_BYTES, QUIT, REPORT};
use crate::ours::{self, Connection, Deadline, Reactor, Server};
use crate::{child, Result};

/// The deadline of every wait of a relay; none of them passes.
const WAIT_MAX: Duration = Duration::from_secs(30);

type Executor = Rc<LocalExecutor<'static>>;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
}

/// Listens, prints the port, and serves until a message says to end. Relays to `upstream`, or echoes.
pub fn serve(side: &str, upstream: Option<u16>) -> Result<()> {
    child::raise_file_limit()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    let upstream = upstream.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let executor = Rc::new(LocalExecutor::new());
    // Accepting is a task, too: what stands beside the executor is polled at every wake-up.
    match side {
        "async-io" => {
            let accepting = executor.spawn(on_async_io(executor.clone(), listener, upstream));
            smol::block_on(executor.run(accepting))?;
        }
        _ => {
            let reactor = Reactor::new()?;
            let accepting =
                executor.spawn(on_ours(executor.clone(), reactor.clone(), listener, upstream));
            ours::block_on(&reactor, &executor, accepting)?;
        }
    }
    Ok(())
}

/// A connection that breaks is the load generator's affair.
fn spawn(executor: &Executor, work: impl std::future::Future<Output = io::Result<()>> + 'static) {
    executor.spawn(async { drop(work.await) }).detach();
}

async fn on_async_io(
    executor: Executor,
    listener: TcpListener,
    upstream: Option<SocketAddr>,
) -> io::Result<()> {
    let listener = Async::new(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.get_ref().set_nodelay(true)?;
        match upstream {
            None => spawn(&executor, echo_on_async_io(stream)),
            Some(address) => spawn(&executor, relay_on_async_io(stream, address)),
        }
    }
}

async fn fill(stream: &Async<TcpStream>, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let read = stream.read_with(|mut stream| {
        SCRATCH.with_borrow_mut(|scratch| {
            let count = stream.read(scratch)?;
            bytes.extend_from_slice(&scratch[..count]);
            Ok(count)
        })
    });
    read.await
}

async fn within<T>(work: impl std::future::Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        Timer::after(WAIT_MAX).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    work.or(late).await
}

async fn echo_on_async_io(stream: Async<TcpStream>) -> io::Result<()> {
    let mut bytes = Vec::new();
    while fill(&stream, &mut bytes).await? > 0 {
        if let Some(answer) = answer(&mut bytes) {
            (&stream).write_all(&answer).await?;
        }
    }
    Ok(())
}

async fn relay_on_async_io(client: Async<TcpStream>, address: SocketAddr) -> io::Result<()> {
    let upstream = TcpStream::connect(address)?;
    upstream.set_nodelay(true)?;
    let upstream = Async::new(upstream)?;
    let mut bytes = Vec::new();
    while within(fill(&client, &mut bytes)).await? > 0 {
        let Some(message) = answer(&mut bytes) else { continue };
        if message[0] == b'm' {
            within((&upstream).write_all(&message)).await?;
            while bytes.len() < MESSAGE_BYTES {
                if within(fill(&upstream, &mut bytes)).await? == 0 {
                    return Ok(());
                }
            }
            let answer = std::mem::take(&mut bytes);
            within((&client).write_all(&answer)).await?;
        } else {
            within((&client).write_all(&message)).await?;
        }
    }
    Ok(())
}

async fn on_ours(
    executor: Executor,
    reactor: Rc<Reactor>,
    listener: TcpListener,
    upstream: Option<SocketAddr>,
) -> io::Result<()> {
    let server = Server::new(&reactor, listener)?;
    loop {
        let connection = server.accept().await?;
        match upstream {
            None => spawn(&executor, echo_on_ours(connection)),
            Some(address) => spawn(&executor, relay_on_ours(connection, reactor.clone(), address)),
        }
    }
}

async fn echo_on_ours(mut connection: Connection) -> io::Result<()> {
    let mut bytes = Vec::new();
    while connection.fill(&mut bytes).await? > 0 {
        if let Some(answer) = answer(&mut bytes) {
            connection.write_all(&answer).await?;
        }
    }
    Ok(())
}

async fn relay_on_ours(
    mut client: Connection,
    reactor: Rc<Reactor>,
    address: SocketAddr,
) -> io::Result<()> {
    let mut upstream = Connection::open(&reactor, address)?;
    let deadline = Deadline::new(&reactor);
    let mut bytes = Vec::new();
    while deadline.within(WAIT_MAX, client.fill(&mut bytes)).await? > 0 {
        let Some(message) = answer(&mut bytes) else { continue };
        if message[0] == b'm' {
            deadline.within(WAIT_MAX, upstream.write_all(&message)).await?;
            while bytes.len() < MESSAGE_BYTES {
                if deadline.within(WAIT_MAX, upstream.fill(&mut bytes)).await? == 0 {
                    return Ok(());
                }
            }
            let answer = std::mem::take(&mut bytes);
            deadline.within(WAIT_MAX, client.write_all(&answer)).await?;
        } else {
            deadline.within(WAIT_MAX, client.write_all(&message)).await?;
        }
    }
    Ok(())
}

/// What a complete message is answered with: itself, or what it asks for.
fn answer(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    if bytes.len() < MESSAGE_BYTES {
        return None;
    }
    let mut message = std::mem::take(bytes);
    match message[0] {
        QUIT => std::process::exit(0),
        REPORT => {
            let (cpu, rss) = (child::cpu_seconds(), child::rss_kb().unwrap_or(f64::NAN));
            let threads = child::threads().map_or(0, |names| names.len());
            message = format!("{cpu} {rss} {threads} ").into_bytes();
            message.resize(MESSAGE_BYTES, b' ');
        }
        _ => {}
    }
    Some(message)
}
