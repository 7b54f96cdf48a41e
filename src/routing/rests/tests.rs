//! The rests of keys, row by row: K4, K6, K7, K8, K10, K12.

use super::*;

const MODEL: u64 = 1;
const OTHER: u64 = 2;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;

/// What happens to a key with the model.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// 429, with the delay that is stated.
    Limited(Option<f64>),
    /// 402, or 429 or 403 about a quota.
    Quota(Option<f64>),
    /// 401.
    Refused,
    /// 403 or 404 where another key had success.
    Denied,
    /// 2xx.
    Success,
    /// The configuration is read again.
    Reload,
}
/// When, what happens, and for how long the key rests then.
type Steps<'s> = &'s [(f64, Step, f64)];
use Step::{Denied, Limited, Quota, Refused, Reload, Success};

/// Keys of one provider, and a clock that begins at 0.
struct Keys(Vec<Rests>, Instant);

impl Keys {
    fn new(count: usize) -> Keys {
        Keys((0..count).map(|_| Rests::default()).collect(), Instant::now())
    }

    fn at(&self, seconds: f64) -> Instant {
        self.1 + Duration::from_secs_f64(seconds)
    }

    fn step(&self, key: usize, model: u64, seconds: f64, step: Step) {
        let (rests, now) = (&self.0[key], self.at(seconds));
        let delay = |stated: Option<f64>| stated.map(Duration::from_secs_f64);
        match step {
            Limited(stated) => {
                let keys: Vec<&Rests> = self.0.iter().collect();
                be_limited(&keys, key, model, delay(stated), now);
            }
            Quota(stated) => be_unfit(rests, Unfit::Quota, delay(stated), now),
            Refused => be_unfit(rests, Unfit::Key, None, now),
            Denied => be_denied(rests, model, now),
            Success => succeed(rests, model),
            Reload => keep_rate_limits(rests),
        }
    }

    /// For how much longer a key rests for a model.
    fn rests_for(&self, key: usize, model: u64, seconds: f64) -> f64 {
        let now = self.at(seconds);
        match standing(&self.0[key], model, now) {
            Standing::Resting(until) => (until - now).as_secs_f64(),
            _ => 0.0,
        }
    }
}

/// Plays the steps of the only key; after each it rests for so long.
#[track_caller]
fn play(name: &str, steps: &[(f64, Step, f64)]) {
    let keys = Keys::new(1);
    for (index, (at, step, length)) in steps.iter().enumerate() {
        keys.step(0, MODEL, *at, *step);
        let found = keys.rests_for(0, MODEL, *at);
        assert!((found - length).abs() < 1e-6, "{name}, step {index}: {found} and not {length}");
    }
}

#[test]
fn a_key_rests_as_long_as_stated_or_longer_each_time() {
    let none = None;
    let table: &[(&str, Steps<'_>)] = &[
        ("429, stated", &[(0., Limited(Some(7.5)), 7.5)]),
        ("429, stated below a second", &[(0., Limited(Some(0.0)), 1.)]),
        ("429, stated above an hour", &[(0., Limited(Some(1e6)), HOUR)]),
        (
            "429, unstated: doubles to 5 minutes",
            &[
                (0., Limited(none), 15.),
                (15., Limited(none), 30.),
                (100., Limited(none), 60.),
                (200., Limited(none), 120.),
                (400., Limited(none), 240.),
                (700., Limited(none), 300.),
                (1100., Limited(none), 300.),
            ],
        ),
        (
            "429, stated: does not double",
            &[(0., Limited(Some(2.)), 2.), (5., Limited(Some(2.)), 2.), (9., Limited(none), 15.)],
        ),
        (
            "429 of requests that were out together: once",
            &[(0., Limited(none), 15.), (1., Limited(none), 15.), (2., Limited(none), 15.)],
        ),
        (
            "429, unstated, while a stated rest runs: ours, and counts",
            &[(0., Limited(Some(5.)), 5.), (1., Limited(none), 15.), (20., Limited(none), 30.)],
        ),
        (
            "429, unstated, while a later stated rest runs: counts as the second",
            &[
                (0., Limited(none), 15.),
                (20., Limited(Some(5.)), 5.),
                (21., Limited(none), 30.),
                (22., Limited(none), 30.),
            ],
        ),
        ("402, stated", &[(0., Quota(Some(90.)), 90.)]),
        ("402, stated below a second", &[(0., Quota(Some(0.1)), 1.)]),
        ("402, stated above an hour", &[(0., Quota(Some(1e6)), HOUR)]),
        (
            "402, unstated: doubles to 6 hours",
            &[
                (0., Quota(none), 10. * MINUTE),
                (1e5, Quota(none), 20. * MINUTE),
                (2e5, Quota(none), 40. * MINUTE),
                (3e5, Quota(none), 80. * MINUTE),
                (4e5, Quota(none), 160. * MINUTE),
                (5e5, Quota(none), 320. * MINUTE),
                (6e5, Quota(none), 6. * HOUR),
                (7e5, Quota(none), 6. * HOUR),
            ],
        ),
        (
            "401: doubles to an hour",
            &[
                (0., Refused, 10. * MINUTE),
                (1e4, Refused, 20. * MINUTE),
                (2e4, Refused, 40. * MINUTE),
                (3e4, Refused, HOUR),
                (4e4, Refused, HOUR),
            ],
        ),
        (
            "403, 404 by K5: always 5 minutes",
            &[(0., Denied, 5. * MINUTE), (400., Denied, 5. * MINUTE)],
        ),
    ];
    table.iter().for_each(|(name, steps)| play(name, steps));
}

#[test]
fn a_new_rest_shortens_none_and_a_success_ends_all() {
    let none = None;
    let table: &[(&str, Steps<'_>)] = &[
        ("429 after 429", &[(0., Limited(Some(60.)), 60.), (1., Limited(Some(2.)), 59.)]),
        ("429, unstated, after 429", &[(0., Limited(Some(60.)), 60.), (1., Limited(none), 59.)]),
        ("402 after 402", &[(0., Quota(Some(60.)), 60.), (1., Quota(Some(2.)), 59.)]),
        ("401 after 402", &[(0., Quota(Some(HOUR)), HOUR), (10., Refused, HOUR - 10.)]),
        ("402 after 401", &[(0., Refused, 10. * MINUTE), (10., Quota(Some(1.)), 590.)]),
        ("429 after 402", &[(0., Quota(none), 600.), (10., Limited(none), 590.)]),
        ("429 after 403", &[(0., Denied, 300.), (10., Limited(none), 290.)]),
        ("403 after 429", &[(0., Limited(Some(600.)), 600.), (10., Denied, 590.)]),
        ("403 after 403", &[(0., Denied, 300.), (10., Denied, 300.)]),
        ("2xx ends 429", &[(0., Limited(none), 15.), (1., Success, 0.), (2., Limited(none), 15.)]),
        ("2xx ends 402", &[(0., Quota(none), 600.), (1., Success, 0.), (2., Quota(none), 600.)]),
        ("2xx ends 401", &[(0., Refused, 600.), (1., Success, 0.), (2., Refused, 600.)]),
        ("2xx ends 403", &[(0., Denied, 300.), (1., Success, 0.)]),
        (
            "2xx ends doubling when the rest is over",
            &[
                (0., Limited(none), 15.),
                (20., Limited(none), 30.),
                (60., Success, 0.),
                (61., Limited(none), 15.),
            ],
        ),
    ];
    table.iter().for_each(|(name, steps)| play(name, steps));
}

#[test]
fn a_rest_and_its_end_hold_for_its_scope_only() {
    for (step, own, other_model, whole) in [
        (Limited(None), 15., 0., false),
        (Denied, 300., 0., false),
        (Quota(None), 600., 600., true),
        (Refused, 600., 600., true),
    ] {
        let keys = Keys::new(2);
        keys.step(0, MODEL, 0., step);
        let found = |key, model| keys.rests_for(key, model, 0.);
        assert_eq!((found(0, MODEL), found(0, OTHER)), (own, other_model), "{step:?}");
        assert_eq!((found(1, MODEL), found(1, OTHER)), (0., 0.), "{step:?}");
        assert_eq!(rests_as_a_whole(&keys.0[0], keys.at(0.)), whole, "{step:?}");
        assert!(rests_at_all(&keys.0[0], keys.at(0.)), "{step:?}");
        assert!(!rests_at_all(&keys.0[0], keys.at(600.)), "{step:?}");
        // A success with another model ends what holds for all of them, and nothing else.
        keys.step(0, OTHER, 1., Success);
        let left = if whole { 0. } else { own - 1. };
        assert_eq!(keys.rests_for(0, MODEL, 1.), left, "{step:?}");
    }
}

#[test]
fn a_rest_ends_at_its_time_and_not_before() {
    let keys = Keys::new(1);
    keys.step(0, MODEL, 0., Limited(None));
    let standing = |seconds| standing(&keys.0[0], MODEL, keys.at(seconds));
    assert_eq!(standing(0.), Standing::Resting(keys.at(15.)));
    assert_eq!(standing(14.999), Standing::Resting(keys.at(15.)));
    assert_eq!(standing(15.), Standing::Due);
}

#[test]
fn one_request_goes_first_after_a_rest_until_it_is_back() {
    for step in [Limited(None), Denied, Quota(None), Refused] {
        let keys = Keys::new(1);
        let (rests, over) = (&keys.0[0], keys.at(600.));
        let standing = |model| standing(rests, model, over);
        assert_eq!(standing(MODEL), Standing::Well, "{step:?}");
        keys.step(0, MODEL, 0., step);
        assert_eq!(standing(MODEL), Standing::Due, "{step:?}");
        let ends = put_on_trial(rests, MODEL, over);
        assert_eq!(standing(MODEL), Standing::OnTrial, "{step:?}");
        // It came to nothing that would say more of the key: the next one goes first.
        end_trial(rests, MODEL, &ends);
        assert_eq!(standing(MODEL), Standing::Due, "{step:?}");
        put_on_trial(rests, MODEL, over);
        keys.step(0, MODEL, 600., Success);
        assert_eq!(standing(MODEL), Standing::Well, "{step:?}");
    }
    // What does not rest is on no trial.
    let keys = Keys::new(1);
    put_on_trial(&keys.0[0], MODEL, keys.at(0.));
    assert_eq!(standing(&keys.0[0], MODEL, keys.at(0.)), Standing::Well);
}

#[test]
fn a_trial_ends_for_the_rests_that_it_was_about_only() {
    let keys = Keys::new(1);
    let rests = &keys.0[0];
    let stands = |model, seconds| standing(rests, model, keys.at(seconds));
    keys.step(0, MODEL, 0., Limited(None));
    let first = put_on_trial(rests, MODEL, keys.at(15.));
    // Meanwhile the key rests as a whole, and a request for another model tries that.
    keys.step(0, OTHER, 16., Quota(Some(1.)));
    let other = put_on_trial(rests, OTHER, keys.at(17.));
    end_trial(rests, MODEL, &first);
    assert_eq!(stands(OTHER, 17.), Standing::OnTrial);
    end_trial(rests, OTHER, &other);
    assert_eq!(stands(OTHER, 17.), Standing::Due);
    // The end of a new rest has its own first request.
    let first = put_on_trial(rests, MODEL, keys.at(17.));
    keys.step(0, MODEL, 18., Limited(Some(1.)));
    assert_eq!(stands(MODEL, 18.), Standing::Resting(keys.at(19.)));
    let next = put_on_trial(rests, MODEL, keys.at(19.));
    end_trial(rests, MODEL, &first);
    assert_eq!((stands(MODEL, 19.), next.len()), (Standing::OnTrial, 2));
}

/// The key's number, when, and the delay that is stated.
type Round = &'static [(usize, f64, Option<f64>)];

#[test]
fn when_all_keys_are_limited_at_once_no_rest_doubles() {
    // Keys; 429s; for how long each rests after the last one; for how long the first one's next rest is.
    let table: &[(&str, Round, &[f64], f64)] = &[
        ("one key is no round", &[(0, 0., None)], &[15.], 30.),
        ("one of two", &[(0, 0., None)], &[15., 0.], 30.),
        ("both", &[(0, 0., None), (1, 1., None)], &[14., 15.], 15.),
        ("both within 2 s", &[(0, 0., None), (1, 2., None)], &[13., 15.], 15.),
        ("both, but later", &[(0, 0., None), (1, 2.001, None)], &[12.999, 15.], 30.),
        ("two of three", &[(0, 0., None), (1, 1., None)], &[14., 15., 0.], 30.),
        ("three", &[(0, 0., None), (1, 1., None), (2, 2., None)], &[13., 14., 15.], 15.),
        ("stated counts", &[(0, 0., None), (1, 1., Some(7.))], &[14., 7.], 15.),
        (
            "what was doubled before stays so",
            &[(0, 0., None), (0, 15., None), (0, 50., None), (1, 51., None)],
            &[29., 15.],
            60.,
        ),
        (
            "rounds in a row",
            &[
                (0, 0., None),
                (1, 0., None),
                (0, 15., None),
                (1, 15., None),
                (0, 30., None),
                (1, 30., None),
            ],
            &[15., 15.],
            15.,
        ),
        (
            "a stated rest in the round stays",
            &[(0, 0., None), (0, 15., None), (0, 15.5, Some(40.)), (1, 16., None)],
            &[39.5, 15.],
            30.,
        ),
    ];
    for (name, limits, rests, next) in table {
        let keys = Keys::new(rests.len());
        for (key, at, stated) in *limits {
            keys.step(*key, MODEL, *at, Limited(*stated));
        }
        let (_, last, _) = limits.last().unwrap();
        for (key, length) in rests.iter().enumerate() {
            let found = keys.rests_for(key, MODEL, *last);
            assert!((found - length).abs() < 1e-6, "{name}, key {key}: {found} and not {length}");
        }
        keys.step(0, MODEL, 1000., Limited(None));
        assert_eq!(keys.rests_for(0, MODEL, 1000.), *next, "{name}: the next rest");
    }
}

#[test]
fn a_round_counts_keys_and_models_that_are_in_turn() {
    // A key that rests as a whole is not asked, and so is not waited for.
    let keys = Keys::new(3);
    keys.step(2, OTHER, 0., Refused);
    keys.step(0, MODEL, 0., Limited(None));
    keys.step(1, MODEL, 0., Limited(None));
    keys.step(0, MODEL, 20., Limited(None));
    assert_eq!(keys.rests_for(0, MODEL, 20.), 15., "two of two that are asked");
    // One that is left alone is not all of a provider.
    let keys = Keys::new(2);
    keys.step(1, OTHER, 0., Quota(None));
    keys.step(0, MODEL, 0., Limited(None));
    keys.step(0, MODEL, 20., Limited(None));
    assert_eq!(keys.rests_for(0, MODEL, 20.), 30., "one that is asked");
    // Another model's 429 is another matter.
    let keys = Keys::new(2);
    keys.step(0, MODEL, 0., Limited(None));
    keys.step(1, OTHER, 0., Limited(None));
    keys.step(0, MODEL, 20., Limited(None));
    assert_eq!(keys.rests_for(0, MODEL, 20.), 30., "two models");
    // A success in between is none.
    let keys = Keys::new(2);
    keys.step(1, MODEL, 0., Limited(None));
    keys.step(1, MODEL, 1., Success);
    keys.step(0, MODEL, 1., Limited(None));
    keys.step(0, MODEL, 20., Limited(None));
    assert_eq!(keys.rests_for(0, MODEL, 20.), 30., "a success in between");
}

#[test]
fn of_64_models_that_rest_the_oldest_is_forgotten() {
    let keys = Keys::new(1);
    let rests_for = |model| keys.rests_for(0, model, 100.);
    (0..64).for_each(|model| keys.step(0, model, 100., Limited(Some(60.))));
    assert!((0..64).all(|model| rests_for(model) == 60.));
    // One of them again needs no room, and is the youngest now.
    keys.step(0, 0, 100., Limited(Some(60.)));
    assert!((0..64).all(|model| rests_for(model) == 60.));
    keys.step(0, 64, 100., Denied);
    keys.step(0, 65, 100., Limited(Some(60.)));
    assert_eq!([1, 2].map(rests_for), [0., 0.]);
    assert!([0, 3, 63, 65].iter().all(|model| rests_for(*model) == 60.));
    assert_eq!(rests_for(64), 300.);
    // What ends by success makes room, too.
    keys.step(0, 10, 100., Success);
    keys.step(0, 66, 100., Limited(Some(60.)));
    assert_eq!((rests_for(10), rests_for(3), rests_for(66)), (0., 60., 60.));
    // The key as a whole is no model.
    keys.step(0, 0, 100., Refused);
    assert_eq!(rests_for(1000), 600.);
}

#[test]
fn a_reload_keeps_rate_limits_and_their_doubling_and_forgets_all_else() {
    let none = None;
    let table: &[(&str, Steps<'_>)] = &[
        ("429", &[(0., Limited(none), 15.), (1., Reload, 14.), (20., Limited(none), 30.)]),
        ("429, stated", &[(0., Limited(Some(9.)), 9.), (1., Reload, 8.)]),
        ("402", &[(0., Quota(none), 600.), (1., Reload, 0.), (2., Quota(none), 600.)]),
        ("401", &[(0., Refused, 600.), (1., Reload, 0.), (2., Refused, 600.)]),
        ("403", &[(0., Denied, 300.), (1., Reload, 0.)]),
        (
            "all of them",
            &[
                (0., Limited(none), 15.),
                (0., Denied, 300.),
                (0., Quota(none), 600.),
                (1., Reload, 14.),
            ],
        ),
    ];
    table.iter().for_each(|(name, steps)| play(name, steps));
}
