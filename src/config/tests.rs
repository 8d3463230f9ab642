//! The example names every key and tells the truth about defaults; bad files are told well.

use super::load::keys_of;
use super::*;

const EXAMPLE: &str = include_str!("../../nightlatch.example.toml");

/// Every key of the configuration as a dotted path; tables themselves are left out.
fn all_keys() -> Vec<String> {
    let tables: [(&str, Vec<String>); 22] = [
        ("", keys_of::<Config>()),
        ("input.", keys_of::<InputConfig>()),
        ("input.sshd.", keys_of::<SshdConfig>()),
        ("order.", keys_of::<OrderConfig>()),
        ("enrich.", keys_of::<EnrichConfig>()),
        ("enrich.network.", keys_of::<NetworkListConfig>()),
        ("kafka.", keys_of::<KafkaConfig>()),
        ("kafka.tls.", keys_of::<TlsConfig>()),
        ("kafka.sasl.", keys_of::<SaslConfig>()),
        ("alerts.", keys_of::<AlertsConfig>()),
        ("incidents.", keys_of::<IncidentsConfig>()),
        ("outbox.", keys_of::<OutboxConfig>()),
        ("history.", keys_of::<HistoryConfig>()),
        // Their keys depend on their kind: see `destination_tests`.
        ("destination.", Vec::new()),
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
            if table != "destination." {
                found.push((format!("{table}{key}"), value.to_owned(), optional));
            }
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
    // Of a password and a token only one may be there.
    let token = ["token_", "client_id", "client_secret_file", "scope"];
    let is_other =
        |text: &str| token.iter().any(|key| text.starts_with(key)) && !text.contains("splunk");
    let text: Vec<&str> = EXAMPLE
        .lines()
        .map(|l| l.strip_prefix("# ").filter(|t| is_line(t) && !is_other(t)).unwrap_or(l))
        .collect();
    let config =
        parse("all", &text.join("\n").replace("enabled = false", "enabled = true")).unwrap();
    assert_eq!(config.reference.len(), 1);
    assert_eq!(config.enrich.network.len(), 1);
    assert_eq!(config.kafka.librdkafka.len(), 2);
    assert_eq!(config.destination.len(), 11);
}

#[test]
fn what_is_shown_reads_back() {
    let text = "[kafka]\nbrokers = 'a:1'\ntopics = ['t', '^u-.*']\nlease_topic = 'l'\n\
                [kafka.tls]\nenabled = true\nca_file = 'ca.pem'\n\
                [kafka.sasl]\nmechanism = 'SCRAM-SHA-512'\nuser = 'u'\npassword_file = 'p'\n\
                [kafka.librdkafka]\n'fetch.wait.max.ms' = 5\n";
    let config = parse("x", text).unwrap();
    assert_eq!(parse("shown", &show(&config).unwrap()).unwrap(), config);
}

#[test]
fn secrets_are_files_and_belong_together() {
    let sasl =
        |text: &str, expected: &[&str]| refused(&format!("[kafka.sasl]\n{text}\n"), expected);
    sasl("user = 'u'", &["(kafka.sasl): there is no mechanism"]);
    sasl("mechanism = 'MD5'", &["(kafka.sasl.mechanism)"]);
    sasl("mechanism = 'PLAIN'\nuser = 'u'", &["PLAIN needs a user and a password, and no token"]);
    sasl("mechanism = 'OAUTHBEARER'\nuser = 'u'", &["one source of tokens, and no password"]);
    sasl("mechanism = 'OAUTHBEARER'\ntoken_url = 'https://a'", &["one source of tokens"]);
    let client =
        "mechanism = 'OAUTHBEARER'\nclient_id = 'c'\nclient_secret_file = 'f'\ntoken_url =";
    sasl(&format!("{client} 'http://example.org/token'"), &["asked without TLS"]);
    sasl(&format!("{client} 'http://localhost.example.org/'"), &["asked without TLS"]);
    sasl(&format!("{client} 'https://a'\ntoken_file = 'f'"), &["one source of tokens"]);
    for sound in ["http://127.0.0.1:80/token", "https://example.org"] {
        parse("f.toml", &format!("[kafka.sasl]\n{client} '{sound}'\n")).unwrap();
    }
    let tls = |text: &str, expected: &[&str]| refused(&format!("[kafka.tls]\n{text}\n"), expected);
    tls(
        "ca_file = 'ca.pem'",
        &["f.toml:1:8 (kafka.tls): TLS is off\n  hint: set `enabled = true`"],
    );
    tls("enabled = true\nkey_file = 'k'", &["a certificate and its key come together"]);
    tls("enabled = true\nkey_password_file = 'k'", &["a password without a key"]);
    for (key, instead) in [
        ("sasl.password", "`kafka.sasl.password_file`"),
        ("ssl.key.password", "`kafka.tls.key_password_file`"),
        ("ssl.key.pem", "`kafka.tls.key_file`"),
        ("sasl.oauthbearer.assertion.private.key.passphrase", "[kafka.sasl]"),
    ] {
        let text = format!("[kafka.librdkafka]\n'{key}' = 'hunter2'\n");
        let problems = parse("f.toml", &text).unwrap_err();
        let text = problems[0].to_string();
        assert!(problems.len() == 1 && text.contains(instead), "{text}");
        assert!(text.contains("is a secret") && !text.contains("hunter2"), "{text}");
    }
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
    refused("[state]\nfolder = ''\n", &["f.toml:2:1 (state.folder): a folder needs a name"]);
    refused(
        "[state]\ncheckpoint_every = '99 ms'\n",
        &["(state.checkpoint_every): must be at least \"100 milliseconds\""],
    );
    assert!(parse("x", "[state]\ncheckpoint_every = '100 milliseconds'\n").is_ok());
    refused("[enrich]\ncache_entries = 0\n", &["(enrich.cache_entries): must be at least 1"]);
    refused("[[enrich.network]]\nclass = 'tro'\nfile = 'x'\n", &["(enrich.network.class)"]);
    refused("[alerts]\nstdout = false\n", &["alerts go nowhere"]);
    refused("[late]\ntopic = 'late'\n", &["a topic without brokers"]);
    refused("[kafka]\nbrokers = 'a:1'\n", &["brokers without topics"]);
    refused("[kafka]\nbrokers='a:1'\ntopics=['a']\n[alerts]\ntopic='a'\n", &["an endless loop"]);
    let kafka = |text: &str| format!("[kafka]\nbrokers='a:1'\n{text}\n");
    refused(&kafka("topics=['^a(']"), &["`^a(` is no pattern"]);
    refused(&kafka("topics=['g-lease']\ngroup='g'"), &["the lease topic holds no events"]);
    refused(&kafka("topics=['a']\ndiscover_every='0s'"), &["at least \"1 second\""]);
    refused("[kafka.librdkafka]\n'group.id' = 'x'\n", &["`group.id` is not free to set here"]);
}

#[test]
fn all_problems_come_at_once() {
    refused(
        "rule = 'x'\n[order]\nlateness = 5\nbatch_events = 0\n[alerts]\nfle = 'x'\n",
        &["`rule`", "order.lateness", "order.batch_events", "`fle`"],
    );
}

#[test]
fn a_history_needs_an_end_and_an_api_for_others_needs_tokens() {
    let told = |text: &str| -> String {
        let errors = parse("x", text).unwrap_err();
        errors.iter().map(|error| format!("{error}\n")).collect()
    };
    assert!(told("[history]\n").contains("missing field `retention`"));
    assert!(told("[history]\n").contains("hint: add `retention = ...`"));
    assert!(told("[history]\nretention = 'forever'\n").contains("is no duration"));
    assert!(told("[history]\nretention = '0 days'\n").contains("must be longer than nothing"));
    let zero = told("[history]\nretention = '1 day'\nrows_max = 0\nfile = ''\n");
    assert!(zero.contains("history.rows_max") && zero.contains("history.file"), "{zero}");
    let open = "[history]\nretention = '1 day'\n[http]\nlisten = '0.0.0.0:9464'\n";
    assert!(told(open).contains("x:4:1 (http.listen): the API would be open"), "{}", told(open));
    assert!(parse("x", &format!("{open}tokens_file = 't'\n")).is_ok());
    assert!(parse("x", "[http]\nlisten = '0.0.0.0:9464'\n").is_ok(), "metrics alone");
    assert!(told("[http]\ntokens_file = 't'\n").contains("add that section"));
    let kept = parse("x", "[history]\nretention = '1 day'\n[state]\nfolder = 's'\n").unwrap();
    assert_eq!(kept.history_file(), Some("s/history.sqlite".into()));
    assert!(kept.destinations().iter().any(|one| one.common.name == "history"));
    assert_eq!(parse("shown", &show(&kept).unwrap()).unwrap(), kept);
    let named = "[[destination]]\nname = 'x'\ntype = 'history'\n";
    assert!(told(named).contains("no destination of the type `history`"));
}
