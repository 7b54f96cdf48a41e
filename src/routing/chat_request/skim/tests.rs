use super::super::ChatRequest;
use super::*;

/// Bodies as clients send them: no other reader is needed.
const USUAL: [&str; 9] = [
    r#"{"model":"p/m","messages":[{"role":"user","content":"Hi 你好 \u4f60 \"quoted\"\n"}],"stream":true}"#,
    r#" {"model" : "p/m" , "temperature":0.7,"top_p":-1.5E+3,"n":0,"stop":null,"stream" : false } "#,
    "{\n\t\"model\": \"p/a/b\",\r\n  \"tools\": [{\"a\": {\"b\": [[], {}, [1, {}]]}}]\n}\n",
    r#"{"a":[[[[[{"b":[{"c":{}}]}]]]]],"model":""}"#,
    r#"{"stream":false,"stream":true,"Model":"x","MODEL":1,"model":"提供商/模型"}"#,
    r#"{"input":"x","numbers":[0,-0,1,10,1.0,1e5,1E-5,-1.25e+10,12345678901234567890123]}"#,
    r#"{"model":"p/m","x":"\\ \/ \b \f \n \r \t \ud800"}"#,
    r#"{}"#,
    r#"{"":"","é":"ü"}"#,
];

/// What has to be left to serde_json.
const UNUSUAL: [&str; 26] = [
    "",
    "[]",
    "1",
    "{",
    "{}x",
    "{} {}",
    "\u{feff}{}",
    r#"{"a":1,}"#,
    r#"{"a" 1}"#,
    r#"{a:1}"#,
    r#"{"a":01}"#,
    r#"{"a":1.}"#,
    r#"{"a":.5}"#,
    r#"{"a":1e}"#,
    r#"{"a":-}"#,
    r#"{"a":+1}"#,
    r#"{"a":tru}"#,
    r#"{"a":[1,]}"#,
    r#"{"a":[1}}"#,
    r#"{"a":{]}"#,
    r#"{"a":"\x"}"#,
    r#"{"a":"\u12g4"}"#,
    "{\"a\":\"line\nfeed\"}",
    r#"{"model":1}"#,
    r#"{"model":"a","model":"a"}"#,
    r#"{"mod\u0065l":"p/m"}"#,
];

/// Whether the two agree where this reader says anything.
fn check(body: &str) -> bool {
    let skimmed = skim(body.as_bytes()).is_some();
    let parsed = ChatRequest::parse_text(body);
    let whole = ChatRequest::parse(body.as_bytes());
    match (parsed, whole) {
        (Ok(parsed), Ok(whole)) => assert_eq!(parsed, whole, "{body:?}"),
        (Err(_), Err(_)) => assert!(!skimmed, "{body:?}"),
        (parsed, _) => panic!("{body:?}: serde_json says {}", parsed.is_ok()),
    }
    skimmed
}

#[test]
fn usual_bodies_are_read_at_once_and_say_what_serde_json_says() {
    for body in USUAL {
        assert!(check(body), "{body}");
    }
    for body in UNUSUAL {
        assert!(!check(body), "{body}");
    }
}

#[test]
fn nesting_is_followed_as_deep_as_it_is_allowed() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = |depth: usize| {
            let inner = if open == "[" { "" } else { "1" };
            format!(r#"{{"a":{}{inner}{}}}"#, open.repeat(depth), close.repeat(depth))
        };
        assert!(check(&nested(DEPTH_MAX - 1)));
        assert!(!check(&nested(DEPTH_MAX)));
    }
}

#[test]
fn whatever_is_changed_both_readers_agree() {
    let mut random = fastrand::Rng::with_seed(16);
    let pieces =
        ["\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e", " ", "\u{1}", "é", "model"];
    for round in 0..20_000 {
        let mut body = USUAL[round % USUAL.len()].to_owned();
        for _ in 0..random.usize(1..4) {
            let places: Vec<usize> = body.char_indices().map(|(at, _)| at).collect();
            let Some(&at) = random.choice(&places) else { break };
            match random.u8(0..3) {
                0 => drop(body.remove(at)),
                1 => body.insert_str(at, random.choice(&pieces).unwrap()),
                _ => body.truncate(at),
            }
        }
        check(&body);
    }
}
