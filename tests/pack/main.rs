//! The rules in `queries/`: each is documented, tested from both sides, and fires because of its
//! thresholds; the same alerts come of a log however it arrives, and the oracle agrees on it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on fails

mod arrival;
mod documented;
mod mutation;
mod oracle;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nightlatch::rules::{Pack, Rule};

fn queries() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("queries")
}

fn rules() -> Vec<Rule> {
    let pack = Pack::load(Some(&queries())).expect("the rules are readable");
    assert!(pack.refused.is_empty(), "{:?}", pack.refused);
    assert!(!pack.rules.is_empty());
    pack.rules
}

fn nightlatch(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    command.args(arguments).output().expect("the program starts")
}

/// Standard output of a command that must succeed.
fn said(arguments: &[&str]) -> String {
    let output = nightlatch(arguments);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {err}");
    String::from_utf8(output.stdout).expect("it writes UTF-8")
}
