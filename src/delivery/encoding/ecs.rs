//! ECS 9.4: an alert as Elastic's tools read it.
//!
//! Elasticsearch refuses a whole document for one value that does not fit its field. So only texts
//! that are addresses go into fields for addresses, and the query's columns, whose types differ from
//! rule to rule, are texts `name=value` in `nightlatch.values`.

use serde_json::{Value, json};

use super::{instant, is_address, revision_id, severity_number, technique, without_nulls};
use crate::delivery::record::AlertRecord;

const VERSION: &str = "9.4.0";
/// Techniques that are about logging in: their alerts belong to that category too.
const AUTHENTICATION: [&str; 5] = ["T1078", "T1110", "T1556", "T1606", "T1621"];
/// An alert may point at an outcome of an event in this column.
const OUTCOME: &str = "outcome";
const EPOCH: &str = "1970-01-01T00:00:00Z";

pub(super) fn alert(alert: &AlertRecord) -> Value {
    let ips: Vec<&String> = alert.ips.iter().filter(|ip| is_address(ip)).collect();
    without_nulls(json!({
        "@timestamp": timestamp(&alert.updated_at),
        "ecs": {"version": VERSION},
        "message": alert.summary,
        "event": event(alert),
        "rule": {
            "id": alert.rule,
            "name": alert.title,
            "version": alert.rule_version,
            "ruleset": "nightlatch",
        },
        "threat": threat(alert),
        "user": only(&alert.accounts, alert.accounts_total).map(|name| json!({"name": name})),
        "source": only(&ips, alert.ips_total).map(|ip| json!({"ip": ip})),
        "related": {"user": alert.accounts, "ip": ips},
        "labels": {
            "severity": alert.severity.label(),
            "status": alert.status.label(),
            "entity_type": alert.entity_type,
            "entity": alert.entity,
        },
        "nightlatch": own(alert),
    }))
}

fn timestamp(time: &str) -> &str {
    instant(time).map_or(EPOCH, |_| time)
}

fn event(alert: &AlertRecord) -> Value {
    json!({
        "kind": "alert",
        "category": categories(alert),
        "type": ["info"],
        "outcome": outcome(alert),
        "action": alert.status.label(),
        "id": revision_id(alert),
        "severity": severity_number(alert.severity),
        "reason": alert.summary,
        "start": timestamp(&alert.started_at),
        "end": timestamp(&alert.updated_at),
        "module": "nightlatch",
        "dataset": "nightlatch.alert",
        "provider": "nightlatch",
    })
}

fn categories(alert: &AlertRecord) -> Vec<&'static str> {
    let is_about_logins = |id: &String| AUTHENTICATION.contains(&technique(id).0);
    if alert.attack.iter().any(is_about_logins) {
        vec!["intrusion_detection", "authentication"]
    } else {
        vec!["intrusion_detection"]
    }
}

fn outcome(alert: &AlertRecord) -> &str {
    match alert.values.get(OUTCOME).and_then(Value::as_str) {
        Some(outcome @ ("success" | "failure")) => outcome,
        _ => "unknown",
    }
}

fn threat(alert: &AlertRecord) -> Option<Value> {
    if alert.attack.is_empty() {
        return None;
    }
    let mut techniques: Vec<&str> = alert.attack.iter().map(|id| technique(id).0).collect();
    techniques.dedup();
    let subtechniques: Vec<&str> = alert.attack.iter().filter_map(|id| technique(id).1).collect();
    let technique = if subtechniques.is_empty() {
        json!({"id": techniques})
    } else {
        json!({"id": techniques, "subtechnique": {"id": subtechniques}})
    };
    Some(json!({"framework": "MITRE ATT&CK", "technique": technique}))
}

/// The one there is; none when there are several.
fn only<T>(list: &[T], total: u64) -> Option<&T> {
    match list {
        [one] if total == 1 => Some(one),
        _ => None,
    }
}

/// What ECS has no field for.
fn own(alert: &AlertRecord) -> Value {
    let others: Vec<&String> = alert.ips.iter().filter(|ip| !is_address(ip)).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "alert": {"id": alert.id, "revision": alert.revision, "status": alert.status.label()},
        "entity": {"type": alert.entity_type, "name": alert.entity},
        "accounts_total": alert.accounts_total,
        "ips_total": alert.ips_total,
        "other_ips": others,
        "matches": alert.matches,
        "values": alert.values.iter().map(|(name, value)| pair(name, value)).collect::<Vec<_>>(),
        "evidence": alert.evidence,
        "evidence_total": alert.evidence_total,
    })
}

fn pair(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::example;

    fn alerts_and_documents() -> impl Iterator<Item = (AlertRecord, Value)> {
        example::all().into_iter().map(|record| {
            let document = alert(&record);
            (record, document)
        })
    }

    /// Values that ECS allows, and the types that belong to each category.
    #[test]
    fn categorisation_uses_allowed_values() {
        for (_, document) in alerts_and_documents() {
            let event = &document["event"];
            assert_eq!(event["kind"], "alert");
            let categories = event["category"].as_array().unwrap();
            assert!(!categories.is_empty());
            for category in categories {
                let types = match category.as_str().unwrap() {
                    "authentication" => vec!["start", "end", "info"],
                    "intrusion_detection" => vec!["allowed", "denied", "info"],
                    other => panic!("{other}"),
                };
                let fits = |kind: &Value| types.contains(&kind.as_str().unwrap());
                assert!(event["type"].as_array().unwrap().iter().all(fits));
            }
            let outcome = event["outcome"].as_str().unwrap();
            assert!(["success", "failure", "unknown"].contains(&outcome));
            assert!((1..=5).contains(&event["severity"].as_u64().unwrap()));
        }
    }

    #[test]
    fn typed_fields_hold_nothing_that_elasticsearch_refuses() {
        for (record, document) in alerts_and_documents() {
            for ip in document["related"]["ip"].as_array().unwrap() {
                ip.as_str().unwrap().parse::<std::net::IpAddr>().unwrap();
            }
            let n_ips = document["related"]["ip"].as_array().unwrap().len()
                + document["nightlatch"]["other_ips"].as_array().unwrap().len();
            assert_eq!(n_ips, record.ips.len());
            for time in ["/@timestamp", "/event/start", "/event/end"] {
                let time = document.pointer(time).unwrap().as_str().unwrap();
                chrono::DateTime::parse_from_rfc3339(time).unwrap();
            }
            for value in document["nightlatch"]["values"].as_array().unwrap() {
                assert!(value.as_str().unwrap().contains('='));
            }
            assert_eq!(
                document["related"]["user"].as_array().unwrap().len(),
                record.accounts.len()
            );
        }
    }

    #[test]
    fn one_account_and_one_address_are_the_user_and_the_source() {
        let one = AlertRecord {
            accounts: vec!["alice".to_owned()],
            accounts_total: 1,
            ips: vec!["203.0.113.9".to_owned()],
            ips_total: 1,
            ..example::alert()
        };
        let document = alert(&one);
        assert_eq!(document["user"]["name"], "alice");
        assert_eq!(document["source"]["ip"], "203.0.113.9");
        let capped = AlertRecord { accounts_total: 2, ips_total: 2, ..one };
        let document = alert(&capped);
        assert!(document.get("user").is_none() && document.get("source").is_none());
    }
}
