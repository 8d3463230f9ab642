//! The configuration: one TOML file, every key documented here and in `nightlatch.example.toml`.
//!
//! Every key has a default; unknown keys are refused, so that a misspelt one is never silently
//! ignored.

mod check;
mod defaults;
mod destination;
#[cfg(test)]
mod destination_tests;
mod history;
mod kafka;
mod load;
mod parts;
pub(crate) mod secret;
mod show;
#[cfg(test)]
mod tests;
pub(crate) mod units;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::enrich::NetworkClass;

pub(crate) use check::{learn_problems as check_learn, time_zone};
pub use destination::{
    CommonConfig, DestinationConfig, FileConfig, HistoryFile, HttpOptions, Kind, StdoutConfig,
    TopicConfig, WebhookConfig,
};
pub use history::HistoryConfig;
pub use kafka::{KafkaConfig, SaslConfig, SaslMechanism, TlsConfig};
pub(crate) use load::parse_as;
pub use load::{load, parse};
pub use show::show;
pub use units::micros;

/// The whole configuration file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of rule files; absent: the pack inside the binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<PathBuf>,
    /// How records are read.
    pub input: InputConfig,
    /// How records are brought into event-time order.
    pub order: OrderConfig,
    /// Data files that say more about an address or an agent.
    pub enrich: EnrichConfig,
    /// Where events come from in `run`.
    pub kafka: KafkaConfig,
    /// Where alerts go, and how large they may grow.
    pub alerts: AlertsConfig,
    /// Which alerts belong together.
    pub incidents: IncidentsConfig,
    /// Where alerts go besides.
    #[serde(deserialize_with = "destination::decoded_elsewhere")]
    pub destination: Vec<DestinationConfig>,
    /// What is kept of alerts, for the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryConfig>,
    /// How much may wait for them.
    pub outbox: OutboxConfig,
    /// Where records go that cannot be decoded.
    pub dead_letter: SinkConfig,
    /// Where records go that came too late or from the future.
    pub late: SinkConfig,
    /// Where state is kept over a restart, and limits of it.
    pub state: StateConfig,
    /// What is learned from the events.
    pub learn: LearnConfig,
    /// Tables that rules may join with.
    pub reference: Vec<ReferenceConfig>,
    /// The listener for metrics and health.
    pub http: HttpConfig,
    /// What is written to standard error.
    pub log: LogConfig,
}

impl Config {
    /// The topics that are written to.
    pub fn written_topics(&self) -> Vec<String> {
        let destinations = self.destinations();
        let alerts = destinations.iter().filter_map(DestinationConfig::topic);
        let aside = [&self.dead_letter.topic, &self.late.topic].into_iter().flatten();
        alerts.chain(aside.map(String::as_str)).map(str::to_owned).collect()
    }

    /// Where the history is kept, if it is.
    pub fn history_file(&self) -> Option<PathBuf> {
        let file = self.history.as_ref()?.file.clone();
        Some(file.unwrap_or_else(|| self.usual_history_file()))
    }

    /// Where it is kept unless `history.file` says otherwise.
    pub fn usual_history_file(&self) -> PathBuf {
        self.state.folder.join(history::FILE)
    }

    /// Every destination: those of `[[destination]]`, the short forms in `[alerts]`, and the history.
    pub fn destinations(&self) -> Vec<DestinationConfig> {
        let alerts = &self.alerts;
        let stdout = alerts.stdout.then(|| Kind::Stdout(StdoutConfig::default()));
        let file = alerts.file.clone();
        let file = file.map(|file| Kind::File(FileConfig { file, ..FileConfig::default() }));
        let topic = alerts.topic.clone();
        let topic = topic.map(|topic| Kind::Kafka(TopicConfig { topic, ..TopicConfig::default() }));
        let history = self.history_file();
        let history = history.map(|file| Kind::History(HistoryFile { file }));
        let short = [("stdout", stdout), ("file", file), ("topic", topic), ("history", history)];
        let short = short.into_iter().filter_map(|(name, kind)| Some((name, kind?)));
        let short = short.map(|(name, kind)| DestinationConfig::short(name, kind));
        short.chain(self.destination.iter().cloned()).collect()
    }
}

/// Shape of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum InputFormat {
    /// One JSON object a line or a message.
    #[default]
    Native,
    /// Lines that OpenSSH's server writes to syslog.
    Sshd,
}

/// `[input]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputConfig {
    /// Shape of the records.
    pub format: InputFormat,
    /// A longer record is a dead letter.
    #[serde(with = "units::size")]
    pub record_bytes_max: u64,
    /// A record with a longer string is a dead letter.
    #[serde(with = "units::size")]
    pub string_bytes_max: u64,
    /// A record with longer `details` is a dead letter.
    #[serde(with = "units::size")]
    pub details_bytes_max: u64,
    /// What syslog lines do not say.
    pub sshd: SshdConfig,
}

/// `[input.sshd]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SshdConfig {
    /// Year of the first line; absent: that of the file's own time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub year: Option<i32>,
    /// Time zone of the lines, an IANA name.
    pub time_zone: String,
}

/// `[order]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrderConfig {
    /// How far behind the newest time of its input an event may come and still be counted.
    #[serde(with = "units::duration")]
    pub lateness: Duration,
    /// How far ahead of the time of reading an event may be.
    #[serde(with = "units::duration")]
    pub clock_skew: Duration,
    /// A second event of the same source and `event_id` within this event time is dropped.
    #[serde(with = "units::duration")]
    pub dedup_window: Duration,
    /// A partition that stands at its end for so long does not hold the others back.
    #[serde(with = "units::duration")]
    pub idle_after: Duration,
    /// When every partition is idle for so long, what is buffered is released.
    #[serde(with = "units::duration")]
    pub idle_release: Duration,
    /// Events that may wait for the watermark.
    pub buffered_events_max: usize,
    /// Events in one batch.
    pub batch_events: usize,
}

/// `[enrich]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnrichConfig {
    /// Files with country, city and position of addresses, MMDB or CSV; the first that knows an
    /// address answers.
    pub city: Vec<PathBuf>,
    /// Files with number and organisation of the network of an address, in the same way.
    pub asn: Vec<PathBuf>,
    /// Regular expressions for user agents: `regexes.yaml` of uap-core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agents: Option<PathBuf>,
    /// Addresses whose answers are remembered, and a quarter as many user agents.
    pub cache_entries: usize,
    /// Lists of networks of one class.
    pub network: Vec<NetworkListConfig>,
}

impl EnrichConfig {
    /// All data files.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let lists = self.network.iter().map(|list| &list.file);
        self.city.iter().chain(&self.asn).chain(&self.user_agents).chain(lists)
    }
}

/// `[[enrich.network]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkListConfig {
    /// What the networks are.
    pub class: NetworkClass,
    /// Addresses, CIDRs, ranges and AS numbers, one a line.
    pub file: PathBuf,
}

/// `[alerts]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsConfig {
    /// Write alerts to standard output.
    pub stdout: bool,
    /// Append alerts to this file, one JSON object a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Produce alerts to this topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// What is not to be told for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silences: Option<PathBuf>,
    /// Rules that more events can only make truer tell their alerts when an event arrives, and again
    /// when its time is over.
    pub early: bool,
    /// An open episode is told again at most so often, in event time.
    #[serde(with = "units::duration")]
    pub update_every: Duration,
    /// Events that an alert points at.
    pub evidence_max: usize,
    /// Accounts that an alert names.
    pub accounts_max: usize,
    /// Addresses that an alert names.
    pub ips_max: usize,
    /// Episodes that are followed at one time.
    pub open_max: usize,
}

/// `[incidents]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IncidentsConfig {
    /// Whether incidents are told.
    pub enabled: bool,
    /// Two alerts link when no more event time lies between them.
    #[serde(with = "units::duration")]
    pub window: Duration,
    /// An incident is closed after so long without a new alert or step.
    #[serde(with = "units::duration")]
    pub quiet: Duration,
    /// Acts of an intruder are looked for so far before the alert.
    #[serde(with = "units::duration")]
    pub lookback: Duration,
    /// Incidents that are open at one time.
    pub open_max: usize,
    /// Alerts that one incident keeps.
    pub members_max: usize,
    /// Accounts whose story an incident tells.
    pub accounts_max: usize,
    /// Acts that are kept of one account, and steps that are told of it.
    pub steps_max: usize,
    /// Acts that are remembered of all accounts together.
    pub recent_max: usize,
    /// An address where more accounts are at home links only together with another key.
    pub shared_accounts: usize,
    /// A device or TLS fingerprint that more other accounts use successfully is no key.
    pub popular_accounts: usize,
}

/// What happens when the outbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The pipeline waits, and Kafka holds what comes.
    #[default]
    Block,
    /// The oldest alerts are given up.
    DropOldest,
}

/// `[outbox]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboxConfig {
    /// Alerts that wait for a destination.
    #[serde(with = "units::size")]
    pub bytes_max: u64,
    /// What happens when more would wait.
    pub when_full: WhenFull,
    /// How long a stop may take to deliver what waits.
    #[serde(with = "units::duration")]
    pub drain: Duration,
}

/// `[dead_letter]` and `[late]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinkConfig {
    /// Append records to this file, one JSON object a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Produce records to this topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

/// `[state]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StateConfig {
    /// Folder in which `run` keeps its state over a restart.
    pub folder: PathBuf,
    /// How often the state is written to it.
    #[serde(with = "units::duration")]
    pub checkpoint_every: Duration,
    /// A stop that takes longer ends without the rest.
    #[serde(with = "units::duration")]
    pub stop_within: Duration,
    /// Rows in the log of one lane.
    pub rows_max: usize,
    /// Keys in one lane.
    pub keys_max: usize,
    /// Rows of windows, and what is kept of them as evidence, take so much memory together; older ones
    /// go to the disk.
    #[serde(with = "units::size")]
    pub log_in_memory_bytes_max: u64,
    /// Rows of windows take so much of the disk; those beyond stay in memory. 0 for no disk at all.
    #[serde(with = "units::size")]
    pub log_on_disk_bytes_max: u64,
}

/// `[learn]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LearnConfig {
    /// What is learned may take so much memory; then new names are turned away.
    #[serde(with = "units::size")]
    pub memory_max: u64,
    /// An account that did nothing for so long is forgotten.
    #[serde(with = "units::duration")]
    pub forget_after: Duration,
    /// Accounts and devices are counted on an address for so long after their last login; whole days.
    #[serde(with = "units::duration")]
    pub shared_window: Duration,
    /// A login counts towards how shared an address is once the account has known the network for so long.
    #[serde(with = "units::duration")]
    pub settle_after: Duration,
    /// Addresses, agents and devices that are remembered of one account, each.
    pub values_per_account_max: usize,
    /// Addresses, prefixes and networks without a success whose failures are remembered, each.
    pub failing_max: usize,
    /// The failure ratio of the service now is that of the last so many minutes.
    #[serde(with = "units::duration")]
    pub service_window: Duration,
    /// How much each feature weighs in `risk`.
    pub risk: RiskConfig,
}

/// `[learn.risk]`: weights in two groups, the network and the client. Each sums to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RiskConfig {
    /// Of `ip`.
    pub ip: f64,
    /// Of `asn`.
    pub asn: f64,
    /// Of `country`.
    pub country: f64,
    /// Of `user_agent`.
    pub user_agent: f64,
    /// Of `agent`.
    pub agent: f64,
    /// Of `os`.
    pub os: f64,
    /// Of `device_type`.
    pub device_type: f64,
}

/// `[[reference]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceConfig {
    /// Name of the table in the SQL.
    pub name: String,
    /// CSV file with a header row.
    pub file: PathBuf,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Address of `/metrics`, `/-/healthy`, `/-/ready` and the API.
    pub listen: SocketAddr,
    /// A file with the tokens that the API takes; absent: none is asked for, on loopback alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_file: Option<PathBuf>,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What needs somebody.
    Error,
    /// And what may soon.
    Warn,
    /// And what happens once: start, stop, assignment of partitions.
    #[default]
    Info,
    /// And what helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// How much is logged.
    pub level: LogLevel,
}
