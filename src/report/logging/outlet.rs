//! Where text is written without waiting: the log's file, pipe or terminal, and the standard
//! streams.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{fstat, FileType, OFlags, Stat};

/// So much fits into a pipe that is ready (POSIX `PIPE_BUF`): writing it does not wait.
const PIPE_BUF: usize = 4096;

/// The open log.
pub(super) struct Outlet {
    file: File,
    /// A duplicate of a descriptor whose flags are not ours: a write to it could wait.
    shared: bool,
}

/// Which file it is.
pub(super) type Identity = (u64, u64);

/// What became of a file.
pub(super) struct Look {
    /// Which one it is.
    pub(super) identity: Identity,
    /// No name leads to it any more.
    pub(super) removed: bool,
    /// It was emptied.
    pub(super) empty: bool,
}

impl Outlet {
    /// Opens it by its name: that makes an open file description of our own, even of a pipe or
    /// terminal that is named `/proc/self/fd/1`, so that not to wait is no flag that others see.
    /// A pipe without a reader is an error (ENXIO).
    pub(super) fn open(path: &Path) -> io::Result<Outlet> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        // Appending keeps `copytruncate` right: each write goes to the end, wherever that is.
        let opened = OpenOptions::new().create(true).append(true).custom_flags(flags).open(path);
        match opened {
            Ok(file) => Ok(Outlet { file, shared: false }),
            // A socket has no name that can be opened, and another user's pipe may not be.
            Err(error) => match standard_stream(path) {
                Some(stream) => Ok(Outlet { file: stream?.into(), shared: true }),
                None => Err(error),
            },
        }
    }

    /// Writes what fits; `WouldBlock` when nothing does.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.shared {
            return self.file.write(bytes);
        }
        if !is_writable(&self.file, Duration::ZERO) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.file.write(&bytes[..bytes.len().min(PIPE_BUF)])
    }

    /// Waits until something fits. Returns whether it does.
    pub(super) fn wait(&self, length: Duration) -> bool {
        is_writable(&self.file, length)
    }

    /// What became of the file since it was opened.
    pub(super) fn look(&self) -> io::Result<Look> {
        let stat = fstat(&self.file)?;
        let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
        Ok(Look {
            identity: identity(&stat),
            removed: is_file && stat.st_nlink == 0,
            empty: is_file && stat.st_size == 0,
        })
    }
}

#[allow(clippy::useless_conversion, reason = "the fields' types differ between machines")]
fn identity(stat: &Stat) -> Identity {
    (stat.st_dev.into(), stat.st_ino.into())
}

/// A duplicate of the standard stream that the link at `path` names.
fn standard_stream(path: &Path) -> Option<io::Result<OwnedFd>> {
    match fs::read_link(path).ok()?.to_str()? {
        "/proc/self/fd/1" | "/dev/fd/1" | "/dev/stdout" => {
            Some(io::stdout().as_fd().try_clone_to_owned())
        }
        "/proc/self/fd/2" | "/dev/fd/2" | "/dev/stderr" => {
            Some(io::stderr().as_fd().try_clone_to_owned())
        }
        _ => None,
    }
}

/// Writes to a standard stream, which may be a pipe that is full: gives up when it takes nothing
/// for `patience`. Sets no flag, which all that share the stream would see.
///
/// # Errors
/// When it cannot be written, or is not read.
pub fn tell(stream: impl AsFd, text: &str, patience: Duration) -> io::Result<()> {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        if !is_writable(&stream, patience) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match rustix::io::write(&stream, &rest[..rest.len().min(PIPE_BUF)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) if error == rustix::io::Errno::INTR => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until a write would not wait, be it that it fails. Returns whether that is so.
fn is_writable(descriptor: &impl AsFd, length: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: length.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: length.subsec_nanos().into(),
    };
    let mut descriptors = [PollFd::new(descriptor, PollFlags::OUT)];
    loop {
        match poll(&mut descriptors, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            answer => return answer.is_ok_and(|ready| ready > 0),
        }
    }
}
