//! A proxy between one client and scripted providers: each provider has a port of its own, knows which of its
//! keys a call shows, and writes down every call.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{json, Value};

use crate::place::{key, secrets, Place};
use crate::script::{self, Does};
use crate::support::*;

/// One request as a provider got it.
#[derive(Clone, Debug)]
pub struct Call {
    pub at: Instant,
    /// `anna#1`, or `anna` where there are no two keys.
    pub label: String,
    /// From its body.
    pub model: Option<String>,
    pub request: Request,
    /// The body that it gets.
    pub answer: Vec<u8>,
}

impl Call {
    /// The label, with the model if that is not `m`.
    pub fn place(&self) -> String {
        match self.model.as_deref() {
            None | Some("m") => self.label.clone(),
            Some(model) => format!("{}/{model}", self.label),
        }
    }
}

/// By address: what is left of each script.
type Scripts = BTreeMap<String, (usize, Vec<Does>)>;

/// What all providers of a row share.
struct Shared {
    calls: Mutex<Vec<Call>>,
    lists: Mutex<Vec<Call>>,
    scripts: Mutex<Scripts>,
    gate: Gate,
}

impl Shared {
    fn next(&self, label: &str, name: &str, model: Option<&str>) -> Does {
        let mut scripts = self.scripts.lock().expect("no poison");
        let with_model = |place: &str| format!("{place}/{}", model.unwrap_or_default());
        let all = if name.ends_with("/models") { "" } else { "*" };
        let addresses = [
            with_model(label),
            label.to_owned(),
            with_model(name),
            name.to_owned(),
            all.to_owned(),
        ];
        let found = addresses.iter().find(|address| scripts.contains_key(*address));
        let Some(address) = found else { return script::parse("200").remove(0) };
        let (count, script) = scripts.get_mut(address).expect("just found");
        let does = script[(*count).min(script.len() - 1)].clone();
        *count += 1;
        does
    }

    fn answer(&self, place: &Place, request: &Request, connection: &mut Connection) -> bool {
        let key = (1..=place.keys).find(|number| {
            let expected = format!("Bearer {}", key(&place.name, *number));
            request.head.get("authorization") == Some(expected)
        });
        let label = if key.is_none() && place.keys > 0 {
            format!("{}#unknown", place.name)
        } else {
            place.label(key)
        };
        let is_list = request.method == "GET" && request.target.ends_with("/v1/models");
        let model = model_member(&request.body).or_else(|| model_part(&request.body));
        let (name, log) = if is_list {
            (format!("{}/models", place.name), &self.lists)
        } else {
            (place.name.clone(), &self.calls)
        };
        let does = self.next(if is_list { &name } else { &label }, &name, model.as_deref());
        let mut log = log.lock().expect("no poison");
        let answer = does.body(&label, log.len() + 1);
        let call = Call {
            at: Instant::now(),
            label,
            model,
            request: request.clone(),
            answer: answer.clone(),
        };
        log.push(call);
        drop(log);
        does.run(connection, request, &answer, &self.gate)
    }
}

/// The model of a JSON body, which may hold numbers that no machine can.
fn model_member(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Body {
        model: String,
    }
    serde_json::from_slice::<Body>(body).ok().map(|body| body.model)
}

/// The value of a form's part `model`.
fn model_part(body: &[u8]) -> Option<String> {
    let start = b"name=\"model\"\r\n\r\n";
    let at = memchr::memmem::find(body, start)? + start.len();
    let end = memchr::memmem::find(&body[at..], b"\r\n")?;
    Some(String::from_utf8_lossy(&body[at..at + end]).into_owned())
}

/// A running proxy and its providers.
pub struct World {
    pub proxy: TestProxy,
    pub config: Value,
    pub started: Instant,
    pub places: Vec<Place>,
    shared: Arc<Shared>,
    _upstreams: Vec<Upstream>,
}

/// Where the providers listen, and what the file says of them.
pub fn serve(places: &[Place], scripts: &[(String, String)]) -> (Value, Parts) {
    let scripts = scripts.iter().map(|(at, line)| (at.clone(), (0, script::parse(line)))).collect();
    let shared = Arc::new(Shared {
        calls: Mutex::default(),
        lists: Mutex::default(),
        scripts: Mutex::new(scripts),
        gate: Gate::default(),
    });
    let mut upstreams = Vec::new();
    let providers: Vec<Value> = places
        .iter()
        .map(|place| {
            let base_url = match place.trouble.as_deref() {
                Some("refused") => format!("http://{}/v1", dead_address()),
                Some("dns") => "http://no-such-host.invalid/v1".to_owned(),
                Some("tls") => {
                    // Its answer to a handshake is none.
                    let upstream = Upstream::serve(|connection| {
                        connection.send("HTTP/1.1 400 No\r\n\r\n");
                        connection.wait_for_close();
                    });
                    let url = upstream.base_url().replace("http://", "https://");
                    upstreams.push(upstream);
                    url
                }
                Some(trouble) => panic!("no such trouble: {trouble}"),
                None => {
                    let (mine, state) = (place.clone(), shared.clone());
                    let upstream = Upstream::serve(move |connection| {
                        while let Some(request) = connection.read_request() {
                            if !state.answer(&mine, &request, connection) {
                                return;
                            }
                        }
                    });
                    let url = upstream.base_url();
                    upstreams.push(upstream);
                    url
                }
            };
            described(place, &base_url)
        })
        .collect();
    (config(providers), Parts { shared, upstreams })
}

/// What [`serve`] has begun.
pub struct Parts {
    shared: Arc<Shared>,
    upstreams: Vec<Upstream>,
}

fn described(place: &Place, base_url: &str) -> Value {
    let keys: Vec<String> = (1..=place.keys).map(|number| key(&place.name, number)).collect();
    let mut provider = json!({"provider": place.name, "baseurl": base_url});
    match &keys[..] {
        [] => {}
        [only] => provider["token"] = json!(only),
        _ => (provider["token"], provider["key_order"]) = (json!(keys), json!("in_order")),
    }
    if !place.fetched {
        provider["model_list"] = json!(["m", "x", "y"]);
    }
    provider
}

/// Nobody listens there: each has an IP of its own, so that no other test gets the port.
fn dead_address() -> SocketAddr {
    static COUNT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed).max(1);
    free_address(&format!("127.77.{number}.1"))
}

impl World {
    /// Starts the proxy with this configuration.
    pub fn start(places: Vec<Place>, config: Value, parts: Parts) -> Self {
        let Parts { shared, upstreams } = parts;
        let proxy = TestProxy::start(&config);
        Self { proxy, config, started: Instant::now(), places, shared, _upstreams: upstreams }
    }

    /// All calls so far, but those for lists.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().expect("no poison").clone()
    }

    /// All calls for lists so far.
    pub fn lists(&self) -> Vec<Call> {
        self.shared.lists.lock().expect("no poison").clone()
    }

    /// Waits for so many calls.
    pub fn wait_calls(&self, count: usize) -> Vec<Call> {
        eventually("the calls reach the providers", || self.calls().len() >= count);
        self.calls()
    }

    /// Where the calls went, from the `from`-th on.
    pub fn course(&self, from: usize) -> String {
        let calls = self.calls();
        let places: Vec<String> = calls.iter().skip(from).map(Call::place).collect();
        places.join(" ")
    }

    /// Lets all calls go on that wait at the gate.
    pub fn open_gate(&self) {
        self.shared.gate.open();
    }

    /// Another script for an address.
    pub fn rescript(&self, address: &str, line: &str) {
        let mut scripts = self.shared.scripts.lock().expect("no poison");
        scripts.insert(address.to_owned(), (0, script::parse(line)));
    }

    /// What of the keys stands where it must not: `None` is well.
    pub fn leak(&self, answer: Option<&Response>) -> Option<String> {
        let mut places = vec![("the log or the output", self.proxy.everything().into_bytes())];
        if let Some(answer) = answer {
            let whole = [&answer.head.raw[..], &answer.body].concat();
            places.push(("the answer", whole));
        }
        let secrets = secrets(&self.places);
        let found = places.iter().find_map(|(place, bytes)| {
            let secret = secrets.iter().find(|secret| contains(bytes, secret))?;
            Some(format!("{secret:?} in {place}"))
        });
        found
    }
}
