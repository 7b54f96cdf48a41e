//! One row of the table: a configuration, what the providers do, and what the client asks and must get.

use serde_json::{json, Value};

use crate::expect;
use crate::place::Place;
use crate::support::*;
use crate::world::{serve, World};

/// What happens in a row, in this order.
pub enum Step {
    Ask(Box<Ask>),
    /// Milliseconds: only where the passing of time is the point.
    Pause(u64),
    /// The file with these changes is loaded anew.
    Reload(Value),
}

/// A request, and what comes of it.
#[derive(Clone)]
pub struct Ask {
    pub path: String,
    pub model: String,
    pub stream: bool,
    pub fields: String,
    pub body: Option<String>,
    /// It is sent so often, with the same outcome.
    pub times: usize,
    pub status: u16,
    /// The attempts as the trail has them, each with the model behind a slash unless it is `m`:
    /// `anna#1=429, bert/x=200`. Empty: nobody is asked.
    pub course: String,
    /// Expectations of fields: `name: value`.
    pub has: Vec<String>,
    pub lacks: Vec<String>,
    /// Which of the request's calls gave the answer, from 0; the last one unless said.
    pub from: Option<usize>,
    /// The answer is an error of the proxy's own, which holds these words.
    pub ours: Option<Vec<String>>,
    /// No head can tell the trail.
    pub early: bool,
    pub cut: bool,
    /// Words of the log's line.
    pub logged: Vec<String>,
    /// There is one way only, whatever the file says.
    pub single: bool,
}

/// A row of the table.
pub struct Row {
    pub name: String,
    places: Vec<Place>,
    changes: Value,
    of_providers: Vec<(String, Value)>,
    scripts: Vec<(String, String)>,
    steps: Vec<Step>,
}

impl Row {
    /// A row of this name with these providers, as [`Place::parse`] reads each.
    pub fn new(name: impl Into<String>, providers: &str) -> Self {
        Self {
            name: name.into(),
            places: providers.split(' ').map(Place::parse).collect(),
            changes: json!({}),
            of_providers: Vec::new(),
            scripts: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Keys of the file.
    pub fn file(mut self, changes: Value) -> Self {
        self.changes = with(self.changes, changes);
        self
    }

    /// The alias `a` for these targets.
    pub fn alias(self, targets: &[&str]) -> Self {
        self.file(json!({"aliases": {"a": targets}}))
    }

    /// Keys of a provider.
    pub fn provider(mut self, name: &str, changes: Value) -> Self {
        self.of_providers.push((name.to_owned(), changes));
        self
    }

    /// What a provider, a key of it or a model of either does.
    pub fn up(mut self, address: &str, line: impl Into<String>) -> Self {
        self.scripts.push((address.to_owned(), line.into()));
        self
    }

    /// A chat.
    pub fn ask(mut self, model: &str, status: u16, course: &str) -> Self {
        self.steps.push(Step::Ask(Box::new(Ask {
            path: "/v1/chat/completions".to_owned(),
            model: model.to_owned(),
            stream: false,
            fields: String::new(),
            body: None,
            times: 1,
            status,
            course: course.to_owned(),
            has: Vec::new(),
            lacks: Vec::new(),
            from: None,
            ours: None,
            early: false,
            cut: false,
            logged: Vec::new(),
            single: false,
        })));
        self
    }

    pub fn pause(mut self, milliseconds: u64) -> Self {
        self.steps.push(Step::Pause(milliseconds));
        self
    }

    pub fn reload(mut self, changes: Value) -> Self {
        self.steps.push(Step::Reload(changes));
        self
    }

    fn last(mut self, change: impl FnOnce(&mut Ask)) -> Self {
        let Some(Step::Ask(ask)) = self.steps.last_mut() else { panic!("behind a request") };
        change(ask);
        self
    }

    /// The last request goes to another path.
    pub fn to(self, path: &str) -> Self {
        self.last(|ask| ask.path = path.to_owned())
    }

    pub fn streamed(self) -> Self {
        self.last(|ask| ask.stream = true)
    }

    /// With this field.
    pub fn with(self, field: &str) -> Self {
        self.last(|ask| ask.fields += &format!("{field}\r\n"))
    }

    /// With this body in place of a chat's.
    pub fn body(self, body: impl Into<String>) -> Self {
        self.last(|ask| ask.body = Some(body.into()))
    }

    pub fn times(self, count: usize) -> Self {
        self.last(|ask| ask.times = count)
    }

    /// Its answer has this field, see [`expect::field`].
    pub fn has(self, field: impl Into<String>) -> Self {
        self.last(|ask| ask.has.push(field.into()))
    }

    pub fn lacks(self, field: &str) -> Self {
        self.last(|ask| ask.lacks.push(field.to_owned()))
    }

    /// Its answer is the one that this call got.
    pub fn from(self, call: usize) -> Self {
        self.last(|ask| ask.from = Some(call))
    }

    /// Its answer is an error of the proxy's own with these words in it.
    pub fn ours(self, words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.last(|ask| ask.ours = Some(words))
    }

    pub fn early(self) -> Self {
        self.last(|ask| ask.early = true)
    }

    pub fn cut(self) -> Self {
        self.last(|ask| ask.cut = true)
    }

    /// There is one way only, so that the log has no trail.
    pub fn unlogged(self) -> Self {
        self.last(|ask| ask.single = true)
    }

    /// Its line in the log has these words.
    pub fn logged(self, words: &str) -> Self {
        self.last(|ask| ask.logged.push(words.to_owned()))
    }

    /// The providers and the proxy of this row.
    pub fn world(&self) -> World {
        self.world_with(|_| {})
    }

    /// The same after a last change of the configuration.
    pub fn world_with(&self, change: impl FnOnce(&mut Value)) -> World {
        let (config, parts) = serve(&self.places, &self.scripts);
        let mut config = with(config, self.changes.clone());
        for (name, changes) in &self.of_providers {
            let at = self.places.iter().position(|place| place.name == *name);
            let provider = &mut config["providers"][at.expect("a provider of this name")];
            *provider = with(provider.clone(), changes.clone());
        }
        change(&mut config);
        World::start(self.places.clone(), config, parts)
    }

    /// Runs it.
    ///
    /// # Errors
    /// What is not as it must be.
    pub fn run(&self) -> Result<(), String> {
        let world = self.world();
        for (number, step) in self.steps.iter().enumerate() {
            match step {
                Step::Pause(milliseconds) => pause(*milliseconds),
                Step::Reload(changes) => {
                    let config = with(world.config.clone(), changes.clone());
                    let answer = world.proxy.reload(&config);
                    if answer.status != 200 {
                        return Err(format!("reload: {}", answer.text()));
                    }
                }
                Step::Ask(ask) => {
                    for time in 0..ask.times {
                        expect::ask(&world, ask).map_err(|wrong| {
                            format!("step {number}, time {time}, {}:{wrong}", ask.model)
                        })?;
                    }
                }
            }
        }
        world.leak(None).map_or(Ok(()), |leak| Err(format!("a key: {leak}")))
    }
}

/// Runs rows beside each other; all that fail are named together.
pub fn run(rows: Vec<Row>) {
    const AT_ONCE: usize = 4;
    let wanted = std::env::var("ROWS").unwrap_or_default();
    let rows: Vec<Row> = rows.into_iter().filter(|row| row.name.contains(&wanted)).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(row) =
                    rows.get(next.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
                {
                    let outcome = std::panic::catch_unwind(|| row.run());
                    let outcome = outcome.unwrap_or_else(|panic| Err(words(&*panic)));
                    if let Err(wrong) = outcome {
                        failed.lock().expect("no poison").push(format!("✗ {}: {wrong}", row.name));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no poison");
    println!("{} rows", rows.len());
    assert!(failed.is_empty(), "{} of {} rows:\n{}", failed.len(), rows.len(), failed.join("\n"));
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
