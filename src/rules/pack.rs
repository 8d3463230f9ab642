//! Reading rule files: a folder, or the default pack inside the binary.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Pack, Rule, front_matter};
use crate::{Error, Result};

include!(concat!(env!("OUT_DIR"), "/embedded_pack.rs"));

/// The default pack's tests: path below `tests/` and text of each file, in the order of the paths.
pub fn embedded_tests() -> &'static [(&'static str, &'static str)] {
    EMBEDDED_TESTS
}

pub(super) fn load(directory: Option<&Path>) -> Result<Pack> {
    let mut pack = Pack::default();
    match directory {
        None => {
            for (name, text) in EMBEDDED_RULES {
                pack.add(&format!("queries/{name}"), name, text);
            }
        }
        Some(directory) => load_directory(directory, &mut pack)?,
    }
    pack.rules.sort_by(|a, b| a.id.cmp(&b.id));
    refuse_equal_names(&mut pack);
    Ok(pack)
}

pub(super) fn open(path: &Path) -> Result<Pack> {
    if path.is_dir() {
        return load(Some(path));
    }
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        Error::usage("the rule cannot be read")
            .at(&shown)
            .detail(format!("{error}."))
            .hint("Name a rule file, or a folder that holds .sql files.")
    })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut pack = Pack::default();
    pack.add_bytes(&shown, &name, &bytes);
    Ok(pack)
}

fn load_directory(directory: &Path, pack: &mut Pack) -> Result<()> {
    let refused = |error: &std::io::Error| {
        Error::usage("the rules cannot be read")
            .at(directory.display().to_string())
            .detail(format!("{error}."))
            .hint("Name a folder that holds .sql files.")
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|error| refused(&error))? {
        let path = entry.map_err(|error| refused(&error))?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(Error::usage("the folder holds no rule")
            .at(directory.display().to_string())
            .hint("Name a folder that holds .sql files."));
    }
    for path in paths {
        let shown = path.display().to_string();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match std::fs::read(&path) {
            Ok(bytes) => pack.add_bytes(&shown, &name, &bytes),
            Err(error) => pack.refused.push(
                Error::usage("the rule cannot be read").at(shown).detail(format!("{error}.")),
            ),
        }
    }
    Ok(())
}

impl Pack {
    fn add_bytes(&mut self, path: &str, name: &str, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.add(path, name, text),
            Err(error) => {
                let sound = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                let place = front_matter::place_at(path, &sound, sound.len());
                self.refused.push(
                    Error::usage("the rule is not UTF-8 text").at(place).hint("Save it as UTF-8."),
                );
            }
        }
    }

    fn add(&mut self, path: &str, name: &str, text: &str) {
        match rule(path, name, text) {
            Ok(rule) => self.rules.push(rule),
            Err(error) => self.refused.push(error),
        }
    }
}

/// Parses one rule file; `name` is its file name.
///
/// # Errors
/// When the front matter is refused.
pub fn rule(path: &str, name: &str, text: &str) -> Result<Rule> {
    let digest = Sha256::digest(text.as_bytes());
    let version = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(Rule {
        id: name.strip_suffix(".sql").unwrap_or(name).to_owned(),
        version,
        path: path.to_owned(),
        front: front_matter::parse(path, text)?,
        sql: text.to_owned(),
    })
}

/// Ids name alerts, files and metrics, on file systems that may ignore case: equal but for case is equal.
fn refuse_equal_names(pack: &mut Pack) {
    let rules = std::mem::take(&mut pack.rules);
    for rule in rules {
        let same = pack.rules.iter().find(|kept| kept.id.eq_ignore_ascii_case(&rule.id));
        match same {
            Some(kept) => pack.refused.push(
                Error::usage(format!("two rules have the name `{}`", rule.id))
                    .at(format!("{}:1:1", rule.path))
                    .detail(format!("The other one is {}; case does not count.", kept.path))
                    .hint("Rename one of the files."),
            ),
            None => pack.rules.push(rule),
        }
    }
}
