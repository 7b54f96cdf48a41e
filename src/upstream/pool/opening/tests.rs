use std::future::Future;
use std::pin::Pin;

use crate::upstream::pool::{ConnectError, Lease, PoolLimits};
use crate::upstream::testing::{origin, Bench, Peer, SECOND, WIDE};

type Leasing<'b> = Pin<Box<dyn Future<Output = Result<Lease, ConnectError>> + 'b>>;

/// A lease that has to wait.
#[track_caller]
fn leasing<'b>(bench: &'b Bench, host: &str, fresh: bool) -> Leasing<'b> {
    let origin = origin(host);
    let mut leasing: Leasing<'b> =
        Box::pin(async move { bench.pool.lease(None, &origin, fresh).await });
    assert!(bench.poll(&mut leasing).is_none());
    leasing
}

/// One connection in use; no other is there before the test says so.
fn one_in_use(limits: PoolLimits) -> (Bench, Lease, Peer) {
    let bench = Bench::new(limits);
    let lease = bench.lease("a");
    let peer = bench.peer();
    bench.open_only(1);
    (bench, lease, peer)
}

#[track_caller]
fn got(bench: &Bench, leasing: &mut Leasing<'_>) -> Lease {
    let Some(Ok(lease)) = bench.poll(leasing) else { panic!("no connection") };
    lease
}

/// Gives the pool's own work its turn.
fn sweep(bench: &Bench) {
    assert!(bench.poll(Box::pin(bench.pool.sweep())).is_none());
}

#[test]
fn who_waits_for_a_new_connection_takes_one_that_becomes_free_the_first_to_come_first() {
    let (bench, lease, _peer) = one_in_use(WIDE);
    let mut first = leasing(&bench, "a", false);
    let mut second = leasing(&bench, "a", false);
    let mut other = leasing(&bench, "b", false);
    lease.release();
    // A newcomer does not overtake, nor does whoever is polled before.
    let mut third = leasing(&bench, "a", false);
    assert!(bench.poll(&mut second).is_none() && bench.poll(&mut other).is_none());
    let lease = got(&bench, &mut first);
    assert!(lease.reused && lease.may_be_dead());
    assert_eq!(bench.pool.idle(), 0);
    lease.release();
    assert!(got(&bench, &mut second).reused);
    assert!(bench.poll(&mut third).is_none());
    assert_eq!(bench.pool.reuse_counts(), (2, 1));
}

#[test]
fn what_was_being_opened_then_becomes_idle_and_is_new_to_whoever_takes_it() {
    let (bench, lease, _peer) = one_in_use(WIDE);
    let mut waiting = leasing(&bench, "a", false);
    lease.release();
    let first = got(&bench, &mut waiting);
    sweep(&bench);
    assert_eq!(bench.pool.idle(), 0);
    bench.open_only(2);
    sweep(&bench);
    assert_eq!((bench.pool.idle(), bench.begun()), (1, 2));
    let second = bench.lease("a");
    assert!(!second.reused && second.may_be_dead(), "it lay there");
    assert_eq!((bench.begun(), bench.pool.reuse_counts()), (2, (1, 2)));
    drop(first);
    second.release();
    assert!(bench.lease("a").reused);
}

#[test]
fn what_is_opened_for_nobody_is_taken_over_by_the_next_request() {
    let (bench, lease, _peer) = one_in_use(WIDE);
    let mut waiting = leasing(&bench, "a", false);
    lease.release();
    let _first = got(&bench, &mut waiting);
    let mut next = leasing(&bench, "a", true);
    assert_eq!(bench.begun(), 2, "no third one is begun");
    let other = leasing(&bench, "b", false);
    assert_eq!(bench.begun(), 3);
    bench.open_only(2);
    let lease = got(&bench, &mut next);
    assert!(!lease.reused && !lease.may_be_dead());
    drop(other);
}

#[test]
fn what_is_opened_for_nobody_goes_to_the_first_that_waits() {
    let (bench, lease, _peer) = one_in_use(WIDE);
    let mut first = leasing(&bench, "a", false);
    let mut second = leasing(&bench, "a", true);
    lease.release();
    let _first = got(&bench, &mut first);
    bench.open_only(2);
    sweep(&bench);
    let lease = got(&bench, &mut second);
    assert!(!lease.reused && !lease.may_be_dead());
    assert_eq!(bench.pool.idle(), 0);
    bench.open_only(3);
    sweep(&bench);
    assert_eq!((bench.pool.idle(), bench.begun()), (1, 3));
}

#[test]
fn the_errors_of_what_is_opened_for_nobody_are_nobodys() {
    let (bench, lease, _peer) = one_in_use(WIDE);
    let mut first = leasing(&bench, "a", false);
    let mut second = leasing(&bench, "a", false);
    lease.release();
    let lease = got(&bench, &mut first);
    lease.release();
    let _second = got(&bench, &mut second);
    let mut next = leasing(&bench, "a", false);
    bench.refuse_those_below(3);
    bench.open_only(3);
    // One fails in the background, one that was taken over in the hands of the request.
    sweep(&bench);
    assert!(bench.poll(&mut next).is_none());
    assert_eq!((bench.begun(), bench.pool.idle()), (4, 0));
    bench.open_only(4);
    assert!(!got(&bench, &mut next).reused);
}

#[test]
fn a_lease_that_must_be_fresh_takes_none_that_has_served() {
    let (bench, lease, _peer) = one_in_use(WIDE);
    let mut fresh = leasing(&bench, "a", true);
    let mut any = leasing(&bench, "a", false);
    lease.release();
    assert!(bench.poll(&mut fresh).is_none());
    assert!(got(&bench, &mut any).reused);
    // The one that was opened for the other one.
    bench.open_only(3);
    sweep(&bench);
    assert_eq!(bench.pool.idle(), 0);
    assert!(!got(&bench, &mut fresh).reused);
}

#[test]
fn a_lease_that_must_be_fresh_takes_an_idle_one_only_if_that_is_new_and_has_not_served() {
    for (seconds, takes) in [(0, true), (1, false)] {
        let (bench, lease, _peer) = one_in_use(WIDE);
        let mut waiting = leasing(&bench, "a", false);
        lease.release();
        got(&bench, &mut waiting).release();
        bench.open_only(2);
        sweep(&bench);
        assert_eq!(bench.pool.idle(), 2);
        bench.pass(seconds * SECOND);
        bench.open_only(3);
        let fresh = bench.finish(bench.pool.lease(None, &origin("a"), true)).unwrap();
        assert!(!fresh.reused);
        assert_eq!(bench.begun(), if takes { 2 } else { 3 });
    }
}

#[test]
fn who_leaves_passes_on_what_was_given_and_ends_what_was_opened() {
    let (bench, lease, mut peer) = one_in_use(WIDE);
    let first = leasing(&bench, "a", false);
    let mut second = leasing(&bench, "a", false);
    lease.release();
    drop(first);
    got(&bench, &mut second).release();
    assert_eq!(bench.pool.idle(), 1);
    let lease = bench.lease("a");
    let third = leasing(&bench, "a", false);
    assert_eq!(bench.begun(), 3, "what the second had opened is taken over");
    drop(third);
    bench.open_only(9);
    sweep(&bench);
    lease.release();
    assert_eq!((bench.pool.idle(), bench.begun()), (1, 3));
    assert!(!peer.is_closed());
}

#[test]
fn one_that_its_peer_closes_on_the_way_is_not_taken() {
    let (bench, lease, peer) = one_in_use(WIDE);
    let mut waiting = leasing(&bench, "a", false);
    lease.release();
    drop(peer);
    assert!(bench.poll(&mut waiting).is_none());
    // It stays in the queue.
    bench.open_only(2);
    assert!(!got(&bench, &mut waiting).reused);
    assert_eq!(bench.begun(), 2);
}

#[test]
fn nothing_is_opened_for_nobody_beyond_the_idle_connections_that_are_kept() {
    let (bench, lease, _peer) = one_in_use(PoolLimits { idle_max: 1, ..WIDE });
    let mut waiting = [(); 2].map(|()| leasing(&bench, "a", false));
    lease.release();
    got(&bench, &mut waiting[0]).release();
    let _lease = got(&bench, &mut waiting[1]);
    bench.open_only(3);
    sweep(&bench);
    assert_eq!(bench.pool.idle(), 1);
    // The second of them was not even finished.
    assert!(!bench.peer().is_closed());
    assert_eq!(bench.peers(), 0);
    // One that has served is not closed for one that has not.
    let (bench, lease, mut peer) = one_in_use(PoolLimits { idle_max: 1, ..WIDE });
    let mut waiting = leasing(&bench, "a", false);
    lease.release();
    got(&bench, &mut waiting).release();
    bench.open_only(2);
    sweep(&bench);
    assert_eq!(bench.pool.idle(), 1);
    assert!(!peer.is_closed() && bench.peer().is_closed());
}

#[test]
fn what_is_opened_for_nobody_counts_and_goes_first_when_there_must_be_room() {
    let bench = Bench::new(PoolLimits { leases_max: 2, ..WIDE });
    let lease = bench.lease_with_permit("a");
    bench.open_only(1);
    let permit = bench.finish(bench.pool.permits.take());
    let to_a = origin("a");
    let mut waiting = Box::pin(bench.pool.lease(Some(permit), &to_a, false));
    assert!(bench.poll(&mut waiting).is_none());
    lease.release();
    let Some(Ok(_lease)) = bench.poll(&mut waiting) else { panic!("none") };
    // Another origin needs the room.
    bench.open_only(9);
    let _other = bench.lease_with_permit("b");
    sweep(&bench);
    assert_eq!((bench.pool.idle(), bench.begun()), (0, 3));
}

#[test]
fn a_new_configuration_drops_what_is_opened_for_nobody() {
    let (bench, lease, _peer) = one_in_use(WIDE);
    let mut waiting = [(); 2].map(|()| leasing(&bench, "a", false));
    lease.release();
    let lease = got(&bench, &mut waiting[0]);
    lease.release();
    bench.pass(SECOND);
    bench.pool.configure(WIDE, &[origin("a")]);
    let _lease = got(&bench, &mut waiting[1]);
    bench.open_only(9);
    sweep(&bench);
    assert_eq!((bench.pool.idle(), bench.peers()), (0, 0));
}
