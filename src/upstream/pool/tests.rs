use std::mem::size_of;
use std::task::Poll;

use super::policy::CONNECTION_AGE_MAX;
use super::*;
use crate::upstream::testing::{origin, Bench, Peer, WIDE};

const SECOND: Duration = Duration::from_secs(1);

/// Opens so many connections to `a` and lets them become idle one after the other.
fn idle(bench: &Bench, count: usize) -> Vec<Peer> {
    let leases: Vec<Lease> = (0..count).map(|_| bench.lease("a")).collect();
    leases.into_iter().for_each(Lease::release);
    (0..count).map(|_| bench.peer()).collect()
}

/// Which of the peers `lease` leads to.
fn number_of(lease: &mut Lease, peers: &mut [Peer]) -> usize {
    let context = Context::from_waker(Waker::noop());
    assert!(matches!(lease.socket.poll_write(&context, b"x"), Poll::Ready(Ok(1))));
    peers.iter_mut().position(|peer| peer.drain() == b"x").expect("no peer got it")
}

#[test]
fn the_connection_that_became_idle_last_is_lent_first() {
    let bench = Bench::new(WIDE);
    let mut peers = idle(&bench, 3);
    let mut leases = [bench.lease("a"), bench.lease("a"), bench.lease("a")];
    let order: Vec<_> = leases.iter_mut().map(|lease| number_of(lease, &mut peers)).collect();
    assert_eq!(order, [2, 1, 0]);
    assert!(leases.iter().all(|lease| lease.reused));
    assert_eq!(bench.pool.reuse_counts(), (3, 3));
    assert!(!bench.lease("a").reused);
}

#[test]
fn a_connection_serves_its_own_origin_only() {
    let bench = Bench::new(WIDE);
    let _peers = idle(&bench, 1);
    assert!(!bench.lease("b").reused);
    assert!(bench.lease("a").reused);
}

#[test]
fn the_repeat_of_an_exchange_gets_a_new_connection() {
    let bench = Bench::new(WIDE);
    let _peers = idle(&bench, 1);
    let fresh = bench.finish(bench.pool.lease(None, &origin("a"), true)).unwrap();
    assert!(!fresh.reused);
    assert_eq!(bench.pool.idle(), 1);
}

#[test]
fn an_expired_connection_is_not_lent() {
    let bench = Bench::new(WIDE);
    let mut peers = idle(&bench, 2);
    bench.pass(WIDE.idle_age_max - SECOND);
    // Used again: its idle age begins anew.
    bench.lease("a").release();
    bench.pass(2 * SECOND);
    let mut lease = bench.lease("a");
    assert!(lease.reused);
    assert_eq!(number_of(&mut lease, &mut peers), 1);
    assert!(!bench.lease("a").reused);
    assert!(peers[0].is_closed());
}

#[test]
fn a_connection_over_its_whole_age_is_not_kept() {
    let bench = Bench::new(WIDE);
    let lease = bench.lease("a");
    bench.pass(CONNECTION_AGE_MAX);
    lease.release();
    assert_eq!(bench.pool.idle(), 0);
    assert!(bench.peer().is_closed());
}

#[test]
fn a_connection_that_its_peer_closed_or_wrote_to_is_not_lent() {
    for spoil in [
        |_: Peer| None,
        |mut peer: Peer| {
            peer.send("HTTP/1.1 408 Request Timeout\r\n\r\n");
            Some(peer)
        },
    ] {
        let bench = Bench::new(WIDE);
        let peer = idle(&bench, 1).remove(0);
        bench.reactor.look();
        let _peer = spoil(peer);
        // No visit to the kernel in between: the pool asks for itself.
        assert!(!bench.lease("a").reused);
        assert_eq!(bench.pool.idle(), 0);
    }
}

#[test]
fn a_connection_that_its_peer_closed_or_wrote_to_is_not_kept() {
    let bench = Bench::new(WIDE);
    let lease = bench.lease("a");
    drop(bench.peer());
    bench.reactor.look();
    lease.release();
    assert_eq!(bench.pool.idle(), 0);
    let lease = bench.lease("a");
    let mut peer = bench.peer();
    peer.send("more than was asked for");
    bench.reactor.look();
    lease.release();
    assert_eq!(bench.pool.idle(), 0);
    assert!(peer.is_closed());
}

#[test]
fn no_more_idle_connections_are_kept_than_allowed_and_the_oldest_goes_first() {
    let bench = Bench::new(PoolLimits { idle_max: 2, ..WIDE });
    let mut peers = idle(&bench, 3);
    assert_eq!(bench.pool.idle(), 2);
    let closed: Vec<_> = peers.iter_mut().map(Peer::is_closed).collect();
    assert_eq!(closed, [true, false, false]);
    let none = Bench::new(PoolLimits { idle_max: 0, ..WIDE });
    let mut peers = idle(&none, 1);
    assert_eq!(none.pool.idle(), 0);
    assert!(peers[0].is_closed());
}

#[test]
fn idle_connections_make_room_for_leased_ones() {
    let bench = Bench::new(PoolLimits { leases_max: 2, ..WIDE });
    // Without permits, as probes do: more than leases are allowed.
    let mut peers = idle(&bench, 4);
    let _one = bench.lease_with_permit("b");
    let closed: Vec<_> = peers.iter_mut().map(Peer::is_closed).collect();
    assert_eq!(closed, [true, true, true, false]);
    let _two = bench.lease_with_permit("b");
    assert_eq!(bench.pool.idle(), 0);
}

#[test]
fn a_new_configuration_keeps_no_idle_connection_and_none_to_an_origin_that_is_gone() {
    let bench = Bench::new(WIDE);
    let mut peers = idle(&bench, 1);
    let before = bench.lease("b");
    bench.pass(SECOND);
    bench.pool.configure(WIDE, &[origin("b")]);
    assert_eq!(bench.pool.idle(), 0);
    assert!(peers[0].is_closed());
    // Opened under the old configuration, whose CA files may have vouched for it.
    before.release();
    assert_eq!(bench.pool.idle(), 0);
    bench.lease("a").release();
    assert_eq!(bench.pool.idle(), 0);
    bench.lease("b").release();
    assert_eq!(bench.pool.idle(), 1);
}

#[test]
fn a_lease_dropped_closes_its_connection_and_gives_its_permit_back() {
    let bench = Bench::new(PoolLimits { leases_max: 1, ..WIDE });
    let lease = bench.lease_with_permit("a");
    let mut peer = bench.peer();
    assert!(!peer.is_closed());
    let mut next = Box::pin(bench.pool.permits.take());
    assert!(bench.poll(&mut next).is_none());
    drop(lease);
    assert!(peer.is_closed());
    assert_eq!(bench.pool.idle(), 0);
    assert!(bench.poll(&mut next).is_some());
}

#[test]
fn whoever_gets_the_permit_of_a_lease_finds_its_connection() {
    let bench = Bench::new(PoolLimits { leases_max: 1, ..WIDE });
    let lease = bench.lease_with_permit("a");
    let mut next = Box::pin(bench.pool.permits.take());
    assert!(bench.poll(&mut next).is_none());
    lease.release();
    let permit = bench.poll(&mut next);
    assert!(permit.is_some());
    assert!(bench.finish(bench.pool.lease(permit, &origin("a"), false)).unwrap().reused);
}

#[test]
fn a_connection_that_cannot_be_opened_gives_its_permit_back() {
    let bench = Bench::new(WIDE);
    bench.refuse();
    let permit = bench.finish(bench.pool.permits.take());
    let lease = bench.finish(bench.pool.lease(Some(permit), &origin("a"), false));
    assert!(matches!(lease, Err(ConnectError::Tcp(_))));
    assert_eq!(bench.pool.permits.taken(), 0);
    assert_eq!(bench.pool.reuse_counts(), (0, 0));
}

#[test]
fn idle_connections_close_by_themselves_when_they_expire_or_their_peers_close_them() {
    let bench = Bench::new(WIDE);
    let pool = bench.pool.clone();
    let mut sweep = Box::pin(pool.sweep());
    assert!(bench.poll(&mut sweep).is_none());
    let mut peers = idle(&bench, 3);
    drop(peers.remove(1));
    assert!(bench.poll(&mut sweep).is_none());
    assert_eq!(bench.pool.idle(), 2);
    bench.pass(WIDE.idle_age_max - SECOND);
    bench.lease("a").release();
    bench.pass(SECOND);
    assert!(bench.poll(&mut sweep).is_none());
    assert_eq!(bench.pool.idle(), 1);
    assert_eq!((peers[0].is_closed(), peers[1].is_closed()), (true, false));
}

#[test]
fn a_lease_is_small() {
    assert!(size_of::<Lease>() <= 40);
}
