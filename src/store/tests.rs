//! Checkpoints by hand: what a crash, a full disk, another process or a changed bit leave behind.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::order::OrderManifest;

/// Tells the test below, in a process of its own, which folder to work on.
const FOLDER: &str = "NIGHTLATCH_TEST_STATE_FOLDER";
/// And how many checkpoints are to fail.
const FAILURES: &str = "NIGHTLATCH_TEST_FAILURES";
const STEPS: u64 = 5;

fn manifest(step: u64, blocks: &[BlockRef]) -> Manifest {
    Manifest {
        // A text of any length: here it says what the manifest refers to.
        nightlatch: serde_json::to_string(blocks).unwrap(),
        watermark: None,
        origins: Vec::new(),
        inputs: Vec::new(),
        order: OrderManifest::default(),
        learner: None,
        engine: None,
        episodes: None,
        incidents: None,
        outbox: step,
        delivered_until: None,
        segments: Vec::new(),
    }
}

fn blocks_of(manifest: &Manifest) -> Vec<BlockRef> {
    serde_json::from_str(&manifest.nightlatch).unwrap()
}

/// A block that tells its step, and is as long as others.
fn content(step: u64) -> Vec<u8> {
    step.to_string().repeat(500).into_bytes()
}

/// State that keeps the block of each step.
struct State {
    folder: StateFolder,
    step: u64,
    blocks: Vec<BlockRef>,
}

impl State {
    fn open(path: &Path) -> Self {
        let (folder, loaded) = StateFolder::open(path).unwrap();
        let (step, blocks) = match loaded {
            Loaded::Nothing => (0, Vec::new()),
            Loaded::Good(manifest) => (manifest.outbox, blocks_of(&manifest)),
            other => panic!("{other:?}"),
        };
        let reader = folder.reader();
        assert_eq!(blocks.len() as u64, step);
        for (index, block) in blocks.iter().enumerate() {
            assert_eq!(reader.read(*block).unwrap(), content(index as u64 + 1));
        }
        Self { folder, step, blocks }
    }

    /// One checkpoint: what can be kept is kept.
    fn checkpoint(&mut self) -> crate::Result<Written> {
        let mut writer = self.folder.begin()?;
        let mut blocks = Vec::new();
        for (index, block) in self.blocks.iter().enumerate() {
            let kept = writer.can_keep(*block).then_some(*block);
            blocks.push(kept.unwrap_or_else(|| writer.add(&content(index as u64 + 1))));
        }
        blocks.push(writer.add(&content(self.step + 1)));
        let pending = self.folder.seal(writer, manifest(self.step + 1, &blocks));
        let written = pending.write()?;
        self.folder.adopt(&written);
        self.step += 1;
        self.blocks = blocks;
        Ok(written)
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The test of checkpoints in a row; other tests run it in a process of its own, with failpoints.
#[test]
fn checkpoints_follow_each_other() {
    let own = tempfile::tempdir().unwrap();
    let path = std::env::var_os(FOLDER).map_or(own.path().join("state"), Into::into);
    let wanted: u64 = std::env::var(FAILURES).map_or(0, |text| text.parse().unwrap());
    let mut state = State::open(&path);
    let mut failures = 0;
    while state.step < STEPS {
        let before = names_in(&path);
        if let Err(error) = state.checkpoint() {
            failures += 1;
            assert_eq!(error.exit_code(), 69);
            assert!(error.to_string().contains("No space left"), "{error}");
            let good = manifest::load(&path.join("manifest"));
            let step = if let Loaded::Good(good) = good { good.outbox } else { 0 };
            assert!(step == state.step || step == state.step + 1, "{step} of {}", state.step);
            if step == state.step {
                assert_eq!(names_in(&path), before, "a checkpoint that failed left files");
            }
        }
    }
    assert_eq!(failures, wanted);
    drop(state);
    let state = State::open(&path);
    assert_eq!((state.step, state.blocks.len() as u64), (STEPS, STEPS));
    // Every segment is still needed; nothing else is left.
    let mut segments: Vec<u64> = state.blocks.iter().map(|block| block.segment).collect();
    segments.dedup();
    assert_eq!(names_in(&path).len(), 2 + segments.len());
}

/// Runs the test above in a process of its own; whether it came to its end.
fn run_apart(folder: &Path, failpoints: &str, failures: u64) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::checkpoints_follow_each_other"])
        .env(FOLDER, folder)
        .env(FAILURES, failures.to_string())
        .env("NIGHTLATCH_FAILPOINTS", failpoints)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("running 1 test"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    output.status.success()
}

const POINTS: [&str; 5] = [
    "segment.written",
    "segment.synced",
    "manifest.written",
    "manifest.synced",
    "manifest.renamed",
];

#[test]
fn a_crash_at_any_point_leaves_the_manifest_before_or_the_new_one() {
    for point in POINTS {
        for nth in [1, 3] {
            let folder = tempfile::tempdir().unwrap();
            assert!(!run_apart(folder.path(), &format!("{point}={nth}:abort"), 0), "{point}");
            let expected = if point == "manifest.renamed" { nth } else { nth - 1 };
            let mut state = State::open(folder.path());
            assert_eq!(state.step, expected, "{point}");
            // The folder is as good as any other, and nothing of the crash is left in it.
            let segments = state.blocks.iter().map(|block| block.segment);
            let segments: std::collections::HashSet<u64> = segments.collect();
            let manifests = usize::from(expected > 0);
            assert_eq!(names_in(folder.path()).len(), 1 + manifests + segments.len(), "{point}");
            state.checkpoint().unwrap();
        }
    }
}

#[test]
fn a_full_disk_leaves_the_last_good_manifest_and_the_next_checkpoint_is_made() {
    for point in POINTS {
        let folder = tempfile::tempdir().unwrap();
        let failpoints = format!("{point}=1:disk_full,{point}=3:disk_full");
        assert!(run_apart(folder.path(), &failpoints, 2), "{point}");
        assert_eq!(State::open(folder.path()).step, STEPS);
    }
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/state");
    let first = StateFolder::open(&path).unwrap();
    let error = StateFolder::open(&path).unwrap_err();
    assert_eq!(error.exit_code(), 64);
    assert!(error.place.as_deref() == path.to_str(), "{error}");
    let holder = format!("process {} holds its lock", std::process::id());
    assert_eq!(error.detail.as_deref(), Some(holder.as_str()));
    assert!(error.hint.unwrap().contains("`state.folder`"));
    drop(first);
    StateFolder::open(&path).unwrap();
}

#[test]
fn nobody_else_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    State::open(&path).checkpoint().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for name in names_in(&path) {
        assert_eq!(mode(&path.join(&name)), 0o600, "{name}");
    }
}

#[test]
fn a_path_that_is_no_folder_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = StateFolder::open(file.path()).unwrap_err();
    assert_eq!(error.exit_code(), 69);
    assert!(error.to_string().contains("the state folder cannot be used"), "{error}");
}

#[test]
fn a_manifest_that_cannot_be_read_is_replaced_by_the_next() {
    for (manifest, foreign) in [("nonsense", false), ("nightlatch-state 9 abb9f13a 0\n", true)] {
        let folder = tempfile::tempdir().unwrap();
        State::open(folder.path()).checkpoint().unwrap();
        std::fs::write(folder.path().join("manifest"), manifest).unwrap();
        let (opened, loaded) = StateFolder::open(folder.path()).unwrap();
        match loaded {
            Loaded::Foreign(version) => assert_eq!((version, foreign), (9, true)),
            Loaded::Damaged(_) => assert!(!foreign),
            other => panic!("{other:?}"),
        }
        let old = names_in(folder.path());
        assert_eq!(old.len(), 3, "what it may refer to is kept: {old:?}");
        State { folder: opened, step: 0, blocks: Vec::new() }.checkpoint().unwrap();
        let new = names_in(folder.path());
        assert_eq!((new.len(), new == old), (3, false), "{new:?}");
        assert_eq!(State::open(folder.path()).step, 1);
    }
}

#[test]
fn space_is_bounded_though_small_blocks_are_kept_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let (mut state, _) = StateFolder::open(folder.path()).unwrap();
    let (mut small, mut written_again): (Vec<BlockRef>, u64) = (Vec::new(), 0);
    let tail = vec![7; 10_000];
    for step in 0..100 {
        let mut writer = state.begin().unwrap();
        for block in &mut small {
            if !writer.can_keep(*block) {
                *block = writer.add(&[1; 100]);
                written_again += 1;
            }
        }
        small.push(writer.add(&[1; 100]));
        writer.add(&tail);
        let written = state.seal(writer, manifest(step, &small)).write().unwrap();
        state.adopt(&written);
        let live = 10_000 + small.len() as u64 * 100;
        let manifest = std::fs::metadata(folder.path().join("manifest")).unwrap().len();
        let files = written.folder_bytes - manifest;
        assert!(files < live * 4 + 25_000, "{files} bytes for {live} at step {step}");
    }
    assert!(written_again > 0, "old segments were never given up");
    let reader = state.reader();
    assert!(small.iter().all(|block| reader.read(*block).unwrap() == [1; 100]));
}

#[test]
fn a_damaged_block_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::open(folder.path());
    state.checkpoint().unwrap();
    let block = state.blocks[0];
    let segment = folder.path().join(format!("segment-{:010}", block.segment));
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let error = |block| state.folder.reader().read(block).unwrap_err().to_string();
    assert!(error(block).contains("checksum"), "{}", error(block));
    assert!(error(BlockRef { n_bytes: u64::MAX, ..block }).contains("end of file"));
    assert!(error(BlockRef { offset: 501, ..block }).contains("end of file"));
    assert!(error(BlockRef { segment: 99, ..block }).contains("No such file"));
}
