//! OpenTelemetry's names for what this pool measures.

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit,
};

/// A recorder that passes everything on to another one, the pool's metrics under the names of
/// OpenTelemetry's conventions for database clients where those have one of the same meaning: see
/// `docs/metrics.md`. For services whose dashboards are made for these names.
///
/// The names are the conventions' own, with dots; a recorder for Prometheus turns them into
/// `db_client_connection_count` and so on. The labels `pool` and `node` become
/// `db.client.connection.pool.name`, the pool's name before the node's and a slash between them.
/// All other metrics pass as they are.
///
/// A metric is renamed once, when it is registered: what is recorded costs nothing more.
///
/// ```
/// # use metrics_util::debugging::DebuggingRecorder as PrometheusRecorder;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Whichever recorder the service has, before Pool::connect.
/// let recorder = PrometheusRecorder::new();
/// metrics::set_global_recorder(seawall_pool::OtelNames::new(recorder))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OtelNames<R> {
    inner: R,
}

impl<R> OtelNames<R> {
    /// Before `inner`.
    pub const fn new(inner: R) -> Self {
        Self { inner }
    }
}

impl<R: Recorder> Recorder for OtelNames<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_counter(name(key), unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_gauge(name(key), unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_histogram(name(key), unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        match renamed(key) {
            Some(key) => self.inner.register_counter(&key, metadata),
            None => self.inner.register_counter(key, metadata),
        }
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        match renamed(key) {
            Some(key) => self.inner.register_gauge(&key, metadata),
            None => self.inner.register_gauge(key, metadata),
        }
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        match renamed(key) {
            Some(key) => self.inner.register_histogram(&key, metadata),
            None => self.inner.register_histogram(key, metadata),
        }
    }
}

fn name(key: KeyName) -> KeyName {
    theirs(key.as_str()).map_or(key, KeyName::from_const_str)
}

/// The name there of a metric here, if it has one.
fn theirs(ours: &str) -> Option<&'static str> {
    NAMES.iter().find(|(name, _)| *name == ours).map(|(_, theirs)| *theirs)
}

fn renamed(key: &Key) -> Option<Key> {
    let theirs = theirs(key.name())?;
    let value = |name: &str| key.labels().find(|label| label.key() == name).map(Label::value);
    let node = value("node").unwrap_or_default();
    let pool = value("pool").map_or_else(|| node.to_owned(), |pool| format!("{pool}/{node}"));
    let mut labels = vec![
        Label::from_static_parts("db.system.name", "postgresql"),
        Label::new("db.client.connection.pool.name", pool),
    ];
    labels.extend(key.labels().filter_map(|label| match label.key() {
        "pool" | "node" => None,
        "state" => Some(Label::new("db.client.connection.state", label.value().to_owned())),
        _ => Some(label.clone()),
    }));
    Some(Key::from_parts(theirs, labels))
}

/// Here, and there.
const NAMES: [(&str, &str); 6] = [
    ("seawall_pool_connections", "db.client.connection.count"),
    ("seawall_pool_max_connections", "db.client.connection.max"),
    ("seawall_pool_waiting", "db.client.connection.pending_requests"),
    ("seawall_pool_acquire_seconds", "db.client.connection.wait_time"),
    ("seawall_pool_connect_seconds", "db.client.connection.create_time"),
    ("seawall_pool_query_seconds", "db.client.operation.duration"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use metrics_util::debugging::DebuggingRecorder;

    use super::{NAMES, OtelNames};
    use crate::metrics::{Labels, NodeMetrics};

    /// The metrics of the primary of a pool, as a recorder behind the names gets them.
    fn keys(pool: Option<&str>) -> BTreeSet<String> {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&OtelNames::new(recorder), || {
            let node = NodeMetrics::new(&Labels::of_pool(pool).and_node("primary"));
            node.idle.set(3.0);
            metrics::counter!("other_total", "node" => "primary").increment(1);
        });
        let metrics = snapshotter.snapshot().into_vec().into_iter();
        metrics.map(|(key, ..)| key.key().to_string()).collect()
    }

    #[test]
    fn what_the_conventions_have_is_named_as_there_and_all_else_as_here() {
        let keys = keys(Some("orders"));
        let of_pool =
            "db.system.name = postgresql, db.client.connection.pool.name = orders/primary";
        for expected in [
            &*format!(
                "Key(db.client.connection.count, [{of_pool}, db.client.connection.state = idle])"
            ),
            &format!("Key(db.client.operation.duration, [{of_pool}])"),
            "Key(seawall_pool_node_up, [pool = orders, node = primary])",
            "Key(other_total, [node = primary])",
        ] {
            assert!(keys.contains(expected), "{expected} is not in {keys:#?}");
        }
        for (ours, theirs) in NAMES {
            let has = |name: &str| keys.iter().any(|key| key.starts_with(&format!("Key({name},")));
            assert!(has(theirs) && !has(ours), "{ours} is {theirs} there: {keys:#?}");
        }
    }

    #[test]
    fn a_pool_without_a_name_is_named_after_its_node() {
        let expected = "db.client.connection.pool.name = primary";
        assert!(keys(None).iter().any(|key| key.contains(expected)));
    }

    #[test]
    fn the_page_says_the_same() {
        let page = include_str!("../docs/metrics.md");
        for (ours, theirs) in NAMES {
            let row = page.lines().find(|line| line.contains(&format!("`{theirs}`")));
            assert!(row.is_some_and(|row| row.contains(&format!("`{ours}`"))), "{ours} {theirs}");
        }
    }
}
