//! Addresses and agents to columns: events a second of one thread, cold and warm.
//!
//! Files of one's own take the place of the made-up ones: `NIGHTLATCH_BENCH_CITY`, `NIGHTLATCH_BENCH_ASN`
//! (one file each) and `NIGHTLATCH_BENCH_USER_AGENTS`.

// `criterion_group!` makes a public function, and a benchmark may stop at the first error.
#![allow(missing_docs, clippy::expect_used)]

#[allow(dead_code, unreachable_pub)] // a part of it is used
#[path = "../tests/support/mmdb.rs"]
mod mmdb;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mmdb::{Value, Writer};
use nightlatch::config::{EnrichConfig, NetworkListConfig};
use nightlatch::enrich::{Enricher, NetworkClass};
use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::source::{InputId, RawBatch};

const EVENTS: usize = 8_192;
const N_BATCHES: usize = 8;
const N_NETWORKS: u64 = 50_000;
const NOW: i64 = 2_000_000_000_000_000;

/// SplitMix64 (Steele, Lea and Flood 2014).
fn random(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// An address from 1.0.0.0 on.
fn address(index: u64) -> String {
    let bits = random(index) as u32;
    let [_, b, c, d] = bits.to_be_bytes();
    format!("{}.{b}.{c}.{d}", 1 + random(index + (1 << 40)) % 220)
}

fn text(text: String) -> Value {
    Value::Text(Box::leak(text.into_boxed_str()))
}

fn city(index: u64) -> Value {
    let name = text(format!("City of {}", index % 4_000));
    Value::Map(vec![
        ("city", Value::Map(vec![("names", Value::Map(vec![("en", name)]))])),
        ("country", Value::Map(vec![("iso_code", Value::Text("DE"))])),
        (
            "location",
            Value::Map(vec![
                ("accuracy_radius", Value::Short(20)),
                ("latitude", Value::Double((index % 4_000) as f64 / 100.0)),
                ("longitude", Value::Double(8.5)),
            ]),
        ),
    ])
}

fn asn(index: u64) -> Value {
    Value::Map(vec![
        ("autonomous_system_number", Value::Unsigned(64_496 + (index % 1_000) as u32)),
        ("autonomous_system_organization", text(format!("Example Telecom {}", index % 1_000))),
    ])
}

fn made(name: &str, folder: &std::path::Path, bytes: Vec<u8>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file of a benchmark");
    path
}

fn file_or(variable: &str, made: impl FnOnce() -> PathBuf) -> PathBuf {
    std::env::var_os(variable).map_or_else(made, PathBuf::from)
}

fn networks(record: fn(u64) -> Value) -> Vec<u8> {
    let mut writer = Writer::new();
    for index in 0..N_NETWORKS {
        let address = address(index % 40_000);
        let network = address.rsplit_once('.').map_or("", |(network, _)| network);
        writer.add(&format!("{network}.0/24"), record(index % 4_000));
    }
    writer.bytes(28, "Benchmark")
}

const REGEXES: &str = "user_agent_parsers:
  - regex: '(Firefox|Chrome|Safari)/(\\d+)\\.(\\d+)'
os_parsers:
  - regex: '(Android|Windows NT|iPhone OS|Mac OS X)[ ]?(\\d+)?'
device_parsers:
  - regex: '(iPhone|iPad|Pixel \\d+)'
";

fn config(folder: &std::path::Path) -> EnrichConfig {
    let list: String = (0..20_000).map(|index| format!("{}\n", address(index * 3))).collect();
    let file = made("vpn.txt", folder, format!("{list}AS64500\n").into());
    EnrichConfig {
        city: vec![file_or("NIGHTLATCH_BENCH_CITY", || made("c.mmdb", folder, networks(city)))],
        asn: vec![file_or("NIGHTLATCH_BENCH_ASN", || made("a.mmdb", folder, networks(asn)))],
        network: vec![NetworkListConfig { class: NetworkClass::Vpn, file }],
        ..EnrichConfig::default()
    }
}

/// Batches of events with these fields, one function of the event's number.
fn batches(fields: impl Fn(u64) -> String) -> Vec<RecordBatch> {
    let mut decoder = Decoder::new(Format::Native, DecodeLimits::default());
    let batch = |number: usize| {
        let mut raw = RawBatch::new(InputId(0), 0, 0, NOW);
        for row in 0..EVENTS {
            let fields = fields((number * EVENTS + row) as u64);
            let event = format!(
                r#"{{"time":"2026-01-02T03:04:05Z","action":"login","account":"ann",{fields}}}"#
            );
            raw.push(row as i64, event.as_bytes());
        }
        let batch = decoder.decode(&mut raw).expect("events of a benchmark").batch;
        assert_eq!(batch.num_rows(), EVENTS);
        batch
    };
    (0..N_BATCHES).map(batch).collect()
}

fn run(stage: &mut Enricher, batches: &[RecordBatch]) {
    for batch in batches {
        black_box(stage.enrich(batch.clone()).expect("a batch of a benchmark"));
    }
}

fn addresses(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let started = Instant::now();
    drop(Enricher::new(&config).expect("files of a benchmark"));
    println!("the files are ready after {:?}", started.elapsed());
    let mut group = criterion.benchmark_group("addresses");
    group.throughput(Throughput::Elements((EVENTS * N_BATCHES) as u64));
    // Each event has another address; each of 5,000 addresses comes again and again.
    for (name, n_addresses) in [("65536 addresses", u64::MAX), ("5000 addresses", 5_000)] {
        let batches = batches(|index| format!("\"ip\":\"{}\"", address(index % n_addresses)));
        for (state, cache_entries) in [("warm", 262_144), ("cold", 1)] {
            let mut stage = Enricher::new(&EnrichConfig { cache_entries, ..config.clone() })
                .expect("files of a benchmark");
            run(&mut stage, &batches);
            group.bench_function(format!("{name}, {state}"), |bencher| {
                bencher.iter(|| run(&mut stage, &batches));
            });
        }
    }
    group.finish();
}

const SHAPES: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/V.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 16; Pixel V) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/V.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_V like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.V Mobile/15E148 Safari/604.1",
    "CameraApp/3.V (iPhone; iOS 19.V)",
];

fn agents(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let made = || made("regexes.yaml", folder.path(), REGEXES.into());
    let user_agents = Some(file_or("NIGHTLATCH_BENCH_USER_AGENTS", made));
    let config = EnrichConfig { user_agents, ..EnrichConfig::default() };
    let started = Instant::now();
    drop(Enricher::new(&config).expect("expressions of a benchmark"));
    println!("the expressions are ready after {:?}", started.elapsed());
    let batches = batches(|index| {
        let shape = SHAPES[(index % 4) as usize];
        format!("\"user_agent\":\"{}\"", shape.replace('V', &(random(index) % 500).to_string()))
    });
    let mut group = criterion.benchmark_group("agents");
    group.throughput(Throughput::Elements((EVENTS * N_BATCHES) as u64));
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    let mut stage = Enricher::new(&config).expect("expressions of a benchmark");
    group.bench_function("2000 agents, warm", |bencher| {
        bencher.iter(|| run(&mut stage, &batches));
    });
    group.finish();
    worst(&config);
}

/// Agents as an attacker would make them up, each looked at for the first time.
fn worst(config: &EnrichConfig) {
    let long = |part: &str| part.chars().cycle().take(4_000).collect::<String>();
    let shapes = [
        ("a browser", SHAPES[1].to_owned()),
        ("4,000 of a", long("a")),
        ("4,000 of '; '", long("; ")),
        ("4,000 of 'Mozilla/5.0 (Linux; Android '", long("Mozilla/5.0 (Linux; Android ")),
        ("4,000 of 'bot '", long("bot ")),
        (
            "4,000 of names of makers",
            long("Android SAMSUNG; GT-Nokia HTC_Sony LG-XiaoMi Build/iPhone "),
        ),
        ("4,000 of digits", long("Chrome/1234567890.")),
    ];
    let mut decoder = Decoder::new(Format::Native, DecodeLimits::default());
    for (name, shape) in shapes {
        let mut slowest = Duration::ZERO;
        let mut stage = Enricher::new(config).expect("expressions of a benchmark");
        let started = Instant::now();
        const TIMES: u32 = 50;
        for time in 0..TIMES {
            let mut raw = RawBatch::new(InputId(0), 0, 0, NOW);
            let agent = format!("{time}{shape}");
            raw.push(
                0,
                format!(r#"{{"time":1,"action":"login","account":"a","user_agent":"{agent}"}}"#)
                    .as_bytes(),
            );
            let batch = decoder.decode(&mut raw).expect("an event").batch;
            let one = Instant::now();
            black_box(stage.enrich(batch).expect("a batch"));
            slowest = slowest.max(one.elapsed());
        }
        println!("agent unseen, {name}: mean {:?}, slowest {slowest:?}", started.elapsed() / TIMES);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(4));
    targets = addresses, agents
}
criterion_main!(benches);
