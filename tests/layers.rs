//! The import rule of src/lib.rs: a room imports from rooms further down only, files know no circles, and
//! files and functions stay short enough to be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the top down; rooms of one floor do not know each other.
const FLOORS: [&[&str]; 10] = [
    &["main"],
    &["program"],
    &["doctor"],
    &["server"],
    &["routes"],
    &["relay", "routing", "state"],
    &["report"],
    &["upstream", "downstream"],
    &["runtime", "wire", "config"],
    &["language"],
];
/// What a room must not import although it lies further down.
const APART: [(&str, &str); 7] = [
    ("doctor", "server"),
    ("server", "upstream"),
    ("routing", "runtime"),
    ("routing", "wire"),
    ("routing", "downstream"),
    ("routing", "report"),
    ("relay", "config"),
];
const LINES_MAX: usize = 320;
const FUNCTION_LINES_MAX: usize = 60;

/// A file below src/, and the parts of its module's path.
struct File {
    path: PathBuf,
    module: Vec<String>,
    /// Without its unit tests.
    code: String,
}

fn files() -> Vec<File> {
    let mut found = Vec::new();
    collect(Path::new("src"), &mut found);
    assert!(found.len() > 40, "the sources are where this test looks for them");
    found
}

fn collect(directory: &Path, found: &mut Vec<File>) {
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            collect(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs")
            && !entry.file_stem().unwrap().to_str().unwrap().starts_with("tests")
        {
            let text = fs::read_to_string(&entry).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
            let inside = entry.strip_prefix("src").unwrap().with_extension("");
            let parts = inside.iter().map(|part| part.to_str().unwrap().to_owned());
            let module = parts.filter(|part| part != "mod" && part != "lib").collect();
            found.push(File { path: entry, module, code });
        }
    }
}

/// The modules that a file names by `crate::…`, `super::…` or `self::…`, each as its path.
fn imports(file: &File, modules: &BTreeSet<Vec<String>>) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for line in file.code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (root, base) in [("crate::", 0), ("self::", 1), ("super::", 2)] {
            for (at, _) in line.match_indices(root) {
                let before = line[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                    continue;
                }
                let mut path = file.module.clone();
                path.truncate(match base {
                    0 => 0,
                    1 => file.module.len(),
                    _ => file.module.len().saturating_sub(1),
                });
                let names = line[at + root.len()..].split("::").map(|name| {
                    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
                    name[..end.unwrap_or(name.len())].to_owned()
                });
                for name in names {
                    let mut longer = path.clone();
                    longer.push(name);
                    if !modules.contains(&longer) {
                        break;
                    }
                    path = longer;
                }
                // What a folder's `mod.rs` begins, the files beside it go on with.
                if !file.module.starts_with(&path) {
                    found.insert(path);
                }
            }
        }
    }
    found
}

fn floor(room: &str) -> usize {
    FLOORS
        .iter()
        .position(|rooms| rooms.contains(&room))
        .unwrap_or_else(|| panic!("{room}: no floor"))
}

#[test]
fn a_room_imports_from_rooms_further_down_only() {
    let files = files();
    let modules = files.iter().map(|file| file.module.clone()).collect();
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| !file.module.is_empty()) {
        for import in imports(file, &modules) {
            let (Some(from), Some(to)) = (file.module.first(), import.first()) else { continue };
            let apart = APART.contains(&(from.as_str(), to.as_str()));
            if from != to && (floor(from) >= floor(to) || apart) {
                wrong.push(format!("{}: {}", file.path.display(), import.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_import_each_other_in_no_circle() {
    let files = files();
    let modules = files.iter().map(|file| file.module.clone()).collect();
    let mut edges: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> =
        files.iter().map(|file| (file.module.clone(), imports(file, &modules))).collect();
    // Whoever imports nothing that is left, or is imported by nobody who is left, is in no circle.
    loop {
        let imported: BTreeSet<_> = edges.values().flatten().cloned().collect();
        let done = edges.iter().find(|(module, imports)| {
            imports.iter().all(|import| !edges.contains_key(import)) || !imported.contains(*module)
        });
        let Some(done) = done.map(|(module, _)| module.clone()) else { break };
        edges.remove(&done);
    }
    assert!(
        edges.is_empty(),
        "in circles: {:#?}",
        edges.keys().map(|module| module.join("::")).collect::<Vec<_>>()
    );
}

#[test]
fn files_and_functions_stay_short() {
    let mut long = Vec::new();
    for file in files() {
        let name = file.path.display().to_string();
        let lines: Vec<&str> = file.code.lines().collect();
        if lines.len() > LINES_MAX {
            long.push(format!("{name}: {} lines", lines.len()));
        }
        let mut begun: Option<(usize, usize)> = None;
        for (number, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let words = line.trim_start();
            let is_function = ["fn ", "pub fn ", "async fn ", "pub async fn ", "const fn "]
                .iter()
                .any(|start| words.starts_with(start))
                || words.starts_with("pub(") && words.contains(" fn ");
            match begun {
                None if is_function && !words.ends_with(';') => begun = Some((number, indent)),
                Some((first, outer)) if indent == outer && words.starts_with('}') => {
                    if number - first + 1 > FUNCTION_LINES_MAX {
                        long.push(format!("{name}:{}: {} lines", first + 1, number - first + 1));
                    }
                    begun = None;
                }
                _ => {}
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}
