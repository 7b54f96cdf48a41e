//! The schema that `--schema` prints and the loader must agree.

use serde_json::{json, Value};

use super::Config;

fn schema() -> Value {
    serde_json::from_str(include_str!("schema.json")).expect("the schema is JSON")
}

fn entries<'a>(schema: &'a Value, pointer: &str) -> &'a serde_json::Map<String, Value> {
    let object = schema.pointer(pointer).and_then(Value::as_object);
    object.expect("the schema has this object")
}

fn load(value: &Value) -> Result<Config, super::ConfigError> {
    Config::parse(&value.to_string(), "config.json")
}

#[test]
fn the_schema_says_the_defaults_of_the_loader() {
    let schema = schema();
    let mut file = json!({"providers": []});
    for (key, rule) in entries(&schema, "/properties") {
        assert!(rule["description"].is_string(), "{key}");
        if let Some(default) = rule.get("default") {
            file[key] = default.clone();
        }
    }
    let loaded = load(&file).expect("the defaults are valid");
    assert_eq!(format!("{loaded:?}"), format!("{:?}", Config::default()));
}

#[test]
fn the_schema_says_the_bounds_of_the_loader() {
    let schema = schema();
    for (key, rule) in entries(&schema, "/properties") {
        let file = |value: Value| json!({"providers": [], "tokens": [], key: value});
        for bound in ["minimum", "maximum"] {
            let Some(number) = rule.get(bound) else {
                continue;
            };
            assert!(load(&file(number.clone())).is_ok(), "{key} {bound}");
            let step = if bound == "minimum" { -1 } else { 1 };
            let beyond = number.as_i64().and_then(|number| number.checked_add(step));
            if let Some(beyond) = beyond {
                assert!(load(&file(beyond.into())).is_err(), "{key} {bound}");
            }
        }
        if let Some(number) = rule.get("exclusiveMinimum") {
            assert!(load(&file(number.clone())).is_err(), "{key}");
        }
    }
}
