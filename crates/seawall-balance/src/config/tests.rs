use super::*;

#[test]
fn the_defaults_are_valid() {
    assert_eq!(BalanceConfig::default().validate(), Ok(()));
}

#[test]
fn a_bad_field_is_named() {
    let bad = |change: fn(&mut BalanceConfig)| {
        let mut config = BalanceConfig::default();
        change(&mut config);
        match config.validate() {
            Err(Error::OutOfRange { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(bad(|c| c.decay = Duration::ZERO), "decay");
    assert_eq!(bad(|c| c.max_outstanding = 0), "max_outstanding");
    assert_eq!(bad(|c| c.max_outstanding = 1_000_001), "max_outstanding");
    assert_eq!(bad(|c| c.panic_share = f64::NAN), "panic_share");
    assert_eq!(bad(|c| c.replicas = 17), "replicas");
    assert_eq!(bad(|c| c.ring.load_bound = 1.0), "ring.load_bound");
    assert_eq!(bad(|c| c.slow_start.min_share = 0.0), "slow_start.min_share");
    assert_eq!(bad(|c| c.outlier.max_ejected = 1.1), "outlier.max_ejected");
    assert_eq!(bad(|c| c.outlier.max_ejection = Duration::from_secs(1)), "outlier.max_ejection");
    assert_eq!(bad(|c| c.outlier.failure_share_requests = 0), "outlier.failure_share_requests");
    assert_eq!(bad(|c| c.probe.jitter = 1.0), "probe.jitter");
    assert_eq!(bad(|c| c.probe.healthy_after = 0), "probe.healthy_after");
    assert_eq!(bad(|c| c.lag.hard = Duration::ZERO), "lag.hard");
}

#[test]
fn a_table_of_a_size_that_some_walks_would_miss_is_refused() {
    let config = BalanceConfig { maglev_slots: 65_536, ..BalanceConfig::default() };
    assert_eq!(config.validate(), Err(Error::NotPrime { value: 65_536 }));
    for prime in [11, 251, 65_537, 5_000_011] {
        let config = BalanceConfig { maglev_slots: prime, ..BalanceConfig::default() };
        assert_eq!(config.validate(), Ok(()), "{prime}");
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_file_gives_the_configuration_and_a_misspelt_field_is_refused() {
    let text = "name = 'replicas'\npolicy = 'ring'\n[ring]\nload_bound = 1.5\n[outlier]\nbase_ejection = '10s'\n";
    let config: BalanceConfig = toml::from_str(text).unwrap();
    let mut expected = BalanceConfig::new("replicas", Policy::Ring);
    expected.ring.load_bound = 1.5;
    expected.outlier.base_ejection = Duration::from_secs(10);
    assert_eq!(config, expected);
    assert!(toml::from_str::<BalanceConfig>(&text.replace("load_bound", "bound_load")).is_err());
    let text = toml::to_string(&expected).unwrap();
    assert_eq!(toml::from_str::<BalanceConfig>(&text).unwrap(), expected);
    for policy in Policy::ALL {
        let text = format!("policy = '{}'", policy.as_str());
        assert_eq!(toml::from_str::<BalanceConfig>(&text).unwrap().policy, policy);
    }
}
