//! Puts the default rule pack and its tests into the binary.

use std::env::VarError;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=queries");
    let unset = |error: VarError| io::Error::other(error);
    let queries = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(unset)?).join("queries");
    let mut rules = files_below(&queries, "sql");
    rules.retain(|path| path.parent() == Some(queries.as_path()));
    let tests = files_below(&queries.join("tests"), "jsonl");
    let code = list("EMBEDDED_RULES", "queries", &queries, &rules)
        + &list("EMBEDDED_TESTS", "queries/tests", &queries.join("tests"), &tests);
    let target = PathBuf::from(env::var("OUT_DIR").map_err(unset)?);
    fs::write(target.join("embedded_pack.rs"), code)
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

/// The files as Rust. Where the checkout lies is left to the compiler: a target folder may be used by
/// several, and this script does not run again for each.
fn list(name: &str, folder: &str, base: &Path, files: &[PathBuf]) -> String {
    let lines: Vec<String> = files
        .iter()
        .map(|file| {
            let below = file.strip_prefix(base).unwrap_or(file).display().to_string();
            let path = format!("/{folder}/{below}");
            format!(
                "    ({below:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),\n"
            )
        })
        .collect();
    format!("const {name}: &[(&str, &str)] = &[\n{}];\n", lines.concat())
}
