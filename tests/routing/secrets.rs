//! K11: keys are numbers everywhere, at every level of the log.

use serde_json::json;

use crate::row::Row;
use crate::support::*;

#[test]
fn no_key_no_part_and_no_hash_of_one_is_told_anywhere() {
    let dead = "429 | body {\"error\":{\"code\":\"insufficient_quota\"}}";
    let row = Row::new("secrets", "anna:4* bert:2!refused cleo:2!tls dora:2*")
        .file(json!({"log_level": "DEBUG", "explain": true, "bare_models": true}))
        .alias(&["anna/m", "bert/m", "cleo/m", "dora/m"])
        .provider("dora", json!({"passthrough": true}))
        .up("anna#1", "401")
        .up("anna#2", "403")
        .up("anna#3", "402")
        .up("anna#4", "429 | retry-after: 60")
        .up("dora#1", dead)
        .up("dora#2/m", "close ; garbage ; 500 ; 404 ; 307 ; 200")
        .up("anna/models", "401")
        .up("dora/models", "200 | body {\"data\":[{\"id\":\"m\"}]}");
    let world = row.world();
    let mut answers = Vec::new();
    for model in ["a", "anna/m", "bert/m", "cleo/m", "dora/m", "m", "none", "dora/m", "dora/m", "a"]
    {
        answers.push(world.proxy.chat_with("x-ai-proxy-explain: 1\r\n", chat(model)));
        answers.push(world.proxy.chat(chat_stream(model)));
    }
    let fields = format!("Authorization: Bearer {TOKEN}\r\n");
    answers.push(world.proxy.request("GET", "/p/dora/files", &fields));
    for path in ["/", "/health", "/v1/models", "/v1/models/a", "/v1/status"] {
        for accept in ["application/json", "text/html"] {
            let fields = format!("Authorization: Bearer {TOKEN}\r\nAccept: {accept}\r\n");
            answers.push(world.proxy.request("GET", path, &fields));
        }
    }
    let mut config = world.config.clone();
    config["providers"][0]["token"].as_array_mut().expect("keys").rotate_left(1);
    answers.push(world.proxy.reload(&config));
    config["providers"][0]["token"][1] = json!(7);
    answers.push(world.proxy.reload(&config));
    world.proxy.signal("HUP");
    for answer in &answers {
        assert_eq!(world.leak(Some(answer)), None);
    }
    assert!(world.calls().len() > 10, "{}", world.course(0));
    assert!(answers.iter().any(|answer| answer.header("x-ai-proxy-attempts").is_some()));
    for arguments in [&["--check"][..], &["--check", "--json"]] {
        let run = run(world.proxy.directory().path(), arguments);
        for part in ["qZ", "s3cr3t", "WxYk"] {
            assert!(!run.output().contains(part), "{part}: {run:?}");
        }
    }
}
