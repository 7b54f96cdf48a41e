//! Compressed requests: decoded here, passed on plain, and bounded.

use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::Compression;
use ruzstd::encoding::{compress_to_vec, CompressionLevel};
use serde_json::json;

use crate::support::*;

const ALL: [&str; 6] = ["gzip", "X-GZIP", "deflate", "raw deflate", "zstd", "Zstd"];

/// The body in this coding; `raw deflate` is what some send as `deflate`.
fn encoded(coding: &str, body: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match coding.to_ascii_lowercase().as_str() {
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        "raw deflate" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        "zstd" => Ok(compress_to_vec(body, CompressionLevel::Fastest)),
        _ => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
    }
    .expect("memory takes all bytes")
}

/// The field of a coding.
fn named(coding: &str) -> String {
    format!("Content-Encoding: {}\r\n", coding.trim_start_matches("raw "))
}

fn long_chat(length: usize) -> String {
    let text = "all work and no play, ".repeat(length / 22);
    format!(r#"{{"model":"p/m","messages":[{{"role":"user","content":"{text}"}}], "x":1e400}}"#)
}

#[test]
fn a_compressed_request_goes_on_plain_with_its_length_and_without_the_field() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    for coding in ALL {
        for length in [0, 1000, 300_000, 3_000_000] {
            let plain = long_chat(length);
            let body = encoded(coding, plain.as_bytes());
            let chunked = [
                chat_head(&format!("{}Transfer-Encoding: chunked\r\n", named(coding))),
                body.chunks(1000).flat_map(chunk).collect(),
                LAST_CHUNK.to_vec(),
            ];
            for bytes in [chat_request(&named(coding), &body), chunked.concat()] {
                let answer = client.send(bytes).response_to("POST");
                assert_eq!(answer.status, 200, "{coding} {length}: {}", answer.text());
                let request = upstream.requests().pop().expect("a request");
                let expected = plain.replace("p/m", "m");
                assert!(request.body == expected.as_bytes(), "{coding}: {}", show(&request.body));
                assert_eq!(request.head.get("content-encoding"), None);
                let told = request.head.get("content-length");
                assert_eq!(told, Some(expected.len().to_string()), "{coding}");
            }
        }
    }
    // What is not encoded keeps its field, as ever.
    assert_eq!(proxy.chat_with("Content-Encoding: identity\r\n", chat(MODEL)).status, 200);
}

#[test]
fn every_row_takes_compressed_requests_and_refuses_them_in_its_dialect() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    for row in crate::rows::ROWS {
        let ask = |coding: &str, body: &[u8]| {
            let head = format!(
                "POST {row} HTTP/1.1\r\nHost: t\r\nx-api-key: {TOKEN}\r\n{}Content-Length: {}\r\n\r\n",
                named(coding),
                body.len()
            );
            proxy.raw(&[head.as_bytes(), body].concat())
        };
        assert_eq!(ask("zstd", &encoded("zstd", chat(MODEL).as_bytes())).status, 200, "{row}");
        let refused = ask("br", b"x");
        assert_eq!(refused.status, 415, "{row}");
        let anthropic = row.starts_with("/messages");
        assert_eq!(refused.json()["type"] == "error", anthropic, "{row}");
    }
}

#[test]
fn a_compressed_body_for_a_stored_response_goes_on_plain() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let body = encoded("gzip", b"{\"a\": 1.0}");
    let head = format!(
        "POST /v1/responses/resp_1/cancel HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\n\
         {}Content-Length: {}\r\n\r\n",
        named("gzip"),
        body.len()
    );
    assert_eq!(proxy.raw(&[head.as_bytes(), &body].concat()).status, 200);
    let request = upstream.requests().pop().expect("a request");
    assert_eq!(request.body, b"{\"a\": 1.0}");
    assert_eq!(request.head.get("content-encoding"), None);
}

#[test]
fn unknown_and_stacked_codings_are_415_and_say_what_can_be_read() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let body = encoded("gzip", chat(MODEL).as_bytes());
    for (fields, told) in [
        ("Content-Encoding: br\r\n", "不支持的请求体编码 br (a request body in this"),
        ("Content-Encoding: compress\r\n", "compress"),
        ("Content-Encoding: gzip, gzip\r\n", "gzip, gzip"),
        ("Content-Encoding: gzip\r\nContent-Encoding: zstd\r\n", "gzip, zstd"),
        ("Content-Encoding: br\r\nContent-Encoding: gzip\r\n", "br, gzip"),
        ("Content-Encoding: identity, gzip\r\n", "identity, gzip"),
        ("Content-Encoding: gzip;q=1\r\n", "gzip;q=1"),
    ] {
        let answer = proxy.chat_with(fields, &body);
        assert!(answer.error(415).contains(told), "{}", answer.text());
        let can = answer.header("accept-encoding");
        assert_eq!(can.as_deref(), Some("gzip, deflate, zstd"), "{fields}");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn what_cannot_be_decoded_is_400_with_the_reason_and_the_next_request_works() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    let plain = long_chat(1000);
    for coding in ALL {
        let whole = encoded(coding, plain.as_bytes());
        let mut flipped = whole.clone();
        flipped[0] ^= 0xff;
        for (body, reason) in [
            (Vec::new(), "空|empty"),
            (whole[..whole.len() - 1].to_vec(), "cut short"),
            (whole[..1].to_vec(), "cut short"),
            ([&whole[..], b"0123456789abcdef0123"].concat(), "behind its end"),
            (plain.clone().into_bytes(), ""),
            (flipped, ""),
        ] {
            let bytes = chat_request(&named(coding), &body);
            let message = client.send(bytes).response_to("POST").error(400);
            assert!(message.contains("无法解压"), "{coding}: {message}");
            let told = reason.split('|').any(|reason| message.contains(reason));
            assert!(told, "{coding}, {reason}: {message}");
        }
    }
    let body = chat(MODEL);
    assert_eq!(client.send(chat_request("", body.as_bytes())).response_to("POST").status, 200);
    // What is decoded is read like any other body.
    let message = proxy.chat_with(&named("gzip"), encoded("gzip", b"{\n oops")).error(400);
    assert!(message.contains("第2行第2列"), "{message}");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_gzip_body_of_several_members_is_all_of_them() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let plain = chat(MODEL);
    for coding in ["gzip", "zstd"] {
        let (one, two) = plain.as_bytes().split_at(20);
        let parts = [encoded(coding, one), encoded(coding, b""), encoded(coding, two)].concat();
        let answer = proxy.chat_with(&named(coding), parts);
        assert_eq!(answer.status, 200, "{coding}: {}", answer.text());
        let got = upstream.requests().pop().expect("a request").body;
        assert_eq!(show(&got), show(plain.replace("p/m", "m").as_bytes()), "{coding}");
    }
}

#[test]
fn max_request_size_counts_after_decoding_and_to_the_byte() {
    let upstream = Upstream::json("200 OK", "{}");
    let plain = long_chat(100_000);
    for (limit, status) in [(plain.len(), 200), (plain.len() - 1, 413), (10_000, 413)] {
        let limits = json!({"max_request_size": limit});
        let proxy = TestProxy::start(&with(config_for(&upstream), limits));
        let mut client = proxy.connect();
        for coding in ALL {
            let body = chat_request(&named(coding), &encoded(coding, plain.as_bytes()));
            let answer = client.send(body).response_to("POST");
            assert_eq!(answer.status, status, "{coding} {limit}: {}", answer.text());
            if status == 413 {
                assert!(answer.error(413).contains(&limit.to_string()), "{}", answer.text());
            }
        }
    }
}

#[test]
fn bombs_end_at_the_limit_and_leave_no_memory_behind() {
    let upstream = Upstream::json("200 OK", "{}");
    let limits = json!({"max_request_size": 2_000_000, "max_response_size": 1_000_000});
    let proxy = TestProxy::start(&with(config_for(&upstream), limits));
    let spaces = vec![b' '; 20_000_000];
    let bodies: Vec<_> = ["gzip", "deflate", "raw deflate", "zstd"]
        .into_iter()
        .map(|coding| (coding, encoded(coding, &spaces)))
        .collect();
    drop(spaces);
    proxy.chat(chat(MODEL));
    let before = proxy.rss();
    let fits = json!({"model": MODEL}).to_string();
    assert_eq!(proxy.chat_with(&named("zstd"), encoded("zstd", fits.as_bytes())).status, 200);
    for _ in 0..3 {
        let clients: Vec<_> = bodies
            .iter()
            .map(|(coding, body)| {
                let mut client = proxy.connect();
                client.send(chat_request(&named(coding), body));
                client
            })
            .collect();
        for mut client in clients {
            client.response_to("POST").error(413);
        }
    }
    // The whole budget is 17 MB; the rest is for the allocator and for threads.
    let grown = proxy.rss().saturating_sub(before);
    assert!(grown < 40 << 20, "{grown} bytes more than before");
    // All of it was given back: the largest request still fits.
    let largest = long_chat(1_999_000);
    assert_eq!(proxy.chat(largest).status, 200);
}

#[test]
fn a_zstd_window_that_nobody_must_keep_is_refused_before_it_is_taken() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let window = b"\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00";
    let message = proxy.chat_with(&named("zstd"), window).error(400);
    assert!(message.contains("8 MiB"), "{message}");
    let content = b"\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\x01\0\0\x01\x00\x00";
    proxy.chat_with(&named("zstd"), content).error(413);
}

#[test]
fn others_are_served_while_bombs_are_decoded() {
    let upstream = Upstream::json("200 OK", "{}");
    let limits = json!({"max_request_size": 20_000_000});
    let proxy = TestProxy::start(&with(config_for(&upstream), limits));
    let body = encoded("gzip", &vec![b' '; 30_000_000]);
    let mut clients: Vec<_> = (0..6).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(chat_request(&named("gzip"), &body));
    }
    for _ in 0..20 {
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
    for mut client in clients {
        let status = client.response_to("POST").status;
        assert!(matches!(status, 413 | 503), "{status}");
    }
}

#[test]
fn a_token_is_asked_for_before_anything_is_decoded() {
    let proxy = TestProxy::without_providers();
    let body = encoded("gzip", &vec![b' '; 1_000_000]);
    let head = format!(
        "POST /v1/responses HTTP/1.1\r\nHost: t\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    assert_eq!(proxy.raw(&[head.as_bytes(), &body].concat()).error(401), "未提供API token");
}
