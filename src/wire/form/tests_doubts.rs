//! What some readers take for a model or a delimiter, and others do not.

use super::tests::{model_of, with_model, FILE, MODEL};
use super::tests_splits::{pass, pass_with, Plan};
use super::*;

/// A part of this head, between an ordinary one and the end.
fn with_head(head: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--b\r\n{head}\r\n\r\nm\r\n--b--\r\n")
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
