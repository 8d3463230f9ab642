//! What was planted in the example log: each takeover as its truth file names it, and as the log has the
//! events that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

const LOG: &str = "examples/ring-2019.jsonl";
const TRUTH: &str = "examples/ring-2019.truth.jsonl";

/// Ways in and out, which are no step of an intruder.
const DOORS: [&str; 5] = ["login", "session_refresh", "logout", "mfa_challenge", "mfa_verify"];

/// An account that fell, as it is to be told.
#[derive(Debug, Default)]
pub(crate) struct Takeover {
    /// The intruder's first success.
    pub(crate) fell_at: String,
    /// What was done, in the shape of an incident's `steps`.
    pub(crate) steps: Vec<Value>,
    /// Rules that are to find it, but for those about many accounts at once.
    pub(crate) rules: BTreeSet<String>,
    /// Whether somebody did more there than come in.
    pub(crate) was_used: bool,
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

pub(crate) fn objects(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every takeover for which there is a rule, by account.
pub(crate) fn takeovers() -> BTreeMap<String, Takeover> {
    let log = objects(LOG);
    let mut events: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    let mut takeovers: BTreeMap<String, Takeover> = BTreeMap::new();
    for planted in objects(TRUTH).iter().filter(|planted| planted["rule"].is_string()) {
        // Who uses an account whose deletion was asked for is in it, and came by no takeover.
        let is_use = planted["kind"] == "account_use_after_deletion";
        let fell = if is_use { &planted["accounts"] } else { &planted["fell"] };
        for account in fell.as_array().unwrap() {
            let account = account.as_str().unwrap();
            let takeover = takeovers.entry(account.to_owned()).or_default();
            takeover.rules.insert(text(planted, "rule").to_owned());
            let is_story = planted["accounts"] == json!([account]);
            takeover.was_used |= text(planted, "kind").starts_with("takeover");
            let own = log.iter().filter(|event| is_story && is_of(event, planted, account));
            events.entry(account.to_owned()).or_default().extend(own);
        }
    }
    for (account, takeover) in &mut takeovers {
        let events = &mut events.get_mut(account).unwrap();
        events.sort_by_key(|event| text(event, "time"));
        events.dedup_by_key(|event| text(event, "event_id"));
        takeover.fell_at = text(events[0], "time").to_owned();
        takeover.steps = steps(events);
    }
    takeovers
}

/// Whether an event is the intruder's and no failure. The truth file names the first ten events of each
/// attack, and of a short one that is all; of a longer one the log says who came from its addresses.
fn is_of(event: &Value, planted: &Value, account: &str) -> bool {
    let ids = planted["event_ids"].as_array().unwrap();
    let is_named = ids.contains(&event["event_id"]);
    let is_whole = planted["events"] == ids.len();
    let is_within =
        (text(planted, "started_at")..=text(planted, "ended_at")).contains(&text(event, "time"));
    let is_from = planted["entities"]["ip"].as_array().unwrap().contains(&event["ip"]);
    event["account"] == account
        && event["outcome"] != "failure"
        && is_from
        && if is_whole { is_named } else { is_within }
}

/// One action, repeated without another between, is one step.
fn steps(events: &[&Value]) -> Vec<Value> {
    let mut steps: Vec<Value> = Vec::new();
    for event in events.iter().filter(|event| !DOORS.contains(&text(event, "action"))) {
        match steps.last_mut() {
            Some(step) if step["action"] == event["action"] && step["ip"] == event["ip"] => {
                step["to"] = event["time"].clone();
                step["count"] = json!(step["count"].as_u64().unwrap() + 1);
            }
            _ => steps.push(
                json!({"from": event["time"], "to": event["time"], "action": event["action"],
                                   "count": 1, "resources": [], "ip": event["ip"]}),
            ),
        }
        let resources = steps.last_mut().unwrap()["resources"].as_array_mut().unwrap();
        if event["resource"].is_string() && !resources.contains(&event["resource"]) {
            resources.push(event["resource"].clone());
        }
    }
    steps
}
