//! Keeps the newest revision of each alert and incident that is delivered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Document;
use crate::Result;
use crate::alert::Alert;
use crate::delivery::Destination;

/// Documents that are kept; of what comes beyond, only the number is told.
const DOCUMENTS_MAX: usize = 10_000;

/// A destination whose copies share what they keep.
#[derive(Debug, Clone, Default)]
pub struct Collector(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// The newest revision of each id, as JSON.
    newest: BTreeMap<Arc<str>, Vec<u8>>,
    /// Revisions of documents that were not kept.
    unkept: u64,
}

impl Collector {
    /// Takes a document, in place of the one with the same id.
    pub fn take(&self, id: &Arc<str>, json: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.newest.len() >= DOCUMENTS_MAX && !kept.newest.contains_key(id) {
            kept.unkept += 1;
        } else {
            kept.newest.insert(id.clone(), json);
        }
    }

    /// All documents in the order of their beginnings, and how many revisions are not among them.
    pub fn documents(&self) -> (Vec<Document>, u64) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let documents = kept.newest.values();
        let documents = documents.filter_map(|json| serde_json::from_slice(json).ok());
        let mut documents: Vec<Document> = documents.collect();
        documents.sort_by_cached_key(|document| (document.started(), document.id.clone()));
        (documents, kept.unkept)
    }
}

impl Destination for Collector {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()> {
        alerts.iter().for_each(|alert| self.take(&alert.id, alert.to_json()));
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_is_kept_up_to_a_limit() {
        let collector = Collector::default();
        let json = |id: usize, matches: usize| {
            format!("{{\"id\":\"{id}\",\"matches\":{matches}}}").into_bytes()
        };
        for id in 0..DOCUMENTS_MAX + 5 {
            collector.take(&id.to_string().into(), json(id, 1));
        }
        collector.take(&"7".into(), json(7, 2));
        let (documents, unkept) = collector.documents();
        assert_eq!((documents.len(), unkept), (DOCUMENTS_MAX, 5));
        assert!(
            documents.iter().all(|document| document.matches == 1 + u64::from(document.id == "7"))
        );
    }
}
