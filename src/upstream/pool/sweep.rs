//! What the pool does for nobody in particular: it closes idle connections, and finishes what lost its
//! requester.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;

use super::ending::Ending;
use super::{set_waker, Pool};

impl Pool {
    /// Closes idle connections as they expire or as their peers close them, opens what is to become idle,
    /// and waits for the ends of exchanges, for ever.
    pub async fn sweep(&self) {
        poll_fn(|context| {
            self.sweep_timer.poll_due(context);
            set_waker(&mut self.state.borrow_mut().sweeper, context.waker());
            self.sweep_opening(context);
            let endings = self.sweep_endings(context);
            let idle = self.sweep_idle(context);
            self.set_sweep(endings.into_iter().chain(idle).min());
            Poll::<()>::Pending
        })
        .await;
    }

    fn sweep_opening(&self, context: &mut Context<'_>) {
        let opening = std::mem::take(&mut self.state.borrow_mut().opening);
        let mut pending = VecDeque::new();
        for mut opening in opening {
            match opening.poll(context) {
                Poll::Pending => pending.push_back(opening),
                Poll::Ready(Ok(connection)) => self.put_idle(opening.origin, connection),
                Poll::Ready(Err(_)) => {}
            }
        }
        self.state.borrow_mut().opening = pending;
    }

    /// Returns when the first of those that are left is given up.
    fn sweep_endings(&self, context: &Context<'_>) -> Option<Instant> {
        let endings = std::mem::take(&mut self.state.borrow_mut().endings);
        let mut pending = VecDeque::new();
        for mut ending in endings {
            match ending.poll(context, self.now()) {
                Poll::Pending => pending.push_back(ending),
                Poll::Ready(true) => self.put_used(ending.origin, ending.connection),
                Poll::Ready(false) => {}
            }
        }
        let first = pending.iter().map(|ending: &Ending| ending.until).min();
        self.state.borrow_mut().endings = pending;
        first
    }

    /// Returns when the first of those that are left expires.
    fn sweep_idle(&self, context: &Context<'_>) -> Option<Instant> {
        let mut state = self.state.borrow_mut();
        let now = self.now();
        let (mut kept, mut closed) = (VecDeque::new(), Vec::new());
        for mut idle in std::mem::take(&mut state.idle) {
            let socket = &mut idle.connection.socket;
            if idle.expires_at > now && (!socket.maybe_readable() || socket.has_no_input()) {
                socket.wake_when_readable(context);
                kept.push_back(idle);
            } else {
                closed.push(idle);
            }
        }
        let first = kept.iter().map(|idle| idle.expires_at).min();
        state.idle = kept;
        drop(state);
        drop(closed);
        first
    }
}
