//! Chats that the program does not wait for any longer: each leaves its line in the log and its count.

use super::*;

const EVENT: &str = "data: {\"n\":1}\n\n";

/// One chat that streams and one that waits for its head, both without end.
fn two_chats() -> (Upstream, TestProxy, [Raw; 2]) {
    let upstream = Upstream::each(|request, connection| {
        if request.body.windows(13).any(|part| part == b"\"stream\":true") {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
            connection.send(format!("{head}{EVENT}"));
        }
        connection.wait_for_close();
    });
    let mut config = config_for(&upstream);
    config["log_level"] = json!("INFO");
    let proxy = TestProxy::start(&config);
    let mut streams = proxy.connect();
    streams.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("\"n\":1");
    let mut waits = proxy.connect();
    waits.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(2);
    (upstream, proxy, [streams, waits])
}

fn assert_all_told(proxy: &TestProxy) {
    let log = proxy.wait_for_log("已停止 (stopped)");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("结束: 程序停止")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    let sizes =
        [format!("状态: 200 大小: {} 字节", EVENT.len()), "状态: 0 大小: 0 字节".to_owned()];
    for size in sizes {
        assert_eq!(lines.iter().filter(|line| line.contains(&size)).count(), 1, "{size}: {log}");
    }
    let counters = log.lines().rfind(|line| line.contains("统计 (stats):")).expect(&log);
    assert!(counters.contains("\"stopped\":2") && counters.contains("\"chats\":2"), "{counters}");
    assert!(lines.iter().all(|line| line.contains(" WARNING ")), "{log}");
}

#[test]
fn chats_cut_by_a_second_signal_leave_a_line_and_a_count() {
    let (_upstream, mut proxy, clients) = two_chats();
    stop(&proxy);
    proxy.signal("TERM");
    assert_eq!(proxy.wait().code(), Some(0));
    assert_all_told(&proxy);
    drop(clients);
}

#[test]
fn chats_cut_by_the_end_of_a_drain_leave_a_line_and_a_count() {
    let (_upstream, mut proxy, mut clients) = two_chats();
    stop(&proxy);
    // No whole response for either: the drain ends first.
    for client in &mut clients {
        client.set_patience(PATIENCE * 2);
        assert!(!client.try_response("POST").is_ok_and(|response| response.complete));
    }
    assert_eq!(proxy.wait().code(), Some(0));
    assert_all_told(&proxy);
}
