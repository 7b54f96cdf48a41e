//! What is asked: conversations whose prompts grow turn by turn, of agents that go on at once and of people
//! who think. All of it follows from the seed, so that each order of keys meets the same.

use std::time::Duration;

use ai_proxy::routing::{conversation, of_body};
use fastrand::Rng;
use serde_json::{json, Value};

/// Conversations, more or less at the same time.
pub const CONVERSATIONS: usize = 20;
/// Requests of each.
const TURNS: usize = 30;
/// Programs, each with a token and instructions that its conversations have in common.
const CLIENTS: usize = 4;
/// Within so many seconds all have begun.
const BEGINNING: f64 = 600.0;
/// Characters of a token.
const CHARACTERS: u64 = 4;

/// A request.
pub struct Turn {
    /// Which conversation it belongs to.
    pub number: usize,
    /// The same as the program reads it from the request.
    pub conversation: u64,
    /// Whose instructions it begins with.
    pub client: usize,
    /// Their tokens.
    pub instructions: u64,
    /// The tokens of the whole prompt.
    pub prompt: u64,
    /// For how long the provider keeps this prompt after its use, 5 to 10 minutes.
    pub kept_for: Duration,
    /// How long the answer takes after its beginning, and the client until the next request.
    pub pause: Duration,
}

/// One conversation.
pub struct Conversation {
    /// When it begins.
    pub start: Duration,
    /// Its requests.
    pub turns: Vec<Turn>,
}

/// All conversations of one run.
pub fn conversations(seed: u64) -> Vec<Conversation> {
    let mut random = Rng::with_seed(seed);
    let instructions: Vec<u64> = (0..CLIENTS).map(|_| random.u64(1_500..8_000)).collect();
    let all = (0..CONVERSATIONS).map(|number| {
        let start = seconds(random.f64() * BEGINNING);
        let turns = turns(number, instructions[number % CLIENTS], &mut random);
        Conversation { start, turns }
    });
    all.collect()
}

/// Every second conversation is an agent's; every second client speaks Anthropic's dialect. None gives its
/// conversations ids.
fn turns(number: usize, instructions: u64, random: &mut Rng) -> Vec<Turn> {
    let client = number % CLIENTS;
    let (is_agent, is_anthropic) = (number.is_multiple_of(2), client < CLIENTS / 2);
    let token = format!("token of client {client}");
    let system = text(&format!("You are program {client}."), instructions);
    let (mut messages, mut prompt) = (Vec::new(), instructions);
    let turns = (0..TURNS).map(|turn| {
        let asked = random.u64(if is_agent { 200..3_000 } else { 30..500 });
        let answered = random.u64(if is_agent { 50..600 } else { 200..1_000 });
        messages.push(text(&format!("Question {turn} of conversation {number}."), asked));
        let body = match is_anthropic {
            true => anthropic(&system, &messages),
            false => openai(&system, &messages),
        };
        messages.push(text("Answer.", answered));
        prompt += asked;
        let turn = Turn {
            number,
            conversation: conversation(&token, None, of_body(body.to_string().as_bytes())),
            client,
            instructions,
            prompt,
            kept_for: seconds(300.0 + 300.0 * random.f64()),
            // 60 tokens a second.
            pause: seconds(answered as f64 / 60.0 + thinking(is_agent, random)),
        };
        prompt += answered;
        turn
    });
    turns.collect()
}

/// Seconds until the next request: an agent has run its tool, a person has read, and sometimes been away.
fn thinking(is_agent: bool, random: &mut Rng) -> f64 {
    match (is_agent, random.u8(0..20)) {
        (true, _) => 1.0 + 9.0 * random.f64(),
        (false, 0) => 300.0 + 900.0 * random.f64(),
        (false, _) => 5.0 - 40.0 * (1.0 - random.f64()).ln(),
    }
}

fn text(beginning: &str, tokens: u64) -> String {
    let length = (tokens * CHARACTERS) as usize;
    format!("{beginning}{}", " word".repeat(length.saturating_sub(beginning.len()) / 5))
}

/// Questions and answers in turn, behind the instructions.
fn openai(system: &str, messages: &[String]) -> Value {
    let roles = ["user", "assistant"].into_iter().cycle();
    let turns = roles.zip(messages).map(|(role, text)| json!({"role": role, "content": text}));
    let system = json!({"role": "system", "content": system});
    json!({"model": "p/m", "messages": std::iter::once(system).chain(turns).collect::<Value>()})
}

/// The same, with the instructions beside. The last two questions are marked, up to which the provider is to
/// cache.
fn anthropic(system: &str, messages: &[String]) -> Value {
    let turns = messages.iter().enumerate().map(|(place, text)| {
        let role = if place.is_multiple_of(2) { "user" } else { "assistant" };
        let mut part = json!({"type": "text", "text": text});
        if role == "user" && place + 3 >= messages.len() {
            part["cache_control"] = json!({"type": "ephemeral"});
        }
        json!({"role": role, "content": [part]})
    });
    json!({"model": "p/m", "system": system, "messages": turns.collect::<Value>()})
}

/// A length of time.
pub fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
