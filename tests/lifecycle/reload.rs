//! What a reload does to requests that are under way, and reloads that meet each other. `reload_under_load.rs` has
//! many of both, `routes/endpoints.rs` the endpoint itself, `config/` what each key does on reload.

mod reports;

use serde_json::json;

use crate::support::*;

#[test]
fn an_upload_under_way_is_served_by_the_configuration_it_began_with() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let request = chat_request("", chat(MODEL).as_bytes());
    let (first, rest) = request.split_at(request.len() - 10);
    let mut client = proxy.connect();
    client.send(first);
    assert_eq!(proxy.get("/").status, 200, "so that the head has been read");
    let nobody = with(config([]), json!({"tokens": []}));
    assert_eq!(proxy.reload(&nobody).status, 200);
    assert_eq!(client.send(rest).response().status, 200);
    assert_eq!(client.send(&request).response().status, 401, "the next one is under the new one");
}

#[test]
fn requests_that_wait_their_turn_keep_their_provider() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        held.wait();
        connection.send(json_answer("200 OK", "{}"));
    });
    let one = json!({"max_connections": 1});
    let proxy = TestProxy::start(&with(config_for(&upstream), one.clone()));
    let mut clients: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(chat_request("", chat(MODEL).as_bytes()));
    }
    upstream.wait_requests(1);
    assert_eq!(proxy.reload(&with(config([]), one)).status, 200);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(proxy.chat(chat(MODEL)).status, 404);
}

/// Somebody reloads in a loop while one provider's model list hangs: no pile of connections may grow.
#[test]
fn reloads_do_not_pile_up_fetches_from_a_silent_provider() {
    let silent = Upstream::serve(|connection| {
        connection.read_request();
        connection.wait_for_close();
    });
    let good = Upstream::json("200 OK", "{}");
    let both = config([auto_provider("silent", &silent), provider("p", &good)]);
    let proxy = TestProxy::start(&both);
    let fds = proxy.fds();
    for _ in 0..100 {
        assert_eq!(proxy.reload(&both).status, 200);
    }
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    let open = silent.open_connections();
    println!("{open} of {} open", silent.connections());
    assert!(open <= 5, "{open} fetches at once from one provider, {} descriptors", proxy.fds());
    // All of them end by themselves.
    eventually("fetches end", || silent.open_connections() == 0);
    proxy.wait_fds(fds + 2);
}

/// SIGHUP and `POST /v1/reload` at the same time, from many sides.
#[test]
fn concurrent_reloads_are_all_answered() {
    let upstream = Upstream::json("200 OK", "{}");
    let config = config_for(&upstream);
    let mut proxy = TestProxy::start(&config);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = proxy.connect();
                for _ in 0..20 {
                    let request = "POST /v1/reload HTTP/1.1\r\nHost: t\r\n\r\n";
                    assert_eq!(client.send(request).response().status, 200);
                }
            });
        }
        for _ in 0..10 {
            proxy.signal("HUP");
        }
    });
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    assert!(proxy.is_alive());
}

#[test]
fn a_key_file_that_is_a_pipe_is_refused_and_holds_up_nobody() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let pipe = proxy.directory().path().join("key");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()));
    let mut one = provider("p", &upstream);
    one["token"] = json!(null);
    one["token_file"] = json!("key");
    let refused = proxy.reload(&config([one]));
    assert!(refused.error(400).contains("not a regular file"), "{}", refused.text());
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
}
