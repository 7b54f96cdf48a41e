//! Interim answers (RFC 9110 §15.2): skipped, up to a limit; a switch of protocols is no answer.

use crate::answers::{all_refused, bad_gateway};
use crate::support::*;

#[test]
fn interim_answers_are_skipped() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        "HTTP/1.1 102 \r\nX: y\r\n\r\n",
    ] {
        for count in [1, 16] {
            let bytes = format!(
                "{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{{}}",
                interim.repeat(count)
            );
            let upstream = Upstream::keep_alive(bytes);
            let proxy = TestProxy::start(&config_for(&upstream));
            for _ in 0..2 {
                let answer = proxy.chat(chat(MODEL));
                assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
                assert_eq!(answer.header("link"), None);
            }
            assert_eq!(upstream.connections(), 1);
        }
    }
}

#[test]
fn interim_answers_may_come_late_and_in_pieces() {
    let upstream = Upstream::each(|_, connection| {
        for piece in [
            "HTTP/1.1 100 Con",
            "tinue\r\n",
            "\r",
            "\nHTTP/1.1 103 X\r\nA: b\r\n\r",
            "\n",
            "HTTP/1.1 200 OK\r\n",
        ] {
            connection.send(piece);
            pause(10);
        }
        connection.send("Content-Length: 2\r\n\r\n{}");
    });
    assert_eq!(TestProxy::start(&config_for(&upstream)).chat(chat(MODEL)).text(), "{}");
}

#[test]
fn interim_answers_are_skipped_up_to_64_kib_of_them() {
    let interim = "HTTP/1.1 102 Processing\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let many = |count| [interim.repeat(count), answer.to_owned()].concat();
    let fits = 64 * 1024 / interim.len();
    for count in [17, 500, fits] {
        let upstream = Upstream::script(many(count));
        assert_eq!(
            TestProxy::start(&config_for(&upstream)).chat(chat(MODEL)).text(),
            "{}",
            "{count}"
        );
    }
    all_refused([many(fits + 1).as_bytes()]);
    // Nobody asked to leave HTTP.
    all_refused([format!("HTTP/1.1 101 Switching Protocols\r\n\r\n{answer}").as_bytes()]);
}

#[test]
fn interim_answers_that_come_one_by_one_are_signs_of_life() {
    let upstream = Upstream::each(|_, connection| {
        for _ in 0..40 {
            connection.send("HTTP/1.1 102 Processing\r\nX-Progress: some\r\n\r\n");
            pause(10);
        }
        connection.send(json_answer("200 OK", "{}"));
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    for body in [chat(MODEL), chat_stream(MODEL)] {
        assert_eq!(proxy.chat(body).text(), "{}");
    }
}

#[test]
fn interim_answers_without_an_end_are_502_too() {
    let upstream =
        Upstream::each(
            |_, connection| {
                while connection.try_send("HTTP/1.1 100 Continue\r\n\r\n".repeat(100)) {}
            },
        );
    bad_gateway(&TestProxy::start(&config_for(&upstream)), b"endless 100");
}

#[test]
fn switching_protocols_is_no_answer() {
    let bytes = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n";
    // What follows is another protocol, even when it looks like an answer.
    let followed = format!("{bytes}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{{}}");
    all_refused([bytes.as_bytes(), followed.as_bytes()]);
}
