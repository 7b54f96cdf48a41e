//! What the program says when it starts, and the parts of its start that need no provider.

use std::net::TcpListener;

use serde_json::json;

use crate::support::*;

#[test]
fn the_banner_names_address_and_providers() {
    let url = "http://127.0.0.1:1/v1";
    let one = json!({"provider": "first-one", "baseurl": url, "model_list": ["m"]});
    let two = json!({"provider": "second-one", "baseurl": url, "model_list": ["m"]});
    let proxy = TestProxy::start(&config([one, two]));
    let address = format!("listening on http://{}", proxy.addr());
    eventually("the banner is complete", || {
        let banner = proxy.stdout();
        [&address, "first-one", "second-one"].iter().all(|part| banner.contains(*part))
    });
}

#[test]
fn listening_beyond_loopback_is_warned_about() {
    let proxy = TestProxy::start(&with(config([]), json!({"host": "0.0.0.0"})));
    eventually("a warning", || proxy.output().contains("loopback"));
    let local = TestProxy::start(&config([]));
    eventually("the providers' warning", || local.output().contains("no providers"));
    assert!(!local.output().contains("loopback"), "{}", local.output());
}

#[test]
fn all_of_ipv6_takes_ipv4_too_under_its_plain_address() {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    for host in ["::", "[::]", "0:0:0:0:0:0:0:0"] {
        let proxy =
            TestProxy::start(&with(config([]), json!({"host": host, "log_level": "DEBUG"})));
        let port = proxy.addr().port();
        for address in ["127.0.0.1", "::1"] {
            let address = std::net::SocketAddr::new(address.parse().expect("it is one"), port);
            let mut client = Raw::connect(address);
            assert_eq!(client.send(GET).response().status, 200);
            // Both are this machine: no token is needed.
            let reload = "POST /v1/reload HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
            assert_eq!(client.send(reload).response().status, 200, "{address}");
            assert_eq!(client.send(chat_request("", b"{}")).response().status, 400);
        }
        let log = proxy.wait_for_log("客户端: tester@127.0.0.1:");
        assert!(log.contains("客户端: 127.0.0.1:"), "{log}");
        assert!(!log.contains("::ffff"), "{log}");
    }
}

#[test]
fn a_key_sent_over_plain_http_is_warned_about() {
    let provider = |name: &str, url: &str, key: &str| json!({"provider": name, "baseurl": url, "token": key, "model_list": ["m"]});
    let proxy = TestProxy::start(&config([
        provider("exposed", "http://name.invalid/v1", KEY),
        provider("secure", "https://name.invalid/v1", KEY),
        provider("keyless", "http://name.invalid/v1", ""),
        provider("local", "http://127.0.0.1:1/v1", KEY),
    ]));
    let warned = |name: &str| {
        proxy
            .stderr()
            .lines()
            .any(|line| line.starts_with("warning") && line.contains(&format!(" {name} ")))
    };
    eventually("a warning", || warned("exposed"));
    pause(100);
    for name in ["secure", "keyless", "local"] {
        assert!(!warned(name), "{name}: {}", proxy.output());
    }
}

#[test]
fn values_may_come_from_the_environment() {
    let upstream = Upstream::json("200 OK", "{}");
    let mut one = provider("p", &upstream);
    one["token"] = json!("${TEST_UPSTREAM_KEY}");
    one["baseurl"] = json!("${TEST_BASE:-nowhere}/v1");
    let changes = json!({"tokens": ["tester|${TEST_TOKEN:-unused}"]});
    let base = format!("http://{}", upstream.addr());
    let environment =
        [("TEST_UPSTREAM_KEY", KEY), ("TEST_BASE", base.as_str()), ("TEST_TOKEN", TOKEN)];
    let proxy = TestProxy::with_environment(&with(config([one]), changes), &environment);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    assert_eq!(upstream.request().head.get("authorization"), Some(format!("Bearer {KEY}")));
    assert!(!proxy.everything().contains(KEY) && !proxy.everything().contains(TOKEN));
}

#[test]
fn a_variable_that_is_not_set_is_refused_by_name() {
    let one =
        json!({"provider": "p", "baseurl": "http://x/v1", "token": "${TEST_NOT_SET_ANYWHERE}"});
    let run = run_with_config(&config([one]).to_string(), &[]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("TEST_NOT_SET_ANYWHERE"), "{run:?}");
    assert!(run.stderr.contains("providers[0].token"), "{run:?}");
}

#[test]
fn reuse_port_lets_two_processes_share_a_port() {
    // Held with the same option, so that nobody else takes the port meanwhile.
    let holder = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let holder = holder.expect("a socket");
    holder.set_reuse_port(true).expect("SO_REUSEPORT");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    holder.bind(&any.into()).expect("a free port");
    let port = holder.local_addr().ok().and_then(|addr| addr.as_socket()).expect("a port").port();
    let shared = with(config([]), json!({"port": port, "reuse_port": true}));
    let (first, second) = (TestProxy::start(&shared), TestProxy::start(&shared));
    assert_eq!((first.addr().port(), second.addr().port()), (port, port));
    for _ in 0..10 {
        assert_eq!(first.get("/").status, 200);
    }
}

#[test]
fn a_port_is_not_shared_by_default() {
    let proxy = TestProxy::start(&config([]));
    let taken = with(config([]), json!({"port": proxy.addr().port()}));
    let run = run_with_config(&taken.to_string(), &[]);
    assert!(run.code.is_some_and(|code| code != 0), "{run:?}");
}

#[test]
fn the_same_port_is_free_again_after_a_restart() {
    let mut proxy = TestProxy::start(&config([]));
    let port = proxy.addr().port();
    // A connection that the proxy closes first leaves its port in TIME_WAIT.
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").response();
    client.assert_closed();
    proxy.terminate();
    if TcpListener::bind(("127.0.0.1", port)).is_ok() {
        let again = TestProxy::start(&with(config([]), json!({ "port": port })));
        assert_eq!(again.addr().port(), port);
    }
}

#[test]
fn the_example_configuration_loads() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config.json.example");
    let directory = TempDir::new();
    let run = run(directory.path(), &["--check", "--config", path]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn the_published_token_and_a_base_url_that_goes_too_far_are_warned_about() {
    let mut too_far =
        json!({"provider": "far", "baseurl": "http://127.0.0.1:1/v1/chat/completions"});
    too_far["model_list"] = json!(["m"]);
    let changes = json!({"host": "0.0.0.0", "tokens": ["me|sk-test-123456"]});
    let proxy = TestProxy::start(&with(config([too_far]), changes));
    eventually("both", || {
        let said = proxy.stderr();
        said.contains("sk-test-123456") && said.contains("baseurl of far")
    });
}

#[test]
fn what_cannot_be_printed_is_a_failure() {
    for option in ["--schema", "--help", "--version"] {
        let line = format!("'{}' {option} > /dev/full", env!("CARGO_BIN_EXE_ai_proxy"));
        let done = std::process::Command::new("sh").arg("-c").arg(line).output().expect("a shell");
        assert_eq!(done.status.code(), Some(1), "{option}");
        assert!(String::from_utf8_lossy(&done.stderr).contains("stdout"), "{option}");
    }
}
