//! `nightlatch rules`: check, list, explain, test, run, diff, sweep.

mod cases;
mod check;
mod diff;
mod expect;
mod explain;
mod fired;
mod junit;
mod kept;
mod list;
mod manual;
mod memory;
mod output;
mod pass;
mod run;
mod sweep;
mod test;
mod unfilled;
mod why;

use clap::Subcommand;

use super::Outcome;
pub(super) use why::reasons;

#[derive(Debug, Subcommand)]
pub(super) enum RulesCommand {
    /// Say which rules can run exactly, and what is wrong with the others
    Check(check::CheckArgs),
    /// List the rules
    List(list::ListArgs),
    /// Say what rules keep in memory, share and cost; or why one alert fired
    Explain(explain::ExplainArgs),
    /// Run the tests beside the rules
    Test(test::TestArgs),
    /// Print a rule's own rows from logs, by the live core or by plain DataFusion
    Run(run::RunArgs),
    /// Say which alerts of a log an edit of rules adds, takes away and changes
    Diff(diff::DiffArgs),
    /// Print how many alerts a day a rule makes against its thresholds
    Sweep(sweep::SweepArgs),
}

pub(super) fn rules(command: &RulesCommand) -> Outcome {
    match command {
        RulesCommand::Check(args) => check::check(args),
        RulesCommand::List(args) => list::list(args),
        RulesCommand::Explain(args) => explain::explain(args),
        RulesCommand::Test(args) => test::test(args),
        RulesCommand::Run(args) => run::run(args),
        RulesCommand::Diff(args) => diff::diff(args),
        RulesCommand::Sweep(args) => sweep::sweep(args),
    }
}

/// A line of JSON with nothing in it that a terminal obeys.
fn json_line(value: &serde_json::Value) -> String {
    let mut text = Vec::new();
    let _ = crate::alert::write_json(value, &mut text); // a Vec takes every write
    String::from_utf8_lossy(&text).into_owned() + "\n"
}
