use std::time::Duration;

use super::{NodeConfig, PoolConfig, Role};
use crate::Error;

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
    let cases = [
        ("acquire_timeout", PoolConfig { acquire_timeout: zero, ..fine() }),
        ("connect_timeout", PoolConfig { connect_timeout: zero, ..fine() }),
        ("query_timeout", PoolConfig { query_timeout: zero, ..fine() }),
        ("idle_timeout", PoolConfig { idle_timeout: zero, ..fine() }),
        ("health_interval", PoolConfig { health_interval: zero, ..fine() }),
        ("health_timeout", PoolConfig { health_timeout: Duration::MAX, ..fine() }),
        ("catch_up_wait", PoolConfig { catch_up_wait: Duration::MAX, ..fine() }),
        ("max_size", PoolConfig { max_size: 0, ..fine() }),
        ("min_idle", PoolConfig { min_idle: 21, ..fine() }),
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

#[test]
fn a_small_node_lowers_the_default_of_connections_kept() {
    let small = NodeConfig { max_size: Some(1), ..NodeConfig::default() };
    assert_eq!(small.sizes(&PoolConfig::default()), (1, 1));
}

#[test]
fn debug_text_never_shows_the_connection_string() {
    let config = PoolConfig {
        primary: NodeConfig::new("postgres://app:hunter2@db/app"),
        ..PoolConfig::default()
    };
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[cfg(feature = "serde")]
#[test]
fn a_configuration_file_reads_durations_and_refuses_unknown_fields() {
    let config: PoolConfig = serde_json::from_str(
        r#"{"primary": {"url": "postgres://a"}, "acquire_timeout": "2s",
            "replicas": [{"url": "postgres://b", "role": "analytics", "weight": 2}]}"#,
    )
    .unwrap();
    assert_eq!(config.acquire_timeout, Duration::from_secs(2));
    assert_eq!(config.replicas[0].role, Role::Analytics);
    assert_eq!(config.max_size, 20);
    assert!(serde_json::from_str::<PoolConfig>(r#"{"max_sise": 3}"#).is_err());
}

#[cfg(not(feature = "serde"))]
#[test]
fn general_is_the_default_role() {
    assert_eq!(Role::default(), Role::General);
}
