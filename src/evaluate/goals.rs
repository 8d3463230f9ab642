//! What quality is asked for: `--require recall=0.95,latency=60s,false=1`.

use super::report::Report;
use crate::{Error, Result};

/// Goals, and whether they are met.
#[derive(Debug, Clone, Default)]
pub struct Goals(Vec<Goal>);

#[derive(Debug, Clone, Copy)]
struct Goal {
    what: What,
    limit: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Recall,
    Others,
    Latency,
    LatencyP95,
    False,
    FalseADay,
}

const NAMES: [(&str, What); 6] = [
    ("recall", What::Recall),
    ("others", What::Others),
    ("latency", What::Latency),
    ("latency_p95", What::LatencyP95),
    ("false", What::False),
    ("false_a_day", What::FalseADay),
];

impl Goals {
    /// Reads `name=value` with commas.
    ///
    /// # Errors
    /// An unknown name, or a value that is none.
    pub fn parse(text: &str) -> Result<Self> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let goals: Vec<Goal> = parts.map(goal).collect::<Result<_>>()?;
        if goals.is_empty() {
            return Err(wrong("--require names no goal".to_owned()));
        }
        Ok(Self(goals))
    }

    /// A sentence for each goal that is missed.
    pub fn missed(&self, report: &Report) -> Vec<String> {
        self.0.iter().filter_map(|goal| goal.missed(report)).collect()
    }
}

fn goal(part: &str) -> Result<Goal> {
    let Some((name, value)) = part.split_once('=') else {
        return Err(wrong(format!("`{part}` is no goal")));
    };
    let (name, value) = (name.trim(), value.trim());
    let Some(&(_, what)) = NAMES.iter().find(|(known, _)| *known == name) else {
        let error = Error::usage(format!("no goal named \"{name}\"")).at("--require");
        let near = crate::suggest(name, NAMES.iter().map(|(known, _)| *known));
        return Err(match near {
            Some(near) => error.hint(format!("did you mean \"{near}\"?")),
            None => error.hint(hint()),
        });
    };
    let limit = match what {
        What::Latency | What::LatencyP95 => {
            humantime::parse_duration(value).ok().map(|duration| duration.as_secs_f64())
        }
        What::Recall | What::Others => number(value).filter(|share| *share <= 1.0),
        What::False | What::FalseADay => number(value),
    };
    match limit {
        Some(limit) => Ok(Goal { what, limit }),
        None => Err(wrong(format!("`{value}` is no value for `{name}`"))),
    }
}

fn number(value: &str) -> Option<f64> {
    value.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

fn wrong(message: String) -> Error {
    Error::usage(message).at("--require").hint(hint())
}

fn hint() -> String {
    "write recall=0.95 and others=0.9 (shares), latency=60s and latency_p95=10m, \
     false=1 (per million benign events), false_a_day=0.1 (per 1,000 accounts and day)"
        .to_owned()
}

impl Goal {
    fn missed(self, report: &Report) -> Option<String> {
        let (is, name, at_least) = match self.what {
            What::Recall => (report.takeovers.recall, "recall", true),
            What::Others => (report.others.recall, "share of other attacks found", true),
            What::Latency => (report.takeovers.median_seconds, "median latency in seconds", false),
            What::LatencyP95 => {
                (report.takeovers.p95_seconds, "95th percentile of latency in seconds", false)
            }
            What::False => {
                (report.false_per_million, "false alerts per million benign events", false)
            }
            What::FalseADay => (
                report.false_per_thousand_account_days,
                "false alerts per 1,000 accounts and day",
                false,
            ),
        };
        let wanted = if at_least { "at least" } else { "at most" };
        let limit = self.limit;
        match is {
            None => Some(format!("{name}: unknown, wanted {wanted} {limit}")),
            Some(is) if at_least && is < limit || !at_least && is > limit => {
                Some(format!("{name}: {is:.4}, wanted {wanted} {limit}"))
            }
            Some(_) => None,
        }
    }
}
