use super::part::form_boundary;
use super::scanner::{HEAD_BYTES_MAX, MODEL_BYTES_MAX};
use super::tests_splits::{pass, pass_with, Passed, Plan};
use super::*;

/// `{…}` stands for the value of `model`.
pub(super) fn with_model(text: &str, value: &str) -> Vec<u8> {
    let (start, rest) = text.split_once('{').unwrap();
    let (_, end) = rest.split_once('}').unwrap();
    format!("{start}{value}{end}").into_bytes()
}

pub(super) const MODEL: &str = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n";
pub(super) const FILE: &str =
    "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n";

pub(super) fn model_of(body: &[u8]) -> Result<Option<String>, FormError> {
    let passed = pass("b", body, "new")?;
    if passed.model.is_none() {
        assert_eq!(passed.output, body);
    }
    Ok(passed.model)
}

#[test]
fn boundaries_are_read_as_the_standard_says() {
    let found = |value: &str, boundary: &str, is_odd| {
        let found = form_boundary(value.as_bytes());
        assert_eq!(found, Some(Ok((boundary.as_bytes().to_vec(), is_odd))), "{value}");
    };
    let good = |value: &str, boundary: &str| found(value, boundary, false);
    good("multipart/form-data; boundary=abc", "abc");
    good("Multipart/Form-Data;BOUNDARY=----WebKitFormBoundaryabc", "----WebKitFormBoundaryabc");
    good("multipart/form-data; boundary=axios-1.7.2-boundary-a_B", "axios-1.7.2-boundary-a_B");
    good(
        r#" multipart/form-data ; charset=UTF-8 ; boundary="a b'()+_,-./:=?" ;"#,
        "a b'()+_,-./:=?",
    );
    good(r#"multipart/form-data; boundary=a; boundary="a""#, "a");
    good(&format!("multipart/form-data; boundary={}", "x".repeat(200)), &"x".repeat(200));
    // Some readers find another one.
    let odd = |value: &str, boundary: &str| found(value, boundary, true);
    odd("multipart/form-data; boundary=a=b:c/d?,e", "a=b:c/d?,e");
    odd("multipart/form-data; boundary=b,c", "b,c");
    odd("multipart/form-data; boundary=%62", "%62");
    odd("multipart/form-data; boundary=<b>", "<b>");
    odd("multipart/form-data; boundary==?utf-8?Q?b?=", "=?utf-8?Q?b?=");
    odd(r#"multipart/form-data; boundary="=?utf-8?Q?b?=""#, "=?utf-8?Q?b?=");
    odd(r#"multipart/form-data; boundary=" b""#, " b");
    odd(r#"multipart/form-data; boundary="a;b""#, "a;b");
    odd(r#"multipart/form-data; boundary="a\b""#, "ab");
    odd(r#"multipart/form-data; boundary="a b\"c\d;e""#, "a b\"cd;e");
    odd(r#"multipart/form-data; x="; boundary=no; "; boundary=yes"#, "yes");
    odd("multipart/form-data; xboundary=e; boundary=b", "b");

    for value in ["", "application/json", "multipart/mixed; boundary=a", "multipart/form-datax"] {
        assert_eq!(form_boundary(value.as_bytes()), None, "{value}");
    }
    let long = format!("multipart/form-data; boundary={}", "x".repeat(201));
    for value in [
        "multipart/form-data",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"a",
        "multipart/form-data; boundary=\"a\" b",
        "multipart/form-data; boundary=\"a \"",
        "multipart/form-data; boundary=a\x01",
        "multipart/form-data; boundary=a b",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=a; boundary*0=b",
        &long,
    ] {
        assert_eq!(form_boundary(value.as_bytes()), Some(Err(FormError::Boundary)), "{value}");
    }
    let value = b"multipart/form-data; boundary=a; charset=cp037";
    assert_eq!(form_boundary(value), Some(Ok((b"a".to_vec(), true))));
}

#[test]
fn forms_of_real_clients_change_in_the_value_alone() {
    let forms = [
        // openai-python (httpx), openai-node (undici), curl, requests, okhttp, Apache HttpClient, Go.
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{}\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\0ÿ\r\n--b--\r\n",
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22model%22.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n\r\n--b-\r\n--c\r\n--bc\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{}\r\n--b--\r\n\r\n",
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model \\\"x\\\".wav\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{}\r\n--b--",
        "--b\r\ncontent-disposition:form-data;name=model\r\n\r\n{}\r\n--b \t\r\nX: y\r\n\r\n\r\n--b--",
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}\r\n--b\r\n\r\nno head\r\n--b--\r\nepilogue\r\n--b\r\nX: y\r\n\r\nignored\r\n--b--\r\n",
        "preamble\r\n--b\r\nCONTENT-DISPOSITION: Form-Data; NAME=\"model\"\r\n\r\n{}\r\n--b--\r\n--bound",
    ];
    for form in forms {
        for value in ["p/whisper-1", "", "中文/模型", "x\r\n-", "\r\n"] {
            let passed = pass("b", &with_model(form, value), "new").unwrap();
            assert_eq!(passed.model.as_deref(), Some(value), "{form:?}");
            assert_eq!(passed.output, with_model(form, "new"));
        }
    }
}

#[test]
fn limits_are_kept_to_the_byte() {
    let long = |bytes| format!("{MODEL}{}\r\n--b--", "m".repeat(bytes));
    assert!(model_of(long(MODEL_BYTES_MAX).as_bytes()).unwrap().is_some());
    assert_eq!(model_of(long(MODEL_BYTES_MAX + 1).as_bytes()), Err(FormError::ModelTooLong));
    let endless = format!("{MODEL}{}", "m".repeat(MODEL_BYTES_MAX + 6));
    assert_eq!(model_of(endless.as_bytes()), Err(FormError::ModelTooLong));

    let head = |bytes| format!("--b\r\nX: {}\r\n\r\n\r\n--b--", "y".repeat(bytes - 7));
    assert_eq!(model_of(head(HEAD_BYTES_MAX).as_bytes()), Ok(None));
    assert_eq!(model_of(head(HEAD_BYTES_MAX + 1).as_bytes()), Err(FormError::PartHead));

    let two = format!("{MODEL}a\r\n{MODEL}a\r\n--b--");
    assert_eq!(model_of(two.as_bytes()), Err(FormError::TwoModels));
    let bad = [MODEL.as_bytes(), b"\xff\r\n--b--"].concat();
    assert_eq!(model_of(&bad), Err(FormError::ModelNotUtf8));
}

#[test]
fn no_name_brings_a_delimiter_with_it() {
    let form = format!("{MODEL}p/--b\r\nX: y\r\n--b--");
    assert_eq!(model_of(form.as_bytes()), Err(FormError::Ambiguous));
    let mut form = Form::new(b"b");
    assert_eq!(form.rename("x\r\n--b\r\n", &mut Vec::new()), Err(FormError::Ambiguous));
}

#[test]
fn the_length_that_a_part_names_follows_its_value() {
    let head = MODEL.replace("\r\n\r\n", "\r\nContent-Length:  10\r\nX: y\r\n\r\n");
    let form = format!("{head}p/whisper1\r\n{FILE}x\r\n--b--");
    let wanted = form.replace("10", "3").replace("p/whisper1", "new");
    for hold in [0, 150, form.len()] {
        let plan = Plan { hold, ..Plan::whole("new") };
        let passed = pass_with("b", form.as_bytes(), &plan).unwrap();
        assert_eq!(String::from_utf8(passed.output).unwrap(), wanted);
    }
}

#[test]
fn a_body_may_be_renamed_again() {
    let text = format!("{MODEL}p/m\r\n{FILE}x");
    let mut body = text.clone().into_bytes();
    let mut form = Form::new(b"b");
    form.scan(&body, false).unwrap();
    let settled = form.settled();
    for name in ["a", "", "a long name", "m"] {
        let before = signed(body.len());
        assert_eq!(
            form.rename(name, &mut body).map(|longer| before + longer),
            Ok(signed(body.len()))
        );
        assert_eq!(String::from_utf8(body.clone()).unwrap(), text.replace("p/m", name));
        assert_eq!(form.settled(), settled + name.len() - 3);
        assert_eq!(form.model(), Some("p/m"));
    }
}

#[test]
fn streams_and_files_are_seen() {
    let head = MODEL.replace("model", "stream");
    for (value, wanted) in [
        ("true", true),
        ("True", true),
        ("1", true),
        ("false", false),
        ("", false),
        ("true ", false),
    ] {
        let body = format!("{head}{value}\r\n{FILE}x\r\n--b--");
        assert_eq!(pass("b", body.as_bytes(), "x").map(|passed| passed.streams), Ok(wanted));
    }
    let long = format!("{head}{}true\r\n--b--", "\r\n--bx".repeat(9));
    assert_eq!(pass("b", long.as_bytes(), "x").map(|passed| passed.streams), Ok(false));

    let mut form = Form::new(b"b");
    form.scan(&FILE.as_bytes()[..FILE.len() - 1], false).unwrap();
    assert!(!form.file_begun());
    form.scan(FILE.as_bytes(), false).unwrap();
    assert!(form.file_begun());
    assert_eq!(form.settled(), FILE.len());
}

#[test]
fn an_announced_length_is_kept() {
    let keep = |value: &str, name, end: &str| -> Result<Passed, FormError> {
        let form = format!("{FILE}x\r\n{MODEL}{value}{end}");
        let hold = FILE.len();
        pass_with("b", form.as_bytes(), &Plan { hold, keep: true, ..Plan::whole(name) })
    };
    for end in ["\r\n--b--", "\r\n--b--\r\n", "\r\n--b\r\n\r\n\r\n--b--\r\n\r\n"] {
        for (value, fill) in [
            ("new", ""),
            ("anew", " "),
            ("p/new", "\r\n"),
            ("pr/new", " \r\n"),
            ("pro/new", "\r\n\r\n"),
        ] {
            let passed = keep(value, "new", end).unwrap();
            let wanted = format!("{FILE}x\r\n{MODEL}new{end}{fill}");
            assert_eq!(String::from_utf8(passed.output).unwrap(), wanted);
        }
        assert_eq!(keep("ne", "new", end), Err(FormError::NameLonger));
    }
    assert_eq!(keep("p/new", "new", "\r\n--b\r\n\r\n"), Err(FormError::Unclosed));
    assert_eq!(keep("p/new", "new", ""), Err(FormError::Ambiguous));
}

#[test]
fn errors_are_final_and_short() {
    let body = format!("{MODEL}a\r\n{MODEL}b\r\n--b--");
    let mut form = Form::new(b"b");
    for _ in 0..2 {
        assert_eq!(form.scan(body.as_bytes(), false), Err(FormError::TwoModels));
        assert_eq!(form.edit(b"x", &mut Vec::new(), true), Err(FormError::TwoModels));
    }
    assert!(FormError::TwoModels.to_string().ends_with("(the form has more than one model)"));
}
