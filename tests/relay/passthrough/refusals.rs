//! What pass-through refuses, and that nothing of it reaches a provider.

use super::*;

#[test]
fn without_the_key_in_the_file_there_is_no_such_path() {
    let upstream = Upstream::json("200 OK", "{}");
    let closed = with(provider("p", &upstream), json!({"passthrough": false}));
    for provider in [provider("p", &upstream), closed] {
        let proxy = TestProxy::start(&config([provider]));
        for method in ["GET", "POST", "HEAD", "DELETE", "TRACE"] {
            for fields in [String::new(), authorised("")] {
                let unknown = proxy.request(method, "/nope", &fields);
                for path in ["/p/p/files", "/p/p/../x", "/p/nobody/x", "/p/p", "/p"] {
                    let got = proxy.request(method, path, &fields);
                    let what = format!("{method} {path} {fields}");
                    assert_eq!(got.status, 404, "{what}");
                    assert_eq!(got.text(), unknown.text().replace("/nope", path), "{what}");
                    let names = |answer: &Response| -> Vec<String> {
                        answer.head.headers.iter().map(|(name, _)| name.clone()).collect()
                    };
                    assert_eq!(names(&got), names(&unknown), "{what}");
                }
            }
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_provider_that_is_unknown_or_not_open_is_404() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config([open("p", &upstream), provider("closed", &upstream)]));
    for path in ["/p/nobody/files", "/p/P/files", "/p/closed/files", "/p/p%2Ffiles/x", "/p/p%20/x"]
    {
        proxy.request("GET", path, &authorised("")).error(404);
        proxy.request("POST", path, &authorised("Content-Length: 0\r\n")).error(404);
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn nobody_passes_through_without_a_token() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = start(&upstream);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let none = proxy.request(method, "/p/p/files", "Content-Length: 0\r\n");
        assert_eq!(none.error(401), "未提供API token", "{method}");
        let target = format!("/p/p/files?key={TOKEN}");
        assert_eq!(proxy.request(method, &target, "").status, 401, "{method}");
        let wrong = proxy.request(method, "/p/p/files", "Authorization: Bearer nope\r\n");
        assert!(wrong.error(401).contains("API token无效"), "{method}");
    }
    let expect = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    assert_eq!(proxy.request("POST", "/p/p/files", expect).status, 401, "and no 100 before");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn no_path_leaves_the_base_of_its_provider() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = start(&upstream);
    for rest in [
        "..",
        "../x",
        "a/../b",
        "a/..",
        "a/..?x=1",
        "/x",
        "a//b",
        "a//",
        "%2e%2e",
        "%2E%2E/x",
        ".%2e/x",
        "%2e./x",
        "a/%2e%2E/b",
        "a%2f..",
        "a%2F..%2Fb",
        "%2f..",
        "a%2F%2Fb",
        "a/%2Fb",
        "a%2f/b",
        "%2Fb",
        "%2F%2Fhost/x",
        "..\\x",
        "a\\..\\b",
        "a%5C..%5cb",
        "a%5c%2e%2e",
        "a/..%5Cb",
        "a/..\\",
        "%5C%5Cx",
    ] {
        for (method, fields) in [("GET", ""), ("POST", "Content-Length: 0\r\n"), ("DELETE", "")] {
            let answer = proxy.request(method, &format!("/p/p/{rest}"), &authorised(fields));
            assert!(!answer.error(400).is_empty(), "{method} {rest}");
        }
    }
    for path in ["/p/../p/x", "/p//x", "/p/..", "//p/p/x", "/p/%2e%2e/x", "/P/p/x", "/v1/p/p/x"] {
        let status = proxy.request("GET", path, &authorised("")).status;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn trace_and_connect_are_405() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = start(&upstream);
    for method in ["TRACE", "CONNECT"] {
        proxy.request(method, "/p/p/files", &authorised("")).error(405);
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_key_that_is_no_base_is_refused_at_the_start() {
    for value in [json!(1), json!([]), json!("yes"), json!("ftp://x/y"), json!("http://x/#f")] {
        let one =
            json!({"provider": "p", "baseurl": "http://127.0.0.1:1/v1", "passthrough": value});
        let run = run_with_config(&config([one]).to_string(), &["--check"]);
        assert_eq!(run.code, Some(2), "{value}: {run:?}");
        assert!(run.stderr.contains("providers[0].passthrough"), "{value}: {run:?}");
    }
}
