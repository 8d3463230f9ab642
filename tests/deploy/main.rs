//! What ships beside the program: images, compose file, dashboards. They are checked as text,
//! because a test machine need not have a container engine.

#![allow(clippy::unwrap_used)] // help for tests may panic as tests do

#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/dashboards.rs"]
mod boards;

mod dashboards;
mod package;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nightlatch::config::Kind;
use nightlatch::serve::Metrics;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The values of a key's lines, `key: value`, without quotes.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let rest = line.trim().strip_prefix(key)?.strip_prefix(':')?;
        Some(rest.trim().trim_matches('"'))
    })
}

/// The items of every list under a key, `- item`, without quotes.
fn items<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let (mut found, mut inside) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        match line.strip_prefix("- ") {
            Some(item) if inside => found.push(item.trim_matches('"')),
            _ => inside = line.strip_suffix(':') == Some(key),
        }
    }
    found
}

fn is_pinned(image: &str) -> bool {
    let (_, tag) = image.rsplit_once(':').unwrap_or((image, ""));
    let version = tag.trim_start_matches('v');
    // Two numbers at least: "3" and "latest" move.
    version.starts_with(|c: char| c.is_ascii_digit()) && version.contains('.')
}

#[test]
fn every_image_is_pinned_to_a_version() {
    let compose = read("docker-compose.yml");
    let dockerfile = read("Dockerfile");
    let from = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM "));
    let from = from.filter_map(|rest| rest.split(' ').next());
    let images: Vec<&str> = values(&compose, "image").chain(from).collect();
    assert!(images.len() >= 9, "{images:?}");
    let loose: Vec<_> = images.into_iter().filter(|image| !is_pinned(image)).collect();
    assert!(loose.is_empty(), "not pinned: {loose:?}");
}

#[test]
fn every_port_is_published_on_loopback_alone() {
    let compose = read("docker-compose.yml");
    let ports = items(&compose, "ports");
    assert_eq!(ports.len(), 6, "{ports:?}");
    assert!(ports.iter().all(|port| port.starts_with("127.0.0.1:")), "{ports:?}");
}

#[test]
fn every_mounted_file_is_there_and_every_volume_is_declared() {
    let compose = read("docker-compose.yml");
    let mounts = items(&compose, "volumes");
    assert!(mounts.len() >= 6, "{mounts:?}");
    let short = mounts.into_iter().filter(|mount| !mount.starts_with("type: "));
    for mount in short.chain(values(&compose, "source")) {
        let source = mount.split(':').next().unwrap_or_default();
        if source.starts_with("./") {
            assert!(root().join(source).exists(), "{source} is mounted and not there");
        } else {
            let declared = compose.lines().any(|line| line == format!("  {source}:"));
            assert!(declared, "volume {source} is not declared");
        }
    }
}

#[test]
fn what_the_image_copies_is_let_through_to_it() {
    let ignore = read(".dockerignore");
    let through: BTreeSet<&str> =
        ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for needed in ["Cargo.toml", "Cargo.lock", "build.rs", "LICENSE", "src", "queries", "benches"] {
        assert!(through.contains(needed), "{needed} does not reach the image's build");
        assert!(root().join(needed).exists(), "{needed} is not there");
    }
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.lines().any(|line| line.starts_with("USER 64100")), "runs as root");
    assert!(dockerfile.lines().any(|line| line.starts_with("ENTRYPOINT [")), "no exec form");
}

#[test]
fn the_configuration_of_the_compose_file_is_sound() {
    let config = nightlatch::config::load(&root().join("deploy/nightlatch.toml"));
    let config = config.unwrap_or_else(|errors| panic!("{}", errors[0]));
    let compose = read("docker-compose.yml");
    let host = config.kafka.brokers.split(':').next().unwrap_or_default();
    assert!(compose.contains(&format!("\n  {host}:\n")), "no service {host}");
    let topics = compose.lines().find_map(|line| line.trim().strip_prefix("for topic in "));
    let topics: BTreeSet<&str> = topics.unwrap().trim_end_matches("; do").split(' ').collect();
    let own = [&config.alerts.topic, &config.dead_letter.topic, &config.late.topic];
    for topic in config.kafka.topics.iter().chain(own.into_iter().flatten()) {
        assert!(topics.contains(topic.as_str()), "nobody makes the topic {topic}");
    }
    for destination in &config.destination {
        let Kind::Postgresql(database) = &destination.kind else { continue };
        assert!(compose.contains(&format!("\n  {}:\n", database.host)), "{}", database.host);
        let roles = read("deploy/postgres.sh");
        for made in [
            format!("CREATE ROLE {} LOGIN", database.user),
            format!("CREATE DATABASE {} OWNER {}", database.database, database.user),
        ] {
            assert!(roles.contains(&made), "nobody does this: {made}");
        }
    }
}

/// Names that Prometheus gets to see: each family that `/metrics` declares.
fn exported() -> BTreeSet<String> {
    let metrics = Metrics::new().unwrap();
    let text = metrics.text();
    let mut names = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        names.insert(line.split(' ').next().unwrap().to_owned());
    }
    // Families whose labels are known later show themselves with their first series only; the
    // names are taken from the source, where each is written once.
    let source = read("src/serve/metrics.rs") + &read("src/serve/stages.rs");
    for text in source.split('"').skip(1).step_by(2) {
        let is_name =
            text.chars().all(|c| c.is_ascii_lowercase() || c == '_') && text.contains('_');
        if is_name {
            let name = text.strip_prefix("nightlatch_").unwrap_or(text);
            names.insert(format!("nightlatch_{name}"));
        }
    }
    names
}

/// The expressions of the alerting rules: `expr` and what is indented below it.
fn alerting_expressions(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(expression) = line.strip_prefix("        expr: ") {
            found.push(expression.to_owned());
            inside = true;
        } else if inside && line.starts_with("          ") {
            if let Some(expression) = found.last_mut() {
                *expression += line;
            }
        } else {
            inside = false;
        }
    }
    found
}

#[test]
fn alerting_rules_ask_for_metrics_that_are_exported() {
    let exported = exported();
    let text = read("dashboards/alerts.yml");
    let expressions = alerting_expressions(&text);
    assert_eq!(expressions.len(), text.matches("- alert: ").count());
    for expression in expressions {
        for name in metric_names(&expression) {
            assert!(exported.contains(name), "{expression}: nobody exports {name}");
            let rated = expression.contains(&format!("rate({name}"))
                || expression.contains(&format!("increase({name}"));
            assert_eq!(rated, name.ends_with("_total"), "{expression}: counters are rated");
        }
    }
}

#[test]
fn prometheus_reads_the_alerting_rules_that_are_mounted() {
    let mount = "./dashboards/alerts.yml:/etc/prometheus/alerts.yml:ro";
    assert!(read("docker-compose.yml").contains(mount));
    assert_eq!(items(&read("deploy/prometheus.yml"), "rule_files"), ["alerts.yml"]);
    assert!(read("deploy/prometheus.yml").contains("job_name: nightlatch"));
}

fn metric_names(query: &str) -> impl Iterator<Item = &str> {
    query
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("nightlatch_"))
}
