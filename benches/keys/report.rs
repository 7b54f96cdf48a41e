//! What the numbers mean: the table and the bars.

use ai_proxy::config::KeyOrder;

use crate::run::{Order, Outcome, KEYS};
use crate::workload::{Conversation, CONVERSATIONS};
use crate::SEEDS;

/// Of what a single key without limits would cache, the sticky order caches at least this, in each run.
const CACHED_MIN: f64 = 0.9;

/// The outcomes of all orders, the yardstick first.
type All = [(Order, Vec<Outcome>)];

impl Order {
    fn title(self) -> &'static str {
        match self {
            Order::Single => "one key without limits",
            Order::Ours(KeyOrder::Sticky) => "sticky",
            Order::Ours(KeyOrder::RoundRobin) => "round_robin",
            Order::Ours(KeyOrder::InOrder) => "in_order",
            Order::Random => "random",
            Order::Forgetful => "random, nothing remembered",
        }
    }

    /// Whether the program has it.
    fn is_ours(self) -> bool {
        matches!(self, Order::Ours(_))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn share(outcome: &Outcome) -> f64 {
    outcome.cached as f64 / outcome.prompts as f64
}

fn sum(all: &[Outcome], of: fn(&Outcome) -> u64) -> u64 {
    all.iter().map(of).sum()
}

/// What was cached, of what the yardstick cached in the same run.
fn of_single(outcomes: &All, all: &[Outcome]) -> Vec<f64> {
    let pairs = all.iter().zip(&outcomes[0].1);
    pairs.map(|(outcome, single)| share(outcome) / share(single)).collect()
}

fn title(retries: Option<u8>) -> String {
    match retries {
        Some(retries) => format!("\"retries\": {retries}"),
        None => "retries by default".to_owned(),
    }
}

/// How far the program tells conversations apart: those that it takes for another one, and those that it
/// takes for a new one in their middle. None has an id.
pub fn print_identity(workloads: &[Vec<Conversation>]) {
    let ids = |one: &Conversation| -> Vec<u64> {
        one.turns.iter().map(|turn| turn.conversation).collect()
    };
    let mut shared = Vec::new();
    let mut changing = Vec::new();
    for all in workloads {
        let all: Vec<Vec<u64>> = all.iter().map(ids).collect();
        let is_shared = |id: &u64| all.iter().filter(|ids| ids.contains(id)).count() > 1;
        shared.push(all.iter().filter(|ids| ids.iter().any(is_shared)).count() as f64);
        changing.push(all.iter().filter(|ids| ids.iter().any(|id| *id != ids[0])).count() as f64);
    }
    println!(
        "Of {CONVERSATIONS} conversations {} are taken for another one, and {} change their identity.\n",
        median(shared),
        median(changing)
    );
}

/// One table on standard output.
pub fn print(retries: Option<u8>, outcomes: &All) {
    println!(
        "{KEYS} keys, {}: medians of {SEEDS} runs, and what clients saw in all runs",
        title(retries)
    );
    println!(
        "{:<26} {:>8} {:>9} {:>7} {:>7} {:>8} {:>8} {:>10}",
        "", "cached", "of single", "worst", "calls", "refused", "saw 429", "needlessly"
    );
    for (order, all) in outcomes {
        let number = |of: fn(&Outcome) -> f64| median(all.iter().map(of).collect());
        let ratios = of_single(outcomes, all);
        println!(
            "{:<26} {:>7.1}% {:>8.1}% {:>6.1}% {:>7} {:>8} {:>8} {:>10}",
            order.title(),
            100.0 * number(share),
            100.0 * median(ratios.clone()),
            100.0 * ratios.into_iter().fold(f64::MAX, f64::min),
            number(|outcome| outcome.calls as f64),
            number(|outcome| outcome.refused as f64),
            sum(all, |outcome| outcome.limited),
            sum(all, |outcome| outcome.needless),
        );
    }
    println!();
}

/// The bars that were missed.
pub fn missed(retries: Option<u8>, outcomes: &All) -> Vec<String> {
    let mut missed = Vec::new();
    let mut at_most = |order: Order, what: &str, count: u64| {
        if count > 0 {
            missed.push(format!("{}, {}: {count} {what}", title(retries), order.title()));
        }
    };
    for (order, all) in outcomes {
        at_most(*order, "requests with more calls than allowed", sum(all, |one| one.over_budget));
        if order.is_ours() {
            at_most(*order, "429s while a key was well and to be asked", sum(all, |one| one.early));
            at_most(*order, "conversations given up", sum(all, |one| one.given_up));
        }
        if order.is_ours() && retries.is_some_and(|retries| usize::from(retries) + 1 >= KEYS) {
            at_most(*order, "429s while a key was well", sum(all, |one| one.needless));
        }
        if *order == Order::Ours(KeyOrder::Sticky) {
            let cold = of_single(outcomes, all).into_iter().filter(|ratio| *ratio < CACHED_MIN);
            at_most(*order, "runs in which too little was cached", cold.count() as u64);
        }
    }
    missed
}
