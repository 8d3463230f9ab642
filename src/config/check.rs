//! What a type cannot say: values that contradict each other or make no sense.

use std::collections::HashSet;
use std::time::Duration;

use super::{Config, IncidentsConfig, LearnConfig, RiskConfig, history, kafka};
use crate::{Error, suggest};

/// Where a problem is, as keys from the top.
pub(super) type KeyPath = &'static [&'static str];

/// Every problem of a configuration that decoded well.
pub(super) fn problems(config: &Config) -> Vec<(KeyPath, Error)> {
    let mut found = Vec::new();
    limits(config, &mut found);
    incidents(&config.incidents, &mut found);
    sizes(config, &mut found);
    state(config, &mut found);
    sshd(config, &mut found);
    kafka::problems(config, &mut found);
    sinks(config, &mut found);
    outbox(config, &mut found);
    history::problems(config, &mut found);
    destinations(config, &mut found);
    references(config, &mut found);
    learn(&config.learn, &mut found);
    found
}

fn limits(config: &Config, found: &mut Vec<(KeyPath, Error)>) {
    let (order, alerts, state) = (&config.order, &config.alerts, &config.state);
    let at_least_one: [(KeyPath, usize); 9] = [
        (&["enrich", "cache_entries"], config.enrich.cache_entries),
        (&["order", "batch_events"], order.batch_events),
        (&["order", "buffered_events_max"], order.buffered_events_max),
        (&["alerts", "evidence_max"], alerts.evidence_max),
        (&["alerts", "accounts_max"], alerts.accounts_max),
        (&["alerts", "ips_max"], alerts.ips_max),
        (&["alerts", "open_max"], alerts.open_max),
        (&["state", "rows_max"], state.rows_max),
        (&["state", "keys_max"], state.keys_max),
    ];
    let zero = at_least_one.into_iter().filter(|(_, value)| *value == 0);
    found.extend(zero.map(|(keys, _)| (keys, Error::usage("must be at least 1"))));
    if order.batch_events > order.buffered_events_max {
        found.push((
            &["order", "batch_events"],
            Error::usage("a batch is larger than the buffer it is taken from")
                .hint("raise `order.buffered_events_max` or lower `order.batch_events`"),
        ));
    }
    if alerts.update_every.is_zero() {
        found.push((
            &["alerts", "update_every"],
            Error::usage("must be longer than nothing").hint("the default is \"5 minutes\""),
        ));
    }
}

fn incidents(incidents: &IncidentsConfig, found: &mut Vec<(KeyPath, Error)>) {
    let at_least_one: [(KeyPath, usize); 5] = [
        (&["incidents", "open_max"], incidents.open_max),
        (&["incidents", "members_max"], incidents.members_max),
        (&["incidents", "accounts_max"], incidents.accounts_max),
        (&["incidents", "steps_max"], incidents.steps_max),
        (&["incidents", "recent_max"], incidents.recent_max),
    ];
    let zero = at_least_one.into_iter().filter(|(_, value)| *value == 0);
    found.extend(zero.map(|(keys, _)| (keys, Error::usage("must be at least 1"))));
    if incidents.quiet < incidents.window {
        let error = Error::usage("must not be shorter than `incidents.window`");
        found.push((
            &["incidents", "quiet"],
            error.hint("an incident must be open for as long as alerts may join it"),
        ));
    }
}

/// Sizes that fit 32 bits keep every offset inside a batch of columns valid.
const SIZE_MAX: u64 = 1 << 30;

fn sizes(config: &Config, found: &mut Vec<(KeyPath, Error)>) {
    let input = &config.input;
    let all: [(KeyPath, u64); 3] = [
        (&["input", "record_bytes_max"], input.record_bytes_max),
        (&["input", "string_bytes_max"], input.string_bytes_max),
        (&["input", "details_bytes_max"], input.details_bytes_max),
    ];
    let outside = all.into_iter().filter(|(_, size)| *size == 0 || *size > SIZE_MAX);
    found
        .extend(outside.map(|(keys, _)| (keys, Error::usage("must be from \"1 B\" to \"1 GiB\""))));
}

/// Checkpoints closer together would do nothing but wait for the disk.
const CHECKPOINT_EVERY_MIN: Duration = Duration::from_millis(100);

fn state(config: &Config, found: &mut Vec<(KeyPath, Error)>) {
    let state = &config.state;
    if state.folder.as_os_str().is_empty() {
        let error = Error::usage("a folder needs a name");
        found.push((&["state", "folder"], error.hint("the default is \"nightlatch-state\"")));
    }
    if state.checkpoint_every < CHECKPOINT_EVERY_MIN {
        found.push((
            &["state", "checkpoint_every"],
            Error::usage("must be at least \"100 milliseconds\"")
                .hint("the default is \"30 seconds\""),
        ));
    }
}

fn sshd(config: &Config, found: &mut Vec<(KeyPath, Error)>) {
    let sshd = &config.input.sshd;
    if sshd.year.is_some_and(|year| !(1..=9999).contains(&year)) {
        found.push((&["input", "sshd", "year"], Error::usage("must be from 1 to 9999")));
    }
    if let Err(error) = time_zone(&sshd.time_zone) {
        found.push((&["input", "sshd", "time_zone"], error));
    }
}

/// The IANA time zone of a name, or an error that suggests one.
///
/// # Errors
/// When there is no such zone.
pub(crate) fn time_zone(name: &str) -> crate::Result<chrono_tz::Tz> {
    name.parse().map_err(|_| {
        let error = Error::usage(format!("unknown time zone `{name}`"));
        match suggest(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("use an IANA name such as `UTC` or `America/New_York`"),
        }
    })
}

fn sinks(config: &Config, found: &mut Vec<(KeyPath, Error)>) {
    let topics: [(KeyPath, &Option<String>); 3] = [
        (&["alerts", "topic"], &config.alerts.topic),
        (&["dead_letter", "topic"], &config.dead_letter.topic),
        (&["late", "topic"], &config.late.topic),
    ];
    for (keys, topic) in topics {
        let Some(topic) = topic else { continue };
        if config.kafka.brokers.is_empty() {
            found.push((
                keys,
                Error::usage("a topic without brokers").hint("name them in `kafka.brokers`"),
            ));
        }
        if config.kafka.topics.contains(topic) {
            found.push((
                keys,
                Error::usage(format!("`{topic}` is read as input as well: an endless loop")),
            ));
        }
    }
    if config.destinations().is_empty() {
        found.push((
            &["alerts", "stdout"],
            Error::usage("alerts go nowhere")
                .hint("set `alerts.file` or `alerts.topic`, or add a `[[destination]]`"),
        ));
    }
}

/// Below it hardly an alert fits.
const OUTBOX_BYTES_MIN: u64 = 64 << 10;

fn outbox(config: &Config, found: &mut Vec<(KeyPath, Error)>) {
    if config.outbox.bytes_max < OUTBOX_BYTES_MIN {
        found.push((&["outbox", "bytes_max"], Error::usage("must be at least \"64 KiB\"")));
    }
}

fn destinations(config: &Config, found: &mut Vec<(KeyPath, Error)>) {
    let mut names = HashSet::new();
    let keys: KeyPath = &["destination"];
    for destination in config.destinations() {
        if let Some(topic) = destination.topic().filter(|_| destination.common.name != "topic") {
            if config.kafka.brokers.is_empty() {
                let error = Error::usage(format!("the topic `{topic}` without brokers"));
                found.push((keys, error.hint("name them in `kafka.brokers`")));
            }
            if config.kafka.topics.iter().any(|input| input == topic) {
                let text = format!("`{topic}` is read as input as well: an endless loop");
                found.push((keys, Error::usage(text)));
            }
        }
        let name = destination.common.name;
        if !names.insert(name.clone()) {
            let error = Error::usage(format!("two destinations are named `{name}`"));
            found.push((
                keys,
                error.hint(
                    "those of [alerts] are named stdout, file and topic, that of [history] history",
                ),
            ));
        }
    }
}

/// What is wrong with `[learn]`, with the key as place.
pub(crate) fn learn_problems(config: &LearnConfig) -> Vec<Error> {
    let mut found = Vec::new();
    learn(config, &mut found);
    found.into_iter().map(|(keys, error)| error.at(keys.join("."))).collect()
}

fn learn(learn: &LearnConfig, found: &mut Vec<(KeyPath, Error)>) {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut add = |keys: KeyPath, text: &str| found.push((keys, Error::usage(text)));
    if learn.memory_max < 1 << 20 {
        add(&["learn", "memory_max"], "must be at least \"1 MiB\"");
    }
    if learn.shared_window < DAY || !learn.shared_window.as_secs().is_multiple_of(DAY.as_secs()) {
        add(&["learn", "shared_window"], "must be whole days, at least one");
    }
    if learn.forget_after < learn.shared_window {
        add(&["learn", "forget_after"], "must not be shorter than `learn.shared_window`");
    }
    if learn.values_per_account_max == 0 {
        add(&["learn", "values_per_account_max"], "must be at least 1");
    }
    if learn.service_window < Duration::from_secs(60) {
        add(&["learn", "service_window"], "must be at least \"1 minute\"");
    }
    weights(&learn.risk, found);
}

/// Weights may be written with three digits.
const WEIGHTS_ERROR: f64 = 0.002;

fn weights(risk: &RiskConfig, found: &mut Vec<(KeyPath, Error)>) {
    let network = [risk.ip, risk.asn, risk.country];
    let client = [risk.user_agent, risk.agent, risk.os, risk.device_type];
    let groups: [(KeyPath, KeyPath, &[f64]); 2] = [
        (&["learn", "risk"], &["learn", "risk", "ip"], &network),
        (&["learn", "risk"], &["learn", "risk", "user_agent"], &client),
    ];
    for (table, first, weights) in groups {
        let sum: f64 = weights.iter().sum();
        if weights.iter().any(|weight| !(0.0..=1.0).contains(weight)) {
            found.push((table, Error::usage("a weight must be from 0 to 1")));
        } else if (sum - 1.0).abs() > WEIGHTS_ERROR {
            let hint =
                "`ip`, `asn`, `country` sum to 1; so do `user_agent`, `agent`, `os`, `device_type`";
            let message = format!("the weights of a group sum to {sum:.3}, not to 1");
            found.push((table, Error::usage(message).hint(hint)));
        } else if weights.first() == Some(&0.0) {
            let hint = "it alone is smoothed: without it a score may be 0 divided by 0";
            found.push((first, Error::usage("must be more than 0").hint(hint)));
        }
    }
}

fn references(config: &Config, found: &mut Vec<(KeyPath, Error)>) {
    let mut names = HashSet::new();
    for reference in &config.reference {
        let name = reference.name.as_str();
        let problem = if name == "events" {
            Some("`events` is the table of the events itself".to_owned())
        } else if !is_table_name(name) {
            Some(format!("`{name}` is no table name: use a-z, 0-9 and _"))
        } else if !names.insert(name) {
            Some(format!("two reference tables are named `{name}`"))
        } else {
            None
        };
        found.extend(problem.map(|text| (["reference"].as_slice(), Error::usage(text))));
    }
}

fn is_table_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
