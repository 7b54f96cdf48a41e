use std::panic::{catch_unwind, AssertUnwindSafe};

use serde_json::json;

use super::*;
use crate::report::Error;
use crate::upstream::testing::{Bench, WIDE};

/// The entry of a chat of which 7 bytes in 2 chunks went out.
fn chat(bench: &Bench, stats: &Rc<Stats>) -> Box<Entry> {
    let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
    let mut entry = Entry::new("id".to_owned(), peer, &bench.reactor.clock, stats);
    entry.begin_chat();
    (entry.bytes, entry.chunks) = (7, 2);
    entry
}

fn counts(bench: &Bench, stats: &Stats) -> serde_json::Value {
    let report = stats.report(0, &bench.pool);
    json!([
        report["requests"],
        report["chats"],
        report["bytes"],
        report["chunks"],
        report["errors"]
    ])
}

#[test]
fn an_entry_that_was_closed_is_not_counted_again_when_it_is_dropped() {
    let (bench, stats) = (Bench::new(WIDE), Rc::default());
    let mut entry = chat(&bench, &stats);
    assert_eq!(counts(&bench, &stats), json!([1, 0, 0, 0, {}]));
    entry.close(&Outcome::Complete);
    assert_eq!(counts(&bench, &stats), json!([1, 1, 7, 2, {}]));
    drop(entry);
    assert_eq!(counts(&bench, &stats), json!([1, 1, 7, 2, {}]));
}

#[test]
fn an_entry_that_nobody_closed_is_counted_as_stopped() {
    let (bench, stats) = (Bench::new(WIDE), Rc::default());
    drop(chat(&bench, &stats));
    assert_eq!(counts(&bench, &stats), json!([1, 1, 7, 2, {"-": {"stopped": 1}}]));
}

#[test]
fn an_entry_that_a_panic_drops_is_counted_as_a_fault_of_the_program() {
    let (bench, stats) = (Bench::new(WIDE), Rc::default());
    let entry = chat(&bench, &stats);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _entry = entry;
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(counts(&bench, &stats), json!([1, 1, 7, 2, {"-": {"panicked": 1}}]));
}

#[test]
fn only_chats_are_counted_as_such_and_errors_of_all() {
    let (bench, stats) = (Bench::new(WIDE), Rc::default());
    let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
    for (refused, outcome) in [
        (false, Outcome::Complete),
        (false, Outcome::ClientGone),
        (true, Outcome::of(Error::NotFound("/x".to_owned()))),
    ] {
        let mut entry = Entry::new("id".to_owned(), peer, &bench.reactor.clock, &stats);
        if refused {
            entry.mark_refused();
        }
        entry.close(&outcome);
    }
    assert_eq!(
        counts(&bench, &stats),
        json!([3, 0, 0, 0, {"-": {"client_gone": 1, "not_found": 1}}])
    );
}

// Every open stream keeps one.
#[test]
fn an_entry_is_small() {
    assert!(size_of::<Entry>() <= 200);
}
