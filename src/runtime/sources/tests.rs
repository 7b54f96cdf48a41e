use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::Wake;

use super::*;
use crate::runtime::reactor::Reactor;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn pair() -> (Rc<Reactor>, Registration, UnixStream, UnixStream) {
    let reactor = Reactor::new().unwrap();
    let (here, there) = UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    let registration = reactor.register(&here).unwrap();
    (reactor, registration, here, there)
}

#[test]
fn the_first_read_asks_the_kernel_and_later_ones_wait_for_an_edge() {
    let (reactor, registration, _here, mut there) = pair();
    assert!(registration.readable());
    registration.clear_readable();
    reactor.look();
    assert!(!registration.readable() && registration.writable());
    there.write_all(b"x").unwrap();
    assert!(!registration.readable());
    reactor.look();
    assert!(registration.readable() && !registration.hung_up());
}

#[test]
fn a_short_read_is_the_last_one_until_the_next_edge_unless_the_peer_has_closed() {
    let (reactor, registration, _here, mut there) = pair();
    there.write_all(b"x").unwrap();
    reactor.look();
    registration.clear_readable_unless_hung_up();
    assert!(!registration.readable());
    registration.assume_readable();
    assert!(registration.readable());
    // The bytes and the end in one visit.
    there.write_all(b"x").unwrap();
    drop(there);
    reactor.look();
    assert!(registration.hung_up());
    registration.clear_readable_unless_hung_up();
    assert!(registration.readable());
}

#[test]
fn a_socket_is_read_so_often_and_no_more_between_two_visits() {
    let (reactor, registration, _here, _there) = pair();
    for _ in 0..READS_PER_VISIT {
        assert!(registration.may_read());
    }
    assert!(!registration.may_read());
    reactor.look();
    assert!(registration.may_read());
}

#[test]
fn an_edge_wakes_once_whoever_waits_for_it() {
    let (reactor, registration, _here, mut there) = pair();
    reactor.look();
    let wakes = Arc::new(Wakes::default());
    registration.wake_reader(&Waker::from(wakes.clone()));
    there.write_all(b"x").unwrap();
    reactor.look();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    there.write_all(b"x").unwrap();
    assert_eq!(reactor.look(), 1);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
}

#[test]
fn a_registration_dropped_leaves_its_key_to_the_next() {
    let (reactor, registration, _here, _there) = pair();
    let key = registration.key;
    drop(registration);
    let (other, _peer) = UnixStream::pair().unwrap();
    let registration = reactor.register(&other).unwrap();
    assert_eq!(registration.key, key);
    assert!(registration.readable());
}
