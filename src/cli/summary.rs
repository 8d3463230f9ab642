//! What a replay tells at its end, on standard error.

use std::fmt::Write;
use std::time::Duration;

use super::progress::rate;
use crate::pipeline::Counts;

/// The counts as text; lines that would say 0 are left out but for events and alerts.
pub(super) fn text(counts: &Counts, alerts: &[(String, u64)], elapsed: Duration) -> String {
    let mut text = String::new();
    let seconds = elapsed.as_secs_f64();
    let rate = rate(counts.events, elapsed);
    line(&mut text, "events", &format!("{} in {seconds:.1} s ({rate}/s)", counts.events));
    let rejected: u64 = counts.rejected.values().sum();
    if rejected > 0 {
        let reasons = counts.rejected.iter().map(|(reason, count)| format!("{reason} {count}"));
        let reasons: Vec<String> = reasons.collect();
        line(&mut text, "rejected", &format!("{rejected} ({})", reasons.join(", ")));
    }
    let others = [
        ("late", counts.late),
        ("future", counts.future),
        ("duplicates", counts.duplicates),
        ("ignored", counts.ignored),
        ("out of range", counts.outside),
    ];
    for (name, count) in others.into_iter().filter(|(_, count)| *count > 0) {
        line(&mut text, name, &count.to_string());
    }
    let total: u64 = alerts.iter().map(|(_, count)| count).sum();
    line(&mut text, "alerts", &total.to_string());
    for (rule, count) in alerts.iter().filter(|(_, count)| *count > 0) {
        line(&mut text, "", &format!("{count:>6}  {rule}"));
    }
    unknown_fields(&mut text, counts);
    text.truncate(text.trim_end().len());
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<13} {value}"); // a String takes every write
}

fn unknown_fields(text: &mut String, counts: &Counts) {
    for (field, column) in &counts.unknown_fields.near_misses {
        let hint = format!("field `{}` is ignored: did you mean `{column}`?", shown(field));
        line(text, "hint", &hint);
    }
}

fn shown(field: &str) -> String {
    field.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_there_is_to_say() {
        let mut counts = Counts { events: 1000, late: 3, ..Counts::default() };
        counts.rejected.insert("invalid_json", 2);
        counts.rejected.insert("nul_byte", 1);
        let alerts = [("stuffing".to_owned(), 4), ("silent".to_owned(), 0)];
        let expected = "\
events        1000 in 2.0 s (500/s)
rejected      3 (invalid_json 2, nul_byte 1)
late          3
alerts        4
                   4  stuffing";
        assert_eq!(text(&counts, &alerts, Duration::from_secs(2)), expected);
    }
}
