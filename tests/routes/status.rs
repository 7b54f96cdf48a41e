//! `GET /v1/status`: rates of chats, every provider and why it is down, the last problems.

mod access;

use serde_json::{json, Value};

use crate::support::*;

/// As this machine's own user gets it.
fn status(proxy: &TestProxy) -> Value {
    let answer = proxy.raw(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Waits until what stands under this path is as expected: a chat counts once its answer is out, which
/// its client may see first.
#[track_caller]
fn wait_for(proxy: &TestProxy, path: &str, expected: &Value) -> Value {
    let mut last = Value::Null;
    let start = std::time::Instant::now();
    while last.pointer(path) != Some(expected) {
        assert!(start.elapsed() < PATIENCE, "{path} is not {expected} in {last}");
        last = status(proxy);
    }
    last
}

/// The sum of a provider's strip: requests, and failures.
fn sum(provider: &Value) -> [u64; 2] {
    let cells = provider["hour"].as_array().expect("a strip");
    assert_eq!(cells.len(), 60);
    cells.iter().fold([0; 2], |[all, failed], cell| {
        [all + cell[0].as_u64().expect("a count"), failed + cell[1].as_u64().expect("a count")]
    })
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// Nobody listens there.
fn gone(name: &str) -> Value {
    let baseurl = format!("http://{}/v1", free_address("127.0.0.1"));
    json!({"provider": name, "baseurl": baseurl, "token": KEY, "model_list": ["m"]})
}

#[test]
fn the_shape_stays() {
    let proxy = TestProxy::start(&config([gone("p")]));
    let first = status(&proxy);
    let expected = [
        "checking",
        "demo",
        "problems",
        "providers",
        "rates",
        "started",
        "time",
        "tokens",
        "uptime",
        "version",
    ];
    assert_eq!(keys(&first), expected);
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&first["demo"], &first["tokens"]), (&json!(false), &json!(1)));
    let expected = json!({
        "chats_last_minute": 0, "chats_last_hour": 0, "errors_last_hour": 0, "error_share": null,
        "first_byte_p50_ms": null, "first_byte_p95_ms": null, "in_flight": 0, "streams_open": 0,
    });
    assert_eq!(first["rates"], expected);
    let hour = vec![[0, 0]; 60];
    let expected = json!([{
        "name": "p", "state": "unknown", "since": null, "code": null, "status": null, "reason": null,
        "check": null, "first_byte_p50_ms": null, "in_flight": 0, "keys_resting": 0, "hour": hour,
    }]);
    assert_eq!(first["providers"], expected);
    assert_eq!(first["problems"], json!([]));
    assert_eq!(proxy.chat(chat(MODEL)).status, 502);
    let then = wait_for(&proxy, "/rates/errors_last_hour", &json!(1));
    let expected = ["client", "culprit", "id", "model", "provider", "status", "time", "words"];
    assert_eq!(keys(&then["problems"][0]), expected);
    proxy.get("/health");
    let row = status(&proxy)["providers"][0].clone();
    assert_eq!(keys(&row["check"]), ["age", "code", "ok", "reason", "status", "time"]);
    assert_eq!((&row["check"]["ok"], &row["check"]["code"]), (&json!(false), &json!("connect")));
    let (now, started) = (then["time"].as_u64(), then["started"].as_u64());
    for time in [&row["check"]["time"], &row["since"], &then["problems"][0]["time"]] {
        assert!(time.as_u64() >= started && time.as_u64() <= now.map(|now| now + 60), "{time}");
    }
}

#[test]
fn chats_are_counted_and_nothing_else_is() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config([auto_provider("p", &upstream)]));
    // The page's own requests, a check, a list, a reload, and what is no request.
    let page = "Accept: text/html\r\n";
    for (path, headers) in [
        ("/", page),
        ("/", ""),
        ("/health", ""),
        ("/v1/models", ""),
        ("/v1/models/p/m", ""),
        ("/x", ""),
    ] {
        proxy.request("GET", path, headers);
    }
    proxy.request("POST", "/v1/reload", "");
    proxy.raw(b"GARBAGE\r\n\r\n");
    let before = status(&proxy);
    assert_eq!(before["rates"]["chats_last_hour"], 0, "{before}");
    assert_eq!(sum(&before["providers"][0]), [0, 0]);
    for _ in 0..3 {
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
    let after = wait_for(&proxy, "/rates/chats_last_minute", &json!(3));
    assert_eq!(
        (&after["rates"]["chats_last_hour"], &after["rates"]["error_share"]),
        (&json!(3), &json!(0.0))
    );
    assert_eq!(sum(&after["providers"][0]), [3, 0]);
    for path in
        ["/rates/first_byte_p50_ms", "/rates/first_byte_p95_ms", "/providers/0/first_byte_p50_ms"]
    {
        assert!(after.pointer(path).is_some_and(Value::is_u64), "{path} in {after}");
    }
    assert_eq!(after["problems"], json!([]));
}

#[test]
fn what_is_under_way_is_shown() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
        held.wait();
        connection.send(LAST_CHUNK);
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut clients: Vec<_> = (0..2).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one");
    }
    let open = status(&proxy);
    assert_eq!(
        (&open["rates"]["streams_open"], &open["rates"]["in_flight"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(open["providers"][0]["in_flight"], 2);
    gate.open();
    assert!(clients[0].response().complete);
    clients.remove(1).reset();
    let closed = wait_for(&proxy, "/providers/0/in_flight", &json!(0));
    assert_eq!(closed["rates"]["streams_open"], 0);
    assert_eq!(closed["rates"]["in_flight"], 0);
}

#[test]
fn a_problem_names_client_model_status_culprit_and_words() {
    let refusing = Upstream::json("400 Bad Request", "{}");
    let limited = Upstream::json("429 Too Many Requests", "{}");
    let providers = [provider("a", &refusing), provider("b", &limited), gone("c")];
    let proxy = TestProxy::start(&with(config(providers), json!({"max_request_size": 500})));
    let long = json!({"model": "a/m", "x": "x".repeat(1000)}).to_string();
    for (body, token, expected) in [
        (chat("a/m"), TOKEN, json!(["tester", "a/m", "a", 400, "client", "status 400"])),
        (chat("b/m"), TOKEN, json!(["tester", "b/m", "b", 429, "provider", "status 429"])),
        (chat("c/m"), TOKEN, json!(["tester", "c/m", "c", 502, "provider", "c"])),
        (chat("d/m"), TOKEN, json!(["tester", "d/m", null, 404, "client", "d/m"])),
        (chat("a/m"), "sk-wrong", json!(["", "", null, 401, "client", "API token"])),
        (long, TOKEN, json!(["tester", "", null, 413, "client", "500"])),
    ] {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = proxy.raw(&[head.as_bytes(), body.as_bytes()].concat());
        let path = "/problems/0/status";
        let problem = wait_for(&proxy, path, &json!(answer.status))["problems"][0].clone();
        let seen = ["client", "model", "provider", "status", "culprit"].map(|key| &problem[key]);
        let expected = expected.as_array().expect("a list");
        assert_eq!(seen[..], expected.iter().take(5).collect::<Vec<_>>()[..], "{problem}");
        let words = expected[5].as_str().expect("text");
        for language in ["zh", "en"] {
            let text = problem["words"][language].as_str().expect("text");
            let is_there = text.contains(words)
                || language == "zh" && text.contains(&words.replace("status", "状态"));
            assert!(is_there, "{words} in {problem}");
        }
        assert_eq!(problem["id"], json!(answer.header("x-request-id")), "{problem}");
    }
}

#[test]
fn a_client_with_a_wrong_base_url_is_a_problem_and_no_chat() {
    let proxy = TestProxy::start(&config([]));
    proxy.request("POST", "/v1/v1/chat/completions", "");
    let seen = wait_for(&proxy, "/problems/0/status", &json!(404));
    assert!(seen["problems"][0]["words"]["en"].to_string().contains("/v1/v1/"), "{seen}");
    assert_eq!(seen["rates"]["chats_last_hour"], 0);
    // Whoever knocks at random is no client.
    proxy.request("GET", "/wp-login.php", "");
    assert_eq!(status(&proxy)["problems"].as_array().map(Vec::len), Some(1));
}

#[test]
fn clients_that_leave_are_no_problem() {
    let silent = Upstream::serve(|connection| {
        connection.read_request();
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config_for(&silent));
    let mut client = proxy.connect();
    client.send(chat_request("", chat(MODEL).as_bytes()));
    silent.wait_requests(1);
    drop(client);
    let seen = wait_for(&proxy, "/rates/chats_last_hour", &json!(1));
    assert_eq!((&seen["rates"]["errors_last_hour"], &seen["problems"]), (&json!(0), &json!([])));
    assert_eq!(seen["providers"][0]["state"], "unknown", "{seen}");
}

#[test]
fn the_last_twenty_problems_are_kept() {
    let proxy = TestProxy::start(&config([]));
    for number in 0..25 {
        assert_eq!(proxy.chat(chat(&format!("p/{number}"))).status, 404);
    }
    let seen = wait_for(&proxy, "/rates/errors_last_hour", &json!(25));
    let models: Vec<_> =
        seen["problems"].as_array().expect("a list").iter().map(|p| &p["model"]).collect();
    let expected: Vec<_> = (5..25).rev().map(|number| json!(format!("p/{number}"))).collect();
    assert_eq!(models, expected.iter().collect::<Vec<_>>());
    assert_eq!(seen["rates"]["error_share"], 1.0);
}

#[test]
fn failures_of_a_provider_stand_in_its_strip_and_others_do_not() {
    let failing = Upstream::json("500 Oops", "{}");
    let proxy = TestProxy::start(&config([provider("p", &failing), gone("q")]));
    for _ in 0..2 {
        assert_eq!(proxy.chat(chat(MODEL)).status, 500);
        assert_eq!(proxy.chat(chat("p/unknown")).status, 404);
    }
    let seen = wait_for(&proxy, "/rates/errors_last_hour", &json!(4));
    assert_eq!((sum(&seen["providers"][0]), sum(&seen["providers"][1])), ([2, 2], [0, 0]));
    assert_eq!(
        seen["providers"][0]["hour"].as_array().and_then(|h| h.last()),
        Some(&json!([2, 2]))
    );
}
