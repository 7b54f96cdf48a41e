//! What the machine runs out of: disk, descriptors, certificates.

use std::ops::Deref;

use rustix::process::{getrlimit, prlimit, Pid, Resource, Rlimit};

use crate::support::certificates::{Authority, GOOD};
use crate::support::*;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Many chats work, and each of them would write to the log.
fn assert_works(proxy: &TestProxy) {
    let mut client = proxy.connect();
    for _ in 0..20 {
        let answer = client.send(chat_request("", chat(MODEL).as_bytes())).response();
        assert_eq!(answer.status, 200);
    }
}

/// A proxy whose log is `/dev/full`, which nobody can read to its end.
struct FullDisk(TestProxy);

impl Deref for FullDisk {
    type Target = TestProxy;

    fn deref(&self) -> &TestProxy {
        &self.0
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.log_path());
    }
}

fn complaints(proxy: &TestProxy) -> usize {
    proxy.stderr().matches("cannot write the log").count()
}

#[test]
fn a_full_log_disk_is_said_once_and_the_proxy_goes_on() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy =
        FullDisk(TestProxy::in_shell(&config_for(&upstream), "ln -s /dev/full ai_proxy.log"));
    assert_works(&proxy);
    eventually("a complaint on stderr", || complaints(&proxy) > 0);
    assert_works(&proxy);
    assert_eq!(complaints(&proxy), 1, "{}", proxy.stderr());
    assert!(proxy.stderr().contains("ai_proxy.log"), "{}", proxy.stderr());
    // Room again: the log goes on.
    std::fs::remove_file(proxy.log_path()).expect("the link was there");
    proxy.signal("HUP");
    eventually("a new log", || proxy.log_path().is_file());
    assert_works(&proxy);
    proxy.wait_for_log("耗时:");
    assert_eq!(complaints(&proxy), 1, "{}", proxy.stderr());
}

/// `ai_proxy 2> errors.txt` on the disk that is full.
#[test]
fn a_full_disk_for_stderr_too_is_survived() {
    let upstream = Upstream::json("200 OK", "{}");
    let line = "ln -s /dev/full ai_proxy.log && exec 2> /dev/full";
    let mut proxy = FullDisk(TestProxy::in_shell(&config_for(&upstream), line));
    assert_works(&proxy);
    assert!(proxy.0.is_alive());
    assert_eq!(proxy.0.terminate().code(), Some(0));
}

/// Whoever read the output has left: `ai_proxy 2>&1 | head`.
#[test]
fn a_broken_pipe_for_all_output_is_survived() {
    let upstream = Upstream::json("200 OK", "{}");
    // The first reader of the pipe shows the address and leaves; the address goes to the test on descriptor 3.
    let line = "ln -s /dev/full ai_proxy.log && mkfifo pipe && exec 3>&1 && \
                { head -n 1 pipe >&3 & } && exec > pipe 2>&1 3>&-";
    let mut proxy = FullDisk(TestProxy::in_shell(&config_for(&upstream), line));
    assert_works(&proxy);
    proxy.signal("HUP");
    assert_works(&proxy);
    assert_eq!(proxy.0.terminate().code(), Some(0));
}

#[test]
fn a_log_that_cannot_be_opened_is_said_once_and_the_proxy_goes_on() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::in_shell(&config_for(&upstream), "mkdir ai_proxy.log");
    assert_works(&proxy);
    eventually("a complaint on stderr", || complaints(&proxy) > 0);
    assert_works(&proxy);
    assert_eq!(complaints(&proxy), 1, "{}", proxy.stderr());
}

#[test]
fn a_read_only_working_directory_is_no_reason_not_to_work() {
    let upstream = Upstream::json("200 OK", "{}");
    // Permissions do not stop root; a mount of its own does.
    let read_only = "mount --bind . . && mount -o remount,ro,bind . && cd \"$PWD\"";
    let line = if is_root() {
        let able = std::process::Command::new("unshare").args(["-m", "true"]).status();
        if !able.is_ok_and(|status| status.success()) {
            println!("skipped: root without the right to a mount namespace");
            return;
        }
        format!("exec unshare -m sh -c '{read_only} && exec \"$0\" \"$@\"' \"$0\" \"$@\"")
    } else {
        "chmod 0555 .".to_owned()
    };
    let proxy = TestProxy::in_shell(&config_for(&upstream), &line);
    assert_works(&proxy);
    eventually("a complaint on stderr", || complaints(&proxy) == 1);
    assert!(!proxy.log_path().exists());
    assert_eq!(proxy.request("POST", "/v1/reload", "").status, 200);
    assert_works(&proxy);
}

#[test]
fn a_missing_ca_file_is_said_and_costs_https_providers_only_until_it_is_there() {
    let authority = Authority::new("ours");
    let secure = authority.serve(&GOOD, |connection| {
        while connection.read_request().is_some() {
            connection.send(json_answer("200 OK", r#"{"id":"tls"}"#));
        }
    });
    let plain = Upstream::json("200 OK", "{}");
    let directory = TempDir::new();
    let path = directory.path().join("ca.pem");
    let both = config([provider("secure", &secure), provider("p", &plain)]);
    let proxy = TestProxy::with_environment(&both, &[("SSL_CERT_FILE", path)]);
    eventually("a warning", || proxy.stderr().contains("ca.pem"));
    for _ in 0..2 {
        let message = proxy.chat(chat("secure/m")).error(502);
        assert!(message.contains("secure") && message.contains("TLS"), "{message}");
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
    directory.write("ca.pem", authority.pem());
    assert_eq!(proxy.request("POST", "/v1/reload", "").status, 200);
    assert_eq!(proxy.chat(chat("secure/m")).text(), r#"{"id":"tls"}"#);
}

/// Leaves `proxy` only `spare` descriptors beside those it has open now, until dropped.
struct Squeezed<'p>(&'p TestProxy, Rlimit);

fn limit_of(proxy: &TestProxy, limit: Rlimit) -> Rlimit {
    let pid = Pid::from_raw(i32::try_from(proxy.pid()).expect("a pid"));
    prlimit(pid, Resource::Nofile, limit).expect("the limit of a child can be set")
}

impl<'p> Squeezed<'p> {
    fn new(proxy: &'p TestProxy, spare: usize) -> Self {
        let directory = format!("/proc/{}/fd", proxy.pid());
        let open: Vec<u64> = std::fs::read_dir(directory)
            .expect("the process lives")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        // The kernel gives the lowest free number, and none from the limit on.
        let current = (0..).filter(|number| !open.contains(number)).nth(spare);
        let maximum = getrlimit(Resource::Nofile).maximum;
        Self(proxy, limit_of(proxy, Rlimit { current, maximum }))
    }
}

impl Drop for Squeezed<'_> {
    fn drop(&mut self) {
        limit_of(self.0, self.1);
    }
}

#[test]
fn without_descriptors_new_clients_wait_and_old_ones_are_served() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let request = chat_request("", chat(MODEL).as_bytes());
    let mut old = proxy.connect();
    assert_eq!(old.send(&request).response().status, 200);
    let squeezed = Squeezed::new(&proxy, 0);
    let mut new: Vec<_> = (0..5).map(|_| proxy.connect()).collect();
    for client in &mut new {
        client.send(&request);
    }
    // It has a connection, and the one to the provider is open.
    for _ in 0..5 {
        assert_eq!(old.send(&request).response().status, 200);
    }
    assert!(new[0].is_silent(200));
    assert!(proxy.wait_for_log("cannot accept").contains("os error 24"));
    drop(squeezed);
    for client in &mut new {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn without_descriptors_for_a_provider_the_answer_is_502_and_the_next_one_works() {
    let upstream = Upstream::json("200 OK", r#"{"data":[]}"#);
    let proxy = TestProxy::start(&config([provider("acme", &upstream)]));
    let mut client = proxy.connect();
    assert_eq!(client.send(GET).response().status, 200);
    let squeezed = Squeezed::new(&proxy, 0);
    for body in [chat("acme/m"), chat_stream("acme/m")] {
        let message = client.send(chat_request("", body.as_bytes())).response().error(502);
        assert!(message.contains("acme") && message.contains("os error 24"), "{message}");
    }
    let health = client.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n").response();
    assert_eq!(health.json()["status"], "unhealthy");
    drop(squeezed);
    assert_eq!(client.send(chat_request("", chat("acme/m").as_bytes())).response().status, 200);
    // The report is served again for a while.
    eventually("healthy", || proxy.get("/health").json()["status"] == "healthy");
}

/// The CA file cannot be opened for the first https request: later ones must not be stuck without roots.
#[test]
fn a_first_https_request_without_descriptors_does_not_spoil_the_next() {
    let authority = Authority::new("ours");
    let upstream = authority.serve(&GOOD, |connection| {
        while connection.read_request().is_some() {
            connection.send(json_answer("200 OK", r#"{"id":"tls"}"#));
        }
    });
    let directory = TempDir::new();
    let path = directory.write("ca.pem", authority.pem());
    let proxy = TestProxy::with_environment(
        &config([provider("secure", &upstream)]),
        &[("SSL_CERT_FILE", path)],
    );
    let mut client = proxy.connect();
    assert_eq!(client.send(GET).response().status, 200);
    let request = chat_request("", chat("secure/m").as_bytes());
    // One descriptor is enough for the connection and not for the file too; it may have been read at the start.
    let squeezed = Squeezed::new(&proxy, 1);
    let first = client.send(&request).response();
    assert!([200, 502].contains(&first.status), "{}", first.text());
    drop(squeezed);
    let answer = client.send(&request).response();
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"id":"tls"}"#));
}

#[test]
fn without_descriptors_a_reload_is_refused_or_works_and_the_next_one_works() {
    let upstream = Upstream::json("200 OK", "{}");
    let config = config_for(&upstream);
    let proxy = TestProxy::start(&config);
    let mut client = proxy.connect();
    assert_eq!(client.send(chat_request("", chat(MODEL).as_bytes())).response().status, 200);
    let squeezed = Squeezed::new(&proxy, 0);
    let reload = "POST /v1/reload HTTP/1.1\r\nHost: t\r\n\r\n";
    let message = client.send(reload).response().error(400);
    assert!(message.contains("config.json") && message.contains("os error 24"), "{message}");
    assert_eq!(client.send(chat_request("", chat(MODEL).as_bytes())).response().status, 200);
    drop(squeezed);
    assert_eq!(client.send(reload).response().status, 200);
}

/// A low limit from the start on is no fault: clients beyond it wait in the kernel's queue, and all are served.
#[test]
fn more_clients_than_descriptors_are_all_served() {
    let upstream = Upstream::each(|_, connection| {
        pause(5);
        connection.send(json_answer("200 OK", "{}"));
    });
    let line = "ulimit -n 96";
    let proxy = TestProxy::in_shell(&config_for(&upstream), line);
    eventually("a warning", || proxy.stderr().contains("file descriptor limit"));
    let request = chat_request("Connection: close\r\n", chat(MODEL).as_bytes());
    let mut clients = Vec::new();
    for _ in 0..80 {
        let mut client = proxy.connect();
        client.send(&request);
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert!(!proxy.log().contains("os error 24"), "{}", proxy.log());
}
