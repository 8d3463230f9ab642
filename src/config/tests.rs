//! The example names every key and tells the truth about defaults; bad files are told well.

use super::*;

const EXAMPLE: &str = include_str!("../../nightlatch.example.toml");

/// The keys that a type takes, as serde knows them.
fn keys_of<T: for<'de> Deserialize<'de>>() -> Vec<String> {
    let error = toml::from_str::<T>("'?' = 0").err().expect("`?` is no key");
    let (_, known) = load::unknown(error.message()).expect("an unknown key");
    known.into_iter().map(str::to_owned).collect()
}

/// Every key of the configuration as a dotted path; tables themselves are left out.
fn all_keys() -> Vec<String> {
    let tables: [(&str, Vec<String>); 14] = [
        ("", keys_of::<Config>()),
        ("input.", keys_of::<InputConfig>()),
        ("input.sshd.", keys_of::<SshdConfig>()),
        ("order.", keys_of::<OrderConfig>()),
        ("kafka.", keys_of::<KafkaConfig>()),
        ("alerts.", keys_of::<AlertsConfig>()),
        ("dead_letter.", keys_of::<SinkConfig>()),
        ("late.", keys_of::<SinkConfig>()),
        ("state.", keys_of::<StateConfig>()),
        ("learn.", keys_of::<LearnConfig>()),
        ("learn.risk.", keys_of::<RiskConfig>()),
        ("reference.", keys_of::<ReferenceConfig>()),
        ("http.", keys_of::<HttpConfig>()),
        ("log.", keys_of::<LogConfig>()),
    ];
    let names: Vec<String> = tables.iter().map(|(table, _)| (*table).to_owned()).collect();
    tables
        .iter()
        .flat_map(|(table, keys)| keys.iter().map(move |key| format!("{table}{key}")))
        .filter(|key| !names.contains(&format!("{key}.")) && key != "kafka.librdkafka")
        .collect()
}

/// `(dotted key, value, whether the comment above it says "no default")` of the example.
fn example_keys() -> Vec<(String, String, bool)> {
    let (mut table, mut found, mut comment) = (String::new(), Vec::new(), String::new());
    for line in EXAMPLE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if bare.starts_with('[') {
            table = format!("{}.", bare.trim_matches(['[', ']']));
        } else if let Some((key, value)) = bare.split_once(" = ").filter(|(k, _)| is_key(k)) {
            let optional = comment.to_lowercase().contains("no default");
            found.push((format!("{table}{key}"), value.to_owned(), optional));
        } else {
            comment.push_str(bare);
            continue;
        }
        comment.clear();
    }
    found
}

fn is_key(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[test]
fn the_example_is_sound_and_names_every_key() {
    parse("nightlatch.example.toml", EXAMPLE).unwrap();
    let mut named: Vec<_> = example_keys().into_iter().map(|(key, ..)| key).collect();
    let mut known = all_keys();
    named.sort();
    known.sort();
    assert_eq!(named, known);
}

#[test]
fn the_example_shows_the_real_defaults() {
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    let mut compared = 0;
    for (path, value, optional) in example_keys() {
        let text = format!("value = {value}");
        let shown = toml::from_str::<toml::Table>(&text).unwrap().remove("value");
        let real = path
            .split('.')
            .try_fold(toml::Value::Table(defaults.clone()), |table, key| table.get(key).cloned());
        if optional {
            let empty = real.is_none_or(|real| real.as_str() == Some("") || real == array());
            assert!(empty, "{path} has a default, and the example says that it has none");
        } else {
            assert_eq!(shown, real, "{path}");
            compared += 1;
        }
    }
    assert!(compared >= 20, "only {compared} defaults were compared");
}

fn array() -> toml::Value {
    toml::Value::Array(Vec::new())
}

#[test]
fn the_example_with_every_comment_taken_off_is_sound() {
    let is_line = |text: &str| {
        text.starts_with('[') || text.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    };
    let text: Vec<&str> =
        EXAMPLE.lines().map(|l| l.strip_prefix("# ").filter(|t| is_line(t)).unwrap_or(l)).collect();
    let config = parse("all", &text.join("\n")).unwrap();
    assert_eq!(config.reference.len(), 1);
    assert_eq!(config.kafka.librdkafka.len(), 2);
}

#[test]
fn what_is_shown_reads_back_and_holds_no_secret() {
    let text = "[kafka]\nbrokers = 'a:1'\ntopics = ['t']\n[kafka.librdkafka]\n\
                'sasl.password' = 'hunter2'\n'fetch.wait.max.ms' = 5\n";
    let config = parse("x", text).unwrap();
    let shown = show(&config).unwrap();
    assert!(!shown.contains("hunter2"), "{shown}");
    let mut back = parse("shown", &shown).unwrap();
    assert_eq!(back.kafka.librdkafka["sasl.password"], "********");
    back.kafka.librdkafka = config.kafka.librdkafka.clone();
    assert_eq!(back, config);
}

/// `text` fails, and the problems in order contain these texts.
fn refused(text: &str, expected: &[&str]) {
    let problems: Vec<_> =
        parse("f.toml", text).err().unwrap_or_default().iter().map(Error::to_string).collect();
    assert_eq!(problems.len(), expected.len(), "{text}\n{problems:#?}");
    for (problem, wanted) in problems.iter().zip(expected) {
        assert!(problem.contains(wanted), "{text}\nwanted: {wanted}\nfound: {problem}");
    }
}

use crate::Error;

#[test]
fn bad_files_are_told_with_place_and_way_out() {
    refused("rules = ", &["f.toml:1:"]);
    refused("[oder]\n", &["f.toml:1:2 (oder): unknown key `oder`\n  hint: did you mean `order`?"]);
    refused(
        "[order]\nlatness = '1 minute'\n",
        &["f.toml:2:1 (order.latness): unknown key `latness`\n  hint: did you mean `lateness`?"],
    );
    refused("[order]\nlateness = '1'\n", &["f.toml:2:12 (order.lateness)"]);
    refused("[order]\nlateness = 60\n", &["f.toml:2:12 (order.lateness)"]);
    refused("[input]\nformat = 'xml'\n", &["(input.format)"]);
    refused("[input.sshd]\ntime_zone = 'UTX'\n", &["did you mean `UTC`?"]);
    refused("[http]\nlisten = 'localhost'\n", &["f.toml:2:10 (http.listen)"]);
    refused("[[reference]]\nname = 'a'\nfile = 'b'\npath = 'c'\n", &["unknown key `path`"]);
    refused("[[reference]]\nname = 'events'\nfile = 'b'\n", &["the table of the events itself"]);
    refused(
        "[order]\nbatch_events = 0\n",
        &["f.toml:2:1 (order.batch_events): must be at least 1"],
    );
    refused("[alerts]\nstdout = false\n", &["alerts go nowhere"]);
    refused("[late]\ntopic = 'late'\n", &["a topic without brokers"]);
    refused("[kafka]\nbrokers = 'a:1'\n", &["brokers without topics"]);
    refused("[kafka]\nbrokers='a:1'\ntopics=['a']\n[alerts]\ntopic='a'\n", &["an endless loop"]);
    refused("[kafka.librdkafka]\n'group.id' = 'x'\n", &["`group.id` is not free to set here"]);
}

#[test]
fn all_problems_come_at_once() {
    refused(
        "rule = 'x'\n[order]\nlateness = 5\nbatch_events = 0\n[alerts]\nfle = 'x'\n",
        &["`rule`", "order.lateness", "order.batch_events", "`fle`"],
    );
}
