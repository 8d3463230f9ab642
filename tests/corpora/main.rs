//! Logs and verdicts of others: what rules say about them is what their owners say.
//!
//! The folder of third-party data is named by `NIGHTLATCH_CORPORA`. Without it only what the tests make
//! up themselves is checked; with it a missing file fails.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on fails

mod assertions;
mod crowdsec;
mod documented;
mod engine;
mod leaky;
mod lines;
mod parsed;
mod scenarios;
mod sequence_rule;
mod sequences;
mod sshd;
mod travel;

/// The folder of third-party data, and a word when there is none.
fn folder(what: &str) -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("NIGHTLATCH_CORPORA").map(std::path::PathBuf::from);
    if folder.is_none() {
        eprintln!("NIGHTLATCH_CORPORA names no folder: {what} are not checked");
    }
    folder
}
