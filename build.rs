//! Puts the default rule pack and its tests into the binary.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=queries");
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let queries = root.join("queries");
    let mut rules = files_below(&queries, "sql");
    rules.retain(|path| path.parent() == Some(queries.as_path()));
    let tests = files_below(&queries.join("tests"), "jsonl");
    let mut code = String::new();
    list(&mut code, "EMBEDDED_RULES", &queries, &rules);
    list(&mut code, "EMBEDDED_TESTS", &queries.join("tests"), &tests);
    let target = PathBuf::from(std::env::var("OUT_DIR").expect("set by cargo"));
    fs::write(target.join("embedded_pack.rs"), code).expect("OUT_DIR can be written");
}

/// All files with an extension below a folder, sorted.
fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn list(code: &mut String, name: &str, base: &Path, files: &[PathBuf]) {
    writeln!(code, "const {name}: &[(&str, &str)] = &[").expect("a string");
    for file in files {
        let below = file.strip_prefix(base).expect("below").display().to_string();
        writeln!(code, "    ({below:?}, include_str!({file:?})),").expect("a string");
    }
    writeln!(code, "];").expect("a string");
}
