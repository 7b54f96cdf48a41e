use std::future::poll_fn;
use std::io::Write;
use std::os::unix::net::UnixStream;

use smol::channel::unbounded;

use super::*;
use crate::runtime::timer::Timer;

impl Reactor {
    /// A visit to the kernel that takes no time. Returns how many events there were.
    pub(crate) fn look(&self) -> usize {
        self.sources.visits.set(self.sources.visits.get().wrapping_add(1));
        let mut events = Vec::with_capacity(EVENTS_MAX);
        self.collect(&mut events, Some(Duration::ZERO));
        events.len()
    }
}

#[test]
fn what_the_reactor_itself_wakes_costs_no_write_to_the_eventfd() {
    let reactor = Reactor::new().unwrap();
    let (here, mut there) = UnixStream::pair().unwrap();
    let registration = reactor.register(&here).unwrap();
    registration.clear_readable();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        there.write_all(b"x").map(|()| there)
    });
    reactor.block_on(poll_fn(|context| {
        registration.wake_reader(context.waker());
        if registration.readable() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
    assert!(!reactor.parker.drain_eventfd());
    writer.join().unwrap().unwrap();
}

#[test]
fn other_threads_wake_it_asleep_and_awake() {
    let reactor = Reactor::new().unwrap();
    let (to_there, there) = unbounded();
    let (to_here, here) = unbounded();
    let echo = std::thread::spawn(move || {
        while let Ok(number) = there.recv_blocking() {
            // Short waits and long ones, in any order.
            if number % 500 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            to_here.try_send(number).unwrap();
        }
    });
    reactor.block_on(async {
        for number in 0..20_000 {
            to_there.try_send(number).unwrap();
            assert_eq!(here.recv().await, Ok(number));
        }
    });
    drop(to_there);
    echo.join().unwrap();
}

/// The process may be stopped, or wait for its turn to run, on the way back from the kernel.
#[test]
fn no_deadline_passes_before_what_came_until_then_is_delivered() {
    let reactor = Reactor::new().unwrap();
    let (here, mut there) = UnixStream::pair().unwrap();
    let registration = reactor.register(&here).unwrap();
    let timer = Timer::new(&reactor.clock);
    let length = Duration::from_millis(50);
    let due = timer.now() + length;
    timer.set(Some(due));
    let mut events = Vec::with_capacity(EVENTS_MAX);
    let complete = reactor.collect(&mut events, Some(Duration::ZERO));
    registration.clear_readable();
    there.write_all(b"x").unwrap();
    reactor.clock.pass(due, length);
    reactor.settle(&mut events, complete);
    assert!(reactor.clock.now() >= due);
    assert!(registration.readable());
}
