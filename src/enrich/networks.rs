//! What kind of network an address belongs to, by lists.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::data_file::DataFile;
use super::ranges::{Ranges, RangesBuilder, Span};
use crate::{Error, Result};

/// Lines of all lists together that name networks; further ones are refused.
const LINES_MAX: usize = 20_000_000;

/// What a network is. Where lists disagree the class that comes first here wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkClass {
    /// Exits of the Tor network.
    Tor,
    /// Exits of relays that hide addresses but not regions, such as those of browser and phone makers.
    Relay,
    /// Exits of virtual private networks that anybody can rent.
    Vpn,
    /// Mobile networks: one address has many customers, and a customer many addresses.
    Mobile,
    /// Networks of companies, schools and authorities.
    Corporate,
    /// Data centres.
    Hosting,
    /// Homes.
    Residential,
}

impl NetworkClass {
    /// All classes, in their order.
    pub const ALL: [Self; 7] = [
        Self::Tor,
        Self::Relay,
        Self::Vpn,
        Self::Mobile,
        Self::Corporate,
        Self::Hosting,
        Self::Residential,
    ];

    /// The value of the column `network`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tor => "tor",
            Self::Relay => "relay",
            Self::Vpn => "vpn",
            Self::Mobile => "mobile",
            Self::Corporate => "corporate",
            Self::Hosting => "hosting",
            Self::Residential => "residential",
        }
    }
}

/// The lists of one class each, as one table.
#[derive(Debug)]
pub(super) struct Networks {
    ranges: Ranges,
    systems: HashMap<u32, NetworkClass>,
}

impl Networks {
    pub(super) fn of_address(&self, address: IpAddr) -> Option<NetworkClass> {
        let value = self.ranges.find(address)?;
        NetworkClass::ALL.get(value as usize).copied()
    }

    pub(super) fn of_system(&self, asn: i64) -> Option<NetworkClass> {
        self.systems.get(&u32::try_from(asn).ok()?).copied()
    }
}

/// Collects lists.
#[derive(Debug, Default)]
pub(super) struct NetworksBuilder {
    ranges: RangesBuilder,
    systems: HashMap<u32, NetworkClass>,
}

/// What one line names.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Nothing,
    Span(Span),
    System(u32),
}

impl NetworksBuilder {
    /// Adds the networks of a list.
    ///
    /// # Errors
    /// With the first line that names no network, and when there are too many lines.
    pub(super) fn add(&mut self, class: NetworkClass, file: &DataFile) -> Result<()> {
        let mut named = 0usize;
        for (index, text) in file.text()?.lines().enumerate() {
            match line(text) {
                Some(Line::Nothing) => continue,
                Some(Line::Span(span)) => self.ranges.push(span, class as u128, class as u32),
                Some(Line::System(asn)) => {
                    self.systems
                        .entry(asn)
                        .and_modify(|own| *own = class.min(*own))
                        .or_insert(class);
                }
                // The names of the columns of a CSV file.
                None if named == 0 && index == 0 && is_header(text) => continue,
                None => return Err(no_network(file, index + 1, text)),
            }
            named += 1;
            if self.ranges.len() + self.systems.len() > LINES_MAX {
                return Err(file
                    .refuse(Some(index + 1), format!("lists name more than {LINES_MAX} networks"))
                    .hint("join neighbouring networks into larger ones"));
            }
        }
        if named == 0 {
            return Err(file
                .refuse(None, "a list of networks is empty")
                .hint("a download may have failed; take the list out of `[enrich]` if it is meant to be empty"));
        }
        Ok(())
    }

    pub(super) fn build(self) -> Networks {
        Networks { ranges: self.ranges.build(), systems: self.systems }
    }
}

/// `None` when the line names neither network nor system.
fn line(text: &str) -> Option<Line> {
    let text = text.split(['#', ';']).next().unwrap_or_default();
    let field = text.split([',', '\t']).next().unwrap_or_default();
    let field = field.trim().trim_matches('"').trim();
    if field.is_empty() {
        return text.trim().is_empty().then_some(Line::Nothing);
    }
    if let Some(number) = field.get(..2).filter(|two| two.eq_ignore_ascii_case("as")) {
        return field.get(number.len()..)?.parse().ok().map(Line::System);
    }
    Span::parse(field).map(Line::Span)
}

fn is_header(text: &str) -> bool {
    let first = text.split(',').next().unwrap_or_default().trim().trim_matches('"');
    !first.is_empty() && first.chars().all(|c| c.is_ascii_alphabetic() || c == '_' || c == ' ')
}

fn no_network(file: &DataFile, number: usize, text: &str) -> Error {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    file.refuse(Some(number), "a line names no network")
        .detail(format!("it begins with `{shown}`"))
        .hint("write an address, 192.0.2.0/24, 192.0.2.1-192.0.2.9 or AS64500; # begins a comment")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let span = |text: &str| Some(Line::Span(Span::parse(text).unwrap()));
        let cases = [
            ("", Some(Line::Nothing)),
            ("  # comment", Some(Line::Nothing)),
            ("192.0.2.1", span("192.0.2.1")),
            ("192.0.2.0/24 # office", span("192.0.2.0/24")),
            ("192.0.2.1-192.0.2.9", span("192.0.2.1-192.0.2.9")),
            ("\"192.0.2.0/24\",\"US\",5", span("192.0.2.0/24")),
            ("2001:db8::/32\tname", span("2001:db8::/32")),
            ("AS64500", Some(Line::System(64_500))),
            ("as64500 ; name", Some(Line::System(64_500))),
            ("AS", None),
            ("AS4294967296", None),
            ("network", None),
            (",192.0.2.1", None),
            ("192.0.2.0/24 192.0.2.1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(line(text), expected, "{text}");
        }
    }

    #[test]
    fn classes_are_ranked_as_documented() {
        let names: Vec<_> = NetworkClass::ALL.iter().map(|class| class.name()).collect();
        assert_eq!(names, ["tor", "relay", "vpn", "mobile", "corporate", "hosting", "residential"]);
        assert!(NetworkClass::ALL.windows(2).all(|two| two[0] < two[1]));
        for (index, class) in NetworkClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, index);
        }
    }
}
