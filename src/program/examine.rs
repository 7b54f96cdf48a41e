//! `--doctor` on this terminal.

use std::io::{self, IsTerminal};
use std::path::Path;

use super::{cli, rlimit};
use crate::config::Config;
use crate::doctor;
use crate::language::{Language, Text};

/// Examines the providers of a configuration. Returns what is to be printed, and whether all is
/// well.
///
/// # Errors
/// When the kernel refuses what an event loop needs.
pub fn examine(config: &Config, file: &Path, options: cli::Doctor) -> Result<(String, bool), Text> {
    rlimit::raise();
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let moves = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let file = file.display().to_string();
    let progress = moves && io::stderr().is_terminal();
    let report = doctor::examine(config, &file, options.spend, progress);
    let report = report.map_err(|error| super::failed("epoll", &error))?;
    let text = if options.json {
        doctor::to_json(&report)
    } else {
        // https://no-color.org
        let colours = moves && io::stdout().is_terminal() && !set("NO_COLOR");
        Language::of_terminal().speak(|| doctor::to_text(&report, colours))
    };
    Ok((text, report.is_well()))
}
