use super::part::form_boundary;
use super::scanner::{HEAD_BYTES_MAX, MODEL_BYTES_MAX};
use super::tests_splits::{pass, pass_with, Passed, Plan};
use super::*;

/// `{…}` stands for the value of `model`.
fn with_model(text: &str, value: &str) -> Vec<u8> {
    let (start, rest) = text.split_once('{').unwrap();
    let (_, end) = rest.split_once('}').unwrap();
    format!("{start}{value}{end}").into_bytes()
}

const MODEL: &str = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n";
const FILE: &str =
    "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n";

/// A part of this head, between an ordinary one and the end.
fn with_head(head: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--b\r\n{head}\r\n\r\nm\r\n--b--\r\n")
}

fn model_of(body: &[u8]) -> Result<Option<String>, FormError> {
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
fn what_only_looks_like_a_delimiter_is_data() {
    for data in [
        "\r\n--bX\r\n",
        "\r\n--b-X",
        "x--b\r\n",
        "\r\n-b\r\n",
        "\r\n--\r\n--\r\n--\r\n",
        "\r\n\r\n--",
        "\r\n--b X\r\n",
        "\n--bX\n",
        "\r--b -",
        "\r\n--b -- ",
        "\r\r\n\n",
    ] {
        let form = format!("{FILE}{data}\r\n{MODEL}{{}}\r\n--b--\r\n");
        let passed = pass("b", &with_model(&form, "m"), "new").unwrap();
        assert_eq!(passed.model.as_deref(), Some("m"), "{data:?}");
        assert_eq!(passed.output, with_model(&form, "new"), "{data:?}");
    }
}

#[test]
fn lines_that_are_delimiters_to_some_readers_only_are_refused() {
    for data in [
        "\n--b\r\n",
        "\n--b\n",
        "x\r--b\r\n",
        "\r\n--b\n",
        "\r\n--b\rx",
        "x\n--b--\r\n",
        "\r\n--b\x0b\r\n",
        "\r\n--b--\r\n",
        "\r\n--b--x\r\n--b\r\n",
    ] {
        let form =
            format!("{FILE}x{data}CONTENT-disposition: form-data; name*=mod%65l\r\n--b--\r\n");
        assert_eq!(model_of(form.as_bytes()), Err(FormError::Ambiguous), "{data:?}");
        // Where it does not matter which model it is, they are bytes of the file.
        let form = format!("{MODEL}p/m\r\n{form}");
        let passed = pass_with("b", form.as_bytes(), &Plan { strict: false, ..Plan::whole("m") });
        assert_eq!(passed.unwrap().output, form.replace("p/m", "m").as_bytes(), "{data:?}");
    }
    let padding = " ".repeat(65);
    for form in [
        // At the start of data, in a head, in the middle of a preamble's line, too much white space.
        &format!("{FILE}--b\r\nContent-Disposition: z\r\n\r\n--b--"),
        "--b\r\nX: y\r\n--b\r\n\r\n--b--",
        "--b\r\nContent-Disposition: form-data; name=\"model\"\n\nm\r\n--b--",
        "junk--b\r\nContent-Disposition: z\r\n\r\n--b--",
        "\n--b\r\nContent-Disposition: z\r\n\r\n--b--",
        "--b\nContent-Disposition: z\n\nz\n--b--\n",
        &format!("{FILE}\r\n--b{padding}\r\nContent-Disposition: z"),
        // Readers that know no white space there are in a preamble still.
        &format!(
            "{}m\r\n--b \r\nX: y\r\n\r\nx--b\r\n{}",
            MODEL.replace("--b", "--b "),
            &MODEL[5..]
        ),
        &format!("--b--\r\n{MODEL}m\r\n--b--"),
        &format!("--b--x\r\n{MODEL}m\r\n--b--"),
    ] {
        assert_eq!(model_of(form.as_bytes()), Err(FormError::Ambiguous), "{form:?}");
    }
}

#[test]
fn heads_that_name_a_model_to_some_readers_only_are_refused() {
    for head in [
        "Content-Disposition: form-data; name=model\r\nContent-Disposition: form-data; name=x",
        "Content-Disposition: form-data; name=x\r\nContent-Disposition: form-data; name=\"model\"",
        "Content-Disposition: form-data; name=x; name=model",
        "Content-Disposition: form-data; name=model; name=model",
        "Content-Disposition: form-data; name*=utf-8''model",
        "Content-Disposition: form-data; name*0=mo; name*1=del",
        "Content-Disposition: form-data; name=model; filename=a",
        "Content-Disposition: form-data; name=model; filename*=utf-8''a",
        "Content-Disposition: form-data;\r\n name=\"model\"",
        " Content-Disposition: form-data; name=\"model\"",
        "Content-Disposition : form-data; name=\"model\"",
        "Content-Disposition: form-data; name =\"model\"",
        "Content-Disposition: form-data; name =model\r\nX: y",
        "Content-Disposition: form-data; name=\r\n \"mod\\el\"",
        "Content-Disposition: form-data; name= \"model\"",
        "Content-Disposition: attachment; name=\"model\"",
        "Content-Disposition: form-data name=\"model\"",
        "Content-Disposition: form-data; name=\"model\" x",
        "Content-Disposition: form-data; name=\"model",
        "Content-Disposition: form-data; name=\"mod\\el\"",
        "Content-Disposition: form-data; name=\"model\0\"",
        "Content-Disposition: form-data; name=\" model\"",
        "Content-Disposition: form-data; name='model'",
        "Content-Disposition: form-data; name=<model>",
        "Content-Disposition: form-data; filename=\"x\\\"; name=\"model\"",
        "Content-Disposition: form-data; name=x; filename=\"\\\"; name=\\\"model\\\"\"",
        "X: y\nContent-Disposition: form-data; name=\"model\"",
        "X: y\rContent-Disposition: form-data; name=\"model\"",
        "X\r\nContent-Disposition: form-data; name=\"model\"",
        "Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: quoted-printable",
        "Content-Disposition: form-data; name=\"model\"\r\nContent-Length: 2",
        "Content-Disposition: form-data; name=\"model\"\r\nContent-Length",
        "Content-Disposition: form-data; name=model,z",
        "Content-Disposition: form-data; name=model(c)",
        "Content-Disposition: form-data; name=\"\u{feff}model\"",
        "Content-Disposition: form-data; name=\"\u{1}model\"",
        "Content-Disposition: form-data; name=\"=?utf-8?B?bW9kZWw=?=\"",
        "Content-Disposition: form-data; x=\"; name=model; y=\"; name=\"z\"",
        "Content-Disposition: form-data; x=\"name=model\"; name=\"z\"",
        "Content-Disposition: form-data; filename=\"a; name=model\"; name=x",
        // Taken apart in several ways, whatever they name.
        "Content-Disposition: form-data; name=x; name=y",
        "Content-Disposition: form-data; name=x\r\nContent-Disposition: form-data",
        "Content-Disposition: form-data; name=x; filename=my model.wav",
        "Content-Disposition: form-data;\r\n name=x; filename=\"model.wav\"",
        "Content-Disposition: form-data;\r\n name*=utf-8''model",
        "Content-Disposition: form-data;\r\n name*0=\"mod\"; name*1=\"el\"",
        "X: y\nContent-Disposition: form-data; name*=utf-8''model",
        "Content-Disposition: form-data; foo; name*=utf-8''model",
        "Content-Disposition: form-data; name=x;; name*=utf-8''model",
        "Content-Disposition: form-data; name* =utf-8''model",
        "Content-Disposition: form-data; foo; name=\u{b}model",
        "Content-Disposition: form-data; name=\u{b}model",
        "Content-Disposition: form-data; name=\u{a0}model",
        "Content-Disposition: form-data; name=(c)model",
        "Content-Disposition: form-data; filename=\"x\\\"; name =\u{b}model; y=\\\"\"; name=x",
    ] {
        assert_eq!(model_of(with_head(head).as_bytes()), Err(FormError::Ambiguous), "{head:?}");
    }
}

#[test]
fn other_heads_disturb_nothing() {
    for head in [
        "Content-Disposition: form-data; name=Model",
        "Content-Disposition: form-data; name=\"model_id\"",
        "Content-Disposition: form-data; name=\"模型\"",
        "Content-Disposition: form-data; name=\"%22model%22\"",
        "Content-Disposition: form-data; name=x; filename=\"model\"",
        "Content-Disposition: form-data; name=x; filename=\"C:\\model\\a.wav\"",
        "Content-Disposition: form-data; name=\"\0\"; filename=\"\0model.wav\"",
        "Content-Type: text/plain; name=model",
        "",
    ] {
        assert_eq!(model_of(with_head(head).as_bytes()), Ok(None), "{head:?}");
    }
    let body = [FILE.replace("a.wav", "\u{1}").as_bytes(), b"\xff\0\x80\r\n--b--"].concat();
    let body: Vec<u8> = body.iter().map(|byte| if *byte == 1 { 0xfe } else { *byte }).collect();
    assert_eq!(model_of(&body), Ok(None));
}

#[test]
fn a_value_counts_when_a_delimiter_ends_it() {
    for (form, model) in [
        (format!("{MODEL}m\r\n--b--"), Some("m")),
        (format!("{MODEL}\r\n--b--"), Some("")),
        (format!("{MODEL}m\r\n--b\r\n"), Some("m")),
        (String::new(), None),
        ("--b--\r\n".to_owned(), None),
        (format!("{MODEL}m").replace("--b", "--c"), None),
    ] {
        assert_eq!(model_of(form.as_bytes()), Ok(model.map(str::to_owned)), "{form:?}");
    }
    // To some readers these have one.
    for form in [
        format!("{MODEL}m"),
        format!("{MODEL}m\r\n--b"),
        format!("{MODEL}m\r\n--b-"),
        format!("{MODEL}m\r\n--b \r"),
        MODEL.to_owned(),
        MODEL[..MODEL.len() - 2].to_owned(),
        format!("--b--\r\n{MODEL}m\r\n--b--"),
    ] {
        assert_eq!(model_of(form.as_bytes()), Err(FormError::Ambiguous), "{form:?}");
        let plan = Plan { strict: false, ..Plan::whole("new") };
        assert_eq!(pass_with("b", form.as_bytes(), &plan).unwrap().model, None, "{form:?}");
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
