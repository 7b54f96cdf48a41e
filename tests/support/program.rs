//! Runs of the program that end by themselves: `--check`, `--version` and refused configurations.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::{TempDir, PATIENCE};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_ai_proxy");

/// How a run ended and what it printed.
#[derive(Debug)]
pub struct Finished {
    /// `None` after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Everything it printed.
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A command for the program in `directory`, without proxy settings and language from outside.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(directory).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    for name in ["LC_ALL", "LC_MESSAGES", "LANG"] {
        command.env_remove(name);
    }
    command
}

/// Runs the program in `directory` until it ends.
///
/// # Panics
/// When it does not end in time.
pub fn run(directory: &Path, arguments: &[&str]) -> Finished {
    run_with_environment(directory, arguments, &[])
}

/// The same with these variables beside those of the test.
pub fn run_with_environment(
    directory: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Finished {
    let mut command = command(directory);
    command.args(arguments).envs(variables.iter().copied());
    let mut child = command.spawn().expect("the program starts");
    let start = Instant::now();
    while child.try_wait().expect("the child can be waited for").is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let output = child.wait_with_output().expect("output");
            panic!("did not end: {}", String::from_utf8_lossy(&output.stdout));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("output");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs the program with this `config.json`.
pub fn run_with_config(config: &str, arguments: &[&str]) -> Finished {
    let directory = TempDir::new();
    directory.write("config.json", config);
    run(directory.path(), arguments)
}
