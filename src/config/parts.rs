//! A `[[destination]]` taken apart: the keys that all have, those of HTTP, those of its kind.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::destination::{CommonConfig, DestinationConfig, HttpOptions, Kind, unknown_kind};
use super::load::{Problems, Source, keys_of, recover};
use crate::Error;

const SECTION: &str = "destination";

/// Takes the destinations out of the table of the whole file.
pub(super) fn destinations(
    source: &Source<'_>,
    root: &Spanned<DeTable<'_>>,
    table: &mut DeTable<'_>,
    problems: &mut Problems,
) -> Vec<DestinationConfig> {
    let Some(section) = table.remove(SECTION) else { return Vec::new() };
    let start = Some(section.span().start);
    let DeValue::Array(items) = section.into_inner() else {
        let error =
            Error::usage("a destination is a table of its own").hint("write `[[destination]]`");
        problems.push((start, error.at(source.place(start, SECTION))));
        return Vec::new();
    };
    let mut found = Vec::new();
    for item in items {
        let span = item.span();
        if let DeValue::Table(table) = item.into_inner() {
            let table = Spanned::new(span, table);
            found.extend(Parts { source, root, table, known: Vec::new(), problems }.decode());
        }
    }
    found
}

struct Parts<'p, 'a> {
    source: &'p Source<'p>,
    root: &'p Spanned<DeTable<'a>>,
    /// What is left of the table.
    table: Spanned<DeTable<'a>>,
    /// The keys of the parts taken out so far.
    known: Vec<String>,
    problems: &'p mut Problems,
}

impl Parts<'_, '_> {
    fn decode(mut self) -> Option<DestinationConfig> {
        let whole = self.table.clone();
        let n_problems = self.problems.len();
        let name = self.kind()?;
        let common = self.part::<CommonConfig>();
        let http = Kind::is_http(&name).then(|| self.part::<HttpOptions>());
        // One line for each kind of destination.
        let kind = match name.as_str() {
            "webhook" => self.rest().map(Kind::Webhook),
            "slack" => self.rest().map(Kind::Slack),
            "teams" => self.rest().map(Kind::Teams),
            "pagerduty" => self.rest().map(Kind::PagerDuty),
            "alertmanager" => self.rest().map(Kind::Alertmanager),
            "splunk" => self.rest().map(Kind::Splunk),
            "file" => self.rest().map(Kind::File),
            "kafka" => self.rest().map(Kind::Kafka),
            "postgresql" => self.rest().map(Kind::Postgresql),
            "stdout" => self.rest().map(Kind::Stdout),
            other => {
                self.tell(&whole, "type", unknown_kind(other));
                None
            }
        };
        let http = match http {
            Some(http) => Some(http?),
            None => None,
        };
        let destination = DestinationConfig { common: common?, http, kind: kind? };
        // A key that is wrong already need not be missed as well.
        if self.problems.len() == n_problems {
            for (key, error) in destination.problems() {
                self.tell(&whole, key, error);
            }
        }
        Some(destination)
    }

    fn kind(&mut self) -> Option<String> {
        match self.table.get_mut().remove("type").map(Spanned::into_inner) {
            Some(DeValue::String(name)) => {
                self.known.push("type".to_owned());
                Some(name.into_owned())
            }
            _ => {
                let hint = format!("write `type = \"{}\"`, say", Kind::NAMES[0]);
                let error = Error::usage("a destination needs a `type`").hint(hint);
                self.tell(&self.table.clone(), "type", error);
                None
            }
        }
    }

    /// Takes the keys of one part out of the table and decodes them.
    fn part<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut part = Spanned::new(self.table.span(), DeTable::new());
        for key in keys_of::<T>() {
            let entry = self.table.get_mut().remove_entry(key.as_str());
            part.get_mut().extend(entry);
            self.known.push(key);
        }
        recover(self.source, self.root, &mut part, &[], self.problems)
    }

    /// Decodes what is left: the keys of the kind.
    fn rest<T: DeserializeOwned>(&mut self) -> Option<T> {
        recover(self.source, self.root, &mut self.table, &self.known, self.problems)
    }

    fn tell(&mut self, table: &Spanned<DeTable<'_>>, key: &str, error: Error) {
        let found = table.get_ref().iter().find(|(known, _)| known.get_ref() == key);
        let start = found.map_or(table.span().start, |(key, _)| key.span().start);
        let place = self.source.place(Some(start), &format!("{SECTION}.{key}"));
        self.problems.push((Some(start), error.at(place)));
    }
}
