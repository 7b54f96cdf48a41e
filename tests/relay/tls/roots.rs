//! The system's own roots: its hashed directory where that has all of them, else its bundle. Each proxy has a
//! view of the files of its own.

use std::fs::remove_file;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::answering;
use crate::support::certificates::{Authority, GOOD};
use crate::support::*;

const BUNDLE: &str = "ca-certificates.crt";

/// Whether this machine lets a test have a view of its own.
fn able() -> bool {
    let bind = ["--mount", "mount", "--bind", "/etc/ssl/certs", "/etc/ssl/certs"];
    let able = Command::new("unshare").args(bind).status().is_ok_and(|status| status.success());
    if !able {
        eprintln!(
            "SKIPPED: no private mounts here (unshare --mount needs root), or no /etc/ssl/certs"
        );
    }
    able
}

/// What stands in for /etc/ssl/certs: these in the bundle, those behind links.
fn system(bundle: &[&Authority], linked: &[&Authority]) -> TempDir {
    let directory = TempDir::new();
    let bundle: Vec<Vec<u8>> = bundle.iter().map(|authority| authority.pem()).collect();
    directory.write(BUNDLE, bundle.concat());
    for authority in linked {
        directory.write(&authority.link_name(), authority.pem());
    }
    directory
}

fn start(config: &Value, certs: &TempDir) -> TestProxy {
    start_with(config, certs, &[])
}

fn start_with(config: &Value, certs: &TempDir, named: &[(&str, String)]) -> TestProxy {
    let mut view = String::from("unset SSL_CERT_FILE SSL_CERT_DIR; ");
    for (name, value) in named {
        view += &format!("export {name}='{value}'; ");
    }
    view += "exec unshare --mount sh -c \
             'mount --bind \"$CERTS\" /etc/ssl/certs && exec \"$0\" \"$@\"' \"$0\" \"$@\"";
    TestProxy::launch(Launch {
        config: Some(config.to_string()),
        environment: vec![("CERTS".to_owned(), certs.path().to_string_lossy().into_owned())],
        shell: Some(view),
        ..Launch::default()
    })
}

#[test]
fn roots_of_a_hashed_directory_are_read_when_a_chain_needs_them() {
    if !able() {
        return;
    }
    let authorities: Vec<Authority> = (0..150).map(|i| Authority::new(&format!("{i}"))).collect();
    let all: Vec<&Authority> = authorities.iter().collect();
    let later = Authority::new("later");
    let upstreams = [all[7], &later].map(|authority| authority.serve(&GOOD, answering("{}")));
    let config = config([provider("p", &upstreams[0]), provider("later", &upstreams[1])]);
    let (hashed, plain) = (system(&all, &all), system(&all, &[]));
    let [hungry, proxy] = [&plain, &hashed].map(|certs| start(&config, certs));
    for proxy in [&hungry, &proxy] {
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
    let saved = hungry.rss().saturating_sub(proxy.rss());
    assert!(saved > 700_000, "{} and {} bytes", hungry.rss(), proxy.rss());
    // One that is not there, and then is: no reload needed.
    let refused = proxy.chat(chat("later/m")).error(502);
    assert!(refused.contains("unable to get local issuer certificate"), "{refused}");
    hashed.write(&later.link_name(), later.pem());
    assert_eq!(proxy.chat(chat("later/m")).status, 200);
}

#[test]
fn a_root_that_is_in_the_bundle_only_is_trusted() {
    if !able() {
        return;
    }
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let upstream = ours.serve(&GOOD, answering("{}"));
    let certs = system(&[&other, &ours], &[&other]);
    let proxy = start(&config_for(&upstream), &certs);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
}

#[test]
fn a_directory_that_loses_its_links_has_a_reload_read_the_bundle() {
    if !able() {
        return;
    }
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let upstreams = [&first, &second].map(|authority| {
        authority.serve(&GOOD, |connection| {
            connection.read_request();
            connection.send(answer("200 OK", "Connection: close\r\n", b"{}"));
        })
    });
    let certs = system(&[&first, &second], &[&first, &second]);
    let config = config([provider("p", &upstreams[0]), provider("second", &upstreams[1])]);
    let proxy = start(&config, &certs);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    for authority in [&first, &second] {
        remove_file(certs.path().join(authority.link_name())).expect("it was there");
    }
    assert_eq!(proxy.reload(&config).status, 200);
    assert_eq!(proxy.chat(chat("second/m")).status, 200);
    // And without any: those that were read stay.
    certs.write(BUNDLE, "");
    assert_eq!(proxy.reload(&config).status, 200);
    proxy.wait_for_log("CA certificates stay");
    for model in [MODEL, "second/m"] {
        assert_eq!(proxy.chat(chat(model)).status, 200);
    }
}

#[test]
fn variables_that_name_certificates_mean_what_they_meant() {
    if !able() {
        return;
    }
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let upstream = ours.serve(&GOOD, answering("{}"));
    let certs = system(&[&ours, &other], &[&other]);
    let (empty, file) = (TempDir::new(), certs.write("other.pem", other.pem()));
    let path = |path: &Path| path.to_string_lossy().into_owned();
    // A file keeps the bundle out, a directory does not.
    for (name, value, status) in [
        ("SSL_CERT_FILE", path(&file), 502),
        ("SSL_CERT_FILE", String::new(), 502),
        ("SSL_CERT_DIR", path(empty.path()), 200),
        ("SSL_CERT_DIR", String::new(), 200),
    ] {
        let proxy = start_with(&config_for(&upstream), &certs, &[(name, value.clone())]);
        assert_eq!(proxy.chat(chat(MODEL)).status, status, "{name}={value}");
    }
}
