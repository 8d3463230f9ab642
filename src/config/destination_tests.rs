//! `[[destination]]`: the example names every key of every kind, and wrong ones are told well.

use std::collections::BTreeSet;

use super::destination::Kind;
use super::load::keys_of;
use super::*;
use crate::delivery::alertmanager::AlertmanagerConfig;
use crate::delivery::pagerduty::PagerDutyConfig;
use crate::delivery::postgresql::PostgresqlConfig;
use crate::delivery::slack::SlackConfig;
use crate::delivery::splunk::SplunkConfig;
use crate::delivery::teams::TeamsConfig;
use crate::rules::Severity;

const EXAMPLE: &str = include_str!("../../nightlatch.example.toml");

/// Lines of each `[[destination]]` of the example, and whether each has a default.
fn sections() -> Vec<Vec<(String, bool)>> {
    let (mut sections, mut inside, mut comment) = (Vec::new(), false, String::new());
    for line in EXAMPLE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if bare.starts_with('[') {
            inside = bare == "[[destination]]";
            if inside {
                sections.push(Vec::new());
            }
        } else if inside && bare.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) {
            let has_default = !comment.to_lowercase().contains("no default");
            sections.last_mut().unwrap().push((bare.to_owned(), has_default));
        } else {
            comment.push_str(bare);
            continue;
        }
        comment.clear();
    }
    sections
}

fn key(line: &str) -> &str {
    line.split(" = ").next().unwrap()
}

fn one(lines: &str) -> Result<DestinationConfig, Vec<String>> {
    let text = format!("[kafka]\nbrokers='a:1'\ntopics=['t']\n[[destination]]\n{lines}\n");
    match parse("f.toml", &text) {
        Ok(mut config) => Ok(config.destination.remove(0)),
        Err(errors) => Err(errors.iter().map(|error| error.to_string()).collect()),
    }
}

#[test]
fn the_example_names_every_key_of_every_kind() {
    let named: BTreeSet<String> =
        sections().iter().flatten().map(|(line, _)| key(line).to_owned()).collect();
    let known: BTreeSet<String> = [
        vec!["type".to_owned()],
        keys_of::<CommonConfig>(),
        keys_of::<HttpOptions>(),
        keys_of::<WebhookConfig>(),
        keys_of::<SlackConfig>(),
        keys_of::<TeamsConfig>(),
        keys_of::<PagerDutyConfig>(),
        keys_of::<AlertmanagerConfig>(),
        keys_of::<SplunkConfig>(),
        keys_of::<FileConfig>(),
        keys_of::<TopicConfig>(),
        keys_of::<PostgresqlConfig>(),
        keys_of::<StdoutConfig>(),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert_eq!(named, known);
    for name in Kind::NAMES {
        assert!(EXAMPLE.contains(&format!("# type = \"{name}\"\n")), "{name}");
    }
}

#[test]
fn the_example_shows_the_real_defaults() {
    let mut compared = 0;
    for section in sections() {
        let join = |lines: Vec<&str>| lines.join("\n");
        let needed = join(section.iter().filter(|one| !one.1).map(|one| one.0.as_str()).collect());
        let whole = join(section.iter().map(|one| one.0.as_str()).collect());
        let config = one(&needed).unwrap_or_else(|errors| panic!("{needed}\n{errors:?}"));
        assert_eq!(one(&whole).unwrap(), config, "{whole}");
        compared += section.iter().filter(|one| one.1).count();
    }
    assert!(compared >= 20, "only {compared} defaults were compared");
}

#[test]
fn what_is_shown_reads_back() {
    let lines = sections().into_iter().flatten().map(|(line, _)| line);
    let mut text = String::from("[kafka]\nbrokers='a:1'\ntopics=['t']\n");
    for line in lines {
        if line.starts_with("name = ") {
            text.push_str("[[destination]]\n");
        }
        text.push_str(&format!("{line}\n"));
    }
    let config = parse("all", &text).unwrap();
    assert_eq!(config.destination.len(), 11);
    assert_eq!(parse("shown", &show(&config).unwrap()).unwrap(), config);
}

#[test]
fn short_forms_are_destinations_too() {
    let text = "[kafka]\nbrokers='a:1'\ntopics=['t']\n[alerts]\nfile='f'\ntopic='a'\n\
                [[destination]]\nname='x'\ntype='stdout'\nseverity_min='high'\n";
    let all = parse("f.toml", text).unwrap().destinations();
    let names: Vec<&str> = all.iter().map(|one| one.common.name.as_str()).collect();
    assert_eq!(names, ["stdout", "file", "topic", "x"]);
    assert_eq!(all[3].common.severity_min, Some(Severity::High));
}

/// The text of a wrong destination, and what its problems say, in order.
fn refused(lines: &str, expected: &[&str]) {
    let problems = one(lines).err().unwrap_or_default();
    assert_eq!(problems.len(), expected.len(), "{lines}\n{problems:#?}");
    for (problem, wanted) in problems.iter().zip(expected) {
        assert!(problem.contains(wanted), "{lines}\nwanted: {wanted}\nfound: {problem}");
    }
}

#[test]
fn wrong_destinations_are_told_with_place_and_way_out() {
    refused("name='x'", &["f.toml:4:1 (destination.type): a destination needs a `type`"]);
    refused(
        "name='x'\ntype='slak'",
        &[
            "f.toml:6:1 (destination.type): there is no destination of the type `slak`\n  hint: did you mean `slack`?",
        ],
    );
    refused(
        "name='x'\ntype='stdout'\nsevrity_min='high'",
        &[
            "f.toml:7:1 (destination.sevrity_min): unknown key `sevrity_min`\n  hint: did you mean `severity_min`?",
        ],
    );
    refused(
        "name='x'\ntype='file'\nfile='f'\nallow_private=true",
        &["f.toml:8:1 (destination.allow_private): unknown key `allow_private`"],
    );
    refused(
        "name='x'\ntype='webhook'\nurl=5\nseverity_min='loud'\nretry_max='5'",
        &["(destination.url)", "(destination.severity_min)", "(destination.retry_max)"],
    );
    refused(
        "name='x'\ntype='webhook'",
        &["`url` or `url_file` is missing", "a secret to sign with"],
    );
    refused(
        "name='x'\ntype='webhook'\nurl='u'\nurl_file='f'\nsecret_files=['s']",
        &["f.toml:8:1 (destination.url_file): both `url` and `url_file`"],
    );
    refused("name='Big One'\ntype='stdout'", &["f.toml:5:1 (destination.name)"]);
    refused("type='stdout'", &["a destination needs a name"]);
    refused("name='file'\ntype='file'", &["`file` is missing"]);
    refused("name='stdout'\ntype='stdout'", &["two destinations are named `stdout`"]);
    refused("name='x'\ntype='kafka'\ntopic='t'", &["an endless loop"]);
    refused("name='x'\ntype='stdout'\nretry_first='10 minutes'", &["(destination.retry_first)"]);
    refused(
        "name='x'\ntype='webhook'\nurl='u'\nsecret_files=['s']\nconcurrency=0",
        &["must be from 1 to 256"],
    );
}

#[test]
fn a_destination_is_a_table_of_its_own() {
    let errors = parse("f.toml", "[destination]\nname='x'\n").unwrap_err();
    assert!(errors[0].to_string().contains("write `[[destination]]`"), "{}", errors[0]);
    let errors = parse("f.toml", "[[destinations]]\nname='x'\n").unwrap_err();
    assert!(errors[0].to_string().contains("did you mean `destination`?"), "{}", errors[0]);
    let errors = parse("f.toml", "[outbox]\nbytes_max='1 KiB'\nwhen_full='panic'\n").unwrap_err();
    assert!(errors.iter().any(|error| error.to_string().contains("(outbox.when_full)")));
}
