//! The model's name replaced: everything else of the request stays as it is, byte by byte.
#![no_main]

use ai_proxy::language::Text;
use ai_proxy::routing::ChatRequest;
use ai_proxy_fuzz::json;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Arrays and objects within each other.
const DEPTH_MAX: usize = 128;
/// A refusal goes into the log and to the client: its length must not follow the body's.
const REASON_BYTES_MAX: usize = 512;
/// An id that is longer than this is shortened.
const ID_BYTES_MAX: usize = 100;
/// How many stored objects are taken note of.
const STORED_IDS_MAX: usize = 4;

fuzz_target!(|body: &[u8]| {
    let parsed = ChatRequest::parse(body);
    let text = std::str::from_utf8(body).ok();
    let json = text.map(|text| text.strip_prefix('\u{feff}').unwrap_or(text));
    let entries = json.and_then(json::entries);
    match &parsed {
        Ok(request) => {
            let json = json.expect("an accepted body is UTF-8");
            let entries = entries.expect("an accepted body is an object");
            assert!(json::depth(json) <= DEPTH_MAX);
            check_says(json, &entries, request);
            check(body, json, &entries, request);
        }
        Err(reason) => {
            let reason = reason.to_string();
            assert!(!reason.contains(char::is_control), "{reason:?}");
            assert!(reason.len() <= REASON_BYTES_MAX, "{} bytes: {reason}", reason.len());
            let json = json.unwrap_or_default();
            let entries = entries.filter(|_| json::depth(json) <= DEPTH_MAX);
            let models = entries.map(|entries| named(&entries, "model"));
            let good = match models.as_deref() {
                Some([raw]) => json::string(raw).is_some(),
                Some([]) => true,
                _ => false,
            };
            assert!(!good, "serde_json takes it: {reason}");
        }
    }
    check_readers(body, parsed);
});

/// The values of all entries of this name.
fn named<'j>(entries: &[(String, &'j str)], name: &str) -> Vec<&'j str> {
    entries.iter().filter(|(key, _)| key == name).map(|(_, raw)| *raw).collect()
}

/// Model, stream and the rest are what serde_json finds in the body.
fn check_says(json: &str, entries: &[(String, &str)], request: &ChatRequest) {
    let model = match named(entries, "model")[..] {
        // One that goes on from a stored object needs none.
        [] => None,
        [raw] => Some(json::string(raw).expect("the model is a string")),
        ref more => panic!("{} models were accepted", more.len()),
    };
    assert_eq!(request.model, model);
    assert_eq!(request.stream, named(entries, "stream").last() == Some(&"true"));
    let is_like = |key: &str| key != "model" && key.eq_ignore_ascii_case("model");
    let ambiguous = entries.iter().any(|(key, raw)| is_like(key) && raw.starts_with('"'));
    assert_eq!(request.ambiguous, ambiguous);
    assert_eq!(request.conversation, None);

    let mut ids: Vec<String> = Vec::new();
    for (key, raw) in entries {
        if !["previous_response_id", "conversation"].contains(&key.as_str()) {
            continue;
        }
        let object = json::entries(raw).unwrap_or_default();
        let id = match named(&object, "id")[..] {
            [id] => json::string(id),
            _ => json::string(raw),
        };
        ids.extend(id.filter(|id| !ids.contains(id)));
    }
    if ids.iter().all(|id| id.len() <= ID_BYTES_MAX) {
        ids.truncate(STORED_IDS_MAX);
        assert_eq!(request.stored_ids, ids);
    }

    // It refuses numbers beyond `f64`, and nests one less deep.
    if let Ok(value) = serde_json::from_str::<Value>(json) {
        assert_eq!(request.model.as_deref(), value.get("model").and_then(Value::as_str));
        assert_eq!(request.stream, value.get("stream") == Some(&Value::Bool(true)));
    }
}

/// A byte order mark keeps a body from the quick look: serde_json then says the same of it.
fn check_readers(body: &[u8], parsed: Result<ChatRequest, Text>) {
    let marked = ChatRequest::parse(&[b"\xef\xbb\xbf", body].concat());
    if body.starts_with(b"\xef\xbb\xbf") || std::str::from_utf8(body).is_err() {
        return;
    }
    let shown = |parsed: Result<ChatRequest, Text>| {
        parsed
            .map(|request| (request.model, request.stream, request.ambiguous, request.stored_ids))
            .map_err(|reason| reason.to_string())
    };
    assert_eq!(shown(parsed), shown(marked));
}

fn check(body: &[u8], json: &str, entries: &[(String, &str)], request: &ChatRequest) {
    let Some(model) = &request.model else {
        let mut same = body.to_vec();
        request.splice(&mut same);
        assert_eq!(same, body, "without a model there is nothing to replace");
        return;
    };
    let raw = named(entries, "model")[0];
    check_renamed(body, raw);

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

/// Other names, one after the other, take the place of the model's string and of nothing else.
fn check_renamed(body: &[u8], raw: &str) {
    let start = raw.as_ptr() as usize - body.as_ptr() as usize;
    let (before, behind) = (&body[..start], &body[start + raw.len()..]);
    let mut request = ChatRequest::parse(body).expect("it was accepted before");
    let mut renamed = body.to_vec();
    for name in ["a-longer-name/of it", "m", "q\"\\"] {
        request.rename(&mut renamed, name);
        let string = Value::from(name).to_string();
        assert_eq!(renamed, [before, string.as_bytes(), behind].concat());
    }
}
