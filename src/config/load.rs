//! From a file or a text to a checked [`Config`]; after this, nothing needs checking again.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::alias;
use super::keys::{self, KEYS};
use super::node::{Node, Source};
use super::regular_file::{is_replaced, open_regular, REPLACED};
use super::tree::{self, Tree};
use super::{line, Config, ConfigError};
use crate::language::{System, Text, Words};
use crate::text;

/// The longest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

impl Config {
    /// Reads and checks a file, `${NAME}` references taken from the environment. A file
    /// that holds secrets and that every user may read gives a warning.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is over 16 MB or not UTF-8, or [`Config::parse`] refuses its text.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_from(path, File::open(path))
    }

    /// Like [`Config::load`], for a program that has others to serve meanwhile: only a regular file
    /// is read, for anything else could keep it waiting.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`], and for what is not a regular file.
    pub fn load_again(path: &Path) -> Result<Self, ConfigError> {
        Self::load_from(path, open_regular(path))
    }

    fn load_from(path: &Path, opened: io::Result<File>) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let (bytes, metadata) = opened.and_then(read_file).map_err(|error| {
            let (whose, error) = (whose(path, &error), System(&error));
            let reason = text!("无法读取: {error}{whose}", "cannot be read: {error}{whose}");
            ConfigError::new(&file, "", &reason)
        })?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(ConfigError::new(&file, "", &Words("超过 16 MB", "is over 16 MB")));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
            let reason = text!("第 {line} 行不是 UTF-8", "line {line} is not UTF-8");
            ConfigError::new(&file, "", &reason)
        })?;
        let exposed = metadata.permissions().mode() & 0o004 != 0;
        let mut config = read(&text, &Source::new(&file, &environment, exposed))?;
        if is_replaced(&metadata) {
            config.warnings.push(line(&file, "", &REPLACED));
        }
        Ok(config)
    }

    /// Checks the text of a file. `file` is its name for messages; a relative `token_file` is
    /// looked for in its directory.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong: syntax with line and column, all else with its key path.
    /// No message holds a token, a key, or any other value of `providers` or `tokens`.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        Self::parse_with(text, file, &environment)
    }

    pub(super) fn parse_with(
        text: &str,
        file: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        read(text, &Source::new(file, lookup, false))
    }
}

/// Reads a whole file's text.
fn read(text: &str, source: &Source<'_>) -> Result<Config, ConfigError> {
    let of_file = |reason: Text| source.error("", &reason);
    let stripped = tree::strip(text).map_err(of_file)?;
    let tree = Tree::parse(&stripped, text).map_err(of_file)?;
    let mut config = Config::default();
    let root = Node::root(source, &tree);
    let checked = keys::read(KEYS, &root, &mut config).and_then(|()| alias::check(&config, &root));
    checked.map_err(|error| ConfigError { language: config.language, ..error })?;
    if source.exposed && source.holds_secret.get() {
        source.warn(
            "",
            &Words(
                "含有密钥，却可被本机所有用户读取，请 chmod 600",
                "holds secrets but every user of this machine can read it: chmod 600",
            ),
        );
    }
    config.warnings = source.warnings.take();
    Ok(config)
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The content, cut just above the limit, and what the system says of the file.
fn read_file(file: File) -> io::Result<(Vec<u8>, Metadata)> {
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok((bytes, metadata))
}

/// Whose file it is and who asks, where that is the reason: in a container the two often differ.
fn whose(path: &Path, error: &io::Error) -> Text {
    match path.metadata() {
        Ok(metadata) if error.kind() == io::ErrorKind::PermissionDenied => {
            let (owner, mode) = (metadata.uid(), metadata.mode() & 0o777);
            let user = rustix::process::geteuid();
            text!(
                "；文件属于用户 {owner}，权限 {mode:o}，而程序以用户 {user} 运行",
                "; it belongs to the user {owner}, mode {mode:o}, and the program runs as the user {user}"
            )
        }
        _ => Text::new(""),
    }
}

#[cfg(test)]
#[test]
fn who_may_not_read_a_file_is_told_whose_it_is() {
    let denied = whose(Path::new("/dev/null"), &io::ErrorKind::PermissionDenied.into());
    assert!(denied.contains("belongs to the user 0, mode 666"), "{denied}");
    assert_eq!(whose(Path::new("/dev/null"), &io::ErrorKind::NotFound.into()), "");
}
