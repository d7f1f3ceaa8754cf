use std::time::Duration;

use super::{NodeConfig, PoolConfig, Role};
use crate::{BufferConfig, Error, HedgeConfig};

fn refused(config: &PoolConfig) -> &'static str {
    match config.validate() {
        Err(Error::Config { field, .. }) => field,
        other => panic!("expected a refused field, got {other:?}"),
    }
}

#[test]
fn the_defaults_are_valid_and_finite() {
    PoolConfig::default().validate().unwrap();
}

#[test]
fn each_value_out_of_bounds_is_named() {
    let fine = PoolConfig::default;
    let zero = Duration::ZERO;
    let node = NodeConfig::default;
    let hedge = HedgeConfig::default;
    let hedged = |hedge| PoolConfig { hedge, ..fine() };
    let buffer = |max_writes, max_wait| BufferConfig { max_writes, max_wait };
    let cases = [
        ("acquire_timeout", PoolConfig { acquire_timeout: zero, ..fine() }),
        ("connect_timeout", PoolConfig { connect_timeout: zero, ..fine() }),
        ("query_timeout", PoolConfig { query_timeout: zero, ..fine() }),
        ("idle_timeout", PoolConfig { idle_timeout: zero, ..fine() }),
        ("health_interval", PoolConfig { health_interval: zero, ..fine() }),
        ("health_timeout", PoolConfig { health_timeout: Duration::MAX, ..fine() }),
        ("catch_up_wait", PoolConfig { catch_up_wait: Duration::MAX, ..fine() }),
        ("max_waiting", PoolConfig { max_waiting: 0, ..fine() }),
        ("max_connecting", PoolConfig { max_connecting: 0, ..fine() }),
        ("analytics_share", PoolConfig { analytics_share: 1.1, ..fine() }),
        ("analytics_share", PoolConfig { analytics_share: f64::NAN, ..fine() }),
        ("statement_cache", PoolConfig { statement_cache: 0, ..fine() }),
        ("create_timeout", PoolConfig { create_timeout: zero, ..fine() }),
        ("create_retry_interval", PoolConfig { create_retry_interval: zero, ..fine() }),
        ("destroy_timeout", PoolConfig { destroy_timeout: Duration::MAX, ..fine() }),
        ("reap_interval", PoolConfig { reap_interval: zero, ..fine() }),
        ("max_lifetime", PoolConfig { max_lifetime: zero, ..fine() }),
        ("lifetime_jitter", PoolConfig { lifetime_jitter: 1.0, ..fine() }),
        ("max_uses", PoolConfig { max_uses: Some(0), ..fine() }),
        ("validate_after", PoolConfig { validate_after: Duration::MAX, ..fine() }),
        ("leak_after", PoolConfig { leak_after: zero, ..fine() }),
        ("cancel_timeout", PoolConfig { cancel_timeout: zero, ..fine() }),
        ("max_size", PoolConfig { max_size: 0, ..fine() }),
        ("min_idle", PoolConfig { min_idle: 21, ..fine() }),
        ("hedge.budget", hedged(HedgeConfig { budget: 1.1, ..hedge() })),
        ("hedge.burst", hedged(HedgeConfig { burst: 0, ..hedge() })),
        ("hedge.delay", hedged(HedgeConfig { delay: Some(zero), ..hedge() })),
        ("hedge.quantile", hedged(HedgeConfig { quantile: 0.4, ..hedge() })),
        ("hedge.min_delay", hedged(HedgeConfig { min_delay: zero, ..hedge() })),
        ("buffer.max_writes", PoolConfig { buffer: buffer(1_000_001, zero), ..fine() }),
        ("buffer.max_wait", PoolConfig { buffer: buffer(1, Duration::MAX), ..fine() }),
        ("replicas.len()", PoolConfig { replicas: vec![node(); 64], ..fine() }),
        ("weight", PoolConfig { replicas: vec![NodeConfig { weight: 0, ..node() }], ..fine() }),
        ("max_size", PoolConfig { primary: NodeConfig { max_size: Some(0), ..node() }, ..fine() }),
        ("min_idle", PoolConfig { primary: NodeConfig { min_idle: Some(30), ..node() }, ..fine() }),
    ];
    for (field, config) in cases {
        assert_eq!(refused(&config), field);
    }
}

#[test]
fn the_error_tells_field_value_and_bound() {
    let error = PoolConfig { max_size: 0, ..PoolConfig::default() }.validate().unwrap_err();
    assert_eq!(error.to_string(), "max_size is 0, which is not within 1..=10000");
}

#[cfg(feature = "serde")]
#[test]
fn a_configuration_file_reads_durations_and_refuses_unknown_fields() {
    let config: PoolConfig = serde_json::from_str(
        r#"{"primary": {"url": "postgres://a"}, "acquire_timeout": "2s",
            "replicas": [{"url": "postgres://b", "role": "analytics", "weight": 2}],
            "max_uses": 5000, "create_retry_interval": "200ms", "lifetime_jitter": 0.2}"#,
    )
    .unwrap();
    assert_eq!((config.max_uses, config.lifetime_jitter), (Some(5_000), 0.2));
    assert_eq!(config.acquire_timeout, Duration::from_secs(2));
    assert_eq!(config.replicas[0].role, Role::Analytics);
    assert_eq!(config.max_size, 20);
    assert!(serde_json::from_str::<PoolConfig>(r#"{"max_sise": 3}"#).is_err());
    let lanes = r#"{"lanes": {"lanes": 4, "max_hold": "50ms"}}"#;
    let config: PoolConfig = serde_json::from_str(lanes).unwrap();
    assert_eq!((config.lanes.lanes, config.lanes.depth), (4, 64));
    assert_eq!(config.lanes.max_hold, Duration::from_millis(50));
    let buffer = r#"{"buffer": {"max_writes": 7, "max_wait": "3s"}}"#;
    let config: PoolConfig = serde_json::from_str(buffer).unwrap();
    assert_eq!((config.buffer.max_writes, config.buffer.max_wait), (7, Duration::from_secs(3)));
    let loader: crate::LoaderConfig = serde_json::from_str(r#"{"max_wait": "3ms"}"#).unwrap();
    assert_eq!((loader.max_batch, loader.max_wait), (256, Duration::from_millis(3)));
}

#[cfg(not(feature = "serde"))]
#[test]
fn general_is_the_default_role() {
    assert_eq!(Role::default(), Role::General);
}

#[cfg(feature = "serde")]
#[test]
fn the_parts_about_size_and_slow_statements_are_read_from_a_file() {
    let json = r#"{"sizing": {"auto": true, "max": 30, "window": "2s"},
        "slow_queries": {"keep": 7, "plans_per_minute": 1}}"#;
    let config: PoolConfig = serde_json::from_str(json).unwrap();
    assert!(config.sizing.auto && config.sizing.max == 30 && config.sizing.min == 2);
    assert_eq!(config.sizing.window, Duration::from_secs(2));
    assert_eq!((config.slow_queries.keep, config.slow_queries.plans_per_minute), (7, 1));
    let unknown = r#"{"sizing": {"maximum": 30}}"#;
    assert!(serde_json::from_str::<PoolConfig>(unknown).is_err());
}

#[test]
fn sizes_out_of_bounds_are_named() {
    use crate::SizingConfig;
    let fine = SizingConfig::default;
    let cases = [
        ("min", SizingConfig { min: 0, ..fine() }),
        ("max", SizingConfig { min: 9, max: 8, ..fine() }),
        ("window", SizingConfig { window: Duration::ZERO, ..fine() }),
        ("headroom", SizingConfig { headroom: f64::NAN, ..fine() }),
        ("shrink_after", SizingConfig { shrink_after: Duration::MAX, ..fine() }),
        ("max_slowdown", SizingConfig { max_slowdown: 1.0, ..fine() }),
    ];
    for (field, sizing) in cases {
        assert_eq!(refused(&PoolConfig { sizing, ..PoolConfig::default() }), field);
    }
}
