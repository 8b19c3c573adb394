//! What an instance counts, in Prometheus' terms. Everything is of this process since its start.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Which way an admission went; the words of SPEC's outcomes, `accepted` among them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// `accepted`, `missing`, `rate_limited`, …
    pub outcome: &'static str,
}

/// What came of a service's report.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReportResult {
    /// `done`, `over`, `unknown`.
    pub result: &'static str,
}

/// How a webhook attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AttemptResult {
    /// `delivered`, `refused_by_endpoint`, or the class of failure: `timeout`, `blocked`, …
    pub result: &'static str,
}

/// The counters of one instance. A clone counts in the same place.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Decided requests of the Partner API and of the verify API, by outcome. See [`Metrics::admitted`].
    pub admissions: Family<Outcome, Counter>,
    /// Requests that carried no known key: those of no organization, missing and unknown alike.
    pub unknown_key_requests: Counter,
    /// Requests decided together in one admit batch.
    pub admit_batch_size: Histogram,
    /// Requests written together in one settle batch.
    pub settle_batch_size: Histogram,
    /// Seconds from the arrival of a request of the Partner API or the verify API to its admission's answer.
    pub admission_duration: Histogram,
    /// Seconds from such a request's arrival to its answer.
    pub request_duration: Histogram,
    /// Reports of services on what became of a request, by result. See [`Metrics::reported`].
    pub reports: Family<ReportResult, Counter>,
    /// Holds that were settled because no service reported in time.
    pub overdue_holds: Counter,
    /// Jobs whose lease ran out, back in the queue or failed.
    pub expired_leases: Counter,
    /// Webhook attempts, by result. See [`Metrics::attempted`].
    pub delivery_attempts: Family<AttemptResult, Counter>,
    /// Webhook attempts written together in one batch.
    pub delivery_batch_size: Histogram,
    /// Seconds that a webhook attempt took.
    pub delivery_duration: Histogram,
    /// Requests that wait to be decided. Set when the page is asked for.
    pub admit_waiting: Gauge,
    /// Requests that wait to be written. Set when the page is asked for.
    pub settle_waiting: Gauge,
    /// Reports of services that wait to be written; likewise.
    pub report_waiting: Gauge,
    /// Calls of services that wait for their token to be looked up; likewise.
    pub token_waiting: Gauge,
    /// Jobs that wait for a worker, in the whole deployment; NaN when the database does not say. Set when the page is asked for.
    pub queued_jobs: Gauge<f64, AtomicU64>,
    /// Jobs with deliveries that wait, in the whole deployment; NaN when the database does not say. Set when the page is asked for.
    pub delivery_lanes: Gauge<f64, AtomicU64>,
    /// Seconds for which the delivery that waits longest has been due; likewise.
    pub delivery_lag: Gauge<f64, AtomicU64>,
    /// Connections in the pool.
    pub pool_connections: Gauge,
    /// Connections in the pool that wait for work.
    pub pool_idle: Gauge,
    registry: Arc<Registry>,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        // 0.1 ms to 13 s: below lies a loopback's noise, above everybody has given up.
        let durations = || Histogram::new(exponential_buckets(0.000_1, 2.5, 13));
        let sizes = || Histogram::new(exponential_buckets(1.0, 2.0, 10));
        let mut metrics = Self {
            admissions: Family::default(),
            unknown_key_requests: Counter::default(),
            admit_batch_size: sizes(),
            settle_batch_size: sizes(),
            admission_duration: durations(),
            request_duration: durations(),
            reports: Family::default(),
            overdue_holds: Counter::default(),
            expired_leases: Counter::default(),
            delivery_attempts: Family::default(),
            delivery_batch_size: sizes(),
            delivery_duration: durations(),
            admit_waiting: Gauge::default(),
            settle_waiting: Gauge::default(),
            report_waiting: Gauge::default(),
            token_waiting: Gauge::default(),
            queued_jobs: Gauge::default(),
            delivery_lanes: Gauge::default(),
            delivery_lag: Gauge::default(),
            pool_connections: Gauge::default(),
            pool_idle: Gauge::default(),
            registry: Arc::default(),
        };
        metrics.registry = Arc::new(metrics.registered());
        metrics
    }

    /// Counts one decided request.
    pub fn admitted(&self, outcome: &'static str) {
        self.admissions.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts one report of a service.
    pub fn reported(&self, result: &'static str) {
        self.reports.get_or_create(&ReportResult { result }).inc();
    }

    /// Counts one webhook attempt.
    pub fn attempted(&self, result: &'static str, duration: Duration) {
        self.delivery_attempts.get_or_create(&AttemptResult { result }).inc();
        self.delivery_duration.observe(duration.as_secs_f64());
    }

    /// The OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut page = String::new();
        // Writing to a String can't fail.
        let _ = text::encode(&mut page, &self.registry);
        page
    }

    fn registered(&self) -> Registry {
        let mut all = Registry::with_prefix("latchkey");
        all.register("admissions", "Decided requests of the Partner API and the verify API", self.admissions.clone());
        all.register("unknown_key_requests", "Requests without a known key", self.unknown_key_requests.clone());
        all.register("admit_batch_size", "Requests decided in one statement", self.admit_batch_size.clone());
        all.register("settle_batch_size", "Requests written in one transaction", self.settle_batch_size.clone());
        all.register_with_unit("admission_duration", "From arrival to admission", Unit::Seconds, self.admission_duration.clone());
        all.register_with_unit("request_duration", "From arrival to answer", Unit::Seconds, self.request_duration.clone());
        all.register("reports", "Reports of services on what became of a request", self.reports.clone());
        all.register("overdue_holds", "Holds settled because no service reported in time", self.overdue_holds.clone());
        all.register("expired_leases", "Jobs whose lease ran out", self.expired_leases.clone());
        all.register("delivery_attempts", "Webhook attempts", self.delivery_attempts.clone());
        all.register("delivery_batch_size", "Webhook attempts written in one transaction", self.delivery_batch_size.clone());
        all.register_with_unit("delivery_duration", "Of a webhook attempt", Unit::Seconds, self.delivery_duration.clone());
        all.register("admit_waiting", "Requests that wait to be decided", self.admit_waiting.clone());
        all.register("settle_waiting", "Requests that wait to be written", self.settle_waiting.clone());
        all.register("report_waiting", "Reports of services that wait to be written", self.report_waiting.clone());
        all.register("token_waiting", "Calls of services that wait for their token to be looked up", self.token_waiting.clone());
        all.register("queued_jobs", "Jobs of the deployment that wait for a worker", self.queued_jobs.clone());
        all.register("delivery_lanes", "Jobs of the deployment with deliveries that wait", self.delivery_lanes.clone());
        all.register_with_unit("delivery_lag", "Since when the longest waiting delivery is due", Unit::Seconds, self.delivery_lag.clone());
        all.register("pool_connections", "Database connections in the pool", self.pool_connections.clone());
        all.register("pool_idle", "Database connections that wait for work", self.pool_idle.clone());
        all
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_was_counted() {
        let metrics = Metrics::new();
        metrics.clone().admitted("accepted");
        metrics.admitted("credits");
        metrics.admit_batch_size.observe(3.0);
        let page = metrics.encode();
        assert!(page.contains("latchkey_admissions_total{outcome=\"accepted\"} 1"), "{page}");
        assert!(page.contains("latchkey_admit_batch_size_sum 3.0"), "{page}");
        assert!(page.ends_with("# EOF\n"), "{page}");
    }
}
