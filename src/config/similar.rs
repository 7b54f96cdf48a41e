//! Which key somebody may have meant who wrote one that is unknown.

/// Names that other programs have for ours; one may be for several tables.
const ALIASES: [(&str, &str); 44] = [
    ("api_base", "baseurl"),
    ("base_url", "baseurl"),
    ("endpoint", "baseurl"),
    ("url", "baseurl"),
    ("api_key", "token"),
    ("api_keys", "token"),
    ("apikey", "token"),
    ("key", "token"),
    ("keys", "token"),
    ("api_key_file", "token_file"),
    ("key_file", "token_file"),
    ("keys_file", "token_file"),
    ("key_strategy", "key_order"),
    ("rotation", "key_order"),
    ("strategy", "key_order"),
    ("apis", "endpoints"),
    ("paths", "endpoints"),
    ("id", "provider"),
    ("name", "provider"),
    ("models", "model_list"),
    ("api_keys", "tokens"),
    ("keys", "tokens"),
    ("address", "host"),
    ("bind", "host"),
    ("listen", "host"),
    ("lang", "language"),
    ("timeout", "non_stream_timeout"),
    ("cors", "cors_origins"),
    ("fallbacks", "aliases"),
    ("model_alias", "aliases"),
    ("model_aliases", "aliases"),
    ("model_group_alias", "aliases"),
    ("model_map", "aliases"),
    ("model_mapping", "aliases"),
    ("max_retries", "retries"),
    ("num_retries", "retries"),
    ("retry_count", "retries"),
    ("retry_times", "retries"),
    ("retry_status_codes", "retry_on"),
    ("retry_statuses", "retry_on"),
    ("fallbacks", "targets"),
    ("models", "targets"),
    ("routing_strategy", "order"),
    ("strategy", "order"),
];

/// Letters that may be wrong, missing or too many.
const DISTANCE_MAX: usize = 2;
/// Shorter names are too much alike.
const LENGTH_MIN: usize = 4;
/// No key is nearly so long.
const LENGTH_MAX: usize = 64;

/// The one of `keys` that is most like `name`, if one is.
pub(super) fn similar<'k>(name: &str, keys: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > LENGTH_MAX {
        return None;
    }
    let plain = name.to_ascii_lowercase().replace('-', "_");
    let near = |key: &&str| {
        let is_alias = ALIASES.contains(&(&*plain, *key));
        let distance = if is_alias { 0 } else { distance(plain.as_bytes(), key.as_bytes()) };
        let may_be = is_alias || (key.len() >= LENGTH_MIN && distance <= DISTANCE_MAX);
        may_be.then_some(distance)
    };
    keys.filter_map(|key| Some((near(&key)?, key))).min().map(|(_, key)| key)
}

/// How many letters must be changed, added or left out (Levenshtein).
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_the_names_of_others_and_by_its_letters() {
        let keys = ["provider", "baseurl", "token", "token_file", "model_list", "port"];
        for (name, meant) in [
            ("api_key", Some("token")),
            ("API-Key", Some("token")),
            ("base_url", Some("baseurl")),
            ("baseUrl", Some("baseurl")),
            ("providr", Some("provider")),
            ("tokens", Some("token")),
            ("api_keys", Some("token")),
            ("modellist", Some("model_list")),
            ("models", Some("model_list")),
            ("comment", None),
            ("lang", None),
            ("x", None),
            (&"t".repeat(10_000), None),
        ] {
            assert_eq!(similar(name, keys.into_iter()), meant, "{name}");
        }
    }
}
