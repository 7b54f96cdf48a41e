//! The limit of file descriptors: raised as far as we may, and what fits under it.

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

/// Descriptors for listening, the log, signals, name resolution, probes.
const RESERVED: u64 = 64;

/// Raises the soft limit of open files to the hard one. What the kernel refuses stays as it is.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

/// How many client connections fit under the soft limit, with as many upstream connections beside
/// them; at least 1.
pub fn clients_max() -> usize {
    let Some(files) = getrlimit(Resource::Nofile).current else { return usize::MAX };
    usize::try_from(files.saturating_sub(RESERVED) / 2).unwrap_or(usize::MAX).max(1)
}
