//! `[kafka]`: which cluster and topics, and how this user is known to the brokers.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::KeyPath;
use super::{Config, units};
use crate::Error;

/// `[kafka]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// Brokers to ask first, `host:port,host:port`.
    pub brokers: String,
    /// Consumer group.
    pub group: String,
    /// Topics to read: names, and patterns that begin with `^`.
    pub topics: Vec<String>,
    /// How long the start may wait for a broker.
    #[serde(with = "units::duration")]
    pub patience: Duration,
    /// How often new topics and partitions are looked for.
    #[serde(with = "units::duration")]
    pub discover_every: Duration,
    /// The topic whose one partition only the active instance owns; absent: `<group>-lease`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_topic: Option<String>,
    /// Encrypted connections.
    pub tls: TlsConfig,
    /// Who this user is.
    pub sasl: SaslConfig,
    /// Any property of librdkafka.
    #[serde(with = "units::properties")]
    pub librdkafka: BTreeMap<String, String>,
}

/// `[kafka.tls]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Whether connections are encrypted.
    pub enabled: bool,
    /// PEM file of the authorities that sign brokers' certificates; absent: those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// PEM file of this client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the private key of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// File that holds the password of the private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_password_file: Option<PathBuf>,
    /// Whether a broker's certificate must name the host that was asked for.
    pub verify_hostname: bool,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            key_password_file: None,
            verify_hostname: true,
        }
    }
}

/// How this user proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaslMechanism {
    /// User and password as they are.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Salted challenge and response over SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Salted challenge and response over SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// A token.
    #[serde(rename = "OAUTHBEARER")]
    OauthBearer,
}

impl SaslMechanism {
    /// The name that brokers know.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

/// `[kafka.sasl]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaslConfig {
    /// How this user proves who it is; absent: not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<SaslMechanism>,
    /// Name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// File that holds the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// File that holds the token; read again whenever the token runs out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Where tokens are asked for, by the client credentials grant of OAuth 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// Name of this client at `token_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// File that holds the secret of this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// The scope that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl KafkaConfig {
    /// The lease topic, by its name or by default.
    pub fn lease_topic(&self) -> String {
        self.lease_topic.clone().unwrap_or_else(|| format!("{}-lease", self.group))
    }
}

/// What is wrong with `[kafka]`.
pub(super) fn problems(config: &Config, found: &mut Vec<(KeyPath, Error)>) {
    topics(config, found);
    tls(&config.kafka.tls, found);
    sasl(&config.kafka.sasl, found);
    properties(&config.kafka, found);
}

fn topics(config: &Config, found: &mut Vec<(KeyPath, Error)>) {
    let kafka = &config.kafka;
    if !kafka.brokers.is_empty() && kafka.topics.is_empty() {
        found.push((
            &["kafka", "brokers"],
            Error::usage("brokers without topics: there is nothing to read")
                .hint("name the topics: `topics = [\"events\"]`"),
        ));
    }
    if !kafka.topics.is_empty() && kafka.brokers.is_empty() {
        found.push((
            &["kafka", "topics"],
            Error::usage("topics without brokers: there is nobody to ask")
                .hint("name the brokers: `brokers = \"host:9092\"`"),
        ));
    }
    if kafka.group.is_empty() {
        found.push((&["kafka", "group"], Error::usage("a consumer group needs a name")));
    }
    let unique: HashSet<_> = kafka.topics.iter().collect();
    if unique.len() < kafka.topics.len() || kafka.topics.iter().any(String::is_empty) {
        found.push((&["kafka", "topics"], Error::usage("a topic is empty or named twice")));
    }
    for pattern in kafka.topics.iter().filter(|topic| topic.starts_with('^')) {
        if let Err(error) = regex::Regex::new(pattern) {
            found.push((
                &["kafka", "topics"],
                Error::usage(format!("`{pattern}` is no pattern")).detail(error.to_string()),
            ));
        }
    }
    if kafka.topics.contains(&kafka.lease_topic()) {
        found.push((
            &["kafka", "topics"],
            Error::usage("the lease topic holds no events")
                .hint("name another `kafka.lease_topic`"),
        ));
    }
    if kafka.discover_every < Duration::from_secs(1) {
        found.push((&["kafka", "discover_every"], Error::usage("must be at least \"1 second\"")));
    }
}

fn tls(tls: &TlsConfig, found: &mut Vec<(KeyPath, Error)>) {
    let mut tell = |key: KeyPath, error: Error| found.push((key, error));
    let is_set = *tls != TlsConfig::default();
    if !tls.enabled && is_set {
        tell(&["kafka", "tls"], Error::usage("TLS is off").hint("set `enabled = true` there"));
    }
    if tls.certificate_file.is_some() != tls.key_file.is_some() {
        tell(
            &["kafka", "tls"],
            Error::usage("a certificate and its key come together")
                .hint("set both `certificate_file` and `key_file`, or none of them"),
        );
    }
    if tls.key_password_file.is_some() && tls.key_file.is_none() {
        tell(&["kafka", "tls", "key_password_file"], Error::usage("a password without a key"));
    }
}

fn sasl(sasl: &SaslConfig, found: &mut Vec<(KeyPath, Error)>) {
    let place: KeyPath = &["kafka", "sasl"];
    let mut tell = |text: &str, hint: &str| found.push((place, Error::usage(text).hint(hint)));
    let password = sasl.user.is_some() || sasl.password_file.is_some();
    let client =
        [sasl.token_url.is_some(), sasl.client_id.is_some(), sasl.client_secret_file.is_some()];
    let token = sasl.token_file.is_some() || client.contains(&true) || sasl.scope.is_some();
    match sasl.mechanism {
        None if password || token => tell(
            "there is no mechanism",
            "set `mechanism` to PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
        ),
        None => {}
        Some(SaslMechanism::OauthBearer) => {
            let by_client = client == [true; 3];
            let sound =
                by_client != sasl.token_file.is_some() && by_client == client.contains(&true);
            if password || !sound || (sasl.scope.is_some() && !by_client) {
                tell(
                    "OAUTHBEARER needs one source of tokens, and no password",
                    "set `token_file`, or `token_url`, `client_id` and `client_secret_file`",
                );
            }
            if sasl.token_url.as_deref().is_some_and(|url| !is_safe(url)) {
                tell("the token URL would be asked without TLS", "begin it with `https://`");
            }
        }
        Some(mechanism) if token || sasl.user.is_none() || sasl.password_file.is_none() => {
            let text = format!("{} needs a user and a password, and no token", mechanism.name());
            tell(&text, "set `user` and `password_file`");
        }
        Some(_) => {}
    }
}

/// A client's secret is not sent in the clear, but to this machine.
fn is_safe(url: &str) -> bool {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let mut rests = local.iter().filter_map(|start| url.strip_prefix(start));
    url.starts_with("https://") || rests.any(|rest| rest.is_empty() || rest.starts_with([':', '/']))
}

/// Properties that Nightlatch sets itself, and the key that says the same.
const RESERVED: [(&str, &str); 7] = [
    ("bootstrap.servers", "set `kafka.brokers`"),
    ("metadata.broker.list", "set `kafka.brokers`"),
    ("group.id", "set `kafka.group`"),
    ("group.instance.id", "a standby could not take over before the session timeout"),
    ("enable.auto.commit", "offsets are committed when the alerts are safe"),
    ("enable.auto.offset.store", "offsets are committed when the alerts are safe"),
    ("enable.partition.eof", "partition ends are needed to tell an idle partition"),
];

/// Properties that hold a secret, and the key that names a file instead.
const SECRETS: [(&str, &str); 7] = [
    ("sasl.password", "`kafka.sasl.password_file`"),
    ("sasl.oauthbearer.client.secret", "`kafka.sasl.client_secret_file`"),
    ("sasl.oauthbearer.config", "`kafka.sasl.token_file`"),
    ("ssl.key.password", "`kafka.tls.key_password_file`"),
    ("ssl.key.pem", "`kafka.tls.key_file`"),
    ("ssl.keystore.password", "`kafka.tls.key_file`, which takes PEM"),
    ("ssl_key", "`kafka.tls.key_file`"),
];

/// Parts of a name that mark the value of any other property as a secret.
const SECRET_MARKS: [&str; 4] = ["password", "passphrase", "secret", "private.key.pem"];

fn properties(kafka: &KafkaConfig, found: &mut Vec<(KeyPath, Error)>) {
    let place: KeyPath = &["kafka", "librdkafka"];
    for key in kafka.librdkafka.keys() {
        let named = |list: &[(&str, &'static str)]| {
            list.iter().find(|(name, _)| name == key).map(|(_, hint)| *hint)
        };
        if let Some(hint) = named(&RESERVED) {
            let text = format!("`{key}` is not free to set here");
            found.push((place, Error::usage(text).hint(hint)));
        } else if let Some(instead) = named(&SECRETS) {
            let text = format!("`{key}` is a secret, and secrets come from files");
            found.push((place, Error::usage(text).hint(format!("set {instead}"))));
        } else if SECRET_MARKS.iter().any(|mark| key.contains(mark)) {
            let text = format!("`{key}` is a secret, and secrets come from files");
            let hint = "see [kafka.tls] and [kafka.sasl]";
            found.push((place, Error::usage(text).hint(hint)));
        }
    }
}
