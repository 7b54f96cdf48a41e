//! Where CA certificates come from: the system's directory, in which OpenSSL finds one when a chain
//! needs it, or the system's bundle, which holds all of them and is parsed.
//!
//! native-tls 0.2.18 parses the bundle for each context (144 roots: 40 ms, 2 MB) and has OpenSSL
//! look in the directories as well. It leaves the bundle out where `SSL_CERT_FILE` names another
//! file that exists, and offers nothing else to that end.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memchr::memmem;
use openssl::x509::X509;
use openssl_probe::{ProbeResult, ENV_CERT_DIR, ENV_CERT_FILE};

use crate::language::{System, Text, Words};
use crate::text;

/// A file that exists and holds no certificate.
const NO_BUNDLE: &str = "/dev/null";
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

/// The system's places, when native-tls does not know of the bundle. One for the process, as the
/// environment is.
static SYSTEM: OnceLock<Places> = OnceLock::new();

/// Keeps native-tls from the system's bundle where a directory may have all that is in it. Where
/// the environment names certificates, nothing changes.
///
/// Call it before there is a second thread: others may read the environment, which it changes, at
/// any time.
pub fn defer_bundle() {
    let named = |name| std::env::var_os(name).is_some();
    if named(ENV_CERT_FILE) || named(ENV_CERT_DIR) {
        return;
    }
    if let Some(places) = Places::of(openssl_probe::probe()) {
        std::env::set_var(ENV_CERT_FILE, NO_BUNDLE);
        // It is called once.
        let _ = SYSTEM.set(places);
    }
}

/// Certificates in PEM that a context must be given beside what native-tls and OpenSSL find: none,
/// or the bundle.
///
/// # Errors
/// When there is no certificate at all.
pub fn missing() -> Result<Option<Vec<u8>>, Text> {
    SYSTEM.get().map_or(Ok(None), Places::missing)
}

/// A bundle, and directories that may have all of it.
struct Places {
    bundle: PathBuf,
    directories: Vec<PathBuf>,
}

impl Places {
    /// `None` where the bundle is for native-tls: no directory is hashed, or it holds what is no
    /// plain certificate, such as one with trust settings.
    fn of(found: ProbeResult) -> Option<Places> {
        let places = Places { bundle: found.cert_file?, directories: found.cert_dir };
        let mut links = places.directories.iter().flat_map(|directory| links(directory));
        links.next()?;
        is_plain(File::open(&places.bundle).ok()?).is_ok_and(|plain| plain).then_some(places)
    }

    /// Read anew each time: both change while the program runs.
    fn missing(&self) -> Result<Option<Vec<u8>>, Text> {
        let found: HashSet<u64> = self.directories.iter().flat_map(|dir| linked(dir)).collect();
        let read = File::open(&self.bundle).and_then(|mut bundle| {
            if !found.is_empty() && certificates(&bundle).all(|each| found.contains(&each)) {
                return Ok(None);
            }
            let mut pem = Vec::new();
            bundle.rewind()?;
            bundle.read_to_end(&mut pem)?;
            Ok(Some(pem))
        });
        match read {
            Ok(Some(pem)) if memmem::find(&pem, BEGIN).is_none() => Err(no_certificates()),
            Ok(missing) => Ok(missing),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !found.is_empty() => Ok(None),
            Err(error) => {
                let (file, error) = (self.bundle.display(), System(&error));
                Err(text!("CA {file}: {error}", "CA {file}: {error}"))
            }
        }
    }
}

/// Whether a PEM file has no blocks but plain certificates. Every start asks: piece by piece, and not by lines.
fn is_plain(mut file: impl Read) -> io::Result<bool> {
    let mut window = [0; 8 * 1024];
    let mut kept = 0;
    loop {
        let count = file.read(&mut window[kept..])?;
        let bytes = &window[..kept + count];
        // One that is cut off here is looked at again with what follows.
        let mut begins = memmem::find_iter(bytes, b"-----BEGIN ")
            .filter_map(|at| bytes.get(at..at + BEGIN.len()));
        if begins.any(|begin| begin != BEGIN) {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
        let end = bytes.len();
        kept = end.min(BEGIN.len() - 1);
        window.copy_within(end - kept..end, 0);
    }
}

/// The certificates that OpenSSL finds in a directory: one for each link.
fn linked(directory: &Path) -> HashSet<u64> {
    let mut found = HashSet::new();
    for (hash, path) in links(directory) {
        let Ok(pem) = std::fs::read(path) else { continue };
        // One tells for all whether the names are made as this OpenSSL makes them.
        if found.is_empty()
            && X509::from_pem(&pem).is_ok_and(|first| first.subject_name_hash() != hash)
        {
            break;
        }
        // Any others in the file are found only together with the first.
        found.extend(certificates(&*pem).next());
    }
    found
}

/// The links of a hashed directory, `XXXXXXXX.N`: the hash of a subject's name, and which of those
/// that have the same hash. OpenSSL counts from 0 until there is none.
fn links(directory: &Path) -> impl Iterator<Item = (u32, PathBuf)> {
    let entries = directory.read_dir().into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let (name, path) = (entry.file_name(), entry.path());
        let (hash, number) = name.to_str()?.split_once('.').filter(|(hash, _)| hash.len() == 8)?;
        let number: u32 = number.parse().ok()?;
        let before = |number| path.with_extension(u32::to_string(&number)).exists();
        let reached = (0..number).all(before);
        reached.then_some((u32::from_str_radix(hash, 16).ok()?, path))
    })
}

/// The plain certificates of a PEM file (RFC 7468), each as a hash of its text without line ends.
/// Line by line: a bundle in memory would stay in the thread's heap.
fn certificates(file: impl Read) -> impl Iterator<Item = u64> {
    let mut current: Option<DefaultHasher> = None;
    BufReader::new(file).split(b'\n').map_while(Result::ok).filter_map(move |line| {
        let line = line.trim_ascii_end();
        if line == BEGIN {
            current = Some(DefaultHasher::new());
        } else if line == END {
            return current.take().map(|hasher| hasher.finish());
        } else if let Some(hasher) = &mut current {
            hasher.write(line);
        }
        None
    })
}

/// OpenSSL is silent about CA files that are absent, empty, or cannot be opened for want of
/// descriptors, and a context without roots would refuse all servers from then on: so there must be
/// some, before and after it looks.
///
/// # Errors
/// When it would find none.
pub fn expect_some() -> Result<(), Text> {
    if SYSTEM.get().is_some() {
        // Those that are looked up are not read now, the others were handed over.
        return Ok(());
    }
    let named = std::env::var_os(ENV_CERT_FILE).map(PathBuf::from);
    let found = openssl_probe::probe();
    let directory = |dir: &PathBuf| dir.read_dir().is_ok_and(|mut dir| dir.next().is_some());
    if named.is_none() && found.cert_dir.iter().any(directory) {
        return Ok(());
    }
    let file = named.or(found.cert_file).ok_or_else(no_certificates)?;
    let cause = match holds_certificate(&file) {
        Ok(true) => return Ok(()),
        Ok(false) => Words("没有证书", "holds no certificate").into(),
        Err(error) => Text::new(System(&error)),
    };
    let file = file.display();
    Err(text!("CA {file}: {cause}", "CA {file}: {cause}"))
}

fn no_certificates() -> Text {
    Words("没有CA证书，请安装 ca-certificates", "no CA certificates: install ca-certificates")
        .into()
}

/// Whether a file has a certificate in PEM.
fn holds_certificate(file: &Path) -> io::Result<bool> {
    let text = std::fs::read(file)?;
    let mark = |mark: &[u8]| memmem::find(&text, mark).is_some();
    Ok(mark(BEGIN) || mark(b"-----BEGIN TRUSTED CERTIFICATE-----"))
}

#[cfg(test)]
mod tests;
