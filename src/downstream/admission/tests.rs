use std::time::Duration;

use super::*;

#[test]
fn who_never_sent_a_byte_leaves_first_then_who_is_idle_longest_then_who_is_in_a_head() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let (admission, waker) = (Admission::new(6), Waker::noop());
    let context = Context::from_waker(waker);
    let mut slots: Vec<_> =
        (0..6).map(|second| admission.take(at(second), waker).unwrap()).collect();
    assert!(admission.take(at(9), waker).is_none());
    // Fresh ones of second 4 and 5 stay as they are.
    slots[0].set(Activity::Head, at(10));
    slots[1].set(Activity::Idle, at(30));
    slots[2].set(Activity::Idle, at(20));
    slots[3].set(Activity::Busy, at(1));
    for expected in [4, 5, 2, 1, 0] {
        // One at a time.
        assert_eq!((admission.make_room(at(31)), admission.make_room(at(31))), (None, None));
        let leaving: Vec<_> = (0..6).filter(|index| slots[*index].poll_leave(&context)).collect();
        assert_eq!(leaving, [expected]);
        slots[expected].set(Activity::Busy, at(40));
    }
    assert_eq!(admission.make_room(at(50)), None);
    assert!(!slots.iter().any(|slot| slot.poll_leave(&context)), "all are busy");
    slots.pop();
    assert!(admission.take(at(50), waker).is_some());
}

#[test]
fn who_has_just_begun_stays_until_the_newcomer_has_waited_as_long() {
    let start = Instant::now() + Duration::from_secs(1);
    let (admission, waker) = (Admission::new(1), Waker::noop());
    let context = Context::from_waker(waker);
    let slot = admission.take(start, waker).unwrap();
    let half = STAYS_MIN / 2;
    assert_eq!(admission.make_room(start), Some(start + STAYS_MIN));
    // It always does something, and never for long.
    slot.set(Activity::Idle, start + half);
    assert_eq!(admission.make_room(start + half), Some(start + STAYS_MIN));
    assert!(!slot.poll_leave(&context));
    slot.set(Activity::Idle, start + STAYS_MIN);
    assert_eq!(admission.make_room(start + STAYS_MIN), None);
    assert!(slot.poll_leave(&context));
}

struct Count(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn a_newcomer_asks_again_when_somebody_could_leave_or_who_should_stays() {
    let now = Instant::now() + Duration::from_secs(1);
    let later = now + 2 * STAYS_MIN;
    let count = std::sync::Arc::new(Count(Default::default()));
    let waker = Waker::from(count.clone());
    let woken = || count.0.swap(0, std::sync::atomic::Ordering::SeqCst);
    let admission = Admission::new(1);
    let slot = admission.take(now, &waker).unwrap();
    slot.set(Activity::Busy, now);
    assert!(admission.take(now, &waker).is_none());
    assert_eq!(admission.make_room(later), None);
    assert_eq!(woken(), 0);
    slot.set(Activity::Idle, now);
    assert_eq!(woken(), 1, "somebody could leave");
    assert!(admission.take(now, &waker).is_none());
    assert_eq!(admission.make_room(later), None);
    slot.set(Activity::Busy, later);
    assert_eq!(woken(), 1, "who should leave stays");
    assert!(admission.take(later, &waker).is_none());
    drop(slot);
    assert_eq!(woken(), 1, "a slot is free");
}
