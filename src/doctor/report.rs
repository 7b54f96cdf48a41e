//! What the doctor tells: of every provider its record, of this machine what is wrong with it, and
//! who is to blame. Pure.

use std::rc::Rc;
use std::time::Duration;

use super::record::{Record, Stage, FREE, STAGES};
use super::verdict;
use super::words::{Code, Status};
use crate::upstream::Provider;

/// What is told of one provider.
pub struct Told {
    /// Its name.
    pub name: String,
    /// Whether it has a key.
    pub has_key: bool,
    /// What was found.
    pub record: Rc<Record>,
    /// Which stage is to blame, for what, and whose fault that is.
    pub culprit: Option<(usize, Code, &'static str)>,
}

impl Told {
    /// The worst of its stages.
    pub fn status(&self) -> Status {
        self.culprit.map_or(Status::Ok, |(_, code, _)| code.row().status)
    }
}

/// What is wrong with this machine.
pub struct OfMachine {
    /// What it is.
    pub code: Code,
    /// Which stage shows it.
    pub stage: Stage,
    /// Which providers do, by their place in the report.
    pub shown_by: Vec<usize>,
    /// What the first of them saw, and how many there are.
    pub record: Rc<Record>,
}

/// All that is told.
pub struct Report {
    /// The configuration file.
    pub file: String,
    /// Whether chats were tried.
    pub spend: bool,
    /// How long it took.
    pub took: Duration,
    /// What is wrong with this machine.
    pub machine: Vec<OfMachine>,
    /// In the order of the configuration.
    pub providers: Vec<Told>,
}

impl Report {
    /// Puts together what was found of each provider.
    pub fn new(
        (file, spend): (&str, bool),
        providers: &[Rc<Provider>],
        records: &[Rc<Record>],
    ) -> Report {
        let mut told = Vec::new();
        for (provider, record) in providers.iter().zip(records) {
            let config = &provider.config;
            let mut culprit = None;
            if let Some(stage) = verdict::culprit(&record.findings.borrow()) {
                culprit = record.code(STAGES[stage]).map(|code| (stage, code, code.row().culprit));
            }
            told.push(Told {
                name: config.name.clone(),
                has_key: !config.keys.is_empty() || config.base.credentials.is_some(),
                record: record.clone(),
                culprit,
            });
        }
        let mut machine = Vec::new();
        for (code, stage, shown_by) in verdict::of_machine(records) {
            for index in &shown_by {
                // Something else may be the matter before.
                match &mut told[*index].culprit {
                    Some((blamed, _, culprit)) if *blamed == stage as usize => *culprit = "machine",
                    _ => {}
                }
            }
            let record = Record::new();
            record.facts.replace(records[shown_by[0]].facts.borrow().clone());
            record.count("count", shown_by.len() as i64);
            machine.push(OfMachine { code, stage, shown_by, record });
        }
        Report { file: file.to_owned(), spend, took: Duration::ZERO, machine, providers: told }
    }

    /// Whether nothing is wrong anywhere.
    pub fn is_well(&self) -> bool {
        !self.providers.is_empty() && self.providers.iter().all(|told| told.culprit.is_none())
    }

    /// How many stages there are.
    pub fn stages(&self) -> usize {
        if self.spend {
            STAGES.len()
        } else {
            FREE
        }
    }
}
