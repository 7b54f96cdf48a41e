//! Accepting connections, one task for each, and the drain at shut-down. It must not know
//! providers.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_lite::future::yield_now;
use smol::{LocalExecutor, Task};

use crate::downstream::{Connection, Slot};
use crate::message;
use crate::report::logging;
use crate::routes;
use crate::runtime::{Listener, Socket, Timer, Watched};
use crate::state::State;

/// Connections accepted in a row before other tasks run.
const ACCEPTS_MAX: u32 = 64;
/// How long to wait when the kernel has no descriptor for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long, at shut-down, handshakes that have begun may take to end.
const HANDSHAKE_MAX: Duration = Duration::from_millis(50);
/// Tasks run between two visits to the kernel: few, so that no socket waits long.
const TASKS_PER_VISIT: u32 = 16;
/// How long responses in flight may take once the program is told to stop.
pub const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Runs tasks for ever, visiting the kernel between every few of them.
pub async fn drive(executor: &LocalExecutor<'_>) {
    loop {
        executor.tick().await;
        let mut left = TASKS_PER_VISIT - 1;
        while left > 0 && executor.try_tick() {
            left -= 1;
        }
        if left == 0 {
            yield_now().await;
        }
    }
}

/// Accepts connections until the program shuts down, and then those that were already made.
/// `ours`: the program opened the socket itself, so that no other process takes over its queue, as
/// systemd does with one that it handed over.
pub async fn accept(state: Rc<State>, listener: TcpListener, ours: bool) {
    let listener = match Listener::new(&state.reactor, listener) {
        Ok(listener) => listener,
        Err(error) => {
            return log::error!(target: logging::CRITICAL, "{}", message!("无法监听: {error}", "cannot listen: {error}"))
        }
    };
    let timer = state.timer();
    let mut last_round = !ours;
    loop {
        for _ in 0..ACCEPTS_MAX {
            match next(&state, &listener, &timer).await {
                Ok(Some((stream, peer, slot))) => start_client(&state, stream, peer, slot),
                Ok(None) if last_round => return,
                Ok(None) => {
                    listener.ignore_newcomers();
                    timer.sleep(HANDSHAKE_MAX).await;
                    last_round = true;
                }
                Err(_) if state.shutdown.has_begun() => return,
                Err(error) => {
                    log::error!("{}", message!("无法接受连接: {error}", "cannot accept: {error}"));
                    timer.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        yield_now().await;
    }
}

type Accepted = (TcpStream, SocketAddr, Slot);

/// The next connection, once there is a slot for it, which an idle connection may have to give up;
/// `None` at shut-down.
async fn next(
    state: &Rc<State>,
    listener: &Listener,
    timer: &Timer,
) -> io::Result<Option<Accepted>> {
    let mut slot = None;
    poll_fn(|context| loop {
        if slot.is_none() {
            slot = state.admission.take(state.reactor.clock.now(), context.waker());
        }
        // The start of the shut-down wakes every task that has polled a timer.
        timer.poll_due(context);
        let Some(free) = slot.take() else {
            // At the limit connections wait in the kernel's queue.
            if listener.poll_newcomer(context).is_ready() {
                let again = state.admission.make_room(state.reactor.clock.now());
                timer.set(again);
                timer.poll_due(context);
            }
            return Poll::Pending;
        };
        match listener.poll_accept(context) {
            Poll::Ready(Ok((stream, peer))) => {
                return Poll::Ready(Ok(Some((stream, peer, free))));
            }
            Poll::Ready(Err(error)) if is_of_one_connection(&error) => slot = Some(free),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            // At shut-down clients that have already connected are still served.
            Poll::Pending if state.shutdown.has_begun() => return Poll::Ready(Ok(None)),
            Poll::Pending => return Poll::Pending,
        }
    })
    .await
}

/// The connection died before we took it; the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted | Kind::TimedOut
    )
}

/// Begins to serve one client.
fn start_client(state: &Rc<State>, stream: TcpStream, peer: SocketAddr, slot: Slot) {
    let _ = stream.set_nodelay(true);
    let Ok(watched) = Watched::new(&state.reactor, stream) else { return };
    // A socket for both shows IPv4 addresses mapped into IPv6.
    let ip = peer.ip().to_canonical();
    let peer = if ip.is_ipv4() { SocketAddr::new(ip, peer.port()) } else { peer };
    let (timer, shutdown) = (state.timer(), state.shutdown.clone());
    let connection = Connection::new(
        Socket::plain(watched),
        peer,
        slot,
        timer,
        shutdown,
        &state.memory.connections,
    );
    state.spawn(live(state.clone(), connection));
}

/// The whole life of a client's connection. Each step is boxed, so that an open stream keeps no
/// room for the steps before it.
async fn live(state: Rc<State>, mut connection: Connection) {
    let is_secret = |value: &[u8]| state.holds_token(value);
    while let Some(request) = Box::pin(connection.next_request(&is_secret)).await {
        let respond = Box::pin(routes::respond(&state, request, &mut connection));
        let (response, mut entry) = respond.await;
        let outcome = response.send(&mut connection, &mut entry).await;
        entry.close(&outcome);
        if !connection.may_reuse() {
            break;
        }
        // Other clients' requests come before the next one of this client's pipeline.
        if connection.has_more() {
            yield_now().await;
        }
    }
    Box::pin(connection.close()).await;
}

/// Waits until every client that has connected is accepted and has its response, for [`DRAIN_MAX`]
/// at most.
pub async fn drained(state: &State, accepting: Vec<Task<()>>) {
    let timer = state.timer();
    let end = timer.now() + DRAIN_MAX;
    let busy = || state.admission.taken() > 0 || accepting.iter().any(|task| !task.is_finished());
    while busy() && timer.now() < end {
        timer.sleep(Duration::from_millis(10)).await;
    }
}

#[cfg(test)]
mod tests;
