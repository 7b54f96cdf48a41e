//! Odd forms: all of them are read as RFC 2046 and RFC 7578 say, and none of their bytes is lost.

use super::*;

/// Replaced by the model's name.
const MODEL_HERE: &[u8] = b"{model}";
const PLAIN: &[u8] = b"Content-Disposition: form-data; name=\"model\"\r\n\r\n{model}";

fn named(form: &[u8], model: &str) -> Vec<u8> {
    let at = memchr::memmem::find(form, MODEL_HERE).expect("a place for the name");
    [&form[..at], model.as_bytes(), &form[at + MODEL_HERE.len()..]].concat()
}

fn of(parts: &[&[u8]], end: &[u8]) -> Vec<u8> {
    let parts = parts.iter().flat_map(|part| [&b"--bound\r\n"[..], part, b"\r\n"].concat());
    parts.chain(end.iter().copied()).collect()
}

fn start() -> (Upstream, TestProxy) {
    let upstream = Upstream::json("200 OK", "{}");
    let list = json!({"model_list": ["m", "a/b", "名 (x)\"\\"]});
    let proxy = TestProxy::start(&config([with(provider("p", &upstream), list)]));
    (upstream, proxy)
}

/// The provider gets `form` with its name of the model, in both framings.
fn relayed_as(upstream: &Upstream, proxy: &TestProxy, kind: &str, form: &[u8], model: &str) {
    for framing in FRAMINGS {
        let fields = format!("Content-Type: {kind}\r\n");
        let body = named(form, &format!("p/{model}"));
        let answer = proxy.raw(&framed("POST", ROW, &fields, framing, &body));
        let what = format!("{kind} {framing:?} {}: {}", show(&body), answer.text());
        assert_eq!(answer.status, 200, "{what}");
        let request = upstream.requests().pop().expect("a request");
        assert!(request.complete, "{what}");
        assert_eq!(show(&request.body), show(&named(form, model)), "{what}");
        assert_eq!(request.body, named(form, model), "{what}");
        assert_eq!(request.head.get("content-type").as_deref(), Some(kind));
    }
}

#[test]
fn a_boundary_is_read_in_every_way_of_writing_it() {
    let (upstream, proxy) = start();
    for (kind, boundary) in [
        ("multipart/form-data; boundary=bound", "bound"),
        ("multipart/form-data;boundary=bound", "bound"),
        ("MULTIPART/Form-Data ; BOUNDARY=\"bound\" ; x=y", "bound"),
        ("multipart/form-data; boundary=\"a b'()+_,-./:=?\"", "a b'()+_,-./:=?"),
        ("multipart/form-data; boundary=----WebKitFormBoundaryABC", "----WebKitFormBoundaryABC"),
    ] {
        for first in [true, false] {
            let file =
                &b"Content-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n\0--no"[..];
            let parts = if first { [PLAIN, file] } else { [file, PLAIN] };
            let text = of(&parts, b"--bound--\r\n");
            let mut form = Vec::new();
            let mut rest = &text[..];
            while let Some(at) = memchr::memmem::find(rest, b"--bound") {
                form.extend([&rest[..at], b"--", boundary.as_bytes()].concat());
                rest = &rest[at + 7..];
            }
            form.extend(rest);
            relayed_as(&upstream, &proxy, kind, &form, "m");
        }
    }
}

#[test]
fn the_part_model_is_found_however_it_is_named() {
    let (upstream, proxy) = start();
    let kind = "multipart/form-data; boundary=bound";
    for part in [
        PLAIN,
        b"Content-Disposition: form-data; name=model\r\n\r\n{model}",
        b"content-disposition:form-data;name=\"model\"\r\n\r\n{model}",
        b"CONTENT-DISPOSITION: Form-Data ; NAME=\"model\"; x=y\r\n\r\n{model}",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}",
        b"Content-Disposition: form-data; name=\"model\"\r\nX: a:b\r\n\r\n{model}",
    ] {
        let file = b"Content-Disposition: form-data; filename=\"x\"; name=\"file\"\r\n\r\nabc";
        relayed_as(&upstream, &proxy, kind, &of(&[part, file], b"--bound--\r\n"), "m");
        relayed_as(&upstream, &proxy, kind, &of(&[file, part], b"--bound--\r\n"), "m");
    }
    for model in ["a/b", "名 (x)\"\\"] {
        relayed_as(&upstream, &proxy, kind, &of(&[PLAIN], b"--bound--\r\n"), model);
    }
}

#[test]
fn a_part_that_only_looks_like_model_is_none() {
    let (upstream, proxy) = start();
    let kind = "multipart/form-data; boundary=bound";
    for part in [
        &b"Content-Disposition: form-data; name=\"Model\"\r\n\r\nq/x"[..],
        b"Content-Disposition: form-data; name=\"model[]\"\r\n\r\nq/x",
        b"Content-Disposition: form-data; name=\"models\"\r\n\r\nq/x",
        b"Content-Disposition: form-data; name=\"file\"; filename=\"model\"\r\n\r\nq/x",
        b"X-Content-Disposition: form-data; name=\"model\"\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nq/x",
        b"Content-Disposition: form-data; name=\"x\"\r\n\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nq/x",
    ] {
        relayed_as(&upstream, &proxy, kind, &of(&[part, PLAIN], b"--bound--\r\n"), "m");
        relayed_as(&upstream, &proxy, kind, &of(&[PLAIN, part], b"--bound--\r\n"), "m");
        let fields = format!("Content-Type: {kind}\r\n");
        let body = of(&[part], b"--bound--\r\n");
        proxy.raw(&framed("POST", ROW, &fields, Framing::Sized, &body)).error(400);
    }
}

#[test]
fn the_bytes_of_a_file_are_nobodys_business() {
    let (upstream, proxy) = start();
    let kind = "multipart/form-data; boundary=bound";
    for bytes in [
        &b""[..],
        b"\0",
        b"\r\n",
        b"\r",
        b"\r\n--",
        b"\r\n--boun",
        b"\r\n--boun\r\n--boun",
        b"\r\r\n-\r\n--\r\n-bound",
        b"\xff\xfe\xc3\0\r\n\r\n\x80",
        b"a--bound--b--bound\r\n",
        b"\n--bound\nx",
        b"\r--bound\r",
        b"\r\n --bound",
        b"\r\n--BOUND\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nq/x\r\n--BOUND--",
        b"--bound\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n",
    ] {
        // The dot keeps a boundary that comes first from standing at the beginning of a line.
        let start: &[u8] = b"Content-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n.";
        let file = [start, bytes].concat();
        relayed_as(&upstream, &proxy, kind, &of(&[PLAIN, &file], b"--bound--\r\n"), "m");
        relayed_as(&upstream, &proxy, kind, &of(&[&file, PLAIN], b"--bound--\r\n"), "m");
    }
}

#[test]
fn what_stands_around_the_parts_stays() {
    let (upstream, proxy) = start();
    let kind = "multipart/form-data; boundary=bound";
    let file: &[u8] = b"Content-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\nabc";
    for parts in [[PLAIN, file], [file, PLAIN]] {
        for end in
            [&b"--bound--"[..], b"--bound--\r\n\r\n", b"--bound-- \t\r\nepilogue\r\n--bound\r\n"]
        {
            relayed_as(&upstream, &proxy, kind, &of(&parts, end), "m");
        }
        for before in [&b"\r\n"[..], b"a preamble\r\n", b"--boun\r\n"] {
            let form = [before, &of(&parts, b"--bound--\r\n")].concat();
            relayed_as(&upstream, &proxy, kind, &form, "m");
        }
    }
    // White space behind a boundary is no part of it (RFC 2046 §5.1.1).
    let padded = [&b"--bound \t\r\n"[..], PLAIN, b"\r\n--bound  \r\n", file, b"\r\n--bound--\r\n"];
    relayed_as(&upstream, &proxy, kind, &padded.concat(), "m");
}

#[test]
fn a_form_that_streams_may_lack_its_end() {
    let (upstream, proxy) = start();
    let kind = "multipart/form-data; boundary=bound";
    let start: &[u8] = b"Content-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\nabc";
    let whole = of(&[PLAIN, start], b"");
    for end in [&b""[..], b"--", b"--bound", b"--bound-", b"\r\n--boun"] {
        relayed_as(&upstream, &proxy, kind, &[&whole, end].concat(), "m");
    }
}
