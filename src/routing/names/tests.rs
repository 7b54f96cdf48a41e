//! What names lead to: A1 to A8.

use std::collections::BTreeMap;

use super::*;
use crate::language::Language;

/// A file, its providers, and which of those without a list of their own list what.
struct Bench {
    config: Config,
    providers: Vec<Rc<Provider>>,
    turns: Vec<Cell<usize>>,
    /// `provider/model`; `provider/?` for one that has not answered yet.
    listed: Vec<&'static str>,
}

/// One key: a, b, local (two models), embed (embeddings only), chat (chats only); three keys: many.
const PROVIDERS: &str = r#""tokens": [], "providers": ["a|http://a|k", "b|http://b|k",
    {"provider": "local", "baseurl": "http://l", "model_list": ["m", "n"]},
    {"provider": "embed", "baseurl": "http://e", "endpoints": ["embeddings"]},
    {"provider": "chat", "baseurl": "http://c", "endpoints": ["chat/completions"]},
    {"provider": "many", "baseurl": "http://m", "token": ["k1", "k2", "k3"]}]"#;

impl Bench {
    fn new(rest: &str) -> Bench {
        let text = format!("{{{PROVIDERS}, {rest}}}");
        let config = Config::parse(&text, "f").unwrap_or_else(|error| panic!("{error}"));
        let providers = config.providers.iter().cloned().map(Provider::new).collect();
        let turns = vec![Cell::default(); config.aliases.len()];
        Bench { config, providers, turns, listed: Vec::new() }
    }

    fn aliases(aliases: &str) -> Bench {
        Bench::new(&format!(r#""aliases": {{{aliases}}}"#))
    }

    fn with<T>(
        &self,
        endpoint: &str,
        conversation: u64,
        ask: impl FnOnce(&Names<'_, '_>) -> T,
    ) -> T {
        let lists = |provider: &Provider, model: &str| {
            let has = |model: &str| self.listed.contains(&&*format!("{}/{model}", provider.name()));
            match () {
                () if has("?") => Lists::NotYet,
                () if has(model) => Lists::Yes,
                () => Lists::No,
            }
        };
        ask(&Names {
            config: &self.config,
            providers: &self.providers,
            turns: &self.turns,
            endpoint,
            conversation,
            lists: &lists,
        })
    }

    /// Where a name leads: `provider/model …`, `=provider` without a plan, or why it leads nowhere.
    fn to(&self, name: &str, endpoint: &str, conversation: u64) -> String {
        self.with(endpoint, conversation, |names| match names.route(name, false) {
            Ok(Route::Direct(provider, 0)) => format!("={}", provider.name()),
            Ok(Route::Direct(..)) => panic!("the only key is the first"),
            Ok(Route::Plan(plan)) => {
                plan.targets.iter().map(Target::name).collect::<Vec<_>>().join(" ")
            }
            Err(Refusal::NoSuchModel) => "none".to_owned(),
            Err(Refusal::NotOffered { provider, endpoint }) => format!("{provider}: no {endpoint}"),
            Err(Refusal::Several { model, providers: [one, other] }) => {
                format!("{model}: {one} {other}")
            }
            Err(Refusal::NotYetKnown(model)) => format!("{model}: not yet"),
            Err(refusal) => format!("{refusal:?}"),
        })
    }

    /// For chats, in some conversation.
    fn chat(&self, name: &str) -> String {
        self.to(name, "chat/completions", 1)
    }

    #[track_caller]
    fn lead(&self, table: &[(&str, &str)]) {
        for (name, expected) in table {
            assert_eq!(&self.chat(name), expected, "{name}");
        }
    }

    fn plan(&self, name: &str) -> Box<Plan> {
        self.with("chat/completions", 1, |names| match names.route(name, false) {
            Ok(Route::Plan(plan)) => plan,
            _ => panic!("{name}: no plan"),
        })
    }

    /// Of so many conversations, how many have each target first.
    fn shares(&self, name: &str, conversations: u64) -> BTreeMap<String, u64> {
        let mut shares = BTreeMap::new();
        for conversation in 0..conversations {
            let targets = self.to(name, "chat/completions", rendezvous(conversation, "test"));
            let first = targets.split(' ').next().unwrap().to_owned();
            *shares.entry(first).or_insert(0) += 1;
        }
        shares
    }
}

#[test]
fn no_target_of_a_route_reads_another_model_than_the_one_that_was_checked() {
    let bench = Bench::aliases(r#""open": ["a/x", "b/x"], "mixed": ["a/x", "local/m"]"#);
    for (name, refused) in
        [("open", false), ("mixed", true), ("a/x", false), ("local/m", true), ("many/x", false)]
    {
        let route = bench.with("chat/completions", 1, |names| names.route(name, true).err());
        assert_eq!(matches!(route, Some(Refusal::BadRequest(_))), refused, "{name}");
    }
}

#[test]
fn without_aliases_a_name_leads_to_its_provider() {
    Bench::new(r#""supported_models": ["^(a|local)/"]"#).lead(&[
        ("a/x", "=a"),
        ("a/x/y", "=a"),
        ("a/", "none"),
        ("a", "none"),
        ("", "none"),
        ("/x", "none"),
        ("c/x", "none"),
        ("A/x", "none"),
        ("b/x", "none"),
        ("local/m", "=local"),
        ("local/o", "none"),
        ("x", "none"),
    ]);
    Bench::new("\"retries\": 0").lead(&[("a/x", "=a"), ("many/x", "many/x")]);
    Bench::new("\"retries\": 1").lead(&[("a/x", "a/x")]);
}

#[test]
fn an_alias_leads_to_its_targets() {
    let bench = Bench::new(
        r#""supported_models": ["/x", "/m"], "aliases": {"fast": "a/x", "smart": ["b/x", "a/x/y"],
        "long": {"targets": [{"model": "local/m"}, "many/x"]}, "a/x": "b/x", "twice": ["a/x", "b/x"]}"#,
    );
    bench.lead(&[
        ("fast", "b/x"),
        ("smart", "b/x a/x/y"),
        ("long", "local/m many/x"),
        // The filters hold for targets and not for the name; what is no alias is looked up as always.
        ("a/x/y", "=a"),
        ("Fast", "none"),
        ("fast/x", "none"),
        ("fas", "none"),
        // An alias comes before a provider of that prefix.
        ("a/x", "b/x"),
        ("twice", "b/x"),
    ]);
}

#[test]
fn exact_comes_before_provider_and_that_before_the_longest_pattern_and_a_bare_name() {
    let mut bench = Bench::new(
        r#""bare_models": true, "aliases": {"claude-*": "a/claude-*", "claude-3*": ["b/c3*", "a/fixed"],
        "claude-3": "many/exact", "claude-3-": "many/dash", "a/*": "b/never", "x*": "fast",
        "fast": ["b/f", "a/f"], "o*": ["local/*", "b/*"]}"#,
    );
    bench.listed = vec!["a/bare", "b/claude-9"];
    bench.lead(&[
        ("claude-3", "many/exact"),
        ("claude-3-", "many/dash"),
        ("claude-3-5", "b/c3-5 a/fixed"),
        ("claude-4", "a/claude-4"),
        ("claude-", "a/claude-"),
        ("claude-a/b", "a/claude-a/b"),
        // Patterns are for names whose prefix is no provider's.
        ("a/y", "=a"),
        ("chat/y", "=chat"),
        // Targets of patterns are exact aliases and providers' models.
        ("xyz", "b/f a/f"),
        // Of several, those that are served.
        ("on", "local/n b/n"),
        ("oz", "b/z"),
        // Bare names come last.
        ("bare", "a/bare"),
        ("claude-9", "a/claude-9"),
        ("m", "local/m"),
    ]);
    let all = Bench::aliases(r#""*": "many/*", "a*": "b/*""#);
    all.lead(&[
        ("x", "many/x"),
        ("c/d", "many/c/d"),
        ("ax", "b/x"),
        ("a", "none"),
        ("b/x", "=b"),
        ("", "none"),
    ]);
}

#[test]
fn nested_aliases_stand_at_their_place_in_their_own_order_and_nothing_twice() {
    Bench::aliases(
        r#""outer": ["a/1", "inner", "b/9", "a/1", "last"], "inner": ["b/2", "deep", "a/3"],
        "deep": ["many/4", "b/2"], "last": ["many/4", "chat/5"], "p-*": ["inner", "many/*", "many/4"]"#,
    )
    .lead(&[
        ("outer", "a/1 b/2 many/4 a/3 b/9 chat/5"),
        ("inner", "b/2 many/4 a/3"),
        ("last", "many/4 chat/5"),
        ("p-7", "b/2 many/4 a/3 many/7"),
        ("p-4", "b/2 many/4 a/3"),
    ]);
    // The order by weights of a nested alias is its own.
    let bench = Bench::aliases(
        r#""outer": ["a/1", "inner"],
        "inner": {"targets": [{"model": "b/2", "weight": 0}, "b/3"], "order": "weights"}"#,
    );
    bench.lead(&[("outer", "a/1 b/3 b/2")]);
}

#[test]
fn retries_and_what_is_tried_again_are_those_of_the_alias_that_is_asked() {
    let bench = Bench::new(
        r#""retries": 2, "retry_on": [400, "timeout", "code"], "retry_wait_max": 7, "aliases": {
        "plain": "a/x", "own": {"targets": ["plain", "b/x"], "retries": 9, "retry_on": [404, 500, "more"]},
        "none": {"targets": "own", "retries": 0}}"#,
    );
    for (name, retries, timeout, statuses, codes) in [
        ("plain", 2, true, &[400][..], &["code"][..]),
        ("own", 9, true, &[400, 404, 500], &["code", "more"]),
        ("none", 0, true, &[400], &["code"]),
        ("a/x", 2, true, &[400], &["code"]),
    ] {
        let plan = bench.plan(name);
        assert_eq!((plan.retries, plan.retry_on.timeout), (Some(retries), timeout), "{name}");
        assert_eq!((&plan.retry_on.statuses[..], plan.retries()), (statuses, retries), "{name}");
        assert_eq!(plan.retry_on.codes, codes, "{name}");
        assert_eq!(plan.wait_max.as_secs(), 7, "{name}");
        assert_eq!((plan.is_alias, plan.pinned), (name != "a/x", None), "{name}");
    }
    // By default as many as there is something else to try.
    let bench = Bench::aliases(r#""x": ["a/1", "many/2", "local/m"], "y": ["x", "many/3"]"#);
    for (name, retries) in [("x", 4), ("y", 7), ("many/1", 2)] {
        assert_eq!(
            (bench.plan(name).retries, bench.plan(name).retries()),
            (None, retries),
            "{name}"
        );
    }
}

#[test]
fn by_weights_each_target_is_first_for_its_share_of_conversations_and_each_conversation_stays() {
    for (weights, shares) in [
        (&[1, 1][..], &[5000, 5000][..]),
        (&[3, 1], &[7500, 2500]),
        (&[1, 1, 2], &[2500, 2500, 5000]),
        (&[1000, 1000], &[5000, 5000]),
        (&[90, 9, 1], &[9000, 900, 100]),
        (&[1, 0], &[10_000, 0]),
        (&[0, 2, 0, 2], &[0, 5000, 0, 5000]),
    ] {
        let target = |(at, weight)| format!(r#"{{"model": "a/{at}", "weight": {weight}}}"#);
        let targets: Vec<_> = weights.iter().enumerate().map(target).collect();
        let bench = Bench::aliases(&format!(
            r#""mix": {{"targets": [{}], "order": "weights"}}"#,
            targets.join(",")
        ));
        let found = bench.shares("mix", 10_000);
        for (at, share) in shares.iter().enumerate() {
            let found = found.get(&format!("a/{at}")).copied().unwrap_or(0);
            let tolerance = if *share == 0 { 0 } else { 50 + share / 40 };
            assert!(found.abs_diff(*share) <= tolerance, "{weights:?} {at}: {found}");
        }
        assert_eq!(bench.shares("mix", 1000), bench.shares("mix", 1000), "{weights:?}");
    }
}

#[test]
fn what_has_no_weight_comes_last_and_in_its_order() {
    let bench = Bench::aliases(
        r#""mix": {"targets": [{"model": "a/1", "weight": 0}, "a/2", {"model": "a/3", "weight": 0},
        "a/4"], "order": "weights"}"#,
    );
    for conversation in 0..100 {
        let targets = bench.to("mix", "chat/completions", rendezvous(conversation, "test"));
        assert!(["a/2 a/4 a/1 a/3", "a/4 a/2 a/1 a/3"].contains(&&*targets), "{targets}");
    }
}

#[test]
fn a_target_that_goes_or_gets_more_weight_moves_only_the_conversations_that_must_move() {
    let bench = |c: &str| {
        Bench::aliases(&format!(r#""mix": {{"targets": ["a/1", "a/2"{c}], "order": "weights"}}"#))
    };
    let all = [bench(""), bench(r#", "a/3""#), bench(r#", {"model": "a/3", "weight": 3}"#)];
    for conversation in 0..1000 {
        let first = all.each_ref().map(|bench| {
            let all = bench.to("mix", "chat/completions", rendezvous(conversation, "test"));
            all.split(' ').next().unwrap().to_owned()
        });
        let [without, with, heavier] = first;
        assert!(with == without || with == "a/3", "{without} {with}");
        assert!(heavier == with || heavier == "a/3", "{with} {heavier}");
    }
}

#[test]
fn in_a_round_robin_each_target_is_first_in_turn() {
    let bench = Bench::aliases(
        r#""turn": {"targets": ["a/1", "b/2", "many/3"], "order": "round_robin"},
        "in": ["a/1", "b/2"]"#,
    );
    for expected in ["a/1 b/2 many/3", "b/2 many/3 a/1", "many/3 a/1 b/2", "a/1 b/2 many/3"] {
        assert_eq!(bench.chat("turn"), expected);
        assert_eq!(bench.chat("in"), "a/1 b/2", "each alias has its own turn");
    }
}

#[test]
fn in_a_round_robin_within_another_each_target_is_first_in_turn() {
    let bench = Bench::aliases(
        r#""outer": {"targets": ["inner", "a/1"], "order": "round_robin"},
        "inner": {"targets": ["b/2", "many/3"], "order": "round_robin"}"#,
    );
    let first = || bench.chat("outer").split(' ').next().unwrap().to_owned();
    let firsts: Vec<_> = (0..8).map(|_| first()).collect();
    assert_eq!(firsts[..4], ["b/2", "a/1", "many/3", "a/1"]);
    assert_eq!(firsts[4..], firsts[..4]);
}

#[test]
fn filters_hold_for_targets() {
    let bench = |filter: &str| {
        Bench::new(&format!(
            r#""supported_models": ["{filter}"], "aliases": {{"p-*": ["a/*", "b/*", "local/*"],
            "x": "q", "q": "many/ok"}}"#
        ))
    };
    let (all, ok) = (bench("."), bench("ok$|^many"));
    all.lead(&[
        ("p-ok", "a/ok b/ok"),
        ("p-m", "a/m b/m local/m"),
        ("p-", "none"),
        ("x", "many/ok"),
    ]);
    ok.lead(&[("p-ok", "a/ok b/ok"), ("p-m", "none"), ("x", "many/ok"), ("b/m", "none")]);
    // A manual list and a filter could be passed by a body that names two models.
    let refused = |bench: &Bench, name: &str| {
        bench.with("chat/completions", 1, |names| {
            matches!(names.route(name, true), Err(Refusal::BadRequest(_)))
        })
    };
    assert!(refused(&all, "p-ok") && refused(&all, "a/x") && refused(&all, "local/m"));
    let free = Bench::aliases(r#""x": "a/x", "y": ["a/x", "local/m"]"#);
    assert!(!refused(&free, "x") && !refused(&free, "a/x") && refused(&free, "y"));
}

#[test]
fn a_target_that_does_not_offer_the_endpoint_is_skipped() {
    let mut bench = Bench::new(
        r#""bare_models": true,
        "aliases": {"any": ["embed/e", "chat/c", "a/x"], "two": ["embed/e", "chat/c"], "one": "embed/e",
        "p-*": ["embed/*", "a/*"]}"#,
    );
    bench.listed = vec!["embed/e", "chat/e", "embed/f"];
    for (name, endpoint, expected) in [
        ("any", "chat/completions", "chat/c a/x"),
        ("any", "embeddings", "embed/e a/x"),
        ("any", "responses", "a/x"),
        ("two", "embeddings", "embed/e"),
        ("two", "responses", "embed: no responses"),
        ("one", "embeddings", "embed/e"),
        ("one", "chat/completions", "embed: no chat/completions"),
        ("p-7", "chat/completions", "a/7"),
        ("embed/e", "chat/completions", "embed: no chat/completions"),
        ("embed/e", "embeddings", "=embed"),
        ("chat/c", "chat/completions/x", "chat: no chat/completions/x"),
        ("f", "embeddings", "embed/f"),
        ("f", "chat/completions", "embed: no chat/completions"),
    ] {
        assert_eq!(bench.to(name, endpoint, 1), expected, "{name} {endpoint}");
    }
}

#[test]
fn a_bare_name_leads_to_the_only_provider_that_lists_it() {
    let filtered = r#""bare_models": true, "supported_models": ["/[xyzm]$"]"#;
    let table: &[(&str, &[&str], &str, &str)] = &[
        // The file, what is listed, the name, where it leads.
        (r#""bare_models": true"#, &["a/x", "b/y"], "x", "a/x"),
        (r#""bare_models": true"#, &["a/x", "b/y"], "y", "b/y"),
        (r#""bare_models": true"#, &["a/x", "b/y"], "z", "none"),
        (r#""bare_models": true"#, &["a/x", "b/x"], "x", "x: a b"),
        (r#""bare_models": true"#, &["many/x", "a/x", "chat/x"], "x", "x: a chat"),
        (r#""bare_models": true"#, &["a/c/x"], "c/x", "a/c/x"),
        (r#""bare_models": true"#, &["a/b/x"], "b/x", "=b"),
        (r#""bare_models": false"#, &["a/x"], "x", "none"),
        (r#""retries": 1"#, &["a/x"], "x", "none"),
        // A list of one's own comes before what was fetched.
        (r#""bare_models": true"#, &[], "m", "local/m"),
        (r#""bare_models": true"#, &["a/m"], "m", "local/m"),
        (r#""bare_models": true"#, &["a/m", "b/m"], "m", "local/m"),
        (r#""bare_models": true"#, &["a/o", "local/o"], "o", "a/o"),
        // While one of the others has never answered, nothing is known.
        (r#""bare_models": true"#, &["a/x", "b/?"], "x", "x: not yet"),
        (r#""bare_models": true"#, &["a/?"], "z", "z: not yet"),
        (r#""bare_models": true"#, &["a/?"], "m", "local/m"),
        (r#""bare_models": true"#, &["local/?", "a/x"], "x", "a/x"),
        // What is filtered is not listed, and not waited for.
        (filtered, &["a/x", "b/?"], "w", "none"),
        (filtered, &["a/x"], "x", "a/x"),
        (filtered, &[], "n", "none"),
    ];
    for (file, listed, name, expected) in table {
        let bench = Bench { listed: listed.to_vec(), ..Bench::new(file) };
        assert_eq!(&bench.chat(name), expected, "{name} of {listed:?} with {file}");
    }
    let bench = Bench { listed: vec!["a/x"], ..Bench::new(r#""bare_models": true"#) };
    let plan = bench.plan("x");
    assert!(plan.is_alias && plan.retries().eq(&0) && !plan.keeps_state());
}

#[test]
fn two_lists_of_ones_own_that_have_a_name_are_both_named() {
    let text = r#"{"tokens": [], "bare_models": true, "providers": [
        {"provider": "p", "baseurl": "http://p", "model_list": ["m"]},
        {"provider": "q", "baseurl": "http://q", "model_list": ["m", "n"]}]}"#;
    let config = Config::parse(text, "f").unwrap();
    let providers = config.providers.iter().cloned().map(Provider::new).collect();
    let bench = Bench { config, providers, turns: Vec::new(), listed: vec![] };
    bench.lead(&[("m", "m: p q"), ("n", "q/n"), ("p/m", "=p")]);
}

#[test]
fn a_name_longer_than_any_leads_nowhere() {
    let bench = Bench::aliases(r#""*": "many/*", "p-*": ["many/longer-*", "a/*"]"#);
    let length = super::super::MODEL_BYTES_MAX;
    assert!(bench.chat(&"x".repeat(length + 1)).starts_with("LongName"));
    // What becomes too long by its pattern is no target.
    assert_eq!(bench.chat(&"x".repeat(length)), "none");
    let name = format!("p-{}", "x".repeat(length - 2));
    assert_eq!(bench.chat(&name), format!("a/{}", "x".repeat(length - 2)));
}

#[test]
fn what_an_alias_cannot_lead_to_is_refused_with_its_place() {
    for (aliases, place, reason) in [
        (r#""x": "y", "y": "x""#, "aliases.y", "circle"),
        (r#""x": "x""#, "aliases.x", "circle"),
        (r#""x": []"#, "aliases.x", "at least one target"),
        (r#""x": "c/m""#, "aliases.x", "no such provider"),
        (r#""x": ["a/m", "local/o"]"#, "aliases.x[1]", "model_list"),
        (
            r#""x": {"targets": [{"model": "b/bad"}]}"#,
            "aliases.x.targets[0].model",
            "supported_models",
        ),
        (r#""x": "y""#, "aliases.x", "neither an alias"),
        (r#""x": "a/*""#, "aliases.x", "*"),
        (r#""x*": "a*b/*""#, "aliases", "*"),
    ] {
        let text =
            format!(r#"{{{PROVIDERS}, "supported_models": ["m|o"], "aliases": {{{aliases}}}}}"#);
        let error = Config::parse(&text, "f").expect_err(aliases);
        let error = Language::English.speak(|| error.to_string());
        assert!(error.contains(place) && error.contains(reason), "{aliases}: {error}");
    }
}
