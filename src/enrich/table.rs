//! CSV files of ranges of addresses: with the names of the columns in the first line, or in one of the
//! layouts that are given away without one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::answer::{Answer, Draft, asn};
use super::data_file::DataFile;
use super::ranges::{Ranges, RangesBuilder, Span};
use crate::{Error, Result};

/// Further lines are refused.
const LINES_MAX: usize = 50_000_000;
/// More fields than any known layout has.
const FIELDS_MAX: usize = 64;

/// The ranges of a file, and what it says of them.
pub(super) struct Table {
    ranges: Ranges,
    answers: Vec<Answer>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// First address, or a CIDR.
    First,
    Last,
    Country,
    City,
    Latitude,
    Longitude,
    Accuracy,
    Asn,
    Organisation,
    Other,
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// With the first line that is not like the others.
    pub(super) fn read(file: &DataFile) -> Result<Self> {
        let (mut ranges, mut answers) = (RangesBuilder::default(), Vec::new());
        let mut known: HashMap<Box<str>, u32> = HashMap::new();
        let (mut layout, mut fields) = (Vec::new(), Vec::new());
        for (index, line) in file.text()?.lines().enumerate() {
            let number = index + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            split(line, &mut fields)
                .ok_or_else(|| bad_line(file, number, "a quote is not closed"))?;
            if layout.is_empty() {
                let (found, is_header) = layout_of(&fields);
                layout = found.ok_or_else(|| no_layout(file, number))?;
                if is_header {
                    continue;
                }
            }
            let span = span(&layout, &fields).ok_or_else(|| {
                bad_line(file, number, "it does not begin with a range of addresses")
            })?;
            if ranges.len() >= LINES_MAX {
                let message = format!("a data file has more than {LINES_MAX} lines");
                return Err(file.refuse(Some(number), message).hint("use an MMDB file"));
            }
            let key = key(&layout, &fields);
            let value = match known.get(key.as_str()) {
                Some(value) => *value,
                None => {
                    let value = answers.len() as u32;
                    answers.push(draft(&layout, &fields).finish());
                    known.insert(key.into(), value);
                    value
                }
            };
            // The narrower of two ranges knows better.
            ranges.push(span, span.width(), value);
        }
        if answers.is_empty() {
            return Err(file.refuse(None, "a data file is empty"));
        }
        Ok(Self { ranges: ranges.build(), answers })
    }

    /// Whether a line has a place, and whether one has an operator.
    pub(super) fn holds(&self) -> (bool, bool) {
        let place = self.answers.iter().any(|answer| answer.place.is_some());
        (place, self.answers.iter().any(|answer| answer.operator.is_some()))
    }

    pub(super) fn find(&self, address: IpAddr) -> Option<&Answer> {
        self.answers.get(self.ranges.find(address)? as usize)
    }
}

/// Cuts a line at its commas; a field in quotes may hold commas, and quotes doubled. `None` when a
/// quote is not closed.
fn split(line: &str, fields: &mut Vec<String>) -> Option<()> {
    let mut count = 0;
    let mut chars = line.chars().peekable();
    loop {
        if fields.len() <= count {
            fields.push(String::new());
        }
        let field = &mut fields[count];
        field.clear();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next()? {
                    '"' if chars.next_if_eq(&'"').is_some() => field.push('"'),
                    '"' => break,
                    c => field.push(c),
                }
            }
        }
        while let Some(c) = chars.next_if(|c| *c != ',') {
            field.push(c);
        }
        count += 1;
        if chars.next().is_none() || count >= FIELDS_MAX {
            break;
        }
    }
    fields.truncate(count);
    Some(())
}

/// The layout of a first line, and whether that is a line of names.
fn layout_of(fields: &[String]) -> (Option<Vec<Field>>, bool) {
    let named: Vec<Field> = fields.iter().map(|name| field_of(name.trim())).collect();
    if named.contains(&Field::First) {
        return (Some(named), true);
    }
    let is_cidr = fields.first().is_some_and(|first| first.contains('/'));
    let columns = fields.len().saturating_sub(if is_cidr { 1 } else { 2 });
    let values = fields.get(fields.len() - columns..).unwrap_or_default();
    let first_is_number = values.first().is_some_and(|value| asn(value).is_some());
    let rest: Option<&[Field]> = match columns {
        1 if first_is_number => Some(&[Field::Asn]),
        1 => Some(&[Field::Country]),
        2 if first_is_number => Some(&[Field::Asn, Field::Organisation]),
        6 => Some(&[
            Field::Other,
            Field::Country,
            Field::Other,
            Field::City,
            Field::Latitude,
            Field::Longitude,
        ]),
        8 => Some(&[
            Field::Country,
            Field::Other,
            Field::Other,
            Field::City,
            Field::Other,
            Field::Latitude,
            Field::Longitude,
            Field::Other,
        ]),
        _ => None,
    };
    let range: &[Field] = if is_cidr { &[Field::First] } else { &[Field::First, Field::Last] };
    (rest.map(|rest| [range, rest].concat()), false)
}

fn field_of(name: &str) -> Field {
    match name.to_ascii_lowercase().as_str() {
        "ip_range_start" | "range_start" | "start_ip" | "start" | "first" | "network" | "cidr"
        | "ip_start" => Field::First,
        "ip_range_end" | "range_end" | "end_ip" | "end" | "last" | "ip_end" => Field::Last,
        "country" | "country_code" | "country_iso_code" => Field::Country,
        "city" | "city_name" => Field::City,
        "latitude" | "lat" => Field::Latitude,
        "longitude" | "lon" | "lng" => Field::Longitude,
        "accuracy_radius" | "accuracy_km" | "radius" => Field::Accuracy,
        "asn" | "autonomous_system_number" | "as_number" => Field::Asn,
        "as_org" | "as_name" | "autonomous_system_organization" | "organization" => {
            Field::Organisation
        }
        _ => Field::Other,
    }
}

fn value<'a>(layout: &[Field], fields: &'a [String], wanted: Field) -> Option<&'a str> {
    let index = layout.iter().position(|field| *field == wanted)?;
    fields.get(index).map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn span(layout: &[Field], fields: &[String]) -> Option<Span> {
    let first = value(layout, fields, Field::First)?;
    match value(layout, fields, Field::Last) {
        Some(last) => Span::new(address(first)?, address(last)?),
        None => Span::parse(first),
    }
}

/// An address, also as a decimal number.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let number: u128 = text.parse().ok()?;
    Some(match u32::try_from(number) {
        Ok(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(number)),
    })
}

/// The fields that matter, joined: lines that say the same share one answer.
fn key(layout: &[Field], fields: &[String]) -> String {
    let range = [Field::First, Field::Last, Field::Other];
    let mut key = String::new();
    for (_, text) in layout.iter().zip(fields).filter(|(field, _)| !range.contains(field)) {
        key.push_str(text);
        key.push('\n');
    }
    key
}

fn draft(layout: &[Field], fields: &[String]) -> Draft {
    let text = |field| value(layout, fields, field).map(str::to_owned);
    let number = |field| value(layout, fields, field).and_then(|text| text.parse().ok());
    Draft {
        country: text(Field::Country),
        city: text(Field::City),
        latitude: number(Field::Latitude),
        longitude: number(Field::Longitude),
        accuracy_km: number(Field::Accuracy),
        asn: value(layout, fields, Field::Asn).and_then(asn),
        organisation: text(Field::Organisation),
    }
}

fn no_layout(file: &DataFile, line: usize) -> Error {
    file.refuse(Some(line), "a data file has an unknown layout").hint(
        "name the columns in the first line: `network`, or `start` and `end`, then `country`, `city`, \
         `latitude`, `longitude`, `accuracy_km`, `asn`, `as_org`",
    )
}

fn bad_line(file: &DataFile, line: usize, detail: &str) -> Error {
    file.refuse(Some(line), "a data file cannot be read").detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Option<Vec<String>> {
        let mut fields = vec!["old".to_owned(); 9];
        split(line, &mut fields)?;
        Some(fields)
    }

    #[test]
    fn lines_are_cut_at_commas_outside_of_quotes() {
        let cut = |line: &str| fields(line).map(|fields| fields.join("|"));
        assert_eq!(cut("a,b,").as_deref(), Some("a|b|"));
        assert_eq!(cut("a,\"b, \"\"c\"\"\",d").as_deref(), Some("a|b, \"c\"|d"));
        assert_eq!(cut("").as_deref(), Some(""));
        assert_eq!(cut("a,\"b"), None);
        assert_eq!(fields(&",".repeat(1000)).unwrap().len(), FIELDS_MAX);
    }
}
