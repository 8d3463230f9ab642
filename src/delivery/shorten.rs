//! Limits of receivers: what is too long is cut, and says by how much.

use serde_json::{Map, Value};

use super::record::AlertRecord;
use crate::alert::shorten;
use crate::incident::{FallPart, IncidentPart, MemberPart, SourcesPart, StepPart};

/// Below so many characters there is no room to say how much is missing.
const TELLING_CHARS_MIN: usize = 60;

/// How much of an alert is told.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// Items of each list.
    items: usize,
    /// Length of each text.
    chars: usize,
}

/// Tried one after the other, until the request is small enough.
const ROOMS: [Room; 7] = [
    Room { items: 1000, chars: 4000 },
    Room { items: 300, chars: 1000 },
    Room { items: 100, chars: 300 },
    Room { items: 30, chars: 150 },
    Room { items: 10, chars: 100 },
    Room { items: 3, chars: 60 },
    Room { items: 0, chars: 40 },
];

/// The body for an alert, of at most `bytes_max` bytes.
///
/// `encode` is asked with the alert, then with less and less of it; it is told whether something is
/// missing. Every encoder stays below its own limit with the last room (a test each).
pub(crate) fn fit(
    alert: &AlertRecord,
    bytes_max: usize,
    encode: impl Fn(&AlertRecord, bool) -> Vec<u8>,
) -> Vec<u8> {
    let mut body = encode(alert, false);
    for room in ROOMS {
        if body.len() <= bytes_max {
            break;
        }
        body = encode(&reduced(alert, room), true);
    }
    body
}

/// The alert with shorter lists and texts; the totals tell how long the lists were.
fn reduced(alert: &AlertRecord, room: Room) -> AlertRecord {
    let text = |text: &String| cut(text, room.chars);
    let texts = |list: &[String]| list.iter().take(room.items).map(text).collect();
    let evidence = alert.evidence.iter().take(room.items).cloned().map(|mut one| {
        for part in [&mut one.source, &mut one.file, &mut one.topic, &mut one.event_id] {
            *part = part.as_ref().map(text);
        }
        one
    });
    AlertRecord {
        title: text(&alert.title),
        entity: text(&alert.entity),
        accounts: texts(&alert.accounts),
        ips: texts(&alert.ips),
        summary: text(&alert.summary),
        values: members(&alert.values, room),
        evidence: evidence.collect(),
        attack: texts(&alert.attack),
        incident: alert.incident.as_ref().map(|part| Box::new(less_of_incident(part, room))),
        ..alert.clone()
    }
}

/// An incident with shorter lists; texts that it repeats are cut as those of alerts.
fn less_of_incident(part: &IncidentPart, room: Room) -> IncidentPart {
    let text = |text: &String| cut(text, room.chars);
    let texts = |list: &[String]| list.iter().take(room.items).map(text).collect();
    let falls = |falls: &[FallPart]| -> Vec<FallPart> {
        let falls = falls.iter().take(room.items);
        let less = falls.map(|fall| {
            let steps = fall.steps.iter().take(room.items).map(|step| StepPart {
                action: text(&step.action),
                resources: texts(&step.resources),
                ip: text(&step.ip),
                ..step.clone()
            });
            FallPart {
                account: text(&fall.account),
                fell_at: fall.fell_at.clone(),
                how: text(&fall.how),
                steps: steps.collect(),
            }
        });
        less.collect()
    };
    let alerts = part.alerts.iter().take(room.items);
    let sources = &part.sources;
    IncidentPart {
        alerts: alerts.map(|one| MemberPart { entity: text(&one.entity), ..one.clone() }).collect(),
        fallen: falls(&part.fallen),
        viewed: falls(&part.viewed),
        sources: SourcesPart {
            asns: sources.asns.iter().take(room.items).copied().collect(),
            devices: texts(&sources.devices),
            fingerprints: texts(&sources.fingerprints),
            sessions: texts(&sources.sessions),
            ips_total: sources.ips_total,
        },
        ..part.clone()
    }
}

fn members(map: &Map<String, Value>, room: Room) -> Map<String, Value> {
    let kept = map.iter().take(room.items);
    let mut kept: Map<_, _> =
        kept.map(|(key, value)| (cut(key, room.chars), less(value, room))).collect();
    if map.len() > room.items {
        let missing = format!("{} more, open alert", map.len() - room.items);
        kept.insert("…".to_owned(), Value::String(missing));
    }
    kept
}

fn less(value: &Value, room: Room) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text, room.chars)),
        Value::Object(map) => Value::Object(members(map, room)),
        Value::Array(items) => {
            let mut kept: Vec<_> = items.iter().take(room.items).map(|v| less(v, room)).collect();
            if items.len() > room.items {
                kept.push(Value::String(and_more((items.len() - room.items) as u64)));
            }
            Value::Array(kept)
        }
        other => other.clone(),
    }
}

fn and_more(n_missing: u64) -> String {
    format!("... and {n_missing} more")
}

/// The text, at most `max` characters long as receivers count them: UTF-16 units.
pub(crate) fn cut(text: &str, max: usize) -> String {
    cut_by(text, max, char::len_utf16)
}

/// The text cut so that what its characters cost is at most `max`: `long te… (93 more, open alert)`.
pub(crate) fn cut_by(text: &str, max: usize, cost: impl Fn(char) -> usize) -> String {
    let total: usize = text.chars().map(&cost).sum();
    if total <= max {
        return text.to_owned();
    }
    let n_chars = text.chars().count();
    if max < TELLING_CHARS_MIN {
        let (n_kept, _) = affordable(text, max.saturating_sub(1), &cost);
        return shorten(text, n_kept + 1).into_owned();
    }
    let suffix = |n_kept: usize| format!("… ({} more, open alert)", n_chars - n_kept);
    // The suffix is longest when nothing is kept.
    let (n_kept, end) = affordable(text, max.saturating_sub(suffix(0).chars().count()), &cost);
    let kept = text.get(..end).unwrap_or_default();
    format!("{kept}{}", suffix(n_kept))
}

/// How many characters, and bytes, from the start cost no more than `budget`.
fn affordable(text: &str, budget: usize, cost: &impl Fn(char) -> usize) -> (usize, usize) {
    let (mut spent, mut n_chars, mut end) = (0, 0, 0);
    for c in text.chars() {
        spent += cost(c);
        if spent > budget {
            break;
        }
        (n_chars, end) = (n_chars + 1, end + c.len_utf8());
    }
    (n_chars, end)
}

/// `a, b, ... and 37 more`, in at most `chars_max` UTF-16 units; each name takes at most half of that.
pub(crate) fn first_few<'a>(
    names: impl IntoIterator<Item = &'a str>,
    total: u64,
    chars_max: usize,
) -> String {
    let (mut text, mut n_shown, mut length) = (String::new(), 0, 0);
    // Room for the longest ending there can be.
    let room = chars_max.saturating_sub(and_more(u64::MAX).len() + 2);
    for name in names {
        let name = cut(name, room / 2);
        let separator = if n_shown == 0 { "" } else { ", " };
        length += separator.len() + name.chars().map(char::len_utf16).sum::<usize>();
        if length > room {
            break;
        }
        text.push_str(separator);
        text.push_str(&name);
        n_shown += 1;
    }
    match total.saturating_sub(n_shown) {
        0 => text,
        missing if n_shown == 0 => format!("{missing}, open alert"),
        missing => format!("{text}, {}", and_more(missing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::example;

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    #[test]
    fn a_cut_text_says_how_much_is_missing() {
        assert_eq!(cut("short", 60), "short");
        let long = "x".repeat(200);
        let text = cut(&long, 100);
        assert!(text.starts_with("xxx") && text.ends_with("x… (124 more, open alert)"), "{text}");
        assert!(units(&text) <= 100);
        assert_eq!(cut(&long, 5), "xxxx…");
        assert_eq!(cut(&long, 0), "…");
    }

    #[test]
    fn any_text_stays_within_any_limit_and_is_not_cut_within_a_character() {
        let texts = ["a".repeat(3000), "\u{1f600}".repeat(1000), "日é\u{202e}\0".repeat(500)];
        for text in &texts {
            for max in [1, 2, 3, 59, 60, 61, 150, 1023, 1024, 2999] {
                assert!(units(&cut(text, max)) <= max, "{max}");
                assert!(units(&first_few([&**text; 5], 1_000_000, max.max(60))) <= max.max(60));
            }
        }
    }

    #[test]
    fn costs_are_the_callers() {
        let text = cut_by(&"<".repeat(100), 100, |_| 4);
        assert_eq!(text.matches('<').count(), 19, "{text}");
    }

    #[test]
    fn lists_name_the_first_and_count_the_others() {
        let names = ["alice", "bob", "carol"];
        assert_eq!(first_few(names, 3, 100), "alice, bob, carol");
        assert_eq!(first_few(names, 40, 100), "alice, bob, carol, ... and 37 more");
        let long = ["alice.liddell", "bob.dodgson", "carol.lewis"];
        assert_eq!(first_few(long, 40, 64), "alice.liddell, bob.dodgson, ... and 38 more");
        assert_eq!(first_few([], 40, 100), "40, open alert");
        assert_eq!(first_few([], 0, 100), "");
    }

    #[test]
    fn what_is_too_long_is_told_with_less_and_less_of_it() {
        let alert = example::huge();
        let native = |alert: &AlertRecord, _| serde_json::to_vec(alert).unwrap();
        let whole = native(&alert, false);
        assert!(whole.len() > 1_500_000);
        assert_eq!(fit(&alert, whole.len(), native), whole);
        let mut last = whole.len();
        for bytes_max in [1_000_000, 100_000, 20_000, 4000] {
            let body = fit(&alert, bytes_max, native);
            assert!(body.len() <= bytes_max && body.len() < last, "{}", body.len());
            let read: AlertRecord = serde_json::from_slice(&body).unwrap();
            assert_eq!(read.accounts_total, alert.accounts_total);
            assert_eq!((&read.id, read.revision), (&alert.id, alert.revision));
            last = body.len();
        }
    }

    #[test]
    fn encoders_are_told_that_something_is_missing() {
        let said = |alert: &AlertRecord, max| {
            fit(alert, max, |alert, reduced| {
                let text = format!("{reduced} {}", alert.accounts.join(","));
                text.into_bytes()
            })
        };
        assert!(said(&example::alert(), 10_000).starts_with(b"false"));
        assert!(said(&example::huge(), 10_000).starts_with(b"true"));
    }
}
