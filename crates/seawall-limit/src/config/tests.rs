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

#[cfg(feature = "serde")]
#[test]
fn a_mode_a_burst_and_a_debt_that_do_not_go_together_are_refused() {
    let build = |text: &str| {
        let text = format!("[[policies]]\nname = 'p'\nlimit = 100\nper = '15m'\n{text}");
        toml::from_str::<LimitConfig>(&text).map(|config| config.build())
    };
    let strict = build("mode = 'strict'\nburst = 20\ndebt = 5").unwrap().unwrap();
    let quota = strict.policies()[0].quota();
    assert_eq!((quota.mode(), quota.burst(), quota.debt()), (Mode::Strict, 20, 5));
    assert_eq!(quota.max_admitted(Duration::from_secs(900)), 100);
    let config = PolicyConfig::from(&strict.policies()[0]);
    assert_eq!((config.mode, config.burst, config.debt), (Mode::Strict, None, 5));

    assert_eq!(build("mode = 'fixed'").unwrap().unwrap().policies()[0].quota().mode(), Mode::Fixed);
    for (text, field) in [
        ("mode = 'strict'\nburst = 101", "burst"),
        ("mode = 'fixed'\nburst = 20", "burst"),
        ("mode = 'window'\ndebt = 1", "debt"),
    ] {
        let error = build(text).unwrap().unwrap_err();
        assert!(
            matches!(error, Error::OutOfRange { field: named, .. } if named == field),
            "{text}"
        );
    }
    assert!(build("mode = 'leaky'").is_err());
}
