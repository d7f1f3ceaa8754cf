use super::*;

#[test]
fn presets_are_the_quotas_that_were_asked_for() {
    for (known, built) in [
        (presets::ALL, Quota::per(10_000, Duration::from_secs(900))),
        (presets::API, Quota::per(5_000, Duration::from_secs(900))),
        (presets::AUTH, Quota::per(100, Duration::from_secs(900))),
        (presets::BIDS, Quota::per(50, Duration::from_secs(60))),
    ] {
        assert_eq!(Ok(known), built);
    }
    assert_eq!(LimitConfig::default().validate(), Ok(()));
}

#[test]
fn a_bad_field_is_named() {
    let mut config = LimitConfig::default();
    config.policies[0].burst = Some(0);
    assert!(matches!(config.validate(), Err(Error::OutOfRange { field: "burst", value: 0, .. })));
    config.policies[0].burst = None;
    config.max_keys = 0;
    assert!(matches!(
        config.validate(),
        Err(Error::OutOfRange { field: "max_keys", value: 0, .. })
    ));
    assert!(config.build().is_err());
}

#[cfg(feature = "serde")]
#[test]
fn a_file_gives_the_policies_and_a_misspelt_field_is_refused() {
    let text =
        "[[policies]]\nname = 'bids'\nlimit = 50\nper = '1m'\nburst = 10\nmessage = 'Slow down.'\n";
    let config: LimitConfig = toml::from_str(text).unwrap();
    assert_eq!(config.max_keys, MAX_KEYS);
    let limiter = config.build().unwrap();
    let quota = Quota::per(50, Duration::from_secs(60)).unwrap().with_burst(10).unwrap();
    assert_eq!(limiter.policies(), [Policy::new("bids", quota).message("Slow down.")]);

    assert!(toml::from_str::<LimitConfig>(&text.replace("burst", "brust")).is_err());
    let round: LimitConfig =
        toml::from_str(&toml::to_string(&LimitConfig::default()).unwrap()).unwrap();
    assert_eq!(round, LimitConfig::default());
}

#[cfg(all(feature = "serde", feature = "tower"))]
#[test]
fn guards_take_their_defaults_from_a_file_that_says_nothing() {
    use crate::guard::Guards;
    let guards: Guards = toml::from_str("max_url = 100").unwrap();
    assert_eq!(guards, Guards { max_url: 100, ..Guards::default() });
    assert!(Guards { max_url: 0, ..Guards::default() }.validate().is_err());
    assert!(toml::from_str::<Guards>("max_uri = 100").is_err());
}
