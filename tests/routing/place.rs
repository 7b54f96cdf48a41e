//! The providers of a row and their keys.

/// One provider of a row: `anna`, `anna:3` (three keys), `anna:0` (none), `anna:2*` (its list is fetched),
/// `anna!refused`, `anna!dns`, `anna!tls` (it cannot be reached).
#[derive(Clone, Debug)]
pub struct Place {
    pub name: String,
    pub keys: usize,
    pub fetched: bool,
    pub trouble: Option<String>,
}

impl Place {
    pub fn parse(word: &str) -> Self {
        let (word, trouble) = match word.split_once('!') {
            Some((word, trouble)) => (word, Some(trouble.to_owned())),
            None => (word, None),
        };
        let fetched = word.ends_with('*');
        let word = word.trim_end_matches('*');
        let (name, keys) = word.split_once(':').unwrap_or((word, "1"));
        let keys = keys.parse().expect("a number of keys");
        Self { name: name.to_owned(), keys, fetched, trouble }
    }

    /// How the trail calls a key of it.
    pub fn label(&self, key: Option<usize>) -> String {
        match key {
            Some(key) if self.keys > 1 => format!("{}#{key}", self.name),
            _ => self.name.clone(),
        }
    }
}

/// What stands in every key, and must stand nowhere else: its beginning, its middle and its end.
const OF_KEYS: [&str; 3] = ["qZ", "s3cr3t", "WxYk"];

/// The key `#number` of a provider.
pub fn key(provider: &str, number: usize) -> String {
    let provider: String = provider.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("qZ{number}{provider}-s3cr3t-{provider}{number}WxYk")
}

/// What of their keys must stand nowhere: parts, and the beginnings of hashes.
pub fn secrets(places: &[Place]) -> Vec<String> {
    let keys =
        places.iter().flat_map(|place| (1..=place.keys).map(|number| key(&place.name, number)));
    let hashes = keys.flat_map(|key| hashes(key.as_bytes()));
    OF_KEYS.map(str::to_owned).into_iter().chain(hashes).collect()
}

/// The beginnings of the usual hashes of a key.
fn hashes(key: &[u8]) -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    vec![hex(&openssl::sha::sha256(key)), hex(&openssl::sha::sha1(key))]
}
