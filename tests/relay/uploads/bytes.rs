//! What reaches the provider of an upload, and what comes back: all bytes but those of the model's name.

use super::*;
use crate::rows::{fields, scripted};

/// Fields that must arrive byte for byte.
const FIELDS: &str = "X-Script: json\r\nOpenAI-Organization: org-1\r\nX-Spaces: a  b\r\n\
    x-stainless-lang: python\r\nOpenAI-Beta: one\r\nOpenAI-Beta: two\r\n";

/// A held upload has a length, whatever the client's framing was; a chunked one may stay chunked.
fn assert_framing(request: &Request, framing: Framing, what: &str) {
    let length = request.head.get("content-length");
    let coding = request.head.get("transfer-encoding");
    assert!(length.is_some() != coding.is_some(), "{what}: {}", show(&request.head.raw));
    assert!(length.is_none_or(|length| length == request.body.len().to_string()), "{what}");
    assert!(framing == Framing::Chunked || coding.is_none(), "{what}");
}

#[test]
fn every_row_relays_every_byte_of_an_upload_but_the_models_name() {
    let upstream = scripted();
    let proxy = TestProxy::start(&config_for(&upstream));
    for row in ROWS {
        for v1 in ["/v1", ""] {
            for parts in ["model file", "prompt model prompt file file", "file prompt model"] {
                for framing in FRAMINGS {
                    let what = format!("{v1}{row}, {parts}, {framing:?}");
                    let direct = upload(&format!("/v1{row}"), FIELDS, framing, &form(parts, "m"));
                    Raw::connect(upstream.addr()).send(direct).response_to("POST");
                    let through =
                        upload(&format!("{v1}{row}"), FIELDS, framing, &form(parts, MODEL));
                    let answer = proxy.raw(&through);
                    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                    let requests = upstream.requests();
                    let [.., first, second] = &requests[..] else { panic!("{requests:?}") };
                    assert!(second.complete, "{what}");
                    assert_eq!(second.head.start, first.head.start, "{what}");
                    assert_eq!(fields(&second.head), fields(&first.head), "{what}");
                    assert_eq!(second.head.get("content-type"), Some(form_type()), "{what}");
                    assert!(second.body == first.body, "{what}: {}", show(&second.body));
                    assert_framing(second, framing, &what);
                    let key = second.head.get("authorization");
                    assert_eq!(key, Some(format!("Bearer {KEY}")), "{what}");
                }
            }
        }
    }
}

#[test]
fn a_streamed_upload_keeps_its_framing() {
    let (upstream, _begun) = taking();
    let proxy = TestProxy::start(&config_for(&upstream));
    for framing in FRAMINGS {
        for parts in ["model file", "prompt model file prompt", "long model file"] {
            let answer = proxy.raw(&upload(ROW, "", framing, &form(parts, MODEL)));
            assert_eq!(answer.status, 200, "{parts}: {}", answer.text());
            assert_last(&upstream, framing, &form(parts, "m"), parts);
        }
    }
}

#[test]
fn the_answer_to_an_upload_arrives_as_it_was_sent() {
    let upstream = scripted();
    let proxy = TestProxy::start(&config_for(&upstream));
    for script in ["json", "events", "audio", "audio-chunked", "error", "refused"] {
        for parts in ["model file", "file model"] {
            let head = format!("X-Script: {script}\r\n");
            let direct = upload(ROW, &head, Framing::Sized, &form(parts, "m"));
            let direct = Raw::connect(upstream.addr()).send(direct).response_to("POST");
            let relayed = proxy.raw(&upload(ROW, &head, Framing::Sized, &form(parts, MODEL)));
            assert!(relayed.complete, "{script}");
            assert_eq!(relayed.head.start, direct.head.start, "{script}");
            assert_eq!(fields(&relayed.head), fields(&direct.head), "{script}");
            assert!(relayed.body == direct.body, "{script}: {}", show(&relayed.body));
        }
    }
}

#[test]
fn an_upload_may_be_split_anywhere() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let part = |disposition: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n")
    };
    let form = |model: &str, first: bool| {
        let file = part("name=\"f\"; filename=\"x\"", "\r\n--\r\n-");
        let model = part("name=model", model);
        if first {
            model + &file + "--b--"
        } else {
            file + &model + "--b--"
        }
    };
    let kind = "Content-Type: multipart/form-data; boundary=b\r\n";
    let mut client = proxy.connect();
    for (first, framing) in FRAMINGS.into_iter().flat_map(|f| [(true, f), (false, f)]) {
        let body = form(MODEL, first);
        let bytes = match framing {
            Framing::Sized => framed("POST", ROW, kind, framing, body.as_bytes()),
            Framing::Chunked => {
                let mut bytes = framed("POST", ROW, kind, framing, b"");
                bytes.truncate(bytes.len() - LAST_CHUNK.len());
                bytes.extend(body.as_bytes().chunks(3).flat_map(chunk));
                [&bytes[..], LAST_CHUNK].concat()
            }
        };
        let head = memchr::memmem::find(&bytes, b"\r\n\r\n").expect("a head");
        for split in head..bytes.len() {
            client.send(&bytes[..split]);
            std::thread::sleep(std::time::Duration::from_micros(300));
            let answer = client.send(&bytes[split..]).response_to("POST");
            assert_eq!(answer.status, 200, "{first} {framing:?} {split}: {}", answer.text());
            let got = upstream.requests().pop().expect("a request");
            let expected = form("m", first);
            assert!(got.complete, "{first} {framing:?} {split}");
            assert_eq!(show(&got.body), show(expected.as_bytes()), "{first} {framing:?} {split}");
        }
    }
}

#[test]
fn json_on_a_row_for_uploads_is_relayed_as_on_any_row() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    for row in ROWS {
        for kind in ["application/json", "Application/JSON; charset=utf-8"] {
            let fields = format!("Content-Type: {kind}\r\n");
            let body = b" {\"x\":1e400, \"model\":\t\"p/m\", \"image\":\"\\u00e9\"}\r\n";
            let answer = proxy.raw(&framed("POST", row, &fields, Framing::Sized, body));
            assert_eq!(answer.status, 200, "{row}: {}", answer.text());
            let request = upstream.requests().pop().expect("a request");
            let expected = b" {\"x\":1e400, \"model\":\t\"m\", \"image\":\"\\u00e9\"}\r\n";
            assert_eq!(show(&request.body), show(expected), "{row}");
            assert_eq!(request.head.get("content-type").as_deref(), Some(kind));
        }
        let fields = "Content-Type: application/json\r\n";
        proxy.raw(&framed("POST", row, fields, Framing::Sized, b"{")).error(400);
    }
}
