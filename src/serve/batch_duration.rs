//! How long batches take, as a summary with quantiles.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType, Quantile, Summary};

use super::metrics::Outcome;

const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];
const MICROS_PER_SECOND: f64 = 1e6;
/// Longer batches count as this long.
const DURATION_MAX_MICROS: u64 = 600_000_000;

/// Durations of batches in microseconds, exported as a summary in seconds.
#[derive(Debug, Clone)]
pub(super) struct BatchDuration {
    state: Arc<Mutex<(Histogram<u64>, f64)>>,
    desc: Desc,
}

impl BatchDuration {
    pub(super) fn new() -> Outcome<Self> {
        let message =
            |error: hdrhistogram::CreationError| prometheus::Error::Msg(error.to_string());
        let histogram = Histogram::new_with_max(DURATION_MAX_MICROS, 3).map_err(message)?;
        let desc = Desc::new(
            "nightlatch_batch_duration_seconds".to_owned(),
            "Time from the release of a batch to its last alert.".to_owned(),
            Vec::new(),
            HashMap::new(),
        )?;
        Ok(Self { state: Arc::new(Mutex::new((histogram, 0.0))), desc })
    }

    pub(super) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.saturating_record(micros);
        state.1 += duration.as_secs_f64();
    }

    fn summary(&self) -> Summary {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (histogram, sum) = &*state;
        let mut summary = Summary::default();
        summary.set_sample_count(histogram.len());
        summary.set_sample_sum(*sum);
        summary.set_quantile(QUANTILES.map(|quantile| at_quantile(histogram, quantile)).to_vec());
        summary
    }
}

#[allow(clippy::cast_precision_loss)] // below ten minutes in microseconds a float is exact
fn at_quantile(histogram: &Histogram<u64>, quantile: f64) -> Quantile {
    let mut point = Quantile::default();
    point.set_quantile(quantile);
    point.set_value(histogram.value_at_quantile(quantile) as f64 / MICROS_PER_SECOND);
    point
}

impl Collector for BatchDuration {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut metric = Metric::default();
        metric.set_summary(self.summary());
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::serve::Metrics;

    #[test]
    fn batch_durations_become_a_summary_in_seconds() {
        let metrics = Metrics::new().unwrap();
        for millis in 1..=100 {
            metrics.observe_batch(Duration::from_millis(millis), 7);
        }
        let text = metrics.text();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert!((value("nightlatch_batch_duration_seconds{quantile=\"0.5\"}") - 0.05).abs() < 1e-3);
        assert!(
            (value("nightlatch_batch_duration_seconds{quantile=\"0.99\"}") - 0.099).abs() < 1e-3
        );
        assert!((value("nightlatch_batch_duration_seconds_sum") - 5.05).abs() < 1e-9);
        assert_eq!(value("nightlatch_batch_duration_seconds_count"), 100.0);
        assert!(text.contains("# TYPE nightlatch_batch_duration_seconds summary"), "{text}");
    }
}
