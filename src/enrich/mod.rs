//! What data files know of an address or an agent, as columns of the event.
//!
//! A pure function of the event and of the files, which are read when the stage is made and never again.
//! A value that the sender gave stays. See `docs/enrichment.md`.

mod address;
mod agents;
mod answer;
mod cache;
mod columns;
mod data_file;
mod distinct;
mod facts;
mod metrics;
mod mmdb;
mod networks;
mod ranges;
mod source;
mod table;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::{Array, ArrayRef, RecordBatch, StringViewArray, UInt32Array};
use arrow::error::ArrowError;

use self::address::Address;
use self::agents::{Agent, Agents, DeviceType};
use self::cache::Cache;
use self::columns::{Columns, keep};
use self::data_file::DataFile;
use self::distinct::Distinct;
use self::facts::{Facts, first_class};
use self::networks::{Networks, NetworksBuilder};
use self::source::Sources;
use crate::config::EnrichConfig;
use crate::event::schema::{self, index_of};
use crate::{Error, Result};

pub use self::data_file::{DataKind, DataVersion};
pub use self::metrics::EnrichMetrics;
pub use self::networks::NetworkClass;

const COUNTRY: usize = index_of("country");
const CITY: usize = index_of("city");
const LATITUDE: usize = index_of("latitude");
const LONGITUDE: usize = index_of("longitude");
const ACCURACY_KM: usize = index_of("accuracy_km");
const ASN: usize = index_of("asn");
const AS_ORG: usize = index_of("as_org");
const NETWORK: usize = index_of("network");
const IP_PREFIX: usize = index_of("ip_prefix");
const USER_AGENT: usize = index_of("user_agent");
const AGENT: usize = index_of("agent");
const OS: usize = index_of("os");
const DEVICE_TYPE: usize = index_of("device_type");

const OF_CITY: [usize; 5] = [COUNTRY, CITY, LATITUDE, LONGITUDE, ACCURACY_KM];
const OF_ASN: [usize; 2] = [ASN, AS_ORG];
const OF_AGENT: [usize; 3] = [AGENT, OS, DEVICE_TYPE];

/// Of so many addresses one agent is remembered: there are fewer of them, and their texts are long.
const AGENTS_SHARE: usize = 4;

/// The value of `network` where there are lists and none names the address.
const UNKNOWN: &str = "unknown";

/// The columns that only data files fill and the configuration names none for: NULL unless the sender
/// gives them.
pub fn unfilled_columns(config: &EnrichConfig) -> Vec<&'static str> {
    let unfilled = |is_there: bool, columns: &[usize]| {
        if is_there { Vec::new() } else { columns.to_vec() }
    };
    let mut columns = unfilled(!config.city.is_empty(), &OF_CITY);
    columns.extend(unfilled(!config.asn.is_empty(), &OF_ASN));
    columns.extend(unfilled(!config.network.is_empty(), &[NETWORK]));
    columns.extend(unfilled(config.user_agents.is_some(), &OF_AGENT));
    let mut names: Vec<_> = columns.iter().map(|index| schema::COLUMNS[*index].name).collect();
    names.sort_unstable();
    names
}

/// Warns in the log of data that is older than 30 days.
pub fn warn_of_age(versions: &[DataVersion], now: SystemTime) {
    for version in versions.iter().filter(|version| version.is_old(now)) {
        tracing::warn!(
            file = version.file,
            age_days = version.age_days(now),
            "a data file for `enrich.{}` is old: answers may be wrong, and its licence may ask for newer data",
            version.kind.name(),
        );
    }
}

/// The stage: fills columns of batches.
pub struct Enricher {
    places: Sources,
    operators: Sources,
    networks: Option<Networks>,
    agents: Option<Agents>,
    unfilled: Vec<&'static str>,
    versions: Vec<DataVersion>,
    addresses: Cache<IpAddr, Arc<Facts>>,
    distinct_addresses: Distinct,
    distinct_agents: Distinct,
    scratch: String,
}

impl Enricher {
    /// Reads all data files.
    ///
    /// # Errors
    /// When a file that the configuration names is missing, damaged or of an unknown layout.
    pub fn new(config: &EnrichConfig) -> Result<Self> {
        let mut versions = Vec::new();
        let places = Sources::read(DataKind::City, &config.city, &mut versions)?;
        let operators = Sources::read(DataKind::Asn, &config.asn, &mut versions)?;
        let mut networks = NetworksBuilder::default();
        for list in &config.network {
            let file = DataFile::read(DataKind::Network, &list.file)?;
            networks.add(list.class, &file)?;
            versions.push(file.version(None));
        }
        let networks = (!config.network.is_empty()).then(|| networks.build());
        let mut agents = None;
        if let Some(path) = &config.user_agents {
            let file = DataFile::read(DataKind::UserAgents, path)?;
            versions.push(file.version(None));
            agents = Some(Agents::read(&file, config.cache_entries / AGENTS_SHARE)?);
        }
        Ok(Self {
            places,
            operators,
            networks,
            agents,
            unfilled: unfilled_columns(config),
            versions,
            addresses: Cache::new(config.cache_entries),
            distinct_addresses: Distinct::default(),
            distinct_agents: Distinct::default(),
            scratch: String::new(),
        })
    }

    /// Whether this stage fills a column.
    pub fn provides(&self, column: &str) -> bool {
        let mut all = OF_CITY.iter().chain(&OF_ASN).chain(&OF_AGENT).chain(&[NETWORK, IP_PREFIX]);
        all.any(|index| schema::COLUMNS[*index].name == column) && !self.unfilled.contains(&column)
    }

    /// Which data the files held, in the order of the configuration.
    pub fn versions(&self) -> &[DataVersion] {
        &self.versions
    }

    /// The versions by kind, as alerts carry them; several files of a kind are joined by `+`.
    pub fn version_map(&self) -> BTreeMap<&'static str, String> {
        let mut map = BTreeMap::<&'static str, String>::new();
        for version in &self.versions {
            let text = map.entry(version.kind.name()).or_default();
            if !text.is_empty() {
                text.push('+');
            }
            text.push_str(&version.version);
        }
        map
    }

    /// Records of data files that could not be read, since the start; they are as good as not there.
    pub fn failures(&self) -> u64 {
        self.places.failures + self.operators.failures
    }

    /// Fills what the sender left NULL in a batch of [`schema::event_batch`].
    ///
    /// # Errors
    /// Never for a batch of that schema.
    pub fn enrich(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        if batch.num_rows() == 0 {
            return Ok(batch);
        }
        let fill = |stage: &mut Self| -> Result<Vec<ArrayRef>, ArrowError> {
            let mut columns = Columns::new(&batch);
            stage.fill_by_address(&mut columns)?;
            stage.fill_by_agent(&mut columns)?;
            Ok(columns.into_columns())
        };
        let columns = fill(self).and_then(|all| RecordBatch::try_new(batch.schema(), all));
        columns.map_err(|error| {
            Error::unexpected("events cannot be enriched").detail(error.to_string())
        })
    }

    fn fill_by_address(&mut self, columns: &mut Columns) -> Result<(), ArrowError> {
        let mut wanted = vec![IP_PREFIX];
        wanted.extend(OF_CITY.iter().filter(|_| self.provides("country")));
        wanted.extend(OF_ASN.iter().filter(|_| self.provides("asn")));
        wanted.extend(self.networks.as_ref().map(|_| NETWORK));
        let lacking = columns.lacking(&wanted);
        let ips = columns.text(schema::IP);
        let keys = self.distinct_addresses.number(ips, lacking.as_ref());
        let facts = self.facts(ips);
        let of = |value: fn(&Facts) -> Option<&str>| {
            columns::texts(&facts, |facts| facts.as_deref().and_then(value))
        };
        columns.fill(IP_PREFIX, &of(|facts| Some(&facts.prefix)), &keys)?;
        if self.provides("country") {
            fill_place(columns, &facts, &keys)?;
        }
        let given_asn = columns.is_given(ASN).then(|| columns.integers(ASN).clone());
        if self.provides("asn") {
            let agreeing = match &given_asn {
                Some(given) => keep(&keys, |row, key| {
                    let own = facts[key as usize].as_ref().and_then(|facts| facts.asn());
                    given.is_null(row) || own == Some(given.value(row))
                }),
                None => keys.clone(),
            };
            columns.fill(ASN, &columns::integers(&facts, Facts::asn), &keys)?;
            columns.fill(AS_ORG, &of(Facts::organisation), &agreeing)?;
        }
        if let Some(networks) = &self.networks {
            let classes = classes(networks, &facts, &keys, given_asn.as_ref());
            columns.fill(NETWORK, &class_names(), &classes)?;
        }
        Ok(())
    }

    /// What is known of each distinct address of the batch; `None` for a text that is no address.
    fn facts(&mut self, ips: &StringViewArray) -> Vec<Option<Arc<Facts>>> {
        let rows = std::mem::take(&mut self.distinct_addresses.rows);
        let find = |row: &u32| {
            let address = Address::parse(ips.value(*row as usize))?;
            if let Some(known) = self.addresses.get(&address.own) {
                return Some(known);
            }
            let facts = Arc::new(Facts::find(
                address,
                &mut self.places,
                &mut self.operators,
                self.networks.as_ref(),
                &mut self.scratch,
            ));
            self.addresses.put(address.own, facts.clone());
            Some(facts)
        };
        let facts = rows.iter().map(find).collect();
        self.distinct_addresses.rows = rows;
        facts
    }

    fn fill_by_agent(&mut self, columns: &mut Columns) -> Result<(), ArrowError> {
        let Some(agents) = &mut self.agents else { return Ok(()) };
        let lacking = columns.lacking(&OF_AGENT);
        let texts = columns.text(USER_AGENT);
        let keys = self.distinct_agents.number(texts, lacking.as_ref());
        let rows = self.distinct_agents.rows.iter();
        let found: Vec<Arc<Agent>> =
            rows.map(|row| agents.find(texts.value(*row as usize))).collect();
        columns.fill(AGENT, &columns::texts(&found, |agent| Some(&agent.family)), &keys)?;
        columns.fill(OS, &columns::texts(&found, |agent| Some(&agent.os)), &keys)?;
        let name = |agent: &Arc<Agent>| DeviceType::NAMES.get(agent.device_type as usize).copied();
        columns.fill(DEVICE_TYPE, &columns::texts(&found, name), &keys)
    }
}

/// Country, city and position are one fact: they are filled from one record, and not at all where
/// the sender gave another country or city.
fn fill_place(
    columns: &mut Columns,
    facts: &[Option<Arc<Facts>>],
    keys: &UInt32Array,
) -> Result<(), ArrowError> {
    let of = |value: fn(&Facts) -> Option<&str>| {
        columns::texts(facts, |facts| facts.as_deref().and_then(value))
    };
    let (countries, cities) = (of(Facts::country), of(Facts::city));
    let mut place_keys = keys.clone();
    for (column, values) in [(COUNTRY, &countries), (CITY, &cities)] {
        if columns.is_given(column) {
            let given = columns.text(column);
            place_keys = keep(&place_keys, |row, key| {
                let key = key as usize;
                let agrees = || given.value(row).eq_ignore_ascii_case(values.value(key));
                given.is_null(row) || values.is_null(key) || agrees()
            });
        }
    }
    let mut position_keys = place_keys.clone();
    for column in [LATITUDE, LONGITUDE, ACCURACY_KM] {
        if columns.is_given(column) {
            let given = columns.floats(column);
            position_keys = keep(&position_keys, |row, _| given.is_null(row));
        }
    }
    columns.fill(COUNTRY, &countries, &place_keys)?;
    columns.fill(CITY, &cities, &place_keys)?;
    columns.fill(LATITUDE, &columns::floats(facts, Facts::latitude), &position_keys)?;
    columns.fill(LONGITUDE, &columns::floats(facts, Facts::longitude), &position_keys)?;
    columns.fill(ACCURACY_KM, &columns::floats(facts, Facts::accuracy_km), &position_keys)
}

/// For each row the index into [`class_names`].
fn classes(
    networks: &Networks,
    facts: &[Option<Arc<Facts>>],
    keys: &UInt32Array,
    given_asn: Option<&arrow::array::Int64Array>,
) -> UInt32Array {
    let class = |key: Option<u32>, asn: Option<i64>| {
        let facts = key.and_then(|key| facts[key as usize].as_deref());
        let operator = match asn {
            Some(asn) => networks.of_system(asn),
            None => facts.and_then(|facts| facts.operator_class),
        };
        match first_class(facts.and_then(|facts| facts.class), operator) {
            Some(class) => Some(class as u32),
            None if facts.is_some_and(|facts| facts.is_public) => Some(UNKNOWN_CLASS),
            None => None,
        }
    };
    let key = |row: usize| Some(keys.value(row)).filter(|_| keys.is_valid(row));
    match given_asn {
        Some(asn) => (0..keys.len())
            .map(|row| class(key(row), Some(asn.value(row)).filter(|_| asn.is_valid(row))))
            .collect(),
        None => {
            let of_keys: Vec<Option<u32>> =
                (0..facts.len()).map(|key| class(Some(key as u32), None)).collect();
            (0..keys.len()).map(|row| of_keys[key(row)? as usize]).collect()
        }
    }
}

const UNKNOWN_CLASS: u32 = NetworkClass::ALL.len() as u32;

fn class_names() -> StringViewArray {
    let names = NetworkClass::ALL.iter().map(|class| class.name());
    StringViewArray::from_iter_values(names.chain([UNKNOWN]))
}

impl std::fmt::Debug for Enricher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enricher").field("versions", &self.versions).finish_non_exhaustive()
    }
}
