//! The rules that run, for whoever asks.

use std::sync::{Arc, PoisonError, RwLock};

use crate::rules::{Rule, Severity};

/// What is told of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CatalogEntry {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) severity: Severity,
}

/// The rules that run; a clone is the same one. A reload changes it.
#[derive(Debug, Clone, Default)]
pub struct Catalog(Arc<RwLock<Vec<CatalogEntry>>>);

impl Catalog {
    /// These rules run from now on.
    pub fn set(&self, rules: &[Rule]) {
        let entry = |rule: &Rule| CatalogEntry {
            id: rule.id.clone(),
            title: rule.front.title.clone(),
            severity: rule.front.severity,
        };
        let entries = rules.iter().map(entry).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = entries;
    }

    pub(super) fn entries(&self) -> Vec<CatalogEntry> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
