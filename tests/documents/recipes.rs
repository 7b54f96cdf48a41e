//! The configurations of docs/routing.md, read from the pages of both languages: each passes `--check` as it
//! stands, and is driven through what goes well and through the failure that it is there for. Only addresses,
//! the port and the client's token are others.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use regex::{Captures, Regex};

use crate::page::pages;
use crate::support::*;

/// The token that the recipes show.
const SHOWN: &str = "sk-my-own-long-random-text";
/// The value of each variable that a recipe names is this and the variable's name.
const SECRET: &str = "key-of-";
const LIST: &str = r#"{"data":[{"id":"m"}]}"#;
const ANSWER: &str = r#"{"choices":[{"message":{"role":"assistant","content":"Hi"}}]}"#;
const QUOTA: &str =
    r#"{"error":{"message":"You exceeded your current quota.","code":"insufficient_quota"}}"#;

/// The text of one recipe in one language.
struct Recipe(String);

/// The recipe of this name in both languages.
fn recipes(name: &str) -> Vec<Recipe> {
    let pages = pages();
    let pages = pages.into_iter().filter(|page| page.path.ends_with("routing.md"));
    let blocks = pages.flat_map(|page| page.blocks);
    let found = blocks.filter(|block| block.recipe() == Some(name));
    let found: Vec<_> = found.map(|block| Recipe(block.code)).collect();
    assert_eq!(found.len(), 2, "{name} stands on the page once in each language");
    found
}

impl Recipe {
    fn variables(&self) -> Vec<(String, String)> {
        let variable = Regex::new(r"\$\{(\w+)\}").unwrap();
        let names = variable.captures_iter(&self.0).map(|found| found[1].to_owned());
        names.map(|name| (name.clone(), format!("{SECRET}{name}"))).collect()
    }

    /// Starts it with these base URLs, in the order in which they stand there.
    fn start(&self, urls: &[String]) -> TestProxy {
        let environment = self.variables();
        let shown = check(&self.0, &environment);
        assert!(shown.contains("at most 2 attempts"), "{shown}");
        let baseurl = Regex::new(r#""baseurl": "[^"]+""#).unwrap();
        assert_eq!(baseurl.find_iter(&self.0).count(), urls.len(), "{}", self.0);
        let mut urls = urls.iter();
        let code = baseurl.replace_all(&self.0, |_: &Captures<'_>| {
            format!(r#""baseurl": "{}""#, urls.next().expect("as many as were counted"))
        });
        let code = code.replace(r#""port": 8001"#, r#""host": "127.0.0.1", "port": 0"#);
        let config = Some(code.replace(SHOWN, TOKEN));
        TestProxy::launch(Launch { config, environment, ..Launch::default() })
    }
}

/// What `--check` shows: no warning, and no key.
fn check(config: &str, environment: &[(String, String)]) -> String {
    let directory = TempDir::new();
    directory.write("config.json", config);
    let path = directory.path().join("config.json");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("our own file");
    let variables: Vec<_> = environment.iter().map(|(k, v)| (&**k, &**v)).collect();
    let checked = run_with_environment(directory.path(), &["--check"], &variables);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.stdout.contains("warnings: 0"), "{checked:?}");
    assert!(!checked.output().contains(SECRET), "{checked:?}");
    checked.stdout
}

/// A provider that answers chats well, but for those with a key of which `refuses` has an answer.
fn provider(refuses: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Upstream {
    Upstream::each(move |request, connection| {
        let key = request.head.get("authorization").unwrap_or_default();
        let answer = match refuses(key.trim_start_matches("Bearer ")) {
            _ if request.method == "GET" => json_answer("200 OK", LIST),
            Some(refusal) => refusal,
            None if contains(&request.body, r#""stream":true"#) => {
                [SSE_HEAD.as_bytes(), &event(ANSWER), &event("[DONE]"), LAST_CHUNK].concat()
            }
            None => json_answer("200 OK", ANSWER),
        };
        connection.send(&answer);
    })
}

fn too_many(seconds: u32) -> Vec<u8> {
    let fields = format!("Content-Type: application/json\r\nRetry-After: {seconds}\r\n");
    answer("429 Too Many Requests", &fields, br#"{"error":{"message":"slow down"}}"#)
}

/// The keys and models of the chats that came so far.
fn chats(upstream: &Upstream) -> Vec<(String, String)> {
    let chats = upstream.requests().into_iter().filter(|request| request.method == "POST");
    let of = |request: &Request| {
        let key = request.head.get("authorization").unwrap_or_default();
        let model = request.json()["model"].as_str().expect("a name").to_owned();
        (key.trim_start_matches("Bearer ").to_owned(), model)
    };
    chats.map(|request| of(&request)).collect()
}

fn assert_good(response: &Response, trail: Option<&str>) {
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(contains(&response.body, "Hi"), "{}", response.text());
    assert_eq!(response.header("x-ai-proxy-attempts").as_deref(), trail);
}

fn keeps_its_secrets(proxy: &TestProxy) {
    let status = proxy.request("GET", "/v1/status", &format!("Authorization: Bearer {TOKEN}\r\n"));
    let said = proxy.everything() + &status.text();
    assert!(!said.contains(SECRET), "{said}");
}

/// A conversation has one key. When that is refused, the other one answers, and is used from then on.
#[test]
fn two_keys_of_one_provider_take_over_from_each_other() {
    const MODEL: &str = "groq/llama-3.3-70b-versatile";
    for recipe in recipes("keys") {
        let keys: Vec<_> = recipe.variables().into_iter().map(|(_, value)| value).collect();
        assert_eq!(keys.len(), 2);
        let refused = Arc::new(Mutex::new(Vec::<(String, u32)>::new()));
        let list = Arc::clone(&refused);
        let groq = provider(move |key| {
            let list = list.lock().expect("no poison");
            let found = list.iter().find(|(one, _)| one == key);
            found.map(|(_, seconds)| too_many(*seconds))
        });
        let proxy = recipe.start(&[groq.base_url()]);
        for body in [chat(MODEL), chat_stream(MODEL)] {
            assert_good(&proxy.chat(body), None);
        }
        let asked = chats(&groq);
        assert_eq!(asked[0], asked[1], "a conversation keeps its key");
        assert_eq!(asked[0].1, "llama-3.3-70b-versatile");

        let first = keys.iter().position(|key| *key == asked[0].0).expect("one of the two");
        let second = 1 - first;
        let number = |key: usize| key + 1;
        refused.lock().expect("no poison").push((keys[first].clone(), 50));
        let trail = format!("groq#{}=429, groq#{}=200", number(first), number(second));
        assert_good(&proxy.chat(chat_stream(MODEL)), Some(&trail));
        assert_good(&proxy.chat(chat(MODEL)), None);
        let asked: Vec<_> = chats(&groq).into_iter().map(|(key, _)| key).collect();
        let (first, second) = (&keys[first], &keys[second]);
        assert_eq!(asked, [first, first, first, second, second].map(String::clone));

        // Both are at their limit: the provider's own answer, and when the first of them is free again.
        refused.lock().expect("no poison").push((second.clone(), 30));
        let response = proxy.chat(chat(MODEL));
        assert_eq!(response.status, 429);
        assert_eq!(response.json()["error"]["message"], "slow down");
        let seconds: u32 = response.header("retry-after").expect("known").parse().unwrap();
        assert!((1..=30).contains(&seconds), "{seconds}");
        keeps_its_secrets(&proxy);
    }
}

/// What is used up is left out, and the paid provider answers.
#[test]
fn the_paid_provider_takes_over_when_the_cheap_one_is_used_up() {
    let models = ["llama-3.3-70b-versatile", "deepseek-chat"];
    for recipe in recipes("cheap") {
        let used_up = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&used_up);
        let refuse = move |_: &str| {
            let used_up = flag.load(Ordering::SeqCst);
            used_up.then(|| json_answer("429 Too Many Requests", QUOTA))
        };
        let (cheap, paid) = (provider(refuse), provider(|_| None));
        let proxy = recipe.start(&[cheap.base_url(), paid.base_url()]);
        for body in [chat("chat"), chat_stream("chat")] {
            let response = proxy.chat(body);
            assert_good(&response, None);
            let model = response.header("x-ai-proxy-model");
            assert_eq!(model.as_deref(), Some("groq/llama-3.3-70b-versatile"));
        }
        assert_eq!((chats(&cheap).len(), chats(&paid).len()), (2, 0));

        used_up.store(true, Ordering::SeqCst);
        for (body, trail) in
            [(chat_stream("chat"), Some("groq=429, deepseek=200")), (chat("chat"), None)]
        {
            let response = proxy.chat(body);
            assert_good(&response, trail);
            let model = response.header("x-ai-proxy-model");
            assert_eq!(model.as_deref(), Some("deepseek/deepseek-chat"));
        }
        assert_eq!((chats(&cheap).len(), chats(&paid).len()), (3, 2));
        for (upstream, model) in [&cheap, &paid].into_iter().zip(models) {
            assert!(chats(upstream).iter().all(|(_, asked)| asked == model));
        }
        keeps_its_secrets(&proxy);
    }
}

/// The cloud answers when nothing listens, and when the local server lacks the model; by its own name the
/// local model is never asked for elsewhere.
#[test]
fn the_cloud_answers_when_the_local_server_cannot() {
    let down = format!("http://{}/v1", free_address("127.0.0.84"));
    for recipe in recipes("local") {
        let (local, cloud) = (provider(|_| None), provider(|_| None));
        let proxy = recipe.start(&[local.base_url(), cloud.base_url()]);
        for body in [chat("chat"), chat_stream("chat")] {
            assert_good(&proxy.chat(body), None);
        }
        let local_key_and_model = (String::new(), "qwen3:8b".to_owned());
        assert_eq!(chats(&local), [local_key_and_model.clone(), local_key_and_model]);
        assert_eq!(chats(&cloud), []);

        let missing =
            r#"{"error":{"message":"model not found","type":"not_found_error","code":null}}"#;
        let lacks = provider(move |_| Some(json_answer("404 Not Found", missing)));
        for (url, trail) in [
            (down.clone(), "ollama=connect, deepseek=200"),
            (lacks.base_url(), "ollama=404, deepseek=200"),
        ] {
            let cloud = provider(|_| None);
            let proxy = recipe.start(&[url, cloud.base_url()]);
            let response = proxy.chat(chat_stream("chat"));
            assert_good(&response, Some(trail));
            let model = response.header("x-ai-proxy-model");
            assert_eq!(model.as_deref(), Some("deepseek/deepseek-chat"));
            let named = proxy.chat(chat("ollama/qwen3:8b"));
            assert!([502, 404].contains(&named.status), "{}", named.text());
            let asked = ("key-of-DEEPSEEK_API_KEY".to_owned(), "deepseek-chat".to_owned());
            assert_eq!(chats(&cloud), [asked]);
            keeps_its_secrets(&proxy);
        }
    }
}

/// The aliases that the page shows are ones that the program takes.
#[test]
fn the_aliases_that_are_shown_are_taken() {
    const PROVIDERS: &str = r#"{"host": "127.0.0.1", "port": 0, "tokens": ["t|sk-one"], "providers": [
        {"provider": "groq", "baseurl": "https://groq.example/v1", "token": "k"},
        {"provider": "deepseek", "baseurl": "https://deepseek.example/v1", "token": "k"},
        {"provider": "anthropic", "baseurl": "https://anthropic.example/v1", "token": "k"}],"#;
    for recipe in recipes("aliases") {
        let rest = recipe.0.trim_start().strip_prefix('{').expect("an object");
        check(&format!("{PROVIDERS}{rest}"), &[]);
    }
}
