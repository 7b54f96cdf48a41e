use crate::runtime::label;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::Wake;

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

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// One task on a clock that the test moves.
struct Task {
    clock: Rc<Clock>,
    timer: Timer,
    start: Instant,
    wakes: Arc<Wakes>,
}

impl Task {
    fn new() -> Task {
        let clock = Rc::new(Clock::new());
        let timer = Timer::new(&clock);
        let start = clock.now();
        Task { clock, timer, start, wakes: Arc::default() }
    }

    fn wait(&self, seconds: u64) -> Wait {
        Wait::new(label::NEXT_BYTES, self.start, Duration::from_secs(seconds))
    }

    fn poll<F: Future>(&self, future: &mut std::pin::Pin<Box<F>>) -> Poll<F::Output> {
        let waker = Waker::from(self.wakes.clone());
        future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Moves the clock. Returns whether the task was woken.
    fn wakes_at(&self, seconds: u64) -> bool {
        let before = self.wakes.0.load(Ordering::SeqCst);
        self.clock.pass(self.start + Duration::from_secs(seconds), Duration::MAX);
        self.clock.advance();
        self.wakes.0.load(Ordering::SeqCst) > before
    }
}

#[test]
fn a_wait_ends_at_its_deadline_and_not_before() {
    let task = Task::new();
    let mut waiting = Box::pin(task.timer.within(task.wait(2), std::future::pending::<()>()));
    assert!(task.poll(&mut waiting).is_pending());
    assert!(!task.wakes_at(1));
    assert!(task.poll(&mut waiting).is_pending());
    assert!(task.wakes_at(2));
    assert_eq!(task.poll(&mut waiting), Poll::Ready(Err(task.wait(2))));
}

#[test]
fn what_is_ready_at_its_deadline_is_in_time() {
    let task = Task::new();
    let ready = std::cell::Cell::new(false);
    let future = poll_fn(|_| if ready.get() { Poll::Ready(7) } else { Poll::Pending });
    let mut waiting = Box::pin(task.timer.within(task.wait(2), future));
    assert!(task.poll(&mut waiting).is_pending());
    ready.set(true);
    assert!(task.wakes_at(3));
    assert_eq!(task.poll(&mut waiting), Poll::Ready(Ok(7)));
}

#[test]
fn of_two_deadlines_one_within_the_other_the_earlier_one_fires() {
    for (outer, inner) in [(9, 3), (3, 9)] {
        let task = Task::new();
        let both = async {
            let inner = task.timer.within(task.wait(inner), std::future::pending::<()>());
            task.timer.within(task.wait(outer), inner).await
        };
        let mut both = Box::pin(both);
        // Polled more than once: each poll of the one sets the timer beside the other.
        for second in 1..3 {
            assert!(task.poll(&mut both).is_pending());
            assert!(!task.wakes_at(second), "outer {outer} s, inner {inner} s");
        }
        assert!(task.poll(&mut both).is_pending());
        assert!(task.wakes_at(3), "outer {outer} s, inner {inner} s: nothing after 3 s");
        let fired = if outer < inner { Err(task.wait(outer)) } else { Ok(Err(task.wait(inner))) };
        assert_eq!(task.poll(&mut both), Poll::Ready(fired));
    }
}

#[test]
fn the_outer_deadline_still_stands_after_the_inner_one() {
    let task = Task::new();
    let both = async {
        let inner = task.timer.within(task.wait(2), std::future::pending::<()>()).await;
        assert_eq!(inner, Err(task.wait(2)));
        std::future::pending::<()>().await;
    };
    let mut both = Box::pin(task.timer.within(task.wait(5), both));
    assert!(task.poll(&mut both).is_pending());
    assert!(task.wakes_at(2));
    assert!(task.poll(&mut both).is_pending());
    assert!(!task.wakes_at(4));
    assert!(task.wakes_at(5));
    assert_eq!(task.poll(&mut both), Poll::Ready(Err(task.wait(5))));
}

#[test]
fn a_wait_that_is_given_up_wakes_nobody() {
    let task = Task::new();
    let mut waiting = Box::pin(task.timer.within(task.wait(2), std::future::pending::<()>()));
    assert!(task.poll(&mut waiting).is_pending());
    drop(waiting);
    assert!(!task.wakes_at(3));
}

#[test]
fn a_sleep_ends_within_a_longer_wait() {
    let task = Task::new();
    let sleep = task.timer.sleep(Duration::from_secs(1));
    let mut sleep = Box::pin(task.timer.within(task.wait(9), sleep));
    assert!(task.poll(&mut sleep).is_pending());
    assert!(task.wakes_at(1));
    assert_eq!(task.poll(&mut sleep), Poll::Ready(Ok(())));
}

#[test]
fn whoever_waits_is_woken_at_shut_down() {
    let task = Task::new();
    let mut sleep = Box::pin(task.timer.sleep(Duration::from_secs(1)));
    assert!(task.poll(&mut sleep).is_pending());
    task.clock.wake_all();
    assert_eq!(task.wakes.0.load(Ordering::SeqCst), 1);
    assert!(task.poll(&mut sleep).is_pending());
}

#[test]
fn the_thread_sleeps_until_the_earliest_deadline() {
    let clock = Rc::new(Clock::new());
    assert_eq!(clock.until_next(), None);
    let (near, far) = (Timer::new(&clock), Timer::new(&clock));
    far.set(Some(clock.now() + 9_000 * MS));
    near.set(Some(clock.now() + 2_000 * MS));
    assert_eq!(clock.until_next(), Some(2_001 * MS));
    // No sooner than one tick after the last look, however near the deadline is.
    near.set(Some(clock.now()));
    assert_eq!(clock.until_next(), Some(TICK + MS));
}

#[test]
fn a_deadline_moved_away_is_found_out_when_the_first_one_has_come() {
    let task = Task::new();
    let at = |seconds| Some(task.start + Duration::from_secs(seconds));
    task.timer.set(at(1));
    task.timer.set(at(5));
    let mut due = Box::pin(poll_fn(|context| {
        if task.timer.poll_due(context) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
    assert!(task.poll(&mut due).is_pending());
    assert!(!task.wakes_at(1));
    assert_eq!(task.clock.until_next(), Some(4_001 * MS));
    assert!(task.wakes_at(5));
}

/// Whoever sets the timer without a wait may leave it set.
#[test]
fn a_deadline_that_has_passed_does_not_stand_for_a_later_one() {
    let task = Task::new();
    task.timer.set(Some(task.start + Duration::from_secs(1)));
    task.wakes_at(2);
    let mut waiting = Box::pin(task.timer.within(task.wait(5), std::future::pending::<()>()));
    assert!(task.poll(&mut waiting).is_pending());
    assert!(task.wakes_at(5));
}

#[test]
fn a_timer_cleared_within_a_wait_still_ends_it() {
    let task = Task::new();
    let clears = poll_fn(|_| {
        task.timer.set(None);
        Poll::<()>::Pending
    });
    let mut waiting = Box::pin(task.timer.within(task.wait(5), clears));
    assert!(task.poll(&mut waiting).is_pending());
    assert!(task.wakes_at(5));
}

#[test]
fn a_wait_is_small() {
    assert!(std::mem::size_of::<Wait>() <= 40);
}
