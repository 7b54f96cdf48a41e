//! What is asked, in which order and after which waits, and what the client is told: K2, K4, K5, K7, K9 and
//! R1 to R9.

use std::rc::Rc;

use super::*;
use crate::config::RetryOn;
use crate::routing::tests_support::{plan, provider, trail, Request};
use crate::routing::Target;
use crate::upstream::Provider;

const HOUR: Duration = Duration::from_secs(3600);

/// The keys of each target; `retries`; what the attempts come to; the trail.
type Trails<'t> = &'t [(&'t [usize], Option<u8>, &'t [&'t str], &'t str)];

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// For how long a key of a plan's target rests for the target's model and for another one, at `now`.
fn rest_of(plan: &Plan, target: usize, key: usize, now: Instant) -> (f64, f64) {
    let target = &plan.targets[target];
    let of = |model| match rests::standing(&target.provider.keys[key].rests, model, now) {
        Standing::Resting(until) => (until - now).as_secs_f64(),
        _ => 0.0,
    };
    (of(target.id), of(!target.id))
}

#[test]
fn the_budget_is_one_over_keys_and_targets() {
    // The keys of each target; `retries`; what all attempts come to; the trail.
    let table: &[(&[usize], Option<u8>, &str, &str)] = &[
        (&[1], None, "429", "a=429"),
        (&[0], None, "429", "a=429"),
        (&[1], Some(0), "503", "a=503"),
        (&[1], Some(2), "503", "a=503, a=503, a=503"),
        (&[2], None, "429", "a#1=429, a#2=429"),
        (&[2], Some(0), "429", "a#1=429"),
        (&[3], None, "429", "a#1=429, a#2=429, a#3=429"),
        (&[9], None, "429", "a#1=429, a#2=429, a#3=429"),
        (&[9], Some(3), "429", "a#1=429, a#2=429, a#3=429, a#4=429"),
        (&[1, 1], None, "503", "a=503, b=503"),
        (&[0, 0, 0], None, "503", "a=503, b=503, c=503"),
        (&[1, 1], Some(0), "503", "a=503"),
        (&[1, 1, 1], Some(1), "503", "a=503, b=503"),
        (&[2, 1], None, "429", "a#1=429, a#2=429, b=429"),
        (&[1, 2], None, "429", "a=429, b#1=429, b#2=429"),
        // One attempt stays for each target that was not asked.
        (&[3, 1], Some(1), "429", "a#1=429, b=429"),
        (&[3, 1], Some(2), "429", "a#1=429, a#2=429, b=429"),
        (&[3, 1, 1], Some(3), "429", "a#1=429, a#2=429, b=429, c=429"),
        (&[1; 9], None, "503", "a=503, b=503, c=503, d=503, e=503, f=503, g=503, h=503, i=503"),
        (
            &[3, 3, 3, 3],
            None,
            "429",
            "a#1=429, a#2=429, a#3=429, b#1=429, b#2=429, b#3=429, c#1=429, c#2=429, d#1=429",
        ),
    ];
    for (keys, retries, text, expected) in table {
        assert_eq!(&trail(&plan(keys, *retries), &[text]), expected, "{keys:?} {retries:?}");
    }
}

#[test]
fn four_targets_of_three_keys_get_n_more_attempts_and_each_is_asked_if_there_are_three() {
    for retries in 0..=10 {
        for text in ["429", "429 after 2", "429 quota", "401", "503", "403", "connect"] {
            let plan = plan(&[3, 3, 3, 3], Some(retries));
            let made = trail(&plan, &[text]);
            assert_eq!(made.split(", ").count(), usize::from(retries) + 1, "{text}: {made}");
            let asked = |name| made.contains(&format!("{name}#"));
            assert!(retries < 3 || ["a", "b", "c", "d"].into_iter().all(asked), "{text}: {made}");
            let mut pairs: Vec<&str> = made.split(", ").collect();
            pairs.sort_unstable();
            pairs.dedup();
            assert_eq!(pairs.len(), usize::from(retries) + 1, "nothing twice: {made}");
        }
    }
}

#[test]
fn a_client_can_lower_the_budget_of_its_request_and_not_raise_it() {
    for (keys, retries, asked, attempts) in [
        (&[2, 1][..], None, Some(0), 1),
        (&[2, 1], None, Some(1), 2),
        (&[2, 1], None, Some(9), 3),
        (&[1, 1], Some(5), Some(0), 1),
        (&[1, 1], Some(5), Some(3), 4),
        (&[1, 1], Some(5), Some(200), 6),
        (&[1, 1], Some(5), None, 6),
    ] {
        let plan = plan(keys, retries);
        let request = Request::within(&plan, Instant::now(), HOUR, asked).all(&["429"]);
        assert_eq!(request.attempts.count(), attempts, "{keys:?} {retries:?} {asked:?}");
    }
}

#[test]
fn each_class_leads_where_it_may() {
    // What the first attempt comes to; the trail by default and with `retries`, where the rest has success.
    const OTHER_TARGET: (&str, &str) = ("b=200", "b=200");
    const OTHER_KEY: (&str, &str) = ("a#2=200", "a#2=200");
    const ANY: (&str, &str) = ("b=200", "a#2=200");
    const NOTHING: (&str, &str) = ("", "");
    let classes: &[(&[&str], (&str, &str))] = &[
        (&["dns", "connect", "tls", "503", "521", "522", "523", "525", "526", "529", "530"], ANY),
        (&["503 after 3600"], ANY),
        (&["429", "429 after 3600"], OTHER_KEY),
        (&["500", "502", "520", "closed", "invalid", "301 redirect", "308 redirect"], OTHER_TARGET),
        (&["408", "504", "524", "timeout"], NOTHING),
        (&["401", "402", "402 quota", "429 quota", "403 quota"], OTHER_KEY),
        (&["403", "404"], OTHER_KEY),
        (&["400", "405", "406", "409", "410", "411", "413", "415", "418", "422", "451"], NOTHING),
        (&["400 quota", "400 code context_length_exceeded", "404 quota"], NOTHING),
        (&["304", "501", "505", "507", "511", "527", "599", "busy"], NOTHING),
    ];
    for (texts, (default, explicit)) in classes {
        for text in texts.iter().filter(|text| **text != "404 quota") {
            let status = text.split(' ').next().unwrap();
            for (retries, then) in [(None, default), (Some(3), explicit)] {
                let comma = if then.is_empty() { "" } else { ", " };
                let expected = format!("a#1={status}{comma}{then}");
                let found = trail(&plan(&[2, 1], retries), &[text, "200"]);
                assert_eq!(found, expected, "{text} {retries:?}");
            }
        }
    }
    // A quota is told by 402, 403 and 429 only.
    assert_eq!(trail(&plan(&[3], None), &["404 quota"]), "a#1=404, a#2=404");
}

#[test]
fn the_same_is_asked_again_only_if_it_surely_did_not_run_and_retries_say_so() {
    for (texts, again) in [
        (&["dns", "connect", "tls", "429", "503", "521", "522", "523", "525"][..], true),
        (&["526", "529", "530", "429 after 2", "503 after 5"], true),
        (&["500", "502", "520", "closed", "invalid", "302 redirect", "503 after 6"], false),
        (&["408", "504", "524", "timeout", "401", "402", "429 quota", "403", "404"], false),
        (&["400", "422", "501", "busy"], false),
    ] {
        for text in texts {
            let count = |retries| {
                Request::begin(&plan(&[1], retries), Instant::now()).all(&[text]).attempts.count()
            };
            assert_eq!(count(None), 1, "{text}");
            assert_eq!(count(Some(2)), if again { 3 } else { 1 }, "{text}");
        }
    }
}

#[test]
fn attempts_go_on_from_what_the_last_one_came_to() {
    let table: Trails<'_> = &[
        // One target, two keys, all 503: one call.
        (&[2], None, &["503"], "a#1=503"),
        (&[2], Some(1), &["503"], "a#1=503, a#2=503"),
        // A further key only while it is a key's fault or 429.
        (&[3, 1], None, &["429", "503", "503"], "a#1=429, a#2=503, b=503"),
        (&[3, 1], None, &["401", "429", "402", "503"], "a#1=401, a#2=429, a#3=402, b=503"),
        (&[3, 1], None, &["401", "500", "429"], "a#1=401, a#2=500, b=429"),
        (&[3, 3], None, &["429", "400"], "a#1=429, a#2=400"),
        // After 403 and 404 one further key in all, with `retries` each.
        (&[5], None, &["403"], "a#1=403, a#2=403"),
        (&[3, 3], None, &["404"], "a#1=404, a#2=404, b#1=404"),
        (&[3, 3], None, &["404", "503", "404"], "a#1=404, a#2=503, b#1=404"),
        (&[1, 3], None, &["404"], "a=404, b#1=404, b#2=404"),
        (&[3, 2], Some(9), &["403"], "a#1=403, a#2=403, a#3=403, b#1=403, b#2=403"),
        // Never back to what was unclear, not with another key either.
        (&[2, 1], Some(9), &["500", "500"], "a#1=500, b=500"),
        (&[2, 1], Some(3), &["500", "503"], "a#1=500, b=503, b=503, b=503"),
        (&[2, 1], Some(9), &["503", "500", "503", "500"], "a#1=503, a#2=500, b=503, b=500"),
        (&[2, 1], Some(9), &["429", "closed", "400"], "a#1=429, a#2=closed, b=400"),
        // An attempt that was reserved goes to its target.
        (&[2, 1], Some(2), &["503", "503", "401"], "a#1=503, a#2=503, b=401"),
        (&[2, 2], Some(2), &["503"], "a#1=503, a#2=503, b#1=503"),
        // The end.
        (&[2, 2], None, &["429", "200"], "a#1=429, a#2=200"),
        (&[2, 2], None, &["429", "429", "204"], "a#1=429, a#2=429, b#1=204"),
    ];
    for (keys, retries, texts, expected) in table {
        assert_eq!(
            &trail(&plan(keys, *retries), texts),
            expected,
            "{keys:?} {retries:?} {texts:?}"
        );
    }
}

#[test]
fn retry_on_adds_statuses_timeouts_and_codes() {
    let added = RetryOn { timeout: true, statuses: vec![400, 500], codes: vec!["too_long".into()] };
    let statuses = RetryOn { timeout: false, statuses: vec![504], codes: Vec::new() };
    type Row<'r> = (&'r [usize], Option<u8>, &'r RetryOn, &'r [&'r str], &'r str);
    let table: &[Row<'_>] = &[
        (&[2, 1], None, &added, &["408", "200"], "a#1=408, b=200"),
        (&[2, 1], None, &added, &["504", "200"], "a#1=504, b=200"),
        (&[2, 1], None, &added, &["524", "200"], "a#1=524, b=200"),
        (&[2, 1], None, &added, &["timeout", "200"], "a#1=timeout, b=200"),
        (&[2, 1], Some(2), &added, &["timeout", "200"], "a#1=timeout, a#2=200"),
        (&[1], Some(1), &added, &["504"], "a=504, a=504"),
        (&[2, 1], None, &added, &["400", "200"], "a#1=400, b=200"),
        (&[2, 1], Some(2), &added, &["500", "200"], "a#1=500, a#2=200"),
        (&[1], Some(1), &added, &["500", "200"], "a=500, a=200"),
        (&[2, 1], None, &added, &["502", "200"], "a#1=502, b=200"),
        // An error's code leads to another target only, and never back.
        (&[2, 1], None, &added, &["422 code too_long", "200"], "a#1=422, b=200"),
        (&[2, 1], Some(5), &added, &["422 code too_long", "200"], "a#1=422, b=200"),
        (&[2], Some(5), &added, &["422 code too_long"], "a#1=422"),
        (&[1, 1], Some(3), &added, &["422 code too_long", "503"], "a=422, b=503, b=503, b=503"),
        (&[2, 1], Some(5), &added, &["422 code other"], "a#1=422"),
        // Nothing is taken away, and nothing else is added.
        (&[2, 1], None, &added, &["401", "200"], "a#1=401, a#2=200"),
        (&[2, 1], None, &added, &["422"], "a#1=422"),
        (&[2, 1], None, &statuses, &["504", "200"], "a#1=504, b=200"),
        (&[2, 1], None, &statuses, &["408"], "a#1=408"),
        (&[2, 1], None, &statuses, &["timeout"], "a#1=timeout"),
    ];
    for (keys, retries, retry_on, texts, expected) in table {
        let plan = Plan { retry_on: (*retry_on).clone(), ..plan(keys, *retries) };
        assert_eq!(&trail(&plan, texts), expected, "{keys:?} {retries:?} {texts:?}");
    }
}

#[test]
fn the_same_is_waited_for_and_nothing_else_is() {
    // What is stated; the longest wait; the least and the most that is waited for, if that is done.
    for (text, wait_max, bounds) in [
        ("503 after 2", 5., Some((2., 2.2))),
        ("429 after 2", 5., Some((2., 2.2))),
        ("429 after 0", 5., Some((1., 1.1))),
        ("503 after 0.3", 5., Some((1., 1.1))),
        ("503 after 5", 5., Some((5., 5.5))),
        ("503 after 5.001", 5., None),
        ("503 after 60", 60., Some((60., 66.))),
        ("503 after 2", 1., None),
        ("503 after 0", 0., None),
        ("503", 5., Some((0., 0.5))),
        ("dns", 5., Some((0., 0.5))),
    ] {
        let plan = Plan { wait_max: seconds(wait_max), ..plan(&[1], Some(1)) };
        let wait = |random| {
            let mut request = Request::begin(&plan, Instant::now());
            assert_eq!(request.next.unwrap().wait, Duration::ZERO);
            request.comes_to(text, random);
            Some(request.next?.wait.as_secs_f64())
        };
        let found = wait(0.).zip(wait(1.));
        let is_near = |(least, most): (f64, f64), (low, high): (f64, f64)| {
            (least - low).abs() < 1e-6 && (most - high).abs() < 1e-6
        };
        let agrees = match (found, bounds) {
            (Some(found), Some(bounds)) => is_near(found, bounds),
            (found, bounds) => found.is_none() && bounds.is_none(),
        };
        assert!(agrees, "{text} {wait_max}: {found:?} and not {bounds:?}");
    }
    // Another key or target: no wait, whatever is stated.
    let plan = plan(&[2, 1], Some(2));
    let mut request = Request::begin(&plan, Instant::now());
    for _ in 0..2 {
        request.comes_to("429 after 3", 1.);
        assert_eq!(request.next.unwrap().wait, Duration::ZERO);
    }
}

#[test]
fn what_nobody_states_grows_from_half_a_second_to_five() {
    for (random, waits) in [
        (0., [0.; 10]),
        (0.5, [0.25, 0.5, 1., 2., 2.5, 2.5, 2.5, 2.5, 2.5, 2.5]),
        (1., [0.5, 1., 2., 4., 5., 5., 5., 5., 5., 5.]),
    ] {
        let plan = plan(&[1], Some(10));
        let mut request = Request::begin(&plan, Instant::now());
        let mut found = Vec::new();
        loop {
            request.comes_to("503", random);
            let Some(next) = request.next else { break };
            found.push(next.wait.as_secs_f64());
        }
        assert_eq!(found, waits, "{random}");
    }
}

#[test]
fn of_several_what_is_free_soonest_is_asked_again() {
    let plan = plan(&[1, 1], Some(5));
    let mut request = Request::begin(&plan, Instant::now());
    let mut asked = Vec::new();
    for text in ["429 after 4", "503 after 2", "503 after 9", "503 after 1", "429 after 8"] {
        request.comes_to(text, 0.);
        asked.push(request.next.map(|next| (next.target, next.wait.as_secs_f64())));
    }
    // b after its 2 s; then a, of whose 4 s 2 are over, again; and then nothing within 5 s.
    assert_eq!(asked[..4], [Some((1, 0.)), Some((1, 2.)), Some((0, 2.)), Some((0, 1.))]);
    // Of b's 9 s 6 are left, and a's 8 have just begun.
    assert_eq!(asked[4], None);
}

#[test]
fn nothing_begins_after_the_deadline() {
    // What all attempts come to, each 2.1 s after the one before; the time there is; attempts.
    for (text, time, count) in [
        ("503 after 2", 0., 1),
        ("503 after 2", 2.1, 1),
        ("503 after 2", 2.2, 2),
        ("503 after 2", 4.2, 2),
        ("503 after 2", 4.3, 3),
    ] {
        let plan = plan(&[1], Some(9));
        let request = Request::within(&plan, Instant::now(), seconds(time), None).all(&[text]);
        assert_eq!(request.attempts.count(), count, "{text} {time}");
    }
    // An attempt that lasts as long as there is time for is the last.
    for (lasts, goes_on) in [(29.9, true), (30., false), (31., false)] {
        let plan = plan(&[1, 1], None);
        let mut request = Request::within(&plan, Instant::now(), seconds(30.), None);
        request.now += seconds(lasts);
        request.comes_to("503", 0.);
        assert_eq!(request.next.is_some(), goes_on, "{lasts}");
    }
}

#[test]
fn what_rests_and_for_how_long_depends_on_whose_fault_it_is() {
    // What an attempt comes to; for how long the key rests for the model, and for every other.
    let table: &[(&[&str], f64, f64)] = &[
        (&["429"], 15., 0.),
        (&["429 after 7"], 7., 0.),
        (&["402", "402 quota", "429 quota", "403 quota"], 600., 600.),
        (&["402 after 90", "429 quota after 90", "403 quota after 90"], 90., 90.),
        (&["401", "401 after 7", "401 quota"], 600., 600.),
        (&["403", "404", "403 after 7", "404 quota"], 0., 0.),
        (&["400", "400 quota", "405", "408", "409", "413", "415", "418", "422", "451"], 0., 0.),
        (&["500", "502", "503", "503 after 60", "503 quota", "504", "520", "521", "522"], 0., 0.),
        (&["523", "524", "525", "526", "529", "529 after 60", "530", "501", "599"], 0., 0.),
        (
            &["timeout", "dns", "connect", "tls", "closed", "invalid", "302 redirect", "busy"],
            0.,
            0.,
        ),
        (&["200", "201"], 0., 0.),
    ];
    for (texts, for_model, for_others) in table {
        for text in *texts {
            let (plan, now) = (plan(&[2], None), Instant::now());
            Request::begin(&plan, now).comes_to(text, 0.);
            assert_eq!(rest_of(&plan, 0, 0, now), (*for_model, *for_others), "{text}");
            assert_eq!(rest_of(&plan, 0, 1, now), (0., 0.), "{text}");
        }
    }
    // The client leaves.
    let (plan, now) = (plan(&[2], None), Instant::now());
    drop(Request::begin(&plan, now));
    assert_eq!(rest_of(&plan, 0, 0, now), (0., 0.));
}

#[test]
fn the_only_key_of_the_only_target_never_rests() {
    let now = Instant::now();
    for text in ["429 after 60", "402", "401"] {
        for (keys, retries, rests) in [
            (&[1][..], None, false),
            (&[1], Some(3), false),
            (&[0], None, false),
            (&[1, 1], None, true),
        ] {
            let plan = plan(keys, retries);
            Request::begin(&plan, now).comes_to(text, 0.);
            assert_eq!(rest_of(&plan, 0, 0, now).0 > 0., rests, "{keys:?} {retries:?} {text}");
        }
    }
}

#[test]
fn a_denial_counts_only_against_those_that_another_one_outdid() {
    // Keys; `retries`; what happens; which keys of which targets rest in the end, for 5 minutes.
    type Row<'r> = (&'r [usize], Option<u8>, &'r [&'r str], &'r [(usize, usize)]);
    let table: &[Row<'_>] = &[
        (&[2], None, &["403", "200"], &[(0, 0)]),
        (&[2], None, &["404", "200"], &[(0, 0)]),
        (&[2], None, &["403", "403"], &[]),
        (&[2], None, &["403", "400"], &[]),
        (&[2], None, &["403", "500"], &[]),
        (&[1, 1], None, &["404", "200"], &[(0, 0)]),
        (&[1, 1], None, &["404", "503"], &[]),
        (&[2, 1], None, &["403", "404", "201"], &[(0, 0), (0, 1)]),
        (&[3], Some(2), &["403", "403", "200"], &[(0, 0), (0, 1)]),
        (&[1, 1, 1], None, &["503", "403", "200"], &[(1, 0)]),
    ];
    for (keys, retries, texts, expected) in table {
        let (plan, now) = (plan(keys, *retries), Instant::now());
        Request::begin(&plan, now).all(texts);
        for (target, keys) in plan.orders(0).into_iter().enumerate() {
            for key in keys {
                let rests = if expected.contains(&(target, key)) { 300. } else { 0. };
                let found = rest_of(&plan, target, key, now);
                assert_eq!(found, (rests, 0.), "{texts:?}: {target} {key}");
            }
        }
    }
}

#[test]
fn a_prompt_that_all_keys_refuse_a_thousand_times_puts_none_to_rest() {
    for retries in [None, Some(4), Some(10)] {
        for text in ["403", "404", "400", "500", "422"] {
            let (plan, now) = (plan(&[5], retries), Instant::now());
            for _ in 0..1000 {
                Request::begin(&plan, now).all(&[text]);
            }
            assert!((0..5).all(|key| rest_of(&plan, 0, key, now) == (0., 0.)), "{text}");
        }
    }
}

#[test]
fn what_rests_is_passed_over_and_all_resting_the_one_that_is_free_soonest_is_asked_once() {
    // Keys; for how long each rests; `retries`; the trail of a request that has 429 from all.
    type Row<'r> = (&'r [usize], &'r [&'r [f64]], Option<u8>, &'r str);
    let table: &[Row<'_>] = &[
        (&[2], &[&[60., 0.]], None, "a#2=429"),
        (&[3], &[&[60., 0., 60.]], Some(5), "a#2=429"),
        (&[2, 2], &[&[60., 60.], &[60., 0.]], None, "b#2=429"),
        (&[2, 1], &[&[60., 60.], &[0.]], None, "b=429"),
        (&[1, 2], &[&[60.], &[60., 0.]], None, "b#2=429, a=429"),
        (&[2], &[&[60., 30.]], None, "a#2=429"),
        (&[2], &[&[30., 60.]], None, "a#1=429"),
        (&[2, 1], &[&[60., 50.], &[30.]], Some(10), "b=429"),
        (&[2, 1], &[&[60., 50.], &[55.]], Some(10), "a#2=429"),
        (&[2], &[&[60., 60.]], None, "a#1=429"),
    ];
    for (keys, rests, retries, expected) in table {
        let (plan, now) = (plan(keys, *retries), Instant::now());
        for (target, rests) in plan.targets.iter().zip(*rests) {
            let keys: Vec<&Rests> = target.provider.keys.iter().map(|key| &*key.rests).collect();
            for (key, length) in rests.iter().enumerate().filter(|(_, length)| **length > 0.) {
                rests::be_limited(&keys, key, target.id, Some(seconds(*length)), now);
            }
        }
        // With explicit `retries` what was asked would be asked again after its 15 s: that is too long.
        let request = Request::begin(&plan, now).all(&["429 after 15"]);
        assert_eq!(&request.attempts.trail(), expected, "{rests:?}");
        assert_eq!(request.kept, Some(request.attempts.count() - 1), "a real answer is relayed");
    }
    // Once: it is not waited for either.
    let (plan, now) = (plan(&[2], Some(10)), Instant::now());
    Request::begin(&plan, now).all(&["429 after 60"]);
    assert_eq!(Request::begin(&plan, now).all(&["503 after 2"]).attempts.trail(), "a#1=503");
}

#[test]
fn no_attempt_is_reserved_for_a_target_that_rests() {
    let (plan, now) = (plan(&[2, 2], Some(1)), Instant::now());
    let b = &plan.targets[1];
    let keys: Vec<&Rests> = b.provider.keys.iter().map(|key| &*key.rests).collect();
    (0..2).for_each(|key| rests::be_limited(&keys, key, b.id, Some(seconds(60.)), now));
    assert_eq!(Request::begin(&plan, now).all(&["429"]).attempts.trail(), "a#1=429, a#2=429");
}

#[test]
fn the_rest_of_an_only_key_is_an_order_and_no_refusal() {
    // Keys; the target that rests; `retries`; what happens; the trail.
    type Row<'r> = (&'r [usize], usize, Option<u8>, &'r [&'r str], &'r str);
    let table: &[Row<'_>] = &[
        (&[1, 1], 0, None, &["200"], "b=200"),
        (&[1, 1], 0, None, &["503"], "b=503, a=503"),
        (&[1, 1, 1], 1, None, &["503"], "a=503, c=503, b=503"),
        (&[1, 2], 0, None, &["429"], "b#1=429, b#2=429, a=429"),
        (&[2, 1], 1, Some(1), &["429"], "a#1=429, b=429"),
        (&[1, 1], 0, None, &["400"], "b=400"),
    ];
    for (keys, resting, retries, texts, expected) in table {
        let (plan, now) = (plan(keys, *retries), Instant::now());
        let target = &plan.targets[*resting];
        let rests = &target.provider.keys[0].rests;
        rests::be_limited(&[rests], 0, target.id, Some(seconds(60.)), now);
        let request = Request::begin(&plan, now).all(texts);
        assert_eq!(&request.attempts.trail(), expected, "{keys:?} {texts:?}");
    }
    // What this very request has found to be of no use is not asked for another model.
    let p = provider("p", 1, "in_order");
    for (text, expected) in [("401", "p=401"), ("402", "p=402"), ("429", "p=429, p=429")] {
        let targets = vec![Target::new(&p, "m"), Target::new(&p, "n")];
        let plan = Plan { targets, ..plan(&[1], None) };
        assert_eq!(trail(&plan, &[text]), expected);
        p.keys[0].rests.whole.take();
    }
}

#[test]
fn after_a_rest_one_request_goes_first_and_others_prefer_other_keys() {
    let (plan, start) = (plan(&[2], None), Instant::now());
    let limit = || {
        let mut request = Request::begin(&plan, start);
        request.comes_to("429 after 10", 0.);
        request.comes_to("200", 0.);
    };
    limit();
    let key_at = |request: &Request<'_>| request.next.unwrap().key;
    assert_eq!(key_at(&Request::begin(&plan, start + seconds(9.))), 1);
    let over = start + seconds(10.);
    let first = Request::begin(&plan, over);
    let others = [Request::begin(&plan, over), Request::begin(&plan, over)];
    assert_eq!((key_at(&first), others.each_ref().map(key_at)), (0, [1, 1]));
    // Its client leaves: the next one goes first.
    drop(first);
    let mut next = Request::begin(&plan, over);
    assert_eq!(key_at(&next), 0);
    // It has no answer that says anything of the key.
    next.comes_to("500", 0.);
    let mut next = Request::begin(&plan, over);
    assert_eq!((key_at(&next), key_at(&Request::begin(&plan, over))), (0, 1));
    next.comes_to("200", 0.);
    assert_eq!([0; 2].map(|_| key_at(&Request::begin(&plan, over))), [0, 0]);
    // It is only a preference: where no other key is well, the one on trial is asked.
    limit();
    let first = Request::begin(&plan, over);
    let mut second = Request::begin(&plan, over);
    assert_eq!((key_at(&first), key_at(&second)), (0, 1));
    second.comes_to("429 after 60", 0.);
    assert_eq!(key_at(&second), 0);
    assert_eq!(key_at(&Request::begin(&plan, over)), 0);
}

#[test]
fn who_waits_for_a_rest_to_end_is_the_one_that_goes_first() {
    let (plan, start) = (plan(&[2], Some(3)), Instant::now());
    let mut waiting = Request::begin(&plan, start);
    waiting.comes_to("429 after 3", 0.);
    waiting.comes_to("429 after 60", 0.);
    assert_eq!(waiting.next, Some(Choice { target: 0, key: 0, wait: seconds(3.) }));
    let key_at = |at| Request::begin(&plan, start + seconds(at)).next.unwrap().key;
    assert_eq!(key_at(2.), 0, "all rest, and that one is free soonest");
    let target = &plan.targets[0];
    rests::succeed(&target.provider.keys[1].rests, target.id);
    assert_eq!([2., 3., 4.].map(key_at), [1, 1, 1]);
    waiting.comes_to("200", 0.);
    assert_eq!(key_at(4.), 0);
}

#[test]
fn the_client_gets_the_answer_that_says_most() {
    // What the targets come to, and which of it the client gets.
    let table: &[(&[&str], Option<usize>)] = &[
        (&["200"], Some(0)),
        (&["503", "200"], Some(1)),
        // The request's fault is final.
        (&["400"], Some(0)),
        (&["429", "400"], Some(1)),
        (&["503", "500", "422"], Some(2)),
        // Waiting helps: the last of 429, 503 and 529.
        (&["429", "500", "503"], Some(2)),
        (&["429", "500", "502"], Some(0)),
        (&["429", "529", "500"], Some(1)),
        (&["503", "429", "401"], Some(1)),
        (&["500", "429 quota", "404"], Some(1)),
        (&["429", "dns", "closed"], Some(0)),
        (&["429", "closed", "timeout"], Some(0)),
        (&["429", "busy"], Some(0)),
        // A time-out is nobody's fault, whoever tells of it.
        (&["429", "504"], Some(0)),
        (&["503", "500", "408"], Some(0)),
        (&["529", "524"], Some(0)),
        (&["500", "504"], Some(1)),
        (&["504"], Some(0)),
        // Else the last real answer.
        (&["500", "502", "520"], Some(2)),
        (&["401", "403", "404"], Some(2)),
        (&["521", "530", "402"], Some(2)),
        (&["500", "dns", "closed"], Some(0)),
        (&["connect", "500", "invalid"], Some(1)),
        // No provider answered.
        (&["dns", "connect", "tls"], None),
        (&["closed", "invalid", "302 redirect"], None),
        (&["timeout"], None),
        (&["busy"], None),
    ];
    for (texts, kept) in table {
        let plan = plan(&[1, 1, 1], None);
        let request = Request::begin(&plan, Instant::now()).all(texts);
        assert_eq!(request.attempts.count(), texts.len(), "{texts:?}");
        assert_eq!(request.kept, *kept, "{texts:?}");
    }
}

#[test]
fn the_client_is_told_when_the_first_of_all_recovers() {
    // Keys; `retries`; what happens; seconds until it is worth while to ask again; whether it never is.
    type Row<'r> = (&'r [usize], Option<u8>, &'r [&'r str], Option<f64>, bool);
    let table: &[Row<'_>] = &[
        // Rests.
        (&[2], None, &["429 after 30", "429 after 20"], Some(20.), false),
        (&[2], None, &["429 after 20", "429 after 30"], Some(20.), false),
        (&[2], None, &["429"], Some(15.), false),
        (&[1, 1], None, &["429 after 40", "429 after 50"], Some(40.), false),
        (&[2], None, &["429 after 0.2"], Some(1.), false),
        (&[2], None, &["429 after 1e6"], Some(3600.), false),
        // Delays that are stated where nothing rests.
        (&[1, 1], None, &["503 after 40", "503 after 50"], Some(40.), false),
        (&[1, 1], None, &["529 after 40", "503"], Some(40.), false),
        (&[1, 1], None, &["500 after 40", "503 after 50"], Some(40.), false),
        (&[1, 1], None, &["429 after 40", "503 after 30"], Some(30.), false),
        // Nothing is stated, and nothing rests.
        (&[1, 1], None, &["503"], None, false),
        (&[2], None, &["503"], None, false),
        (&[1, 1], None, &["connect", "529"], None, false),
        // One of them could serve now.
        (&[3], Some(1), &["429 after 30"], Some(1.), false),
        (&[2], Some(0), &["429 after 30"], Some(1.), false),
        (&[2, 1], None, &["429 after 30", "503"], Some(30.), false),
        // Waiting does not help.
        (&[2], None, &["429 quota"], Some(600.), true),
        (&[1, 1], None, &["401", "429 quota"], Some(600.), true),
        (&[1, 1], None, &["429 quota after 60", "429 quota after 90"], Some(60.), true),
        // It does: another key recovers, or is well; or there was one attempt.
        (&[2], None, &["429 quota", "429"], Some(15.), false),
        (&[1, 1], None, &["429 quota", "429 after 60"], Some(60.), false),
        (&[3], Some(1), &["429 quota"], Some(1.), false),
        (&[2], Some(0), &["429 quota"], Some(1.), false),
        // The answer is about something else.
        (&[1, 1], None, &["429 quota", "503"], Some(600.), false),
        (&[1, 1], None, &["429 quota", "529"], Some(600.), false),
        (&[1, 1], None, &["429 quota", "500"], Some(600.), true),
    ];
    for (keys, retries, texts, recovery, hopeless) in table {
        let plan = plan(keys, *retries);
        let request = Request::begin(&plan, Instant::now()).all(texts);
        let (found, never) = request.attempts.recovery(request.now);
        let found = found.map(|length| length.as_secs_f64());
        assert_eq!((found, never), (*recovery, *hopeless), "{keys:?} {retries:?} {texts:?}");
    }
}

#[test]
fn a_key_recovers_when_its_rest_and_what_is_stated_are_over() {
    let (plan, now) = (plan(&[2], None), Instant::now());
    // Both rest; the first is free sooner, is asked, and asks for more.
    Request::begin(&plan, now).all(&["429 after 10", "429 after 300"]);
    let request = Request::begin(&plan, now).all(&["503 after 60"]);
    assert_eq!(request.attempts.trail(), "a#1=503");
    assert_eq!(request.attempts.recovery(now), (Some(seconds(60.)), false));
    // It is counted from when it was said.
    assert_eq!(request.attempts.recovery(now + seconds(20.)), (Some(seconds(40.)), false));
    assert_eq!(request.attempts.recovery(now + seconds(100.)), (Some(seconds(1.)), false));
}

#[test]
fn the_trail_names_each_attempt_and_what_it_came_to() {
    let table: Trails<'_> = &[
        (&[2, 1], None, &["429", "429", "200"], "a#1=429, a#2=429, b=200"),
        (&[1, 1, 1], None, &["dns", "connect", "tls"], "a=dns, b=connect, c=tls"),
        (&[1, 1, 1], None, &["closed", "invalid", "timeout"], "a=closed, b=invalid, c=timeout"),
        (&[1, 1], None, &["302 redirect", "200"], "a=302, b=200"),
        (&[0, 2], None, &["503", "200"], "a=503, b#1=200"),
        (&[1], Some(1), &["503", "200"], "a=503, a=200"),
    ];
    for (keys, retries, texts, expected) in table {
        assert_eq!(&trail(&plan(keys, *retries), texts), expected, "{texts:?}");
    }
    for (name, expected) in [
        ("groq-1_x.y", "groq-1_x.y=200"),
        ("a b", "a%20b=200"),
        ("a,b=c#1", "a%2Cb%3Dc%231=200"),
        ("50%", "50%25=200"),
        ("智", "%E6%99%BA=200"),
        ("é~", "%C3%A9~=200"),
    ] {
        let provider = provider(name, 1, "in_order");
        let plan = Plan { targets: vec![Target::new(&provider, "m")], ..plan(&[1], None) };
        assert_eq!(trail(&plan, &["200"]), expected, "{name}");
    }
}

#[test]
fn an_origin_that_cannot_be_reached_is_tried_last_and_not_refused() {
    let (plan, start) = (plan(&[2, 1], None), Instant::now());
    let trail_at = |at: f64, texts: &[&str]| {
        Request::begin(&plan, start + seconds(at)).all(texts).attempts.trail()
    };
    // Failures that are not in a row.
    assert_eq!(trail_at(0., &["dns", "200"]), "a#1=dns, b=200");
    assert_eq!(trail_at(0., &["connect", "200"]), "a#1=connect, b=200");
    assert_eq!(trail_at(0., &["500", "200"]), "a#1=500, b=200");
    for text in ["tls", "connect", "dns"] {
        assert!(trail_at(1., &[text, "200"]).starts_with("a#1="), "{text}");
    }
    assert_eq!(trail_at(1., &["200"]), "b=200");
    // Last, but asked.
    assert_eq!(trail_at(5.9, &["503", "200"]), "b=503, a#1=200");
    // It has answered.
    assert_eq!(trail_at(5.9, &["200"]), "a#1=200");
    // Again, for 5 s from the last failure; all origins failing changes nothing.
    (0..3).for_each(|_| drop(trail_at(10., &["connect"])));
    assert_eq!(trail_at(14.9, &["503", "200"]), "a#1=503, b=200");
    (0..3).for_each(|_| drop(trail_at(20., &["connect", "200"])));
    assert_eq!(trail_at(24.9, &["200"]), "b=200");
    assert_eq!(trail_at(25., &["200"]), "a#1=200");
}

#[test]
fn keys_take_turns_among_the_requests_that_ask_their_provider() {
    // One provider behind two targets, and another one that takes turns with it.
    let (p, q) = (provider("p", 2, "round_robin"), provider("q", 2, "round_robin"));
    let plan_of = |targets: &[(&Rc<Provider>, &str)]| {
        let targets = targets.iter().map(|(provider, model)| Target::new(provider, model));
        Plan { targets: targets.collect(), ..plan(&[1], None) }
    };
    let table = [
        (plan_of(&[(&p, "m"), (&p, "n")]), "p#1=200"),
        (plan_of(&[(&p, "m"), (&p, "n")]), "p#2=200"),
        (plan_of(&[(&p, "m"), (&q, "m")]), "p#1=200"),
        (plan_of(&[(&q, "m"), (&p, "m")]), "q#1=200"),
        (plan_of(&[(&p, "m"), (&q, "m")]), "p#2=200"),
        (plan_of(&[(&q, "m"), (&p, "m")]), "q#2=200"),
        (plan_of(&[(&p, "m")]), "p#1=200"),
    ];
    for (index, (plan, expected)) in table.iter().enumerate() {
        assert_eq!(&trail(plan, &["200"]), expected, "{index}");
    }
    // Whoever asks both takes a turn at both.
    assert_eq!(trail(&table[2].0, &["500", "200"]), "p#2=500, q#1=200");
    assert_eq!(trail(&table[3].0, &["500", "200"]), "q#2=500, p#1=200");
}

#[test]
fn what_is_pinned_goes_to_its_key_alone() {
    for (retries, texts, expected) in [
        (None, &["429"][..], "a#2=429"),
        (None, &["401"], "a#2=401"),
        (Some(3), &["401"], "a#2=401"),
        (Some(1), &["503", "200"], "a#2=503, a#2=200"),
    ] {
        let plan = Plan { pinned: Some(1), ..plan(&[3], retries) };
        assert_eq!(trail(&plan, texts), expected, "{texts:?}");
    }
    // Although it rests: others do not have what is asked for.
    let (plan, now) = (Plan { pinned: Some(1), ..plan(&[3], None) }, Instant::now());
    Request::begin(&plan, now).all(&["429 after 60"]);
    assert_eq!(Request::begin(&plan, now).all(&["200"]).attempts.trail(), "a#2=200");
}
