//! The default of every key, by name.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{
    AlertsConfig, EnrichConfig, HttpConfig, IncidentsConfig, InputConfig, InputFormat, KafkaConfig,
    LearnConfig, OrderConfig, OutboxConfig, RiskConfig, SaslConfig, SshdConfig, StateConfig,
    TlsConfig, WhenFull,
};

const KIB: u64 = 1024;
const MINUTE_SECONDS: u64 = 60;

const RECORD_BYTES_MAX: u64 = KIB * KIB;
const STRING_BYTES_MAX: u64 = 4 * KIB;
const DETAILS_BYTES_MAX: u64 = 64 * KIB;
const TIME_ZONE: &str = "UTC";

const LATENESS: Duration = Duration::from_secs(MINUTE_SECONDS);
const CLOCK_SKEW: Duration = Duration::from_secs(10 * MINUTE_SECONDS);
const DEDUP_WINDOW: Duration = Duration::from_secs(10 * MINUTE_SECONDS);
const IDLE_AFTER: Duration = Duration::from_secs(10);
const IDLE_RELEASE: Duration = Duration::from_secs(30);
const BUFFERED_EVENTS_MAX: usize = 1_000_000;
const CACHE_ENTRIES: usize = 131_072;
const BATCH_EVENTS: usize = 8192;

const GROUP: &str = "nightlatch";
const PATIENCE: Duration = Duration::from_secs(30);
const DISCOVER_EVERY: Duration = Duration::from_secs(30);

const UPDATE_EVERY: Duration = Duration::from_secs(5 * MINUTE_SECONDS);
const EVIDENCE_MAX: usize = 100;
const ACCOUNTS_MAX: usize = 100;
const IPS_MAX: usize = 100;
const OPEN_MAX: usize = 100_000;

const INCIDENT_WINDOW: Duration = Duration::from_secs(DAY_SECONDS);
const INCIDENT_LOOKBACK: Duration = Duration::from_secs(60 * MINUTE_SECONDS);
const INCIDENTS_OPEN_MAX: usize = 10_000;
const MEMBERS_MAX: usize = 1000;
const STORIES_MAX: usize = 100;
const STEPS_MAX: usize = 200;
/// At about 150 bytes an act: some 40 MB.
const RECENT_MAX: usize = 262_144;
/// Households and small offices stay below, carriers' exits do not.
const SHARED_ACCOUNTS: usize = 10;
const POPULAR_ACCOUNTS: usize = 10;

const OUTBOX_BYTES_MAX: u64 = KIB * KIB * KIB;
const DRAIN: Duration = Duration::from_secs(5);

const FOLDER: &str = "nightlatch-state";
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);
/// Service managers wait 30 seconds or more before they kill.
const STOP_WITHIN: Duration = Duration::from_secs(25);
/// At 30 to 43 bytes a row: up to about 2 GiB in one lane.
const ROWS_MAX: usize = 50_000_000;
const KEYS_MAX: usize = 10_000_000;
/// Some ten million rows with their evidence: smaller windows never touch the disk.
const LOG_IN_MEMORY_BYTES_MAX: u64 = 2 * KIB * KIB * KIB;
/// At about 30 bytes a row with its evidence: some two billion.
const LOG_ON_DISK_BYTES_MAX: u64 = 64 * KIB * KIB * KIB;

const DAY_SECONDS: u64 = 86_400;
const MEMORY_MAX: u64 = KIB * KIB * KIB;
const FORGET_AFTER: Duration = Duration::from_secs(400 * DAY_SECONDS);
const SHARED_WINDOW: Duration = Duration::from_secs(28 * DAY_SECONDS);
const SETTLE_AFTER: Duration = Duration::from_secs(DAY_SECONDS);
const VALUES_PER_ACCOUNT_MAX: usize = 256;
const FAILING_MAX: usize = 100_000;
const SERVICE_WINDOW: Duration = Duration::from_secs(5 * MINUTE_SECONDS);

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), LISTEN_PORT);
const LISTEN_PORT: u16 = 9464;

impl Default for InputConfig {
    fn default() -> Self {
        Self {
            format: InputFormat::default(),
            record_bytes_max: RECORD_BYTES_MAX,
            string_bytes_max: STRING_BYTES_MAX,
            details_bytes_max: DETAILS_BYTES_MAX,
            sshd: SshdConfig::default(),
        }
    }
}

impl Default for SshdConfig {
    fn default() -> Self {
        Self { year: None, time_zone: TIME_ZONE.to_owned() }
    }
}

impl Default for OrderConfig {
    fn default() -> Self {
        Self {
            lateness: LATENESS,
            clock_skew: CLOCK_SKEW,
            dedup_window: DEDUP_WINDOW,
            idle_after: IDLE_AFTER,
            idle_release: IDLE_RELEASE,
            buffered_events_max: BUFFERED_EVENTS_MAX,
            batch_events: BATCH_EVENTS,
        }
    }
}

impl Default for EnrichConfig {
    fn default() -> Self {
        Self {
            city: Vec::new(),
            asn: Vec::new(),
            user_agents: None,
            cache_entries: CACHE_ENTRIES,
            network: Vec::new(),
        }
    }
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            group: GROUP.to_owned(),
            topics: Vec::new(),
            patience: PATIENCE,
            discover_every: DISCOVER_EVERY,
            lease_topic: None,
            tls: TlsConfig::default(),
            sasl: SaslConfig::default(),
            librdkafka: BTreeMap::new(),
        }
    }
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            stdout: true,
            file: None,
            topic: None,
            silences: None,
            early: false,
            update_every: UPDATE_EVERY,
            evidence_max: EVIDENCE_MAX,
            accounts_max: ACCOUNTS_MAX,
            ips_max: IPS_MAX,
            open_max: OPEN_MAX,
        }
    }
}

impl Default for IncidentsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            window: INCIDENT_WINDOW,
            quiet: INCIDENT_WINDOW,
            lookback: INCIDENT_LOOKBACK,
            open_max: INCIDENTS_OPEN_MAX,
            members_max: MEMBERS_MAX,
            accounts_max: STORIES_MAX,
            steps_max: STEPS_MAX,
            recent_max: RECENT_MAX,
            shared_accounts: SHARED_ACCOUNTS,
            popular_accounts: POPULAR_ACCOUNTS,
        }
    }
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self { bytes_max: OUTBOX_BYTES_MAX, when_full: WhenFull::default(), drain: DRAIN }
    }
}

impl Default for StateConfig {
    fn default() -> Self {
        Self {
            folder: FOLDER.into(),
            checkpoint_every: CHECKPOINT_EVERY,
            stop_within: STOP_WITHIN,
            rows_max: ROWS_MAX,
            keys_max: KEYS_MAX,
            log_in_memory_bytes_max: LOG_IN_MEMORY_BYTES_MAX,
            log_on_disk_bytes_max: LOG_ON_DISK_BYTES_MAX,
        }
    }
}

impl Default for LearnConfig {
    fn default() -> Self {
        Self {
            memory_max: MEMORY_MAX,
            forget_after: FORGET_AFTER,
            shared_window: SHARED_WINDOW,
            settle_after: SETTLE_AFTER,
            values_per_account_max: VALUES_PER_ACCOUNT_MAX,
            failing_max: FAILING_MAX,
            service_window: SERVICE_WINDOW,
            risk: RiskConfig::default(),
        }
    }
}

/// The weights that Wiefling et al. (2022) found for logins of a large service, with all digits.
impl Default for RiskConfig {
    fn default() -> Self {
        Self {
            ip: 0.6,
            asn: 0.3,
            country: 0.1,
            user_agent: 0.538_665_384_055_135_9,
            agent: 0.268_045_149_862_566_6,
            os: 0.188_182_951_001_095_36,
            device_type: 0.005_106_515_081_202_152_5,
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: LISTEN, tokens_file: None }
    }
}
