use super::*;

const MS: Duration = Duration::from_millis(1);

/// A clock that was just looked at, and what the machine's time is for it.
fn clock() -> (Clock, Instant) {
    let clock = Clock::new();
    let start = clock.now();
    (clock, start)
}

#[test]
fn time_in_which_the_process_ran_counts_to_the_full() {
    let (clock, start) = clock();
    clock.pass(start + 30_000 * MS, 29_950 * MS);
    clock.pass(start + 30_090 * MS, Duration::ZERO);
    clock.advance();
    assert_eq!(clock.now() - start, 30_090 * MS);
    assert_eq!(clock.real_now() - start, 30_090 * MS);
    // Without a deadline nothing was asked for, and nothing can be late.
    clock.pass(start + 90_000 * MS, Duration::MAX);
    clock.advance();
    assert_eq!(clock.now() - start, 90_000 * MS);
}

#[test]
fn a_stop_between_two_visits_does_not_count() {
    let (clock, start) = clock();
    clock.pass(start + 3_600_000 * MS, Duration::ZERO);
    clock.advance();
    assert_eq!(clock.now() - start, LATE_MAX);
    assert_eq!(clock.real_now() - start, 3_600_000 * MS);
}

#[test]
fn a_stop_during_a_wait_leaves_some_of_it_to_whoever_was_waited_for() {
    let (clock, start) = clock();
    clock.pass(start + 3_600_000 * MS, 2_000 * MS);
    clock.advance();
    assert_eq!(clock.now() - start, 1_000 * MS);
}

#[test]
fn a_deadline_comes_even_when_every_visit_is_late() {
    let (clock, start) = clock();
    let mut real = start;
    clock.earliest.set(Some(start + 60_000 * MS));
    let mut visits = 0;
    while !clock.is_due() {
        let asked = clock.until_next().unwrap();
        real += asked + 2 * LATE_MAX;
        clock.pass(real, asked);
        visits += 1;
    }
    assert!(real - start < 130_000 * MS, "{:?} in {visits} visits", real - start);
}
