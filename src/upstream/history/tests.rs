use std::time::Duration;

use super::*;
use crate::runtime::Reactor;
use Health::{Down, Unknown, Up};

fn check(status: u16) -> Option<Trouble> {
    (status != 200).then(|| Trouble::of_status(status))
}

fn unreachable() -> Trouble {
    Trouble { code: "connect", unreachable: true, ..Trouble::of_status(0) }
}

/// What happens, and when; then what is known.
struct Story {
    reactor: std::rc::Rc<Reactor>,
    history: History,
}

impl Story {
    fn new() -> Story {
        Story { reactor: Reactor::new().unwrap(), history: History::default() }
    }

    fn pass(&self, seconds: u64) {
        self.reactor.pass_time(Duration::from_secs(seconds));
    }

    fn succeed(&self) {
        self.history.note_success(self.reactor.clock.moment(), Some(10));
    }

    fn fail(&self, trouble: Trouble) {
        self.history.note_failure(self.reactor.clock.moment(), trouble);
    }

    fn check(&self, trouble: Option<Trouble>) {
        self.history.note_check(self.reactor.clock.moment(), trouble);
    }

    /// The state, and the status or code that is told as the reason.
    #[track_caller]
    fn is(&self, health: Health, reason: Option<&str>) {
        let verdict = self.history.verdict(self.reactor.clock.moment());
        let told = verdict.trouble.map(|trouble| match trouble.status {
            Some(status) if trouble.code == "status" => status.to_string(),
            _ => trouble.code.to_owned(),
        });
        assert_eq!((verdict.health, told.as_deref()), (health, reason));
        assert_eq!(verdict.since.is_some(), health != Unknown);
    }
}

#[test]
fn without_requests_the_last_check_decides() {
    let story = Story::new();
    story.is(Unknown, None);
    story.check(check(401));
    story.is(Down, Some("401"));
    story.check(check(500));
    story.is(Down, Some("500"));
    story.check(check(200));
    story.is(Up, None);
}

#[test]
fn a_provider_whose_chats_succeed_is_up_though_its_list_fails() {
    let story = Story::new();
    story.check(check(500));
    story.succeed();
    story.is(Up, None);
    story.check(check(500));
    story.is(Up, None);
    // Long after that nothing is known of its chats.
    story.pass(u64::from(RECENT));
    story.is(Down, Some("500"));
}

#[test]
fn one_that_cannot_be_reached_is_down_whatever_was_before() {
    let story = Story::new();
    story.succeed();
    story.check(Some(unreachable()));
    story.is(Down, Some("connect"));
    story.succeed();
    story.is(Up, None);
    story.fail(unreachable());
    story.is(Down, Some("connect"));
}

#[test]
fn one_failed_chat_is_an_accident_and_two_in_a_row_are_none() {
    let story = Story::new();
    story.succeed();
    story.fail(Trouble::of_status(500));
    story.is(Up, None);
    story.succeed();
    story.fail(Trouble::of_status(429));
    story.is(Up, None);
    story.fail(Trouble::of_status(503));
    story.is(Down, Some("503"));
    // Its list does not say more than its chats.
    story.check(check(200));
    story.is(Down, Some("503"));
    story.pass(u64::from(RECENT));
    story.is(Up, None);
}

#[test]
fn a_key_that_is_refused_once_is_refused_again() {
    let story = Story::new();
    story.succeed();
    story.fail(Trouble::of_status(401));
    story.is(Down, Some("401"));
    story.check(check(200));
    story.is(Down, Some("401"));
    story.succeed();
    story.is(Up, None);
}

#[test]
fn the_first_thing_that_is_seen_may_be_a_failure() {
    let story = Story::new();
    story.fail(Trouble::of_status(500));
    story.is(Down, Some("500"));
    story.check(check(200));
    story.is(Up, None);
}

#[test]
fn it_is_told_since_when() {
    let story = Story::new();
    story.check(check(200));
    let since = || story.history.verdict(story.reactor.clock.moment()).since;
    let up = since();
    story.pass(5);
    story.check(check(200));
    story.succeed();
    assert_eq!(since(), up);
    story.history.forget_health();
    story.is(Unknown, None);
}

#[test]
fn what_happened_outlives_what_is_known() {
    let story = Story::new();
    story.succeed();
    story.fail(Trouble::of_status(500));
    story.history.note_other(story.reactor.clock.moment());
    story.history.forget_health();
    assert_eq!(story.history.hour(story.reactor.clock.moment())[59], [3, 1]);
    assert_eq!(story.history.first_byte(), Some(10));
}

#[test]
fn a_history_is_small() {
    assert!(size_of::<History>() <= 1024, "{}", size_of::<History>());
}
