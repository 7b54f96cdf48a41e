//! The dot at the end of a name is for the resolver.

use std::sync::{Arc, Mutex};

use openssl::ssl::NameType;
use serde_json::json;

use crate::support::certificates::{Authority, Leaf};
use crate::support::*;

#[test]
fn a_dot_at_the_end_of_a_host_is_for_the_resolver_only() {
    let authority = Authority::new("ours");
    let leaf = Leaf { dns: &["llm.test"], ip: &[], expired: false };
    let acceptor = authority.openssl(&leaf).build();
    let names = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&names);
    let wrap = move |socket| {
        let stream = acceptor.accept(socket).ok()?;
        let name = stream.ssl().servername(NameType::HOST_NAME).map(str::to_owned);
        told.lock().expect("no poison").push(name);
        Some(Box::new(stream) as Box<dyn Duplex>)
    };
    let upstream = Upstream::serve_tls(Box::new(wrap), |connection| {
        connection.read_request();
        connection.send(answer("200 OK", "Connection: close\r\n", b"{}"));
    });
    let files = TempDir::new();
    let hosts = files.write("hosts", "127.0.0.1 llm.test. llm.test\n");
    let ca = files.write("ca.pem", authority.pem());
    // In a view of the files of its own, whose hosts file knows the name.
    let view =
        "exec unshare --mount sh -c 'mount --bind \"$HOSTS\" /etc/hosts && exec \"$0\" \"$@\"'";
    if !std::process::Command::new("unshare")
        .args(["--mount", "true"])
        .status()
        .is_ok_and(|s| s.success())
    {
        eprintln!("SKIPPED: no private mounts here (unshare --mount needs root)");
        return;
    }
    for host in ["llm.test.", "llm.test"] {
        let mut one = provider("p", &upstream);
        one["baseurl"] = json!(format!("https://{host}:{}/v1", upstream.addr().port()));
        let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let proxy = TestProxy::launch(Launch {
            config: Some(config([one]).to_string()),
            environment: vec![
                ("SSL_CERT_FILE".to_owned(), path(&ca)),
                ("HOSTS".to_owned(), path(&hosts)),
            ],
            shell: Some(format!("{view} \"$0\" \"$@\"")),
            ..Launch::default()
        });
        let got = proxy.chat(chat(MODEL));
        assert_eq!(got.status, 200, "{host}: {}", got.text());
    }
    let names = names.lock().expect("no poison").clone();
    assert_eq!(names, [Some("llm.test".to_owned()), Some("llm.test".to_owned())]);
}
