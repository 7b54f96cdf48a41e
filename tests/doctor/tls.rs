//! Faults of TLS and of certificates.

use serde_json::Value;

use crate::support::certificates::{Authority, Leaf, GOOD};
use crate::support::*;
use crate::{answer_well, assert_found, assert_free, examine};

fn serve(authority: &Authority, leaf: &Leaf<'_>) -> Upstream {
    authority.serve(leaf, |connection| {
        while let Some(request) = connection.read_request() {
            answer_well(&request, connection);
        }
    })
}

/// Asserts that the provider has a fault, and its neighbour, whose certificate is right, none.
#[track_caller]
fn assert_fault(
    ours: &Authority,
    sick: &Upstream,
    baseurl: &str,
    fault: (&str, &str, &str),
) -> Value {
    let neighbour = serve(ours, &GOOD);
    let mut provider = auto_provider("sick", sick);
    provider["baseurl"] = baseurl.into();
    let directory = TempDir::new();
    let roots = directory.write("ca.pem", ours.pem());
    let roots = [("SSL_CERT_FILE", roots.to_str().expect("UTF-8"))];
    let (run, report) = examine(&[provider, auto_provider("well", &neighbour)], &[], &roots);
    assert_found(baseurl, &run, &report, fault);
    let is_stranger = fault.2.starts_with("certificate_");
    assert!(!is_stranger || sick.requests().is_empty(), "something was said to a stranger");
    assert_free(sick);
    assert_free(&neighbour);
    report
}

#[test]
fn a_certificate_of_an_unknown_authority_is_named_with_its_issuer() {
    let (ours, stranger) = (Authority::new("ours"), Authority::new("Some Company Proxy"));
    let sick = serve(&stranger, &GOOD);
    let fault = ("tls", "fail", "certificate_untrusted");
    let report = assert_fault(&ours, &sick, &sick.base_url(), fault);
    let [sick, well] = [0, 1].map(|number| report["providers"][number]["facts"].clone());
    assert_eq!((&sick["issuer"], &well["issuer"]), (&"Some Company Proxy".into(), &"ours".into()));
    let left = well["days"].as_i64();
    assert!(matches!(left, Some(29 | 30)), "{left:?}");
}

#[test]
fn an_expired_certificate_is_named_with_its_last_day() {
    let ours = Authority::new("ours");
    let sick = serve(&ours, &Leaf { expired: true, ..GOOD });
    let fault = ("tls", "fail", "certificate_expired");
    let report = assert_fault(&ours, &sick, &sick.base_url(), fault);
    assert!(report.to_string().contains("The certificate expired on 2001-09-10."), "{report:#}");
}

#[test]
fn a_certificate_for_another_host_is_named_with_its_hosts() {
    let ours = Authority::new("ours");
    let sick = serve(&ours, &Leaf { dns: &["other.test"], ip: &["127.0.0.2"], expired: false });
    let fault = ("tls", "fail", "certificate_wrong_host");
    let report = assert_fault(&ours, &sick, &sick.base_url(), fault);
    let names = "for other.test, 127.0.0.2 and not for 127.0.0.1";
    assert!(report.to_string().contains(names), "{report:#}");
}

#[test]
fn a_plain_server_on_an_https_url_is_named() {
    let ours = Authority::new("ours");
    let sick = Upstream::serve(|connection| {
        connection
            .send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        connection.wait_for_close();
    });
    let baseurl = sick.base_url().replace("http:", "https:");
    let report = assert_fault(&ours, &sick, &baseurl, ("tls", "fail", "not_tls"));
    assert!(report.to_string().contains(&format!("Change baseurl to {}", sick.base_url())));
}

#[test]
fn a_tls_server_on_a_plain_url_is_named() {
    let ours = Authority::new("ours");
    let sick = serve(&ours, &GOOD);
    let baseurl = sick.base_url().replace("https:", "http:");
    let report = assert_fault(&ours, &sick, &baseurl, ("http", "fail", "speaks_tls"));
    assert!(report.to_string().contains(&format!("Change baseurl to {}", sick.base_url())));
}

#[test]
fn strangers_on_this_machine_are_no_proxy_on_the_way() {
    let (ours, proxy) = (Authority::new("ours"), Authority::new("Some Company Proxy"));
    let upstreams = [serve(&proxy, &GOOD), serve(&proxy, &GOOD)];
    let directory = TempDir::new();
    let roots = directory.write("ca.pem", ours.pem());
    let roots = [("SSL_CERT_FILE", roots.to_str().expect("UTF-8"))];
    let providers = [auto_provider("one", &upstreams[0]), auto_provider("two", &upstreams[1])];
    let (run, report) = examine(&providers, &[], &roots);
    assert_eq!(run.code, Some(1));
    // On this machine itself there is nobody in between.
    assert_eq!(report["machine"].as_array().map(Vec::len), Some(0), "{report:#}");
}

#[test]
fn a_machine_without_ca_certificates_is_named() {
    let ours = Authority::new("ours");
    let sick = serve(&ours, &GOOD);
    let directory = TempDir::new();
    let empty = directory.write("ca.pem", "");
    let roots = [("SSL_CERT_FILE", empty.to_str().expect("UTF-8"))];
    let (run, report) = examine(&[auto_provider("sick", &sick)], &[], &roots);
    assert_eq!(run.code, Some(1));
    assert_eq!(report["machine"][0]["code"], "no_ca_certificates", "{report:#}");
    assert_eq!(report["providers"][0]["culprit"]["is"], "machine", "{report:#}");
}
