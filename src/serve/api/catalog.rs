//! The rules that run, for whoever asks.

use std::sync::{Arc, PoisonError, RwLock};

use crate::rules::Rule;

/// The rules that run; a clone is the same one. A reload changes it.
#[derive(Debug, Clone, Default)]
pub struct Catalog(Arc<RwLock<Arc<[Rule]>>>);

impl Catalog {
    /// These rules run from now on.
    pub fn set(&self, rules: &[Rule]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rules.into();
    }

    pub(in crate::serve) fn rules(&self) -> Arc<[Rule]> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
