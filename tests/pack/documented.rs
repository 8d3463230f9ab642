//! What each rule says about itself, and which cases it has.

use std::fs;

use super::{queries, rules, said};

/// Cases that must fire, those that get around the obvious threshold among them.
const ATTACKS_MIN: usize = 3;
/// Cases that look like it and must not fire.
const LOOKALIKES_MIN: usize = 3;

#[test]
fn each_rule_is_documented() {
    for rule in rules() {
        let front = &rule.front;
        let texts = [
            ("why", &front.why),
            ("false_positives", &front.false_positives),
            ("blind_spots", &front.blind_spots),
            ("validation", &front.validation),
            ("runbook", &front.runbook),
        ];
        for (key, text) in texts {
            let n_words = text.as_deref().unwrap_or_default().split_whitespace().count();
            assert!(n_words >= 5, "{}: `{key}` says nothing", rule.id);
        }
        assert!(!front.attack.is_empty(), "{}: no ATT&CK technique", rule.id);
        for id in &front.attack {
            let digits = id.trim_start_matches('T').replace('.', "");
            let is_id = id.starts_with('T') && digits.len() >= 4;
            assert!(is_id && digits.bytes().all(|b| b.is_ascii_digit()), "{}: {id}", rule.id);
        }
    }
}

#[test]
fn each_rule_has_attacks_evasions_and_lookalikes() {
    for rule in rules() {
        let folder = queries().join("tests").join(&rule.id);
        let names: Vec<String> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".expected.jsonl"))
            .collect();
        let count = |kind: &str| names.iter().filter(|name| name.starts_with(kind)).count();
        let (attacks, evasions, lookalikes) =
            (count("attack_"), count("evasion_"), count("lookalike_"));
        assert!(evasions >= 1, "{}: no evasion", rule.id);
        assert!(attacks + evasions >= ATTACKS_MIN, "{}: {attacks} + {evasions}", rule.id);
        assert!(lookalikes >= LOOKALIKES_MIN, "{}: {lookalikes} look-alikes", rule.id);
    }
}

#[test]
fn the_manual_says_what_the_rules_say() {
    let folder = queries();
    let manual = fs::read_to_string(folder.join("../docs/rules.md")).expect("docs/rules.md");
    let made = said(&["rules", "list", "--markdown", "--rules", &folder.to_string_lossy()]);
    let how = "nightlatch rules list --markdown --rules queries > docs/rules.md";
    assert!(manual == made, "docs/rules.md is not what the rules say; make it by `{how}`");
}
