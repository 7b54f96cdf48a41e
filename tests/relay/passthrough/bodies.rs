//! Bodies of requests that pass through: of any size, in any coding, both ways at once.

use super::*;
use crate::cancel::{leave, WAYS};
use crate::uploads::{file, framed, split, taking, wait_begun, Framing, BEGIN, FRAMINGS};

fn start_small(upstream: &Upstream) -> TestProxy {
    TestProxy::start(&with(config([open("p", upstream)]), json!({"max_request_size": 1000})))
}

#[test]
fn a_body_larger_than_any_limit_streams_through_in_its_own_framing() {
    let (upstream, begun) = taking();
    let proxy = start_small(&upstream);
    let body = file();
    let kinds = ["application/json", "application/octet-stream", "multipart/form-data; boundary=b"];
    let mut number = 0;
    for kind in kinds {
        for framing in FRAMINGS {
            for method in ["POST", "PUT", "PATCH"] {
                let what = format!("{method} {kind} {framing:?}");
                let fields = format!("Content-Type: {kind}\r\n");
                let request = framed(method, "/p/p/files?a=b", &fields, framing, &body);
                let (start, rest) = split(&request);
                let mut client = proxy.connect();
                client.send(start);
                number += 1;
                wait_begun(&begun, number);
                assert_eq!(client.send(rest).response_to(method).status, 200, "{what}");
                let got = crate::uploads::assert_last(&upstream, framing, &body, &what);
                assert_eq!(got.head.start, format!("{method} /v1/files?a=b HTTP/1.1"), "{what}");
                assert_eq!(got.head.get("content-type").as_deref(), Some(kind));
                assert_eq!(client.send(GET).response().status, 200, "{what}");
            }
        }
    }
}

#[test]
fn a_coded_body_passes_with_its_coding() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = start_small(&upstream);
    for coding in ["gzip", "br", "zstd", "x-own; q=1", "gzip, br"] {
        for framing in FRAMINGS {
            let body = &file()[..5000];
            let fields = format!("Content-Encoding: {coding}\r\n");
            let answer = proxy.raw(&framed("POST", "/p/p/files", &fields, framing, body));
            assert_eq!(answer.status, 200, "{coding}: {}", answer.text());
            let got = crate::uploads::assert_last(&upstream, framing, body, coding);
            assert_eq!(got.head.get("content-encoding").as_deref(), Some(coding));
        }
    }
}

#[test]
fn a_client_that_asks_whether_to_send_is_told_to_go_on_by_us() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = start_small(&upstream);
    for framing in FRAMINGS {
        let request = framed("PUT", "/p/p/files", "Expect: 100-continue\r\n", framing, &file());
        let at = memchr::memmem::find(&request, b"\r\n\r\n").expect("a head") + 4;
        let mut client = proxy.connect();
        assert_eq!(client.send(&request[..at]).response_to("PUT").status, 100, "{framing:?}");
        assert_eq!(client.send(&request[at..]).response_to("PUT").status, 200, "{framing:?}");
        let got = crate::uploads::assert_last(&upstream, framing, &file(), "asked");
        assert_eq!(got.head.get("expect"), None, "{framing:?}");
    }
}

#[test]
fn both_ways_go_on_at_the_same_time() {
    for framing in FRAMINGS {
        let upstream = Upstream::serve(|connection| {
            let Some(mut request) = connection.read_head() else { return };
            connection.wait_for("one");
            connection.send([SSE_HEAD.as_bytes(), &event("first")].concat());
            connection.wait_for("two");
            connection.send(event("second"));
            connection.read_body(&mut request);
            connection.send([&event("third")[..], LAST_CHUNK].concat());
            connection.wait_for_close();
        });
        let proxy = start_small(&upstream);
        let (head, parts): (_, [Vec<u8>; 3]) = match framing {
            Framing::Sized => ("Content-Length: 11", ["one", "two", "three"].map(Vec::from)),
            Framing::Chunked => ("Transfer-Encoding: chunked", ["one", "two", "three"].map(chunk)),
        };
        let mut client = proxy.connect();
        let fields = authorised(&format!("{head}\r\n"));
        client.send(format!("POST /p/p/live HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
        client.send(&parts[0]).wait_for("data: first\n\n");
        client.send(&parts[1]).wait_for("data: second\n\n");
        client.send(&parts[2]);
        if framing == Framing::Chunked {
            client.send(LAST_CHUNK);
        }
        let answer = client.response_to("POST");
        let expected = "data: first\n\ndata: second\n\ndata: third\n\n";
        assert_eq!((answer.status, answer.text().as_str()), (200, expected), "{framing:?}");
        assert!(answer.complete, "{framing:?}");
        assert_eq!(upstream.request().body, b"onetwothree", "{framing:?}");
    }
}

#[test]
fn an_early_refusal_reaches_the_client_that_still_sends() {
    let upstream = Upstream::serve(|connection| {
        connection.read_head();
        connection.wait_for(BEGIN);
        connection.send(json_answer("413 Too Large", "{\"early\":1}"));
        connection.half_close();
        connection.wait_for_close();
    });
    let proxy = start(&upstream);
    let body = file().repeat(20);
    for framing in FRAMINGS {
        let mut client = proxy.connect();
        client.send_in_background(framed("POST", "/p/p/files", "", framing, &body));
        let got = client.response_to("POST");
        assert_eq!((got.status, got.text().as_str()), (413, "{\"early\":1}"), "{framing:?}");
        client.half_close();
        assert_ne!(client.ending(), Ending::TimedOut, "{framing:?}");
    }
}

#[test]
fn a_client_that_leaves_and_a_provider_that_dies_end_the_exchange() {
    let (upstream, begun) = taking();
    let proxy = start(&upstream);
    let fds = proxy.fds();
    let mut number = 0;
    for framing in FRAMINGS {
        for way in WAYS {
            let request = framed("PUT", "/p/p/files", "", framing, &file());
            let mut client = proxy.connect();
            client.send(split(&request).0);
            number += 1;
            wait_begun(&begun, number);
            let left = leave(client, way);
            upstream.wait_closed_by_proxy(number);
            drop(left);
        }
    }
    assert!(upstream.requests().iter().all(|request| !request.complete));
    proxy.wait_fds(fds);
    let dying = Upstream::serve(|connection| {
        connection.read_head();
        connection.wait_for(BEGIN);
        connection.reset_on_close();
    });
    let proxy = start(&dying);
    for framing in FRAMINGS {
        let mut client = proxy.connect();
        client.send_in_background(framed("PUT", "/p/p/files", "", framing, &file().repeat(5)));
        assert!(client.response_to("PUT").error(502).contains("提供商 p"), "{framing:?}");
    }
    assert_eq!(dying.connections(), 2, "it is not repeated");
}

#[test]
fn the_wait_for_the_answer_begins_at_the_end_of_the_body() {
    let (upstream, _begun) = taking();
    let timeouts = json!({"non_stream_timeout": 0.5, "stream_timeout": 0.5});
    let proxy = TestProxy::start(&with(config([open("p", &upstream)]), timeouts));
    let mut client = proxy.connect();
    for framing in FRAMINGS {
        let request = framed("POST", "/p/p/files", "", framing, &file());
        client.send_in_pieces(&request, request.len() / 4, 250);
        assert_eq!(client.response_to("POST").status, 200, "{framing:?}");
    }
}
