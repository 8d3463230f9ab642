//! The tests that stand beside rules: `tests/<rule>/<case>.jsonl` and `<case>.expected.jsonl`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Error, Result};

const EVENTS: &str = ".jsonl";
const EXPECTED: &str = ".expected.jsonl";

/// What a case proves; its name begins with it.
pub(super) const KINDS: [&str; 3] = ["attack_", "lookalike_", "evasion_"];

/// One test of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Case {
    /// File name without `.jsonl`.
    pub(super) name: String,
    /// Where the events came from.
    pub(super) path: String,
    /// The events, one a line.
    pub(super) events: String,
    /// The alerts, one pattern a line; `None` when the file is missing.
    pub(super) expected: Option<String>,
}

/// The cases of each rule.
pub(super) type Cases = BTreeMap<String, Vec<Case>>;

/// Pairs files up; `files` are the path below `tests/` and the text of each.
pub(super) fn pair(base: &str, files: &BTreeMap<String, String>) -> Cases {
    let mut cases = Cases::new();
    for (path, events) in files {
        let Some((rule, file)) = path.split_once('/') else { continue };
        if file.ends_with(EXPECTED) {
            continue;
        }
        let Some(name) = file.strip_suffix(EVENTS) else { continue };
        cases.entry(rule.to_owned()).or_default().push(Case {
            name: name.to_owned(),
            path: format!("{base}{path}"),
            events: events.clone(),
            expected: files.get(&format!("{rule}/{name}{EXPECTED}")).cloned(),
        });
    }
    cases
}

/// Reads all files of a folder's tests; a folder without tests has none.
pub(super) fn read(rules: &Path) -> Result<Cases> {
    let tests = rules.join("tests");
    let mut files = BTreeMap::new();
    for folder in entries(&tests)? {
        for file in entries(&folder)? {
            let (Some(rule), Some(name)) = (file_name(&folder), file_name(&file)) else { continue };
            if name.ends_with(EVENTS) {
                let text = std::fs::read_to_string(&file).map_err(|error| unread(&file, &error))?;
                files.insert(format!("{rule}/{name}"), text);
            }
        }
    }
    Ok(pair(&format!("{}/", tests.display()), &files))
}

fn file_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// What a folder holds; nothing when it is not there or is no folder.
fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let read = std::fs::read_dir(folder).map_err(|error| unread(folder, &error))?;
    read.map(|entry| entry.map(|e| e.path()).map_err(|error| unread(folder, &error))).collect()
}

fn unread(path: &Path, error: &std::io::Error) -> Error {
    Error::usage("the tests cannot be read")
        .at(path.display().to_string())
        .detail(error.to_string())
}

/// The tests of the pack inside the binary.
pub(super) fn embedded() -> Cases {
    let tests = crate::rules::embedded_tests().iter();
    let files = tests.map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    pair("queries/tests/", &files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_paired_by_name() {
        let files = ["a/attack_x.jsonl", "a/attack_x.expected.jsonl", "a/evasion_y.jsonl", "stray"];
        let files = files.map(|path| (path.to_owned(), path.to_owned())).into_iter().collect();
        let cases = pair("t/", &files);
        assert_eq!(cases.len(), 1);
        let found: Vec<_> = cases["a"]
            .iter()
            .map(|case| (&*case.name, &*case.path, case.expected.is_some()))
            .collect();
        let wanted =
            [("attack_x", "t/a/attack_x.jsonl", true), ("evasion_y", "t/a/evasion_y.jsonl", false)];
        assert_eq!(found, wanted);
    }
}
