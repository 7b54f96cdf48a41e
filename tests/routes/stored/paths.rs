//! `/v1/responses/{id}` and what is below it.

use super::*;

const PATHS: [(&str, &str); 4] =
    [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")];

#[test]
fn every_path_of_a_stored_response_goes_to_its_provider_as_it_was_sent() {
    let house = House::new();
    for name in ["alpha", "beta"] {
        let id = format!("resp_{name}-0_Z");
        house.stored(name, &id);
        for (method, below) in PATHS {
            for v1 in ["/v1", ""] {
                for query in ["", "?stream=true&starting_after=3", "?include[]=a%2Fb&&limit=2"] {
                    let target = format!("/responses/{id}{below}{query}");
                    let answer = house.ask(method, &format!("{v1}{target}"), "X-Mine: 1\r\n");
                    let what = format!("{method} {v1}{target}");
                    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                    assert_eq!(answer.json()["from"], name, "{what}");
                    let got = house.last(name);
                    assert_eq!(got.head.start, format!("{method} /v1{target} HTTP/1.1"), "{what}");
                    assert!(got.complete && got.body.is_empty(), "{what}");
                    assert_eq!(got.head.get("x-mine").as_deref(), Some("1"), "{what}");
                    let key = got.head.get("authorization");
                    assert_eq!(key, Some(format!("Bearer {KEY}")), "{what}");
                    assert!(!contains(&got.head.raw, TOKEN), "{what}");
                }
            }
        }
        let body = "{ \"a\":\t1.0, \"model\": \"x\" }";
        let answer = house.post(&format!("/v1/responses/{id}/cancel"), "", body);
        assert_eq!(answer.json()["from"], name);
        assert_eq!(show(&house.last(name).body), show(body.as_bytes()));
    }
    let target = "/v1/responses/resp_alpha-0_Z";
    assert_eq!(house.ask("HEAD", target, "").status, 200, "HEAD works wherever GET does");
}

#[test]
fn a_stream_is_taken_up_again_while_its_first_client_still_listens() {
    let gate = Gate::default();
    let held = gate.clone();
    let created =
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\
        \"response\":{\"id\":\"resp_live\",\"object\":\"response\"}}\n\n";
    let completed = "event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n";
    let alpha = Upstream::each(move |request, connection| {
        if request.method == "POST" {
            connection.send([SSE_HEAD.as_bytes(), &chunk(created)].concat());
            held.wait();
        } else {
            connection.send(SSE_HEAD);
        }
        connection.send([&chunk(completed)[..], LAST_CHUNK].concat());
    });
    let beta = storing("beta");
    let proxy = TestProxy::start(&config([provider("alpha", &alpha), provider("beta", &beta)]));
    let body = "{\"model\":\"alpha/m\",\"stream\":true,\"background\":true}";
    let mut client = proxy.connect();
    client.send(format!(
        "POST /v1/responses HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.wait_for(created);
    let fields = format!("Authorization: Bearer {TOKEN}\r\n");
    let target = "/v1/responses/resp_live?stream=true&starting_after=0";
    let again = proxy.request("GET", target, &fields);
    assert_eq!((again.status, again.complete, again.text().as_str()), (200, true, completed));
    gate.open();
    let answer = client.response_to("POST");
    assert_eq!((answer.complete, answer.text()), (true, format!("{created}{completed}")));
    assert_eq!(beta.connections(), 0);
}

#[test]
fn another_clients_id_is_unknown() {
    let house = House::new();
    house.stored("beta", "resp_mine");
    for (method, below) in PATHS {
        let path = format!("/v1/responses/resp_mine{below}");
        let other = format!("Authorization: Bearer {OTHER}\r\n");
        assert_unknown(&house.proxy.request(method, &path, &other), &path);
        assert_eq!(house.ask(method, &path, "").status, 200, "{path}");
        let none = house.proxy.request(method, &path, "");
        assert_eq!(none.error(401), "未提供API token", "{path}");
        let wrong = house.proxy.request(method, &path, "Authorization: Bearer x\r\n");
        assert!(wrong.error(401).contains("API token无效"), "{path}");
    }
    assert_eq!(house.sent(), 1 + PATHS.len());
}

#[test]
fn for_an_unknown_id_query_or_header_decides_and_is_consumed() {
    let house = House::new();
    for (query, fields, expected, rest) in [
        ("?model=beta/m", "", "beta", ""),
        ("?model=alpha%2Fm", "", "alpha", ""),
        ("?a=%2F&model=beta%2fm&&b", "", "beta", "?a=%2F&&b"),
        ("?stream=true&xmodel=1", "X-AI-Proxy-Model: beta/m\r\n", "beta", "?stream=true&xmodel=1"),
        ("", "x-ai-proxy-model: alpha/m\r\n", "alpha", ""),
    ] {
        for (method, below) in PATHS {
            let path = format!("/responses/resp_unknown{below}");
            let answer = house.ask(method, &format!("/v1{path}{query}"), fields);
            let what = format!("{method} {path}{query} {fields}");
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            assert_eq!(answer.json()["from"], expected, "{what}");
            let got = house.last(expected);
            assert_eq!(got.target, format!("/v1{path}{rest}"), "{what}");
            assert_eq!(got.head.get("x-ai-proxy-model"), None, "{what}");
        }
    }
    let before = house.sent();
    for (method, below) in PATHS {
        let path = format!("/v1/responses/resp_unknown{below}");
        assert_unknown(&house.ask(method, &path, ""), &path);
        assert_unknown(&house.ask(method, &format!("{path}?stream=true"), ""), &path);
        let nobody = house.ask(method, &format!("{path}?model=nobody/m"), "").error(404);
        assert!(nobody.contains("未找到模型") && nobody.contains("nobody/m"), "{nobody}");
    }
    assert_eq!(house.sent(), before);
}

#[test]
fn with_one_provider_there_is_nothing_to_decide() {
    let alpha = storing("alpha");
    let proxy = TestProxy::start(&config([provider("alpha", &alpha)]));
    for (method, below) in PATHS {
        let target = format!("/v1/responses/resp_unknown{below}?a=b");
        let answer = proxy.request(method, &target, &format!("x-api-key: {TOKEN}\r\n"));
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(alpha.requests().pop().expect("a request").target, target);
    }
    let none = TestProxy::without_providers();
    let fields = format!("x-api-key: {TOKEN}\r\n");
    none.request("GET", "/v1/responses/resp_unknown", &fields).error(404);
}

#[test]
fn an_id_that_is_none_is_400() {
    let house = House::new();
    let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
    for id in [
        "..", ".", "%2e%2e", "%2e", "resp.1", "resp%201", "resp%2F1", "resp:1", "r%C3%A9", "a+b",
        "resp~1", "%72esp", "resp\\1", &too_long,
    ] {
        for (method, below) in PATHS {
            for query in ["", "?model=alpha/m"] {
                let target = format!("/v1/responses/{id}{below}{query}");
                let answer = house.ask(method, &target, "");
                assert_eq!(answer.status, 400, "{method} {target}: {}", answer.text());
                answer.error(400);
            }
        }
    }
    assert_eq!(house.sent(), 0);
    house.stored("beta", &longest);
    assert!(house.knows(&longest));
    for id in ["a", "-", "_", "0", &longest[1..]] {
        assert_unknown(&house.ask("GET", &format!("/v1/responses/{id}"), ""), id);
    }
}

#[test]
fn other_methods_are_405_and_other_paths_404() {
    let house = House::new();
    for (method, path, allowed) in [
        ("PUT", "/v1/responses/resp_1", "DELETE, GET"),
        ("POST", "/v1/responses/resp_1", "DELETE, GET"),
        ("PATCH", "/responses/resp_1", "DELETE, GET"),
        ("GET", "/v1/responses/resp_1/cancel", "POST"),
        ("DELETE", "/responses/resp_1/cancel", "POST"),
        ("POST", "/v1/responses/resp_1/input_items", "GET"),
        ("DELETE", "/responses/resp_1/input_items", "GET"),
        ("GET", "/v1/responses", "POST"),
    ] {
        let answer = house.ask(method, path, "Content-Length: 0\r\n");
        answer.error(405);
        let allow = answer.header("allow").expect("Allow");
        let mut allow: Vec<_> = allow.split(',').map(str::trim).collect();
        allow.retain(|method| !matches!(*method, "HEAD" | "OPTIONS"));
        allow.sort_unstable();
        assert_eq!(allow.join(", "), allowed, "{method} {path}");
    }
    for path in
        ["/v1/responses/", "/v1/responses/a/b", "/v1/responses/a/cancel/b", "/v1/response/a"]
    {
        house.ask("GET", path, "").error(404);
    }
    let listed = house.proxy.get("/").json()["endpoints"].to_string();
    for path in
        ["/v1/responses/{id}", "/v1/responses/{id}/cancel", "/v1/responses/{id}/input_items"]
    {
        assert!(listed.contains(path), "{path} in {listed}");
    }
    assert_eq!(house.sent(), 0);
}
