//! Providers behind TLS: who is trusted, what is refused and how that is said.

mod endings;
mod names;
mod roots;

use openssl::ssl::SslVersion;
use serde_json::{json, Value};

use crate::support::certificates::{Authority, Leaf, GOOD};
use crate::support::*;

/// Starts a proxy that trusts the authority's certificate through the variable `name`.
pub fn start_trusting(authority: &Authority, config: &Value) -> (TempDir, TestProxy) {
    let directory = TempDir::new();
    let path = directory.write("ca.pem", authority.pem());
    let proxy = TestProxy::with_environment(config, &[("SSL_CERT_FILE", path)]);
    (directory, proxy)
}

fn answering(body: &'static str) -> impl Fn(&mut Connection) {
    move |connection| {
        while connection.read_request().is_some() {
            connection.send(json_answer("200 OK", body));
        }
    }
}

/// The message of the 502 for a provider that shows this leaf of an authority that is trusted or not.
fn refusal(leaf: &Leaf<'_>, trusted: bool) -> String {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("stranger"));
    let upstream = if trusted { &authority } else { &stranger }.serve(leaf, answering("{}"));
    let config = config([provider("secure", &upstream)]);
    let (_directory, proxy) = start_trusting(&authority, &config);
    let message = proxy.chat(chat("secure/m")).error(502);
    assert!(message.contains("secure"), "{message}");
    assert!(!message.contains(KEY), "{message}");
    assert!(upstream.requests().is_empty(), "the key went to a stranger");
    assert_eq!(proxy.get("/").status, 200);
    message
}

#[test]
fn chat_works_over_tls_and_connections_are_reused() {
    let authority = Authority::new("ours");
    let upstream = authority.serve(&GOOD, answering(r#"{"id":"tls"}"#));
    let (_directory, proxy) = start_trusting(&authority, &config_for(&upstream));
    for _ in 0..3 {
        let answer = proxy.chat(chat(MODEL));
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"id":"tls"}"#));
    }
    assert_eq!(upstream.connections(), 1);
    let request = upstream.requests().remove(0);
    assert_eq!(request.head.get("authorization"), Some(format!("Bearer {KEY}")));
    assert_eq!(request.head.get("host"), Some(upstream.addr().to_string()));
}

#[test]
fn streams_work_over_tls_event_by_event() {
    let authority = Authority::new("ours");
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = authority.serve(&GOOD, move |connection| {
        connection.read_request();
        connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
        held.wait();
        connection.send([&event("two"), LAST_CHUNK].concat());
    });
    let (_directory, proxy) = start_trusting(&authority, &config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one\n\n");
    gate.open();
    let answer = client.response();
    assert!(answer.complete);
    assert_eq!(answer.text(), "data: one\n\ndata: two\n\n");
}

#[test]
fn large_bodies_pass_over_each_version_of_tls_in_both_directions() {
    let authority = Authority::new("ours");
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let upstream = authority.serve_at_most(Some(version), &GOOD, |connection| {
            while let Some(request) = connection.read_request() {
                connection.send(answer("200 OK", "", &request.body));
            }
        });
        let (_directory, proxy) = start_trusting(&authority, &config_for(&upstream));
        // The first request of a connection and the next ones; up to and beyond a record's length.
        for count in [1, 16_000 / 10, 16_384 / 10, 200_000, 1, 3_000] {
            let body = format!(r#"{{"model":"p/m","x":"{}"}}"#, "0123456789".repeat(count));
            let answer = proxy.chat(&body);
            assert!(answer.text() == body.replace("p/m", "m"), "{} bytes", answer.body.len());
        }
        assert_eq!(upstream.connections(), 1);
    }
}

#[test]
fn a_host_name_is_checked_and_sent_as_sni() {
    let authority = Authority::new("ours");
    let named = Leaf { dns: &["localhost"], ip: &[], expired: false };
    let upstream = authority.serve(&named, answering("{}"));
    let mut one = provider("p", &upstream);
    one["baseurl"] = json!(format!("https://localhost:{}/v1", upstream.addr().port()));
    let (_directory, proxy) = start_trusting(&authority, &config([one]));
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
}

#[test]
fn ssl_cert_dir_is_honoured() {
    let authority = Authority::new("ours");
    let upstream = authority.serve(&GOOD, answering("{}"));
    let certificates = TempDir::new();
    certificates.write("ours.pem", authority.pem());
    let hash = std::process::Command::new("openssl")
        .args(["x509", "-hash", "-noout", "-in", "ours.pem"])
        .current_dir(certificates.path())
        .output();
    let Ok(hash) = hash else {
        println!("skipped: no openssl command to hash the file name with");
        return;
    };
    let name = format!("{}.0", String::from_utf8_lossy(&hash.stdout).trim());
    certificates.write(&name, authority.pem());
    let proxy = TestProxy::with_environment(
        &config_for(&upstream),
        &[("SSL_CERT_DIR", certificates.path().to_owned())],
    );
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
}

#[test]
fn an_untrusted_issuer_is_502_naming_the_cause() {
    let message = refusal(&GOOD, false).to_lowercase();
    assert!(message.contains("certificate") || message.contains("issuer"), "{message}");
}

#[test]
fn without_our_roots_the_certificate_is_refused() {
    let authority = Authority::new("ours");
    let upstream = authority.serve(&GOOD, answering("{}"));
    let message =
        TestProxy::start(&config_for(&upstream)).chat(chat(MODEL)).error(502).to_lowercase();
    assert!(message.contains("certificate") || message.contains("issuer"), "{message}");
}

#[test]
fn a_wrong_host_is_502_naming_the_cause() {
    let wrong = Leaf { dns: &["other.test"], ip: &["127.0.0.2"], expired: false };
    let message = refusal(&wrong, true).to_lowercase();
    assert!(["host", "mismatch", "address"].iter().any(|word| message.contains(word)), "{message}");
}

#[test]
fn an_expired_certificate_is_502_naming_the_cause() {
    let expired = Leaf { expired: true, ..GOOD };
    let message = refusal(&expired, true).to_lowercase();
    assert!(message.contains("expired"), "{message}");
}

#[test]
fn a_plain_server_on_an_https_url_is_502() {
    let upstream = Upstream::serve(|connection| {
        connection
            .send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        connection.wait_for_close();
    });
    let mut one = provider("secure", &upstream);
    one["baseurl"] = json!(upstream.base_url().replace("http:", "https:"));
    let message = TestProxy::start(&config([one])).chat(chat("secure/m")).error(502);
    assert!(message.contains("secure"), "{message}");
}

#[test]
fn a_tls_server_that_closes_mid_stream_cuts_the_client() {
    let authority = Authority::new("ours");
    let upstream = authority.serve(&GOOD, |connection| {
        connection.read_request();
        connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
        pause(50);
    });
    let (_directory, proxy) = start_trusting(&authority, &config_for(&upstream));
    let answer = proxy.chat(chat_stream(MODEL));
    assert!(!answer.complete);
    assert!(answer.text().starts_with("data: one\n\n"));
}

#[test]
fn models_and_health_work_over_tls() {
    let authority = Authority::new("ours");
    let upstream = authority.serve(&GOOD, answering(r#"{"data":[{"id":"x"}]}"#));
    let (_directory, proxy) = start_trusting(&authority, &config([auto_provider("p", &upstream)]));
    assert_eq!(proxy.get("/v1/models").json()["data"][0]["id"], "p/x");
    assert_eq!(proxy.get("/health").json()["status"], "healthy");
}

#[test]
fn a_client_that_leaves_during_the_handshake_drops_the_connection() {
    // Accepts TCP and never says a word of TLS.
    let silent = Upstream::serve(|connection| {
        connection.wait_for_close();
    });
    let mut one = provider("p", &silent);
    one["baseurl"] = json!(silent.base_url().replace("http:", "https:"));
    let proxy = TestProxy::start(&config([one]));
    let mut client = proxy.connect();
    client.send(chat_request("", chat(MODEL).as_bytes()));
    eventually("the handshake has begun", || silent.connections() == 1);
    assert!(client.is_silent(100));
    drop(client);
    silent.wait_closed_by_proxy(1);
}

#[test]
fn a_reload_without_ca_file_keeps_the_certificates_it_had() {
    let authority = Authority::new("ours");
    // A new connection, and so a new handshake, for each request.
    let upstream = authority.serve(&GOOD, |connection| {
        connection.read_request();
        connection.send(answer("200 OK", "Connection: close\r\n", b"{}"));
    });
    let config = config_for(&upstream);
    let (directory, proxy) = start_trusting(&authority, &config);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    let path = directory.path().join("ca.pem");
    for content in [None, Some("")] {
        match content {
            Some(text) => drop(directory.write("ca.pem", text)),
            None => std::fs::remove_file(&path).expect("it was there"),
        }
        assert_eq!(proxy.reload(&config).status, 200);
        proxy.wait_for_log("CA certificates stay");
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
}

/// OpenSSL 3.0 would keep 16 KiB for the next write from when it reads the session tickets, which
/// come behind the request.
#[test]
fn an_open_tls_stream_keeps_no_buffers() {
    const COUNT: usize = 100;
    let authority = Authority::new("ours");
    let upstream = authority.serve(&GOOD, |connection| {
        connection.read_request();
        connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
        connection.wait_for_close();
    });
    let config = with(config_for(&upstream), json!({"max_connections": 2 * COUNT}));
    let (_directory, proxy) = start_trusting(&authority, &config);
    let open = || {
        let mut client = proxy.connect();
        client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one\n\n");
        client
    };
    let mut clients: Vec<Raw> = (0..10).map(|_| open()).collect();
    let before = proxy.rss();
    clients.extend((0..COUNT).map(|_| open()));
    let each = proxy.rss().saturating_sub(before) / COUNT;
    assert!(each < 26_000, "{each} bytes");
}
