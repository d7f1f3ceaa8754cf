//! The log of slow statements.

use seawall_pool::{Pool, PoolConfig};

use crate::support::{Warnings, config, secs, stack};

#[tokio::test]
async fn a_slow_statement_is_logged_with_its_node_and_without_its_values() {
    let (_guard, warnings) = Warnings::install();
    let stack = stack(0).await;
    let config = PoolConfig { slow_query: secs(2), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    warnings.lock().clear();

    pool.read().query("SELECT $1::text", &[&"quick"]).await.unwrap();
    assert_eq!(*warnings.lock(), "");
    let sql = "SELECT pg_sleep(2.5), $1::text";
    pool.read().query(sql, &[&"secret"]).await.unwrap();
    let text = warnings.lock().clone();
    assert!(text.contains("slow query") && text.contains(sql), "{text}");
    assert!(text.contains("node=primary") && text.contains("op=\"read\""), "{text}");
    assert!(!text.contains("secret"), "{text}");
}
