//! The model's name replaced: everything else of the request stays as it is, byte by byte.
#![no_main]

use ai_proxy::routing::ChatRequest;
use ai_proxy_fuzz::json;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Arrays and objects within each other.
const DEPTH_MAX: usize = 128;
/// A refusal goes into the log and to the client: its length must not follow the body's.
const REASON_BYTES_MAX: usize = 512;

fuzz_target!(|body: &[u8]| {
    let parsed = ChatRequest::parse(body);
    let text = std::str::from_utf8(body).ok();
    let json = text.map(|text| text.strip_prefix('\u{feff}').unwrap_or(text));
    let entries = json.and_then(json::entries);
    match parsed {
        Ok(request) => {
            let json = json.expect("an accepted body is UTF-8");
            let entries = entries.expect("an accepted body is an object");
            assert!(json::depth(json) <= DEPTH_MAX);
            check(body, json, &entries, &request);
        }
        Err(reason) => {
            assert!(!reason.contains(char::is_control), "{reason:?}");
            assert!(reason.len() <= REASON_BYTES_MAX, "{} bytes: {reason}", reason.len());
            let json = json.unwrap_or_default();
            let known = serde_json::from_str::<Value>(json).is_ok_and(|value| value.is_object());
            let entries = entries.unwrap_or_default();
            let models: Vec<_> = entries.iter().filter(|(key, _)| key == "model").collect();
            let good = matches!(models[..], [(_, raw)] if json::string(raw).is_some());
            assert!(!(known && good), "serde_json takes it: {reason}");
        }
    }
});

fn check(body: &[u8], json: &str, entries: &[(String, &str)], request: &ChatRequest) {
    let models: Vec<_> = entries.iter().filter(|(key, _)| key == "model").collect();
    let raw = match models[..] {
        // One that goes on from a stored object needs none.
        [] => return assert_eq!(request.model, None),
        [(_, raw)] => raw,
        _ => panic!("{} models were accepted", models.len()),
    };
    let model = json::string(raw).expect("the model is a string");
    assert_eq!(request.model.as_deref(), Some(&*model));
    let stream = entries.iter().rfind(|(key, _)| key == "stream");
    assert_eq!(request.stream, stream.is_some_and(|(_, raw)| *raw == "true"));

    let mut spliced = body.to_vec();
    request.splice(&mut spliced);
    let slash = model.find('/');
    assert_eq!(request.split_model(), slash.map(|at| (&model[..at], &model[at + 1..])));
    let Some((_, bare)) = request.split_model() else {
        assert_eq!(spliced, body, "without a provider there is nothing to replace");
        return;
    };

    // Byte by byte: what is before and behind the model's string.
    let start = raw.as_ptr() as usize - body.as_ptr() as usize;
    let (before, behind) = (&body[..start], &body[start + raw.len()..]);
    let name = spliced.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
    let name = std::str::from_utf8(name.expect("other bytes changed")).expect("UTF-8");
    assert_eq!(json::string(name).as_deref(), Some(bare));
    if !raw.contains('\\') {
        assert_eq!(name, format!("\"{bare}\""), "a plain name is cut, not written anew");
    }

    // As JSON: equal but for the model.
    let text = std::str::from_utf8(&spliced).expect("UTF-8");
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let after = json::entries(text).expect("the result is an object");
    assert_eq!(after.len(), entries.len());
    for ((key, raw), (key_after, raw_after)) in entries.iter().zip(&after) {
        assert_eq!(key, key_after);
        let wanted = if key == "model" { name } else { raw };
        assert_eq!(*raw_after, wanted);
    }
    if let Ok(Value::Object(mut before)) = serde_json::from_str(json) {
        before["model"] = Value::from(bare);
        let after: Value = serde_json::from_str(text).expect("serde_json took the original");
        assert_eq!(after, Value::Object(before));
    }
    let again = ChatRequest::parse(&spliced).expect("the result is a request");
    assert_eq!((again.model.as_deref(), again.stream), (Some(bare), request.stream));
}
