//! Alerts compared with what one uninterrupted replay finds.

use std::collections::BTreeMap;

use serde_json::Value;

/// Id and revision of each, with what it says but for where its evidence points.
pub type Told = BTreeMap<(String, u64), Value>;

/// Alerts of JSON Lines, in their order. A line that is not whole yet is left for the next look.
pub fn alerts(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| without_places(serde_json::from_str(line).unwrap())).collect()
}

/// The alert without where its evidence points.
pub fn without_places(mut alert: Value) -> Value {
    for event in alert["evidence"].as_array_mut().unwrap() {
        let event = event.as_object_mut().unwrap();
        let known = event.len();
        for key in ["file", "line", "topic", "partition", "offset"] {
            event.remove(key);
        }
        assert!(event.len() < known, "evidence without a place");
    }
    alert
}

/// Every revision; copies of one must agree.
pub fn told(alerts: impl IntoIterator<Item = Value>) -> Told {
    let mut told = Told::new();
    for alert in alerts {
        let key = (alert["id"].as_str().unwrap().to_owned(), alert["revision"].as_u64().unwrap());
        if let Some(other) = told.get(&key) {
            assert_eq!(*other, alert, "{key:?} came in two versions");
        }
        told.insert(key, alert);
    }
    told
}

/// The newest revision of each alert alone.
pub fn newest(told: &Told) -> Told {
    let by_id: BTreeMap<&str, u64> = told.keys().map(|(id, rev)| (id.as_str(), *rev)).collect();
    let is_newest = |(id, revision): &(String, u64)| by_id[id.as_str()] == *revision;
    told.iter().filter(|(key, _)| is_newest(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Fails unless both hold the same, and says what differs.
pub fn assert_same(found: &Told, expected: &Told, what: &str) {
    let missing = |left: &Told, right: &Told| {
        let keys = left.keys().filter(|key| !right.contains_key(*key));
        keys.map(|(id, revision)| format!("{id}/{revision}")).collect::<Vec<_>>()
    };
    let (lost, extra) = (missing(expected, found), missing(found, expected));
    assert!(lost.is_empty() && extra.is_empty(), "{what}: lost {lost:?}, extra {extra:?}");
    for (key, expected) in expected {
        assert_eq!(&found[key], expected, "{what}: {key:?} differs");
    }
}
