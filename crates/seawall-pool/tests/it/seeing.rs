//! What the log tells.

use seawall_pool::{Pool, PoolConfig};

use crate::support::{config, millis, node, secs, stack, until, warnings};

#[tokio::test]
async fn a_borrow_that_lasts_is_reported_once_with_its_place() {
    let warnings = warnings();
    let stack = stack(0).await;
    let config = PoolConfig { leak_after: millis(50), reap_interval: millis(10), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    let (conn, line) = (pool.write().get().await.unwrap(), line!());
    let said = async || warnings.lock().matches("has been out for long").count();
    until("it is reported", secs(30), async || said().await == 1).await;
    let place = format!("{}:{line}:", file!());
    assert!(warnings.lock().contains(&place), "{} is not in {}", place, warnings.lock());
    let borrow = node(&pool, "primary").oldest_borrow.unwrap();
    assert_eq!((borrow.site.file(), borrow.site.line()), (file!(), line));
    until("it is older still", secs(30), async || {
        node(&pool, "primary").oldest_borrow.is_some_and(|borrow| borrow.held > millis(150))
    })
    .await;
    assert_eq!(said().await, 1, "once");
    drop(conn);
    assert_eq!(node(&pool, "primary").oldest_borrow, None);
    let back = async || warnings.lock().matches("out for long is back").count() == 1;
    until("its return is reported", secs(30), back).await;
    assert_eq!(warnings.lock().matches(&place).count(), 2, "{}", warnings.lock());
}
