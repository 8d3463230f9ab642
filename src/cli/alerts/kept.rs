//! Alerts and incidents as the history tells, beside the `run` that writes it.

use std::vec::IntoIter;

use serde_json::value::RawValue;

use super::store::{Found, ambiguous};
use crate::delivery::record::AlertRecord;
use crate::history::{Details, Filter, PageItem, Reader};
use crate::{Error, Result};

/// Findings that are read at a time.
const PAGE: usize = 500;

/// Findings of one kind, newest first.
struct Pages<'r> {
    reader: &'r Reader,
    filter: Filter,
    read: IntoIter<PageItem>,
    is_last: bool,
    /// The first that nobody has taken.
    next: Option<Found>,
}

impl<'r> Pages<'r> {
    fn new(reader: &'r Reader, filter: Filter) -> Result<Self> {
        let read = Vec::new().into_iter();
        let mut pages = Self { reader, filter, read, is_last: false, next: None };
        pages.take()?;
        Ok(pages)
    }

    /// Takes one, and looks for the one after it.
    fn take(&mut self) -> Result<Option<Found>> {
        if self.read.len() == 0 && !self.is_last {
            let page = self.reader.page(&self.filter, PAGE)?;
            self.is_last = page.next.is_none();
            self.filter.after = page.next;
            self.read = page.items.into_iter();
        }
        let following = self.read.next();
        let following = following.map(|item| found(self.reader, &item.document)).transpose()?;
        Ok(std::mem::replace(&mut self.next, following))
    }
}

/// Gives findings that all filters together take, newest first, until `take` wants no more.
///
/// # Errors
/// When the history cannot be read, or what `take` says.
pub(super) fn each(
    reader: &Reader,
    filters: Vec<Filter>,
    mut take: impl FnMut(Found) -> Result<bool>,
) -> Result<()> {
    let pages = filters.into_iter().map(|filter| Pages::new(reader, filter));
    let mut pages = pages.collect::<Result<Vec<_>>>()?;
    loop {
        let newest = pages.iter_mut().filter(|pages| pages.next.is_some());
        let key = |pages: &Pages<'_>| pages.next.as_ref().map(|f| f.key().0.to_owned());
        let Some(newest) = newest.max_by_key(|pages| key(pages)) else { return Ok(()) };
        let Some(found) = newest.take()? else { return Ok(()) };
        if !take(found)? {
            return Ok(());
        }
    }
}

fn found(reader: &Reader, document: &RawValue) -> Result<Found> {
    let json = document.get().to_owned();
    let alert: AlertRecord = serde_json::from_str(&json).map_err(|error| {
        Error::unavailable("the history holds what is no alert")
            .at(reader.path().display().to_string())
            .detail(error.to_string())
    })?;
    Ok(Found { alert, json })
}

/// The alert or incident whose id begins so, with all that is known of it.
///
/// # Errors
/// When there is none, or more than one.
pub(super) fn by_id(reader: &Reader, start: &str) -> Result<(Found, Details)> {
    let place = reader.path().display().to_string();
    let fitting = reader.beginning(start, 2)?;
    if fitting.len() > 1 || (start.is_empty() && !fitting.is_empty()) {
        let ids: Vec<&str> = fitting.iter().map(|(_, id)| id.as_str()).collect();
        return Err(ambiguous(&ids, start, &place));
    }
    let details = fitting.first().map(|(kind, id)| reader.details(*kind, id)).transpose()?;
    match details.flatten() {
        Some(details) => Ok((found(reader, &details.document)?, details)),
        None => Err(Error::usage(format!("there is no alert `{start}`"))
            .at(place)
            .hint("`nightlatch alerts list` lists them; what is older than `history.retention` is deleted")),
    }
}
