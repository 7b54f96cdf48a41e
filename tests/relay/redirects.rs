//! A provider that says where else to ask is configured wrongly; an SDK that follows it leaves us.

use crate::support::*;

fn redirecting(status: &str, location: Option<&str>) -> (Upstream, TestProxy) {
    let line = location.map(|target| format!("Location: {target}\r\n")).unwrap_or_default();
    let upstream = Upstream::keep_alive(answer(status, &line, b"moved"));
    let proxy =
        TestProxy::start(&config([provider("p", &upstream), auto_provider("auto", &upstream)]));
    (upstream, proxy)
}

#[test]
fn a_redirect_is_502_that_says_where_to_and_what_to_change() {
    for status in
        ["300 Many", "301 Moved", "302 Found", "303 See", "305 Proxy", "307 Keep", "308 Keep"]
    {
        for (location, said) in [
            (Some("https://other.example/v1/chat/completions"), "https://other.example/v1/chat"),
            (Some("/v2/chat/completions"), "/v2/chat/completions"),
            (Some("//user:s3cret@h.example/v1?key=s3cret#s3cret"), "//h.example/v1"),
            (None, "?"),
        ] {
            let (upstream, proxy) = redirecting(status, location);
            for body in [chat(MODEL), chat_stream(MODEL)] {
                let got = proxy.chat(body);
                let message = got.error(502);
                for part in ["重定向", said, "baseurl", &status[..3]] {
                    assert!(message.contains(part), "{part}: {message}");
                }
                assert_eq!(got.header("location"), None);
                assert!(!message.contains("s3cret"), "{message}");
            }
            assert_eq!(upstream.requests().iter().filter(|one| one.method == "POST").count(), 2);
            assert!(!proxy.everything().contains("s3cret"));
        }
    }
}

#[test]
fn a_provider_that_redirects_its_list_is_down_and_the_log_says_why() {
    let (_upstream, proxy) = redirecting("301 Moved", Some("https://other.example/v1/models"));
    let report = proxy.get("/health").json();
    assert_eq!(report["status"], "unhealthy", "{report}");
    let log = proxy.wait_for_log("健康检查: p ");
    let line = log.lines().find(|line| line.contains("健康检查: p ")).expect("a line");
    assert!(line.contains("重定向") && line.contains("https://other.example/v1/models"), "{line}");
}
