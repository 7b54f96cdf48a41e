//! Faults of the way: names, ports, servers that say nothing.

use serde_json::{json, Value};

use crate::support::*;
use crate::{assert_found, assert_free, examine, well};

fn at(baseurl: &str) -> Value {
    json!({"provider": "sick", "baseurl": baseurl, "token": KEY})
}

/// Asserts that the provider at `baseurl` has a fault, and its neighbour none.
#[track_caller]
fn assert_fault(baseurl: &str, fault: (&str, &str, &str)) {
    let neighbour = well();
    let providers = [at(baseurl), auto_provider("well", &neighbour)];
    let (run, report) = examine(&providers, &[], &[]);
    assert_found(baseurl, &run, &report, fault);
    assert_free(&neighbour);
}

#[test]
fn a_name_without_address_is_named() {
    assert_fault("http://no-such-host.invalid/v1", ("dns", "fail", "dns_failed"));
}

#[test]
fn a_refused_connection_is_named() {
    let address = free_address("127.0.0.3");
    assert_fault(&format!("http://{address}/v1"), ("tcp", "fail", "connection_refused"));
}

#[test]
fn a_server_that_says_nothing_is_named() {
    let silent = Upstream::serve(|connection| {
        connection.wait_for_close();
    });
    assert_fault(&silent.base_url(), ("http", "fail", "timeout"));
}

#[test]
fn a_server_that_is_silent_under_tls_is_named() {
    let silent = Upstream::serve(|connection| {
        connection.wait_for_close();
    });
    let baseurl = silent.base_url().replace("http:", "https:");
    assert_fault(&baseurl, ("tls", "fail", "timeout"));
}

#[test]
fn a_server_that_closes_is_named() {
    let closing = Upstream::steps(vec![Step::ReadRequest]);
    assert_fault(&closing.base_url(), ("http", "fail", "closed"));
}

#[test]
fn a_server_of_http_2_alone_is_named() {
    // SETTINGS as the first thing, and GOAWAY because of the request.
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100];
    let go_away = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let server = Upstream::serve(move |connection| {
        connection.send(settings);
        connection.read_head();
        connection.send(go_away);
    });
    assert_fault(&server.base_url(), ("http", "fail", "http2_only"));
    let refusing = Upstream::script("HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n");
    assert_fault(&refusing.base_url(), ("http", "fail", "http2_only"));
}

#[test]
fn what_is_not_http_is_named() {
    let server = Upstream::script("SSH-2.0-OpenSSH_9.2\r\n");
    assert_fault(&server.base_url(), ("http", "fail", "bad_answer"));
}

#[test]
fn names_that_all_fail_are_the_machines_fault_and_told_once() {
    let providers = ["one", "two"].map(|name| {
        let baseurl = format!("https://{name}.invalid/v1");
        json!({"provider": name, "baseurl": baseurl, "token": KEY})
    });
    let local = well();
    let all = [&providers[..], &[auto_provider("local", &local)]].concat();
    let (run, report) = examine(&all, &[], &[]);
    assert_eq!(run.code, Some(1));
    let machine = report["machine"].as_array().expect("a list");
    assert_eq!(machine.len(), 1, "{report:#}");
    assert_eq!(machine[0]["code"], "dns_failed");
    assert_eq!(machine[0]["providers"], json!(["one", "two"]));
    for provider in &report["providers"].as_array().expect("three")[..2] {
        assert_eq!(provider["culprit"]["is"], "machine", "{report:#}");
    }
    assert_eq!(report["providers"][2]["ok"], true, "{report:#}");
    let text = crate::run_doctor(&all, &[], &[("LC_ALL", "C")]).stdout;
    assert_eq!(text.matches("resolves no name").count(), 1, "{text}");
    assert_eq!(text.matches("See above").count(), 2, "{text}");
}

#[test]
fn all_providers_are_examined_at_the_same_time() {
    // Each waits for the other four.
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(5));
    let upstreams: Vec<_> = (0..5)
        .map(|_| {
            let barrier = barrier.clone();
            Upstream::each(move |request, connection| {
                barrier.wait();
                crate::answer_well(request, connection);
            })
        })
        .collect();
    let providers: Vec<_> = upstreams
        .iter()
        .enumerate()
        .map(|(number, upstream)| auto_provider(&format!("p{number}"), upstream))
        .collect();
    let (run, report) = examine(&providers, &[], &[]);
    assert_eq!((run.code, &report["ok"]), (Some(0), &json!(true)), "{report:#}");
}
