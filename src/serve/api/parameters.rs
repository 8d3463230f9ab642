//! What stands behind the `?`: every parameter once, and none that is not known.

use super::problem::Problem;
use crate::event::time::parse_rfc3339;
use crate::history::{Cursor, Filter, FindingKind, StatusFilter};
use crate::rules::Severity;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;
/// Longer texts are in no alert.
const TEXT_CHARS_MAX: usize = 4096;
const PARAMETERS_MAX: usize = 16;

/// Decoded names and values, in their order.
pub(in crate::serve) struct Parameters(pub(in crate::serve) Vec<(String, String)>);

impl Parameters {
    /// Takes a query apart, which must name nothing but `known`.
    pub(in crate::serve) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut found: Vec<(String, String)> = Vec::new();
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(Problem::bad_request("the query is not UTF-8 in percent-encoding"));
            };
            if !known.contains(&name.as_str()) {
                let all = known.join(", ");
                let all = if all.is_empty() { "none" } else { &all };
                return Err(Problem::bad_request(format!("a parameter is unknown; known: {all}")));
            }
            if found.len() >= PARAMETERS_MAX || found.iter().any(|(other, _)| *other == name) {
                return Err(Problem::bad_request(format!("`{name}` stands there twice")));
            }
            found.push((name, value));
        }
        Ok(Self(found))
    }

    pub(in crate::serve) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that must be read somehow when it is there.
    fn read<T>(
        &self,
        name: &str,
        is: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match read(value) {
            Some(value) => Ok(Some(value)),
            None => Err(Problem::bad_request(format!("`{name}` must be {is}"))),
        }
    }
}

/// `+` is a space, `%41` an A; `None` when the result is not UTF-8.
pub(in crate::serve) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits).ok()?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = behind;
            }
            plain => bytes.push(*plain),
        }
    }
    String::from_utf8(bytes).ok()
}

/// What a list takes.
const FILTERS: [&str; 10] =
    ["from", "to", "rule", "severity", "entity", "account", "ip", "status", "limit", "cursor"];

/// The filter of a list, and how many findings a page has.
pub(super) fn filter(kind: FindingKind, query: Option<&str>) -> Result<(Filter, usize), Problem> {
    let given = Parameters::parse(query, &FILTERS)?;
    let is = format!("a number from 1 to {LIMIT_MAX}");
    let limit = given.read("limit", &is, limit)?;
    Ok((given.filter(kind)?, limit.unwrap_or(LIMIT)))
}

impl Parameters {
    /// The filter that these parameters describe.
    pub(in crate::serve) fn filter(&self, kind: FindingKind) -> Result<Filter, Problem> {
        let time = |name| self.read(name, "a time as RFC 3339 has it", parse_rfc3339);
        let text = |name| {
            let is = format!("a text of 1 to {TEXT_CHARS_MAX} characters");
            self.read(name, &is, |text| {
                (1..=TEXT_CHARS_MAX).contains(&text.chars().count()).then(|| text.to_owned())
            })
        };
        Ok(Filter {
            kind,
            from: time("from")?,
            to: time("to")?,
            rule: text("rule")?,
            severity_min: self.read("severity", "info, low, medium, high or critical", severity)?,
            entity: text("entity")?,
            account: text("account")?,
            ip: text("ip")?,
            status: self.read("status", "opened, updated, closed or open", StatusFilter::parse)?,
            after: self.read("cursor", "the `next_cursor` of the page before", Cursor::parse)?,
        })
    }
}

fn severity(text: &str) -> Option<Severity> {
    use Severity::{Critical, High, Info, Low, Medium};
    [Info, Low, Medium, High, Critical].into_iter().find(|one| one.label() == text)
}

fn limit(text: &str) -> Option<usize> {
    let number = text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok());
    number.flatten().filter(|number| (1..=LIMIT_MAX).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<(Filter, usize), Problem> {
        filter(FindingKind::Alert, Some(query))
    }

    #[test]
    fn every_filter_is_read() {
        let query = "from=2019-03-01T00:00:00Z&to=2019-03-01T02:00:00%2B02:00&rule=a_rule&severity=high\
                     &entity=%C5%BDofie+x&account=a%26b&ip=%3A%3A1&status=open&limit=7\
                     &cursor=00000000000000010000000000000002";
        let (filter, limit) = of(query).unwrap();
        assert_eq!(
            (filter.from, filter.to),
            (Some(1_551_398_400_000_000), Some(1_551_398_400_000_000))
        );
        assert_eq!(filter.entity.as_deref(), Some("Žofie x"));
        assert_eq!(filter.account.as_deref(), Some("a&b"));
        assert_eq!(filter.ip.as_deref(), Some("::1"));
        assert_eq!(filter.severity_min, Some(Severity::High));
        assert_eq!(filter.status, Some(StatusFilter::Open));
        assert_eq!(filter.after.map(Cursor::text).as_deref(), query.rsplit('=').next());
        assert_eq!(limit, 7);
        assert_eq!(of("").unwrap(), (Filter::all(FindingKind::Alert), LIMIT));
    }

    #[test]
    fn what_is_not_known_or_not_so_is_refused() {
        for query in [
            "form=x",
            "limit=0",
            "limit=1001",
            "limit=",
            "limit=+5",
            "limit=99999999999999999999",
            "limit=1&limit=1",
            "severity=HIGH",
            "status=x",
            "from=yesterday",
            "from=",
            "rule=",
            "rule=%ff",
            "rule=%4",
            "rule=%zz",
            "cursor=1",
            "cursor=%00",
        ] {
            assert!(of(query).is_err(), "{query}");
        }
        assert!(of(&format!("rule={}", "x".repeat(5000))).is_err());
    }
}
