//! A destination that keeps the last revision of each alert.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use crate::Result;
use crate::alert::Alert;
use crate::delivery::Destination;
use crate::event::TimeMicros;

/// Alerts by start and id.
type ByStart = BTreeMap<(TimeMicros, Arc<str>), Alert>;

/// Keeps the last revision of each alert, in the order in which they opened. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Rc<RefCell<ByStart>>);

impl Kept {
    /// Gives the alerts away.
    pub(super) fn take(&self) -> Vec<Alert> {
        self.0.take().into_values().collect()
    }

    /// Gives them away as what every receiver would get.
    pub(super) fn json(&self) -> Vec<Value> {
        let alerts = self.take();
        let json = alerts.iter().map(|alert| serde_json::from_slice(&alert.to_json()));
        json.map(|value| value.unwrap_or(Value::Null)).collect()
    }
}

impl Destination for Kept {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()> {
        let mut kept = self.0.borrow_mut();
        for alert in alerts {
            kept.insert((alert.started_at, alert.id.clone()), alert.clone());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
