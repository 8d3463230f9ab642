//! Which alerts a destination gets, and patterns with `*` and `?`.

use super::record::AlertRecord;
use crate::config::CommonConfig;

/// Which alerts a destination gets.
#[derive(Debug, Clone)]
pub(crate) struct Route(CommonConfig);

impl Route {
    pub(crate) fn new(config: &CommonConfig) -> Self {
        Self(config.clone())
    }

    /// Whether the destination gets what is silenced too.
    pub(crate) fn ignores_silences(&self) -> bool {
        self.0.silenced
    }

    /// Whether the destination gets the alert.
    pub(crate) fn takes(&self, alert: &AlertRecord) -> bool {
        let Self(config) = self;
        config.severity_min.is_none_or(|least| alert.severity >= least)
            && (config.rules.is_empty() || fits_any(&config.rules, &alert.rule))
            && (config.entity_types.is_empty() || config.entity_types.contains(&alert.entity_type))
            && (config.status.is_empty() || config.status.contains(&alert.status))
            && (config.early || !alert.early)
    }
}

fn fits_any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, text))
}

/// Whether a text fits a pattern: `*` is any text, `?` any character. Takes at most the product of
/// their lengths.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the newest `*` stands, and up to where it reaches.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, reach)) => {
                    star = Some((at, reach + 1));
                    (p, t) = (at + 1, reach + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Status;
    use crate::delivery::tests::record;
    use crate::rules::Severity;

    #[test]
    fn patterns() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "x"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*c", "abbc"),
            ("?b?", "abc"),
            ("*ab*ab*", "xabyabz"),
            ("b*_*", "brute_force"),
            ("日*", "日本"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "x"), ("a", "ab"), ("a*", "ba"), ("?", ""), ("a*c", "abcd"), ("*ab*ab*", "xab")]
        {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
        let (pattern, text) = ("*a".repeat(50) + "b", "a".repeat(5000));
        assert!(!fits(&pattern, &text), "and in good time");
    }

    #[test]
    fn every_condition_must_hold() {
        let takes = |config: CommonConfig| Route::new(&config).takes(&record("a", 1));
        let all = CommonConfig::default();
        assert!(takes(all.clone()));
        let texts = |text: &str| vec!["nothing".to_owned(), text.to_owned()];
        let good = CommonConfig {
            severity_min: Some(Severity::High),
            rules: texts("stuffing*"),
            entity_types: texts("ip"),
            status: vec![Status::Opened],
            ..all
        };
        assert!(takes(good.clone()));
        assert!(!takes(CommonConfig { severity_min: Some(Severity::Critical), ..good.clone() }));
        assert!(!takes(CommonConfig { rules: texts("brute*"), ..good.clone() }));
        assert!(!takes(CommonConfig { entity_types: texts("account"), ..good.clone() }));
        assert!(!takes(CommonConfig { status: vec![Status::Closed], ..good.clone() }));
        let early = AlertRecord { early: true, ..record("a", 0) };
        let takes_early = |early_too| {
            let config = CommonConfig { early: early_too, status: vec![], ..good.clone() };
            Route::new(&config).takes(&early)
        };
        assert!(takes_early(true) && !takes_early(false));
    }
}
