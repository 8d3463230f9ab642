//! OCSF 1.8: an alert as a Detection Finding (class 2004).
//!
//! Names, addresses and the rule have their places in the schema; the query's values and the places
//! of the evidence have none and are in `unmapped`. Texts are those of the events: what reads OCSF
//! compares them with others.

use serde_json::{Value, json};

use super::{instant, is_address, micros, revision_id, severity_number, technique, without_nulls};
use crate::alert::Status;
use crate::delivery::record::AlertRecord;
use crate::rules::Severity;

const VERSION: &str = "1.8.0";
const CLASS_UID: u32 = 2004;
/// Types of observables.
const USER_NAME: u8 = 4;
const IP_ADDRESS: u8 = 2;
const RESOURCE_UID: u8 = 10;
/// Role of a resource: what the finding is about, and what has to do with it.
const TARGET: u8 = 1;
const RELATED: u8 = 4;

/// The document; `reduced` says that something was left out of the alert.
pub(super) fn detection_finding(alert: &AlertRecord, reduced: bool) -> Value {
    let (activity_id, activity) = activity(alert.status);
    let (status_id, status) = lifecycle(alert.status);
    json!({
        "activity_id": activity_id,
        "activity_name": activity,
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS_UID,
        "class_name": "Detection Finding",
        "type_uid": CLASS_UID * 100 + activity_id,
        "type_name": format!("Detection Finding: {activity}"),
        "severity_id": severity_number(alert.severity),
        "severity": severity(alert.severity),
        "status_id": status_id,
        "status": status,
        "is_alert": alert.status != Status::Closed,
        "time": millis(&alert.updated_at),
        "start_time": millis(&alert.started_at),
        "end_time": millis(&alert.updated_at),
        "message": alert.summary,
        "metadata": metadata(alert, reduced),
        "finding_info": finding_info(alert),
        "evidences": evidences(alert),
        "resources": resources(alert),
        "observables": observables(alert),
        "unmapped": unmapped(alert),
    })
}

fn activity(status: Status) -> (u32, &'static str) {
    match status {
        Status::Opened => (1, "Create"),
        Status::Updated => (2, "Update"),
        Status::Closed => (3, "Close"),
    }
}

fn lifecycle(status: Status) -> (u8, &'static str) {
    match status {
        Status::Opened => (1, "New"),
        Status::Updated => (2, "In Progress"),
        Status::Closed => (4, "Resolved"),
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "Informational",
        Severity::Low => "Low",
        Severity::Medium => "Medium",
        Severity::High => "High",
        Severity::Critical => "Critical",
    }
}

fn millis(time: &str) -> i64 {
    micros(time).div_euclid(1000)
}

fn metadata(alert: &AlertRecord, reduced: bool) -> Value {
    without_nulls(json!({
        "version": VERSION,
        "uid": revision_id(alert),
        "product": {
            "name": "Nightlatch",
            "vendor_name": "Nightlatch",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "is_truncated": (reduced || is_capped(alert)).then_some(true),
    }))
}

/// Whether a list of the alert names fewer than there are.
fn is_capped(alert: &AlertRecord) -> bool {
    let lists = [
        (alert.accounts.len(), alert.accounts_total),
        (alert.ips.len(), alert.ips_total),
        (alert.evidence.len(), alert.evidence_total),
    ];
    lists.into_iter().any(|(told, total)| (told as u64) < total)
}

fn finding_info(alert: &AlertRecord) -> Value {
    let attacks: Vec<Value> = alert.attack.iter().map(|id| attack(id)).collect();
    json!({
        "uid": alert.id,
        "title": alert.title,
        "desc": alert.summary,
        "analytic": {
            "type_id": 1,
            "type": "Rule",
            "uid": alert.rule,
            "name": alert.title,
            "version": alert.rule_version,
        },
        "attacks": attacks,
        "created_time": millis(&alert.started_at),
        "modified_time": millis(&alert.updated_at),
        "first_seen_time": millis(&alert.started_at),
        "last_seen_time": millis(&alert.updated_at),
    })
}

fn attack(id: &str) -> Value {
    let (technique, sub_technique) = technique(id);
    without_nulls(json!({
        "technique": {"uid": technique},
        "sub_technique": sub_technique.map(|uid| json!({"uid": uid})),
    }))
}

/// One for each account and each address; when there are none, the entity.
fn evidences(alert: &AlertRecord) -> Vec<Value> {
    let users = alert.accounts.iter().map(|name| json!({"user": {"name": name}}));
    let sources = addresses(alert).map(|ip| json!({"src_endpoint": {"ip": ip}}));
    let found: Vec<Value> = users.chain(sources).collect();
    if found.is_empty() {
        return vec![json!({"resources": [entity(alert, RELATED)]})];
    }
    found
}

/// What a schema with a type for addresses takes.
fn addresses(alert: &AlertRecord) -> impl Iterator<Item = &String> {
    alert.ips.iter().filter(|ip| is_address(ip))
}

/// The accounts, and the entity unless it is one of them or an address.
fn resources(alert: &AlertRecord) -> Vec<Value> {
    let accounts = alert
        .accounts
        .iter()
        .map(|name| json!({"name": name, "type": "account", "role_id": TARGET, "role": "Target"}));
    accounts.chain(is_resource(alert).then(|| entity(alert, RELATED))).collect()
}

fn is_resource(alert: &AlertRecord) -> bool {
    !alert.accounts.contains(&alert.entity) && !is_address(&alert.entity)
}

fn entity(alert: &AlertRecord, role_id: u8) -> Value {
    json!({"uid": alert.entity, "type": alert.entity_type, "role_id": role_id, "role": "Related"})
}

fn observables(alert: &AlertRecord) -> Vec<Value> {
    let one = |name: &str, type_id: u8, kind: &str, value: &str| json!({"name": name, "type_id": type_id, "type": kind, "value": value});
    let users = alert.accounts.iter();
    let users = users.map(|name| one("evidences[].user.name", USER_NAME, "User Name", name));
    let sources =
        addresses(alert).map(|ip| one("evidences[].src_endpoint.ip", IP_ADDRESS, "IP Address", ip));
    let resource = is_resource(alert)
        .then(|| one("resources[].uid", RESOURCE_UID, "Resource UID", &alert.entity));
    users.chain(sources).chain(resource).collect()
}

/// What the schema has no place for.
fn unmapped(alert: &AlertRecord) -> Value {
    let others: Vec<&String> = alert.ips.iter().filter(|ip| !is_address(ip)).collect();
    without_nulls(json!({
        "revision": alert.revision,
        "entity_type": alert.entity_type,
        "entity": alert.entity,
        "matches": alert.matches,
        "accounts_total": alert.accounts_total,
        "ips_total": alert.ips_total,
        "evidence_total": alert.evidence_total,
        "values": alert.values,
        "evidence": alert.evidence,
        "ips": (!others.is_empty()).then_some(others),
        // Milliseconds cannot say these to the digit.
        "started_at": instant(&alert.started_at).map(|_| &alert.started_at),
        "updated_at": instant(&alert.updated_at).map(|_| &alert.updated_at),
    }))
}
