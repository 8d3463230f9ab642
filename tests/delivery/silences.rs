//! What a silence hides is not sent, is counted once, and can be listed.

use nightlatch::delivery::Silences;

use crate::harness::{Receiver, Rig, status, until};

const FOR_EVER: &str = "2999-01-01T00:00:00Z";

fn silences(expires: &str) -> Silences {
    let text = format!(
        "[[silence]]\nid = 'move'\nowner = 'ann'\nreason = 'the office moves'\n\
         entity = '203.0.113.1'\nexpires = '{expires}'\n"
    );
    Silences::parse("silences.toml", &text).unwrap()
}

fn two(rig: &Rig, receiver: &Receiver) -> Vec<nightlatch::config::DestinationConfig> {
    let url = |name| format!("http://{}/{name}", receiver.address);
    let mut soc = rig.webhook(&url("soc"), "");
    let mut archive = rig.webhook(&url("archive"), "silenced = true").remove(0);
    archive.common.name = "archive".to_owned();
    let mut other = soc[0].clone();
    other.common.name = "other".to_owned();
    soc.extend([archive, other]);
    soc
}

#[test]
fn hidden_from_all_but_those_who_get_everything_and_counted_once() {
    let receiver = Receiver::start(|_, _| status(200));
    let mut rig = Rig::new();
    rig.try_start(&two(&rig, &receiver), silences(FOR_EVER)).unwrap();
    let silenced = rig.metrics.delivery.silenced.with_label_values(&["move"]);
    assert!(rig.metrics.text().contains("nightlatch_silenced_total{silence=\"move\"} 0"));
    rig.append([(1, 1), (2, 1), (1, 2)]);
    until("an empty outbox", || rig.outbox.stats().entries == 0 && receiver.arrived().len() == 5);
    let of = |path: &str| receiver.arrived().iter().filter(|one| one.path == path).count();
    assert_eq!((of("/archive"), of("/soc")), (3, 2), "one for `soc` and one for `other`");
    assert_eq!(silenced.get(), 2, "two revisions, whoever asks");
    assert_eq!(rig.outcome("soc", "silenced"), 2);
    let hidden = rig.lines("silenced.jsonl");
    assert_eq!(hidden.len(), 2);
    assert!(
        hidden
            .iter()
            .all(|line| line["silence"] == "move" && line["alert"]["entity"] == "203.0.113.1")
    );
}

#[test]
fn an_expired_silence_hides_nothing() {
    let receiver = Receiver::start(|_, _| status(200));
    let mut rig = Rig::new();
    rig.try_start(&two(&rig, &receiver), silences("2020-01-01T00:00:00Z")).unwrap();
    rig.append([(1, 1)]);
    until("the deliveries", || receiver.arrived().len() == 3);
    assert!(rig.lines("silenced.jsonl").is_empty());
}

#[test]
fn a_reload_changes_the_silences() {
    let receiver = Receiver::start(|_, _| status(200));
    let mut rig = Rig::new();
    let config = rig.webhook(&receiver.url(), "");
    rig.try_start(&config, silences(FOR_EVER)).unwrap();
    rig.append([(1, 1)]);
    until("it is hidden", || rig.outcome("soc", "silenced") == 1);
    rig.dispatcher().replace(&config, Silences::default()).unwrap();
    rig.append([(1, 2)]);
    until("the delivery", || receiver.taken() == [(1, 2)]);
}
