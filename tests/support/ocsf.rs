//! What OCSF 1.8.0 says of a Detection Finding, as tables: attributes with their types, what is
//! required, and of which attributes there must be at least one. Only objects that Nightlatch writes
//! are here; an attribute that no table has is a mistake.

use serde_json::{Map, Value};

/// Type of an attribute.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Number,
    Truth,
    /// Milliseconds since 1970.
    Time,
    /// An address, by the schema's own idea of one.
    Address,
    /// One of the numbers of an enumeration.
    OneOf(&'static [i64]),
    Object(&'static Table),
    List(&'static Table),
    /// An object of any shape.
    Free,
}
use Kind::{Address, Free, List, Number, Object, OneOf, Text, Time, Truth};

#[derive(Debug)]
struct Table {
    name: &'static str,
    required: &'static [&'static str],
    at_least_one: &'static [&'static str],
    attributes: &'static [(&'static str, Kind)],
}

static DETECTION_FINDING: Table = Table {
    name: "detection_finding",
    required: &[
        "activity_id",
        "category_uid",
        "class_uid",
        "finding_info",
        "metadata",
        "severity_id",
        "time",
        "type_uid",
    ],
    at_least_one: &[],
    attributes: &[
        ("activity_id", OneOf(&[0, 1, 2, 3, 99])),
        ("activity_name", Text),
        ("category_uid", OneOf(&[2])),
        ("category_name", Text),
        ("class_uid", OneOf(&[2004])),
        ("class_name", Text),
        ("type_uid", OneOf(&[200_400, 200_401, 200_402, 200_403, 200_499])),
        ("type_name", Text),
        ("severity_id", OneOf(&[0, 1, 2, 3, 4, 5, 6, 99])),
        ("severity", Text),
        ("status_id", OneOf(&[0, 1, 2, 3, 4, 5, 6, 99])),
        ("status", Text),
        ("is_alert", Truth),
        ("time", Time),
        ("start_time", Time),
        ("end_time", Time),
        ("message", Text),
        ("metadata", Object(&METADATA)),
        ("finding_info", Object(&FINDING_INFO)),
        ("evidences", List(&EVIDENCE)),
        ("resources", List(&RESOURCE)),
        ("observables", List(&OBSERVABLE)),
        ("unmapped", Free),
    ],
};

static METADATA: Table = Table {
    name: "metadata",
    required: &["product", "version"],
    at_least_one: &[],
    attributes: &[
        ("version", Text),
        ("uid", Text),
        ("product", Object(&PRODUCT)),
        ("is_truncated", Truth),
    ],
};

static PRODUCT: Table = Table {
    name: "product",
    required: &[],
    at_least_one: &["name", "uid"],
    attributes: &[("name", Text), ("vendor_name", Text), ("version", Text)],
};

static FINDING_INFO: Table = Table {
    name: "finding_info",
    required: &["uid"],
    at_least_one: &[],
    attributes: &[
        ("uid", Text),
        ("title", Text),
        ("desc", Text),
        ("analytic", Object(&ANALYTIC)),
        ("attacks", List(&ATTACK)),
        ("created_time", Time),
        ("modified_time", Time),
        ("first_seen_time", Time),
        ("last_seen_time", Time),
    ],
};

static ANALYTIC: Table = Table {
    name: "analytic",
    required: &["type_id"],
    at_least_one: &["name", "uid"],
    attributes: &[
        ("type_id", OneOf(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 99])),
        ("type", Text),
        ("uid", Text),
        ("name", Text),
        ("version", Text),
    ],
};

static ATTACK: Table = Table {
    name: "attack",
    required: &[],
    at_least_one: &["tactic", "technique", "sub_technique"],
    attributes: &[("technique", Object(&TECHNIQUE)), ("sub_technique", Object(&TECHNIQUE))],
};

static TECHNIQUE: Table = Table {
    name: "technique",
    required: &[],
    at_least_one: &["name", "uid"],
    attributes: &[("name", Text), ("uid", Text)],
};

static EVIDENCE: Table = Table {
    name: "evidences",
    required: &[],
    at_least_one: &[
        "actor",
        "api",
        "connection_info",
        "data",
        "database",
        "databucket",
        "device",
        "dst_endpoint",
        "email",
        "file",
        "process",
        "query",
        "resources",
        "src_endpoint",
        "url",
        "user",
        "job",
        "script",
    ],
    attributes: &[
        ("user", Object(&USER)),
        ("src_endpoint", Object(&ENDPOINT)),
        ("resources", List(&RESOURCE)),
    ],
};

static USER: Table = Table {
    name: "user",
    required: &[],
    at_least_one: &["account", "name", "uid"],
    attributes: &[("name", Text), ("uid", Text)],
};

static ENDPOINT: Table = Table {
    name: "network_endpoint",
    required: &[],
    at_least_one: &["ip", "uid", "name", "hostname", "svc_name", "domain"],
    attributes: &[("ip", Address)],
};

static RESOURCE: Table = Table {
    name: "resource_details",
    required: &[],
    at_least_one: &["name", "uid"],
    attributes: &[
        ("name", Text),
        ("uid", Text),
        ("type", Text),
        ("role", Text),
        ("role_id", OneOf(&[0, 1, 2, 3, 4, 99])),
    ],
};

static OBSERVABLE: Table = Table {
    name: "observable",
    required: &["type_id"],
    at_least_one: &[],
    attributes: &[
        ("name", Text),
        ("type", Text),
        // 2 IP Address, 4 User Name, 10 Resource UID; the others are none of ours.
        ("type_id", OneOf(&[2, 4, 10])),
        ("value", Text),
        ("event_uid", Text),
        ("type_uid", Number),
    ],
};

/// A number, and the name that stands beside it.
type Caption = (i64, &'static str);

/// Numbers with a name beside them, and the captions that go together.
const CAPTIONS: [(&str, &str, &[Caption]); 3] = [
    ("activity_id", "activity_name", &[(1, "Create"), (2, "Update"), (3, "Close")]),
    (
        "severity_id",
        "severity",
        &[(1, "Informational"), (2, "Low"), (3, "Medium"), (4, "High"), (5, "Critical")],
    ),
    ("status_id", "status", &[(1, "New"), (2, "In Progress"), (4, "Resolved")]),
];

/// Everything that is wrong with a document; nothing when it is a valid Detection Finding.
pub fn problems(document: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    check(document, &DETECTION_FINDING, "", &mut problems);
    let number = |key: &str| document[key].as_i64();
    if number("type_uid") != number("activity_id").map(|activity| 200_400 + activity) {
        problems.push("type_uid is not class_uid * 100 + activity_id".to_owned());
    }
    for (id, name, captions) in CAPTIONS {
        let caption = captions.iter().find(|(n, _)| Some(*n) == number(id)).map(|(_, name)| *name);
        if document[name].as_str() != caption {
            problems.push(format!("{name} is not the caption of {id}"));
        }
    }
    if document["metadata"]["version"] != "1.8.0" {
        problems.push("metadata.version".to_owned());
    }
    problems
}

fn check(value: &Value, table: &'static Table, path: &str, problems: &mut Vec<String>) {
    let Some(object) = value.as_object() else {
        problems.push(format!("{path}: no object"));
        return;
    };
    for required in table.required.iter().filter(|name| !object.contains_key(**name)) {
        problems.push(format!("{path}.{required}: required in {}", table.name));
    }
    let is_there = |name: &&str| object.contains_key(*name);
    if !table.at_least_one.is_empty() && !table.at_least_one.iter().any(is_there) {
        problems.push(format!("{path}: at least one of {:?}", table.at_least_one));
    }
    check_attributes(object, table, path, problems);
}

fn check_attributes(
    object: &Map<String, Value>,
    table: &'static Table,
    path: &str,
    problems: &mut Vec<String>,
) {
    for (name, value) in object {
        let path = format!("{path}.{name}");
        let Some((_, kind)) = table.attributes.iter().find(|(known, _)| known == name) else {
            problems.push(format!("{path}: {} has no such attribute", table.name));
            continue;
        };
        let fits = match kind {
            Text => value.is_string(),
            Number | Time => value.is_i64(),
            Truth => value.is_boolean(),
            Free => value.is_object(),
            Address => value.as_str().is_some_and(is_address),
            OneOf(numbers) => value.as_i64().is_some_and(|number| numbers.contains(&number)),
            Object(table) => {
                check(value, table, &path, problems);
                true
            }
            List(table) => {
                let items = value.as_array().into_iter().flatten().enumerate();
                items.for_each(|(at, item)| check(item, table, &format!("{path}[{at}]"), problems));
                value.is_array()
            }
        };
        if !fits {
            problems.push(format!("{path}: {value} is no {kind:?}"));
        }
    }
}

/// The schema allows 40 characters.
fn is_address(text: &str) -> bool {
    text.len() <= 40 && text.parse::<std::net::IpAddr>().is_ok()
}
