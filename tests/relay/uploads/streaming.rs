//! Uploads that stream: the model is known before the file comes.

use super::*;

#[test]
fn a_file_behind_its_model_reaches_the_provider_while_the_client_still_sends() {
    let (upstream, begun) = taking();
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut number = 0;
    for row in ROWS {
        for framing in FRAMINGS {
            for parts in ["model file", "prompt model prompt file prompt", "long model file"] {
                let what = format!("{row} {parts} {framing:?}");
                let request = upload(row, "", framing, &form(parts, MODEL));
                let (start, rest) = split(&request);
                let mut client = proxy.connect();
                client.send(start);
                number += 1;
                wait_begun(&begun, number);
                assert_eq!(client.send(rest).response_to("POST").status, 200, "{what}");
                assert_last(&upstream, framing, &form(parts, "m"), &what);
            }
        }
    }
}

#[test]
fn a_streamed_upload_has_no_limit() {
    let (upstream, _begun) = taking();
    let proxy = small_proxy(&upstream);
    for framing in FRAMINGS {
        for parts in ["model file", "prompt model file file prompt"] {
            let answer = proxy.raw(&upload(ROW, "", framing, &form(parts, MODEL)));
            assert_eq!(answer.status, 200, "{framing:?}: {}", answer.text());
            assert_last(&upstream, framing, &form(parts, "m"), parts);
        }
    }
}

#[test]
fn a_file_before_its_model_is_held_and_sent_with_its_length() {
    let (upstream, begun) = taking();
    let proxy = TestProxy::start(&config_for(&upstream));
    let body = form("prompt file model", MODEL);
    let request = upload(ROW, "", Framing::Sized, &body);
    let (start, rest) = split(&request);
    let mut client = proxy.connect();
    client.send(start);
    pause(100);
    assert_eq!((begun.load(Ordering::SeqCst), upstream.requests().len()), (0, 0), "it is held");
    assert_eq!(client.send(rest).response_to("POST").status, 200);
    assert_last(&upstream, Framing::Sized, &form("prompt file model", "m"), "held");
    let request = upload(ROW, "", Framing::Chunked, &body);
    assert_eq!(client.send(request).response_to("POST").status, 200);
    let got = upstream.requests().pop().expect("a request");
    assert!(got.complete && got.body == form("prompt file model", "m"), "{}", show(&got.body));
}

#[test]
fn a_streamed_upload_takes_a_new_connection_and_the_client_goes_on_with_its_own() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    for framing in FRAMINGS {
        let chat = chat_request("", chat(MODEL).as_bytes());
        assert_eq!(client.send(&chat).response_to("POST").status, 200);
        let before = upstream.connections();
        let sent = upload(ROW, "", framing, &form("model file", MODEL));
        assert_eq!(client.send(sent).response_to("POST").status, 200);
        assert_eq!(upstream.connections(), before + 1, "{framing:?}");
        let request = upstream.requests().pop().expect("a request");
        assert_eq!(request.connection, before, "{framing:?}");
        assert_eq!(client.send(&chat).response_to("POST").status, 200, "{framing:?}");
    }
    // Two in one piece are two.
    let one = upload(ROW, "", Framing::Sized, &form("model small", MODEL));
    client.send([&one[..], &one].concat());
    assert_eq!(client.response_to("POST").status, 200);
    assert_eq!(client.response_to("POST").status, 200);
}

#[test]
fn a_streamed_upload_takes_no_memory_whatever_its_size() {
    const LENGTH: usize = 40_000_000;
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = small_proxy(&upstream);
    let start = form("model", MODEL);
    let start = &start[..start.len() - BOUNDARY.len() - 6];
    let disposition = "Content-Disposition: form-data; name=\"file\"; filename=\"f\"";
    let start = [start, format!("--{BOUNDARY}\r\n{disposition}\r\n\r\n").as_bytes()].concat();
    let end = format!("\r\n--{BOUNDARY}--\r\n");
    let send = |length: usize| {
        let total = start.len() + length + end.len();
        let fields = format!("Content-Type: {}\r\n", form_type());
        let mut head = framed("POST", ROW, &fields, Framing::Sized, b"");
        let zero = b"Content-Length: 0\r\n\r\n".len();
        head.truncate(head.len() - zero);
        let mut client = proxy.connect();
        client.send([&head[..], format!("Content-Length: {total}\r\n\r\n").as_bytes()].concat());
        client.send(&start);
        let block: Vec<u8> = file().into_iter().cycle().take(1_000_000).collect();
        let mut most = 0;
        for _ in 0..length / block.len() {
            client.send(&block);
            most = most.max(proxy.rss());
        }
        assert_eq!(client.send(&end).response_to("POST").status, 200);
        most
    };
    let before = send(4_000_000);
    let grown = send(LENGTH).saturating_sub(before);
    assert!(grown <= 1 << 20, "{grown} bytes more");
    let got = upstream.requests().pop().expect("a request");
    assert_eq!(got.body.len(), LENGTH + start.len() + end.len() - 2);
}
