//! The log of slow statements.

use std::fmt::{Debug, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use seawall_pool::{Pool, PoolConfig};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{config, millis, stack};

/// Keeps the warnings of its thread as text.
struct Warnings(Arc<Mutex<String>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().starts_with("seawall_pool")
    }

    fn event(&self, event: &Event<'_>) {
        struct Text<'a>(&'a mut String);
        impl Visit for Text<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                write!(self.0, "{field}={value:?} ").unwrap();
            }
        }
        event.record(&mut Text(&mut self.0.lock()));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_slow_statement_is_logged_with_its_node_and_without_its_values() {
    let warnings = Arc::new(Mutex::new(String::new()));
    let _guard = tracing::subscriber::set_default(Warnings(Arc::clone(&warnings)));
    let stack = stack(0).await;
    let config = PoolConfig { slow_query: millis(100), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    warnings.lock().clear();

    pool.read().query("SELECT $1::text", &[&"quick"]).await.unwrap();
    assert_eq!(*warnings.lock(), "");
    let sql = "SELECT pg_sleep(0.2), $1::text";
    pool.read().query(sql, &[&"secret"]).await.unwrap();
    let text = warnings.lock().clone();
    assert!(text.contains("slow query") && text.contains(sql), "{text}");
    assert!(text.contains("node=primary") && text.contains("op=\"read\""), "{text}");
    assert!(!text.contains("secret"), "{text}");
}
