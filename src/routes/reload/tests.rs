use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::thread;

use super::*;
use crate::language::Joined;
use crate::state::testing::{file, Bench};

/// A configuration file that is removed in the end.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> File {
        let name = format!("ai_proxy-{}-{:x}.json", std::process::id(), fastrand::u64(..));
        let file = File(std::env::temp_dir().join(name));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    fn bench(&self) -> Bench {
        let config = Config::load(&self.0).unwrap();
        Bench::with(config, Some(self.0.clone()))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn reloads_that_overlap_are_one_after_the_other_and_all_succeed() {
    let file_on_disk = File::new(&file(""));
    let bench = file_on_disk.bench();
    let state = &bench.state;
    let before = bench.finish(state.reloading.take());
    let (mut one, mut other) = (Box::pin(reload(state)), Box::pin(reload(state)));
    for _ in 0..50 {
        assert!(bench.poll(&mut one).is_none() && bench.poll(&mut other).is_none());
        // Whoever did not wait for its turn would have read the file by now.
        thread::sleep(Duration::from_millis(1));
    }
    file_on_disk.write(&file(",\"stream_timeout\": 7"));
    drop(before);
    let changes = bench.finish(one).unwrap();
    assert!(changes.len() == 1 && changes[0].contains("time-outs"), "{changes:?}");
    assert!(bench.finish(other).unwrap().is_empty());
    assert_eq!(state.settings().stream_timeout, Duration::from_secs(7));
    assert_eq!(state.reloading.taken(), 0);
}

#[test]
fn other_tasks_run_while_a_long_file_is_read() {
    // Each of them takes a tenth of a second to compile.
    let filters = ["\"^\\\\p{L}{100}$\""; 4].join(",");
    let file_on_disk = File::new(&file(""));
    let bench = file_on_disk.bench();
    file_on_disk.write(&file(&format!(",\"supported_models\": [{filters}]")));
    let (state, seen) = (&bench.state, Rc::new(Cell::new(None)));
    let mut reloading = Box::pin(reload(state));
    assert!(bench.executor.is_empty());
    assert!(smol::block_on(futures_lite::future::poll_once(&mut reloading)).is_none());
    let (theirs, theirs_seen) = (state.clone(), seen.clone());
    state.spawn(async move { theirs_seen.set(Some(theirs.settings().supported_models.len())) });
    // The reload has its first turn, and then the other one has its own.
    assert!(bench.executor.try_tick() && bench.executor.try_tick());
    assert_eq!(seen.get(), Some(0), "the file was read in between");
    bench.finish(reloading).unwrap();
    assert_eq!(state.settings().supported_models.len(), 4);
}

#[test]
fn a_file_that_does_not_load_changes_nothing_and_the_next_reload_may_succeed() {
    let file_on_disk = File::new(&file(""));
    let bench = file_on_disk.bench();
    let (state, before) = (&bench.state, bench.state.settings());
    let list = bench.finish(models::list(state));
    for (text, words) in [
        ("{", "column"),
        (&file(",\"supported_models\": [\"(\"]"), "supported_models[0]"),
        (&file(",\"max_connections\": 0"), "max_connections"),
    ] {
        file_on_disk.write(text);
        let causes = bench.finish(reload(state)).unwrap_err();
        let cause = Joined(&causes).to_string();
        assert!(cause.contains(words), "{cause}");
        assert!(Rc::ptr_eq(&before, &state.settings()));
        assert!(Rc::ptr_eq(&list, &bench.finish(models::list(state))));
    }
    fs::remove_file(&file_on_disk.0).unwrap();
    assert!(bench.finish(reload(state)).is_err());
    assert!(Rc::ptr_eq(&before, &state.settings()));
    file_on_disk.write(&file(""));
    assert!(bench.finish(reload(state)).unwrap().is_empty());
    assert!(!Rc::ptr_eq(&before, &state.settings()));
}

#[test]
fn a_reload_goes_on_when_nobody_waits_for_it_any_more() {
    let file_on_disk = File::new(&file(""));
    let bench = file_on_disk.bench();
    file_on_disk.write(&file(",\"stream_timeout\": 7"));
    let mut reloading = Box::pin(reload(&bench.state));
    assert!(bench.poll(&mut reloading).is_none());
    drop(reloading);
    bench.finish(bench.state.reloading.take());
    assert_eq!(bench.state.settings().stream_timeout, Duration::from_secs(7));
}
