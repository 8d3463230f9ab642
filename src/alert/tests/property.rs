//! Random matches, randomly cut: the alerts are the same, byte for byte.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn any_event() -> impl Strategy<Value = Event> {
    let entity = prop::option::weighted(0.9, "[xyz]");
    let hits = prop::collection::vec((0usize..3, entity), 0..3);
    (0i64..40, "[a-e]", prop::option::of("[xyz]"), prop::option::of("[0-3]"), hits).prop_map(
        |(gap, account, ip, event_id, hits)| Event { time: gap, account, ip, event_id, hits },
    )
}

/// Gaps become times: many equal, some beyond every quiet time.
fn stream() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(any_event(), 1..80).prop_map(|mut events| {
        let mut time = START;
        for one in &mut events {
            time += match one.time {
                0..20 => 0,
                gap @ 20..36 => (gap - 19) * SECOND,
                gap => (gap - 35) * MINUTE,
            };
            one.time = time;
        }
        events
    })
}

/// Cuts between groups of equal times, where `cuts` says so.
fn cut<'e>(events: &'e [Event], cuts: &[bool]) -> Vec<&'e [Event]> {
    let mut cuts = cuts.iter().cycle();
    events.chunk_by(|a, b| a.time == b.time || !cuts.next().is_some_and(|cut| *cut)).collect()
}

proptest! {
    #[test]
    fn alerts_do_not_depend_on_how_rows_are_cut_into_batches(
        events in stream(),
        cuts in prop::collection::vec(any::<bool>(), 1..20),
        update_every_seconds in 0i64..200,
        open_max in 1usize..5,
        advance in any::<bool>(),
    ) {
        let config = AlertConfig {
            update_every_micros: update_every_seconds * SECOND,
            open_max,
            evidence_max: 5,
            accounts_max: 3,
            ..AlertConfig::default()
        };
        let rules = || vec![
            rule("b", "ip", 2 * MINUTE), rule("a", "ip", 0), rule("c", "account", 30 * SECOND),
        ];
        let mut whole = Run::new(rules(), config.clone());
        whole.feed(&events);
        let mut pieces = Run::new(rules(), config);
        for piece in cut(&events, &cuts) {
            if advance {
                let early = pieces.episodes.advance(piece[0].time);
                pieces.alerts.extend(early);
            }
            pieces.feed(piece);
        }
        prop_assert_eq!(whole.episodes.stats(), pieces.episodes.stats());
        let (whole, pieces) = (whole.finish(), pieces.finish());
        prop_assert_eq!(lines(&whole), lines(&pieces));
        check_revisions(&whole)?;
    }
}

/// Revisions of an alert count 1, 2, ...; matches and totals never shrink; closed is the last.
fn check_revisions(alerts: &[Alert]) -> Result<(), TestCaseError> {
    let mut newest = HashMap::new();
    for alert in alerts {
        if let Some(before) = newest.insert(alert.id.clone(), alert) {
            if alert.revision == 1 {
                continue; // not followed: told again at the same time
            }
            prop_assert_ne!(before.status, Status::Closed);
            prop_assert_eq!(alert.revision, before.revision + 1);
            prop_assert!(alert.matches >= before.matches);
            prop_assert!(alert.evidence_total >= before.evidence_total);
            prop_assert!(alert.accounts_total >= before.accounts_total);
        } else {
            prop_assert_eq!((alert.revision, alert.status), (1, Status::Opened));
        }
        prop_assert!(alert.evidence.is_sorted());
        prop_assert!(alert.evidence.len() <= 5 && alert.accounts.len() <= 3);
    }
    Ok(())
}
