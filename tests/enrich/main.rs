//! What data files say becomes columns: every layout, every order, and whatever a damaged file holds.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on fails

mod damage;
mod property;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use nightlatch::config::{EnrichConfig, NetworkListConfig};
use nightlatch::enrich::{DataKind, Enricher, NetworkClass, unfilled_columns};
use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::event::schema;
use nightlatch::source::{InputId, RawBatch};
use proptest::prelude::*;
use support::mmdb::{BUILD_EPOCH, Value, Writer};

const NOW: i64 = 2_000_000_000_000_000;

/// The columns that the stage may fill.
const FILLED: [&str; 12] = [
    "country",
    "city",
    "latitude",
    "longitude",
    "accuracy_km",
    "asn",
    "as_org",
    "network",
    "ip_prefix",
    "agent",
    "os",
    "device_type",
];

/// A batch of events with these other fields.
fn batch(fields: &[&str]) -> RecordBatch {
    let mut raw = RawBatch::new(InputId(0), 0, 0, NOW);
    for (row, fields) in fields.iter().enumerate() {
        let event = format!(
            r#"{{"time":"2026-01-02T03:04:{row:02}Z","action":"login","account":"ann",{fields}}}"#
        );
        raw.push(row as i64, event.as_bytes());
    }
    let decoded = Decoder::new(Format::Native, DecodeLimits::default()).decode(&mut raw).unwrap();
    assert_eq!(decoded.batch.num_rows(), fields.len(), "{:?}", decoded.rejections);
    decoded.batch
}

/// The filled columns of one row that are not NULL, as text.
fn row(batch: &RecordBatch, row: usize) -> BTreeMap<&'static str, String> {
    let value = |name: &&'static str| {
        let column = batch.column(schema::index_of(name));
        let text = match column.data_type() {
            DataType::Utf8View => column.as_string_view().value(row).to_owned(),
            DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
            _ => column.as_primitive::<Float64Type>().value(row).to_string(),
        };
        column.is_valid(row).then_some((*name, text))
    };
    FILLED.iter().filter_map(value).collect()
}

/// `a=1 b=2` of a row.
fn said(batch: &RecordBatch, number: usize) -> String {
    let pairs: Vec<String> =
        row(batch, number).iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

/// What a stage says of addresses, but for the prefix.
fn of_addresses(config: &EnrichConfig, addresses: &[&str]) -> Vec<String> {
    let fields: Vec<String> = addresses.iter().map(|ip| format!(r#""ip":"{ip}""#)).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let enriched = Enricher::new(config).unwrap().enrich(batch(&fields)).unwrap();
    let without_prefix = |number| {
        let mut row = row(&enriched, number);
        row.remove("ip_prefix");
        row.into_values().collect::<Vec<_>>().join(" ")
    };
    (0..addresses.len()).map(without_prefix).collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

fn map(entries: &[(&'static str, Value)]) -> Value {
    Value::Map(entries.to_vec())
}

fn named(name: &'static str) -> Value {
    map(&[("names", map(&[("de", Value::Text("falsch")), ("en", Value::Text(name))]))])
}

/// A record as MaxMind and DB-IP write it.
fn nested(country: &'static str, city: &'static str, at: (f64, f64), radius: u32) -> Value {
    map(&[
        ("city", named(city)),
        ("continent", map(&[("code", Value::Text("EU"))])),
        (
            "country",
            map(&[("iso_code", Value::Text(country)), ("names", map(&[("en", Value::Text("X"))]))]),
        ),
        (
            "location",
            map(&[
                ("accuracy_radius", Value::Unsigned(radius)),
                ("latitude", Value::Double(at.0)),
                ("longitude", Value::Double(at.1)),
                ("time_zone", Value::Text("Europe/Berlin")),
            ]),
        ),
        ("registered_country", map(&[("iso_code", Value::Text("US"))])),
        ("subdivisions", Value::List(vec![named("Somewhere")])),
    ])
}

/// A record with scalars alone.
fn flat(country: &'static str, city: &'static str, at: (f64, f64)) -> Value {
    map(&[
        ("city", Value::Text(city)),
        ("country_code", Value::Text(country)),
        ("latitude", Value::Float(at.0 as f32)),
        ("longitude", Value::Float(at.1 as f32)),
        ("postcode", Value::Text("")),
        ("timezone", Value::Text("UTC")),
    ])
}

fn cities() -> Writer {
    let mut writer = Writer::new();
    writer
        .add("192.0.2.0/24", nested("DE", "Frankfurt am Main", (50.11, 8.68), 20))
        .add("192.0.2.128/25", nested("FR", "Paris", (48.86, 2.35), 5))
        .add("2001:db8:1::/48", flat("NL", "Amsterdam", (52.37, 4.9)));
    writer
}

fn systems() -> Writer {
    let asn = |number, name| {
        map(&[
            ("autonomous_system_number", Value::Unsigned(number)),
            ("autonomous_system_organization", Value::Text(name)),
        ])
    };
    let mut writer = Writer::new();
    writer
        .add("192.0.2.0/24", asn(64_500, "Example Telecom"))
        .add("198.51.100.0/24", asn(64_501, "Example Hosting"))
        .add("2001:db8::/32", asn(64_502, "Example Mobile"));
    writer
}

/// Files of all kinds.
fn everything(folder: &Folder) -> EnrichConfig {
    EnrichConfig {
        city: vec![folder.write("city.mmdb", cities().bytes(28, "City"))],
        asn: vec![folder.write("asn.mmdb", systems().bytes(24, "ASN"))],
        user_agents: Some(folder.write("regexes.yaml", REGEXES)),
        network: vec![
            list(folder, NetworkClass::Vpn, "192.0.2.64/26\n"),
            list(folder, NetworkClass::Hosting, "# all of it\nAS64501\n"),
            list(folder, NetworkClass::Tor, "198.51.100.9\n2001:db8:1::7"),
        ],
        ..EnrichConfig::default()
    }
}

fn list(folder: &Folder, class: NetworkClass, text: &str) -> NetworkListConfig {
    NetworkListConfig { class, file: folder.write(&format!("{}.txt", class.name()), text) }
}

const REGEXES: &str = r#"
user_agent_parsers:
  - regex: '(Firefox)/(\d+)\.(\d+)'
  - regex: 'Chrome/(\d+).{0,200} Mobile'
    family_replacement: 'Chrome Mobile'
    v1_replacement: '$1'
os_parsers:
  - regex: '(Android)[ \-/](\d+)'
  - regex: 'iPhone|iOS'
    os_replacement: 'iOS'
  - regex: 'Windows NT 10'
    os_replacement: 'Windows'
    os_v1_replacement: '10'
device_parsers:
  - regex: '(?:bot|spider)'
    regex_flag: 'i'
    device_replacement: 'Spider'
    brand_replacement: 'Spider'
    model_replacement: 'Desktop'
"#;

#[test]
fn without_files_the_prefix_alone_is_filled() {
    let config = EnrichConfig::default();
    let mut stage = Enricher::new(&config).unwrap();
    let batch = batch(&[
        r#""ip":"192.0.2.7","user_agent":"curl/8.5""#,
        r#""ip":"2001:DB8:1:2::3""#,
        r#""ip":"10.1.2.3""#,
        r#""device":"d""#,
        r#""ip":"192.0.2.7","ip_prefix":"the office""#,
    ]);
    let filled = stage.enrich(batch.clone()).unwrap();
    let expected = [
        "ip_prefix=192.0.2.0/24",
        "ip_prefix=2001:db8:1::/48",
        "ip_prefix=10.1.2.0/24",
        "",
        "ip_prefix=the office",
    ];
    assert_eq!((0..5).map(|number| said(&filled, number)).collect::<Vec<_>>(), expected);
    let others = (0..batch.num_columns()).filter(|index| *index != schema::index_of("ip_prefix"));
    assert!(others.into_iter().all(|index| filled.column(index) == batch.column(index)));
    assert!(stage.provides("ip_prefix") && !stage.provides("country") && !stage.provides("ip"));
    assert_eq!(unfilled_columns(&config).len(), FILLED.len() - 1);
    assert!(stage.versions().is_empty() && stage.version_map().is_empty());
    assert_eq!(stage.enrich(batch.slice(0, 0)).unwrap().num_rows(), 0);
}

#[test]
fn all_files_fill_all_columns() {
    let folder = Folder::new();
    let config = everything(&folder);
    assert!(unfilled_columns(&config).is_empty());
    let mut stage = Enricher::new(&config).unwrap();
    assert!(FILLED.iter().all(|column| stage.provides(column)));
    let phone = "Mozilla/5.0 (Linux; Android 16; Pixel 9) Chrome/140.0.0.0 Mobile Safari/537.36";
    let filled = stage
        .enrich(batch(&[
            &format!(r#""ip":"192.0.2.200","user_agent":"{phone}""#),
            r#""ip":"192.0.2.70","user_agent":"Examplebot/1.0""#,
            r#""ip":"::ffff:198.51.100.9","user_agent":"CameraApp/3.1 (iPhone; iOS 19)""#,
            r#""ip":"2001:db8:1::7""#,
            r#""ip":"198.51.100.8","user_agent":"""#,
            r#""ip":"203.0.113.1""#,
            r#""ip":"no address""#,
        ]))
        .unwrap();
    let expected = [
        "accuracy_km=5 agent=Chrome Mobile as_org=Example Telecom asn=64500 city=Paris country=FR \
         device_type=mobile ip_prefix=192.0.2.0/24 latitude=48.86 longitude=2.35 network=unknown os=Android",
        "accuracy_km=20 agent=Examplebot as_org=Example Telecom asn=64500 city=Frankfurt am Main country=DE \
         device_type=bot ip_prefix=192.0.2.0/24 latitude=50.11 longitude=8.68 network=vpn os=Other",
        "agent=CameraApp as_org=Example Hosting asn=64501 device_type=app ip_prefix=198.51.100.0/24 \
         network=tor os=iOS",
        "as_org=Example Mobile asn=64502 city=Amsterdam country=NL ip_prefix=2001:db8:1::/48 \
         latitude=52.37 longitude=4.9 network=tor",
        "agent=Other as_org=Example Hosting asn=64501 device_type=unknown ip_prefix=198.51.100.0/24 \
         network=hosting os=Other",
        "ip_prefix=203.0.113.0/24 network=unknown",
        "",
    ];
    for (number, expected) in expected.iter().enumerate() {
        assert_eq!(said(&filled, number), *expected, "row {number}");
    }
    assert_eq!(filled.schema(), schema::event_batch());
    assert_eq!(stage.failures(), 0);
}

#[test]
fn what_the_sender_gave_stays_and_is_not_mixed_with_what_contradicts_it() {
    let folder = Folder::new();
    let mut stage = Enricher::new(&everything(&folder)).unwrap();
    let ip = r#""ip":"192.0.2.200""#;
    let operator = "as_org=Example Telecom asn=64500";
    let paris = "latitude=48.86 longitude=2.35";
    let cases = [
        (
            r#""country":"fr""#,
            format!("accuracy_km=5 {operator} city=Paris country=fr {paris} network=unknown"),
        ),
        (r#""country":"US""#, format!("{operator} country=US network=unknown")),
        (r#""city":"Lyon""#, format!("{operator} city=Lyon network=unknown")),
        (
            r#""latitude":1.5"#,
            format!("{operator} city=Paris country=FR latitude=1.5 network=unknown"),
        ),
        (r#""asn":64501,"country":"US""#, "asn=64501 country=US network=hosting".to_owned()),
        (
            r#""as_org":"Mine","country":"US","network":"office""#,
            "as_org=Mine asn=64500 country=US network=office".to_owned(),
        ),
    ];
    let fields: Vec<String> = cases.iter().map(|(fields, _)| format!("{ip},{fields}")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let prefix = " ip_prefix=192.0.2.0/24";
    // All in one batch, and each in one of its own.
    let together = stage.enrich(batch(&fields)).unwrap();
    for (number, (given, expected)) in cases.iter().enumerate() {
        assert_eq!(said(&together, number).replace(prefix, ""), *expected, "{given}");
        let alone = stage.enrich(batch(&[fields[number]])).unwrap();
        assert_eq!(said(&alone, 0).replace(prefix, ""), *expected, "{given}, alone");
    }
    let full = r#""ip":"192.0.2.200","country":"a","city":"b","latitude":1,"longitude":2,"accuracy_km":3,"asn":4,
        "as_org":"c","network":"d","ip_prefix":"e","agent":"f","os":"g","device_type":"h","user_agent":"curl/8""#;
    let full = batch(&[&full.replace('\n', "")]);
    assert_eq!(stage.enrich(full.clone()).unwrap(), full);
}

#[test]
fn every_size_of_node_is_read() {
    let folder = Folder::new();
    for bits in [24, 28, 32] {
        let city = folder.write("city.mmdb", cities().bytes(bits, "City"));
        let config = EnrichConfig { city: vec![city], ..EnrichConfig::default() };
        let found = of_addresses(&config, &["192.0.2.127", "192.0.2.128", "2001:db8:1::"]);
        let expected = [
            "20 Frankfurt am Main DE 50.11 8.68",
            "5 Paris FR 48.86 2.35",
            "Amsterdam NL 52.37 4.9",
        ];
        assert_eq!(found, expected, "{bits} bits");
    }
}

#[test]
fn layouts_of_csv_files() {
    let cases = [
        ("192.0.2.0,192.0.2.255,DE\n", "DE"),
        ("192.0.2.0/24,de\n", "DE"),
        ("3221225984,3221226239,DE\n", "DE"),
        ("\"192.0.2.0\",\"192.0.2.255\",\"DE\"\r\n", "DE"),
        (
            "192.0.2.0,192.0.2.255,DE,Hesse,,\"Frankfurt, Main\",60311,50.1,8.6,Europe/Berlin\n",
            "Frankfurt, Main DE 50.1 8.6",
        ),
        ("192.0.2.0,192.0.2.255,EU,DE,Hesse,Frankfurt,50.1,8.6\n", "Frankfurt DE 50.1 8.6"),
        ("network,latitude,longitude,accuracy_radius\n192.0.2.0/24,50.1,8.6,100\n", "100 50.1 8.6"),
        ("\u{feff}# made by hand\n\nstart,end,note,country\n192.0.2.0,192.0.2.9,x,DE\n", "DE"),
        ("::ffff:192.0.2.0,::ffff:192.0.2.255,DE\n", "DE"),
    ];
    let folder = Folder::new();
    for (text, expected) in cases {
        let config =
            EnrichConfig { city: vec![folder.write("city.csv", text)], ..EnrichConfig::default() };
        assert_eq!(of_addresses(&config, &["192.0.2.7", "192.0.3.1"]), [expected, ""], "{text}");
    }
    let cases = [
        ("192.0.2.0,192.0.2.255,64500,\"Example, Inc.\"\n", "Example, Inc. 64500"),
        ("192.0.2.0/24,AS64500\n", "64500"),
        (
            "network,autonomous_system_number,autonomous_system_organization\n192.0.2.0/24,64500,\"A \"\"B\"\"\"\n",
            "A \"B\" 64500",
        ),
    ];
    for (text, expected) in cases {
        let asn = vec![folder.write("asn.csv", text)];
        let config = EnrichConfig { asn, ..EnrichConfig::default() };
        assert_eq!(of_addresses(&config, &["192.0.2.7", "192.0.3.1"]), [expected, ""], "{text}");
    }
}

#[test]
fn the_narrower_range_and_the_first_file_win() {
    let folder = Folder::new();
    let own = "192.0.2.0/24,AA\n192.0.2.16/28,BB\n192.0.0.0/16,CC\n2001:db8::/32,DD\n";
    let config = EnrichConfig {
        city: vec![
            folder.write("own.csv", own),
            folder.write("c.mmdb", cities().bytes(32, "City")),
        ],
        ..EnrichConfig::default()
    };
    let addresses = ["192.0.2.1", "192.0.2.17", "192.0.9.9", "2001:db8:1::1", "192.0.2.200"];
    assert_eq!(of_addresses(&config, &addresses), ["AA", "BB", "CC", "DD", "AA"]);
    let turned = EnrichConfig { city: config.city.iter().rev().cloned().collect(), ..config };
    let found = of_addresses(&turned, &["192.0.9.9", "192.0.2.200"]);
    assert_eq!(found, ["CC", "5 Paris FR 48.86 2.35"]);
}

#[test]
fn addresses_within_addresses_and_private_ones() {
    let folder = Folder::new();
    let everywhere = "0.0.0.0,255.255.255.255,AA\n::,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,BB\n";
    let config = EnrichConfig {
        city: vec![
            folder.write("c.mmdb", cities().bytes(24, "City")),
            folder.write("all.csv", everywhere),
        ],
        network: vec![
            list(&folder, NetworkClass::Hosting, "2001:db8:9::/48\nAS64500\n"),
            list(&folder, NetworkClass::Corporate, "10.9.0.0/16\n"),
        ],
        ..EnrichConfig::default()
    };
    let frankfurt = "20 Frankfurt am Main DE 50.11 8.68 unknown";
    let cases = [
        ("::ffff:192.0.2.1", frankfurt),
        ("64:ff9b::c000:201", frankfurt),
        ("2002:c000:201::5", frankfurt),
        ("2001:db8:9::1", "BB hosting"),
        ("203.0.113.1", "AA unknown"),
        ("10.0.0.1", ""),
        ("10.9.0.1", "corporate"),
        ("100.64.3.2", ""),
        ("fd00::1", ""),
        ("::1", ""),
        ("2002:a00:1::1", ""),
    ];
    let addresses: Vec<&str> = cases.iter().map(|(address, _)| *address).collect();
    let expected: Vec<&str> = cases.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(of_addresses(&config, &addresses), expected);
}

#[test]
fn of_several_classes_the_first_in_the_order_wins() {
    let folder = Folder::new();
    let lists = [
        (NetworkClass::Residential, "192.0.2.0/24"),
        (NetworkClass::Hosting, "192.0.2.0-192.0.2.127,a,b"),
        (NetworkClass::Corporate, "192.0.2.0/26"),
        (NetworkClass::Mobile, "192.0.2.0/27"),
        (NetworkClass::Vpn, "192.0.2.0/28\nAS64502"),
        (NetworkClass::Relay, "192.0.2.0/29"),
        (NetworkClass::Tor, "ip\n192.0.2.1"),
    ];
    let network = lists.iter().map(|(class, text)| list(&folder, *class, text)).collect();
    let asn = vec![folder.write("asn.mmdb", systems().bytes(24, "ASN"))];
    let mut config = EnrichConfig { network, ..EnrichConfig::default() };
    let addresses = [1u8, 2, 8, 16, 32, 64, 128].map(|last| format!("192.0.2.{last}"));
    let addresses = addresses.each_ref().map(String::as_str);
    let expected = ["tor", "relay", "vpn", "mobile", "corporate", "hosting", "residential"];
    assert_eq!(of_addresses(&config, &addresses), expected);
    config.network.reverse();
    assert_eq!(of_addresses(&config, &addresses), expected);
    // The operator's class counts like any other; that of the sender's number where there is one.
    config.asn = asn;
    let mut stage = Enricher::new(&config).unwrap();
    let filled = stage
        .enrich(batch(&[
            r#""ip":"2001:db8::1""#,
            r#""ip":"192.0.2.200","asn":64502"#,
            r#""ip":"2001:db8::1","asn":1"#,
            r#""asn":64502"#,
            r#""asn":1"#,
        ]))
        .unwrap();
    let found: Vec<_> = (0..5).map(|number| row(&filled, number).remove("network")).collect();
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    assert_eq!(found, [Some("vpn"), Some("vpn"), Some("unknown"), Some("vpn"), None]);
}

#[test]
fn versions_are_those_of_the_bytes() {
    let folder = Folder::new();
    let config = everything(&folder);
    let stage = Enricher::new(&config).unwrap();
    let kinds: Vec<DataKind> = stage.versions().iter().map(|version| version.kind).collect();
    use DataKind::*;
    assert_eq!(kinds, [City, Asn, Network, Network, Network, UserAgents]);
    let city = &stage.versions()[0];
    assert_eq!((city.built_seconds, city.version.len()), (Some(BUILD_EPOCH), 12 + 1 + 10));
    assert!(city.version.ends_with("@1767225600"), "{}", city.version);
    let map = stage.version_map();
    assert_eq!(map.keys().copied().collect::<Vec<_>>(), ["asn", "city", "network", "user_agents"]);
    assert_eq!(map["city"], city.version);
    assert_eq!(map["network"].split('+').count(), 3);
    // The same bytes elsewhere, later.
    let (old, path) = (map, folder.write("other.mmdb", fs::read(&config.city[0]).unwrap()));
    let mut moved = EnrichConfig { city: vec![path], ..config };
    assert_eq!(Enricher::new(&moved).unwrap().version_map(), old);
    let mut other = cities();
    other.add("203.0.113.0/24", flat("GB", "London", (51.5, 0.1)));
    moved.city = vec![folder.write("other.mmdb", other.bytes(28, "City"))];
    assert_ne!(Enricher::new(&moved).unwrap().version_map()["city"], old["city"]);
    let at = |days: u64| {
        std::time::UNIX_EPOCH + std::time::Duration::from_secs(BUILD_EPOCH + days * 86_400)
    };
    let city = &stage.versions()[0];
    assert_eq!(
        (city.is_old(at(29)), city.is_old(at(30)), city.age_days(at(31))),
        (false, true, Some(31))
    );
}
