use super::*;
use crate::config::CandidateConfig;
use crate::quota::Mode;
use crate::share::Share;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn policy(name: &str, limit: u32) -> PolicyConfig {
    PolicyConfig {
        name: name.to_owned(),
        limit,
        per: MINUTE,
        mode: Mode::Smooth,
        burst: None,
        debt: 0,
        message: None,
        enforced: Share::ALL,
        candidate: None,
    }
}

fn rule(prefix: &str, policies: &[&str]) -> RuleConfig {
    RuleConfig {
        prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
        policies: policies.iter().map(|name| (*name).to_owned()).collect(),
        ..RuleConfig::default()
    }
}

/// Without any trap.
fn config() -> LayerConfig {
    LayerConfig {
        policies: vec![policy("all", 100), policy("api", 10)],
        rules: vec![rule("", &["all"]), rule("/api", &["api"])],
        ..LayerConfig::default()
    }
}

fn traps(change: impl FnOnce(&mut LayerConfig)) -> Vec<(String, Trap, bool)> {
    let mut config = config();
    change(&mut config);
    assert_eq!(config.validate(), Ok(()));
    let findings = config.lint();
    let refused = findings.iter().find(|finding| finding.is_refused()).cloned();
    assert_eq!(config.build().map(drop), refused.map_or(Ok(()), |it| Err(Error::Trap(it.into()))));
    let told = |it: Finding| (it.place.clone(), it.trap, it.is_refused());
    findings.into_iter().map(told).collect()
}

fn only(change: impl FnOnce(&mut LayerConfig)) -> (String, Trap, bool) {
    let mut traps = traps(change);
    assert_eq!(traps.len(), 1, "{traps:?}");
    traps.remove(0)
}

#[test]
fn a_sound_configuration_has_no_trap() {
    assert_eq!(traps(|_| ()), []);
    assert_eq!(
        traps(|config| config.client.trusted = vec!["fc00::/7".into(), "10.0.0.0/8".into()]),
        []
    );
}

#[test]
fn networks_that_hold_clients_are_refused() {
    for network in ["0.0.0.0/0", "::/0", "128.0.0.0/1", "2000::/3"] {
        let trusted = only(|config| config.client.trusted = vec![network.into()]);
        assert_eq!(trusted, ("client.trusted".into(), Trap::TrustsEverybody, true), "{network}");
        let allowed = only(|config| config.allow = vec![network.into()]);
        assert_eq!(allowed, ("allow".into(), Trap::AllowsEverybody, true), "{network}");
    }
}

#[test]
fn a_key_that_clients_choose_is_refused_and_one_that_is_not_verified_is_told() {
    let by = |name: &str, verified| {
        traps(|config| {
            config.rules[1].subject = SubjectConfig::Header(name.into());
            config.rules[1].verified = verified;
        })
    };
    let place = || "rules[1]".to_owned();
    assert_eq!(by("User-Agent", true), [(place(), Trap::KeyOfTheClientsChoice, true)]);
    assert_eq!(by("x-api-key", false), [(place(), Trap::UnverifiedKey, false)]);
    assert_eq!(by("x-api-key", true), []);
}

#[test]
fn rules_that_do_nothing_are_told_with_the_reason() {
    let exempt = |prefix: &str| RuleConfig { exempt: true, ..rule(prefix, &[]) };
    for prefix in ["/api", "/{any}"] {
        let shadowed = only(|config| config.rules.push(exempt(prefix)));
        assert_eq!(shadowed, ("rules[1]".into(), Trap::Shadowed, true), "{prefix}");
    }
    for harmless in ["/api/health", "/apis", "/ap"] {
        assert_eq!(traps(|config| config.rules.push(exempt(harmless))), [], "{harmless}");
    }
    let everything = traps(|config| config.rules.push(exempt("")));
    assert!(everything.contains(&("rules[2]".into(), Trap::ExemptsEverything, true)));
    let redundant = only(|config| config.rules.push(rule("/api/x", &["api"])));
    assert_eq!(redundant, ("rules[2]".into(), Trap::Redundant, false));
    let twice = only(|config| config.rules.push(config.rules[1].clone()));
    assert_eq!(twice, ("rules[2]".into(), Trap::Redundant, false));
    let narrowed = traps(|config| {
        config.rules[1].methods = vec!["GET".into()];
        config.rules.push(RuleConfig { methods: vec!["POST".into()], ..rule("/api", &["api"]) });
    });
    assert_eq!(narrowed, []);
}

#[test]
fn an_exemption_of_one_method_does_not_shadow_a_rule_for_all() {
    let by_method = |methods: &[&str]| {
        traps(|config| {
            config.rules[1].methods = methods.iter().map(|it| (*it).to_owned()).collect();
            let exempt = RuleConfig { exempt: true, ..rule("/api", &[]) };
            config.rules.push(RuleConfig { methods: vec!["GET".into()], ..exempt });
        })
    };
    assert_eq!(by_method(&[]), []);
    assert_eq!(by_method(&["GET", "POST"]), []);
    assert_eq!(by_method(&["HEAD"])[0].1, Trap::Shadowed);
}

#[test]
fn policies_that_do_not_do_what_they_say_are_told() {
    let of = |change: fn(&mut PolicyConfig)| only(|config| change(&mut config.policies[1]));
    let place = || "policies[1] (api)".to_owned();
    let told = |trap| (place(), trap, false);
    assert_eq!(of(|it| it.burst = Some(11)), told(Trap::BurstAboveLimit));
    assert_eq!(of(|it| it.mode = Mode::Fixed), told(Trap::Boundary));
    assert_eq!(of(|it| (it.mode, it.burst) = (Mode::Strict, Some(10))), told(Trap::StrictStalls));
    assert_eq!(of(|it| it.per = 25 * 60 * MINUTE), told(Trap::LongPeriod));
    let unused = only(|config| drop(config.rules.pop()));
    assert_eq!(unused, told(Trap::UnusedPolicy));
    let never = only(|config| {
        config.policies.push(policy("more", 20));
        config.rules[1].policies.push("more".into());
    });
    assert_eq!(never, ("policies[2] (more)".into(), Trap::NeverBinds, false));
    let total = only(|config| {
        config.policies.push(policy("total", 9));
        config
            .rules
            .push(RuleConfig { subject: SubjectConfig::Everybody, ..rule("/api/x", &["total"]) });
        config.policies[0].limit = 9;
    });
    assert_eq!(total, ("policies[2] (total)".into(), Trap::TotalBelowShare, false));
    let mixed = only(|config| {
        let subject = SubjectConfig::Address;
        config.rules.push(RuleConfig { subject, ..rule("/x", &["api"]) });
    });
    assert_eq!(mixed, told(Trap::MixedSubjects));
    let same =
        ExceptionConfig { policy: "api".into(), keys: vec!["k".into()], ..Default::default() };
    let none = only(|config| config.exceptions.push(same));
    assert_eq!(none, ("exceptions[0]".into(), Trap::NoException, false));
}

#[test]
fn trials_that_show_nothing_are_told() {
    let of = |change: fn(&mut PolicyConfig)| traps(|config| change(&mut config.policies[1]));
    let place = || "policies[1] (api)".to_owned();
    let candidate = |limit, enforced| CandidateConfig { limit, enforced, ..Default::default() };
    let same = only(|config| config.policies[1].candidate = Some(candidate(None, Share::NONE)));
    assert_eq!(same, (place(), Trap::NoCandidate, false));
    let other = traps(|config| {
        config.policies[1].candidate = Some(candidate(Some(9), Share::percent(10).unwrap()));
    });
    assert_eq!(other, []);
    assert_eq!(of(|it| it.enforced = Share::NONE), []);
    let nothing = only(|config| {
        config.policies.iter_mut().for_each(|policy| policy.enforced = Share::NONE);
    });
    assert_eq!(nothing, ("policies".into(), Trap::NothingEnforced, false));
    let part = only(|config| {
        config.policies[0].enforced = Share::percent(10).unwrap();
        config.rules[0].subject = SubjectConfig::Everybody;
    });
    assert_eq!((part.1, part.2), (Trap::PartOfOne, false));
    // A shadow does not bind, so what is laxer beside it may.
    let beside = |enforced| {
        traps(|config| {
            config.policies[1].enforced = enforced;
            config.policies.push(policy("more", 20));
            config.rules[1].policies.push("more".into());
        })
    };
    assert_eq!(beside(Share::ALL).len(), 1);
    assert_eq!(beside(Share::NONE), []);
}

#[test]
fn a_bad_field_is_named_with_its_place_its_value_and_its_bound() {
    let error = |change: fn(&mut LayerConfig)| {
        let mut config = config();
        change(&mut config);
        let error = config.validate().unwrap_err();
        assert_eq!(config.build().map(drop).unwrap_err(), error);
        error.to_string()
    };
    for (change, text) in [
        (
            (|it| it.policies[1].limit = 0) as fn(&mut LayerConfig),
            "policies[1]: limit is 0, but must be within 1..=4294967295",
        ),
        (
            |it| it.policies[1].burst = Some(0),
            "policies[1]: burst is 0, but must be within 1..=4294967295",
        ),
        (|it| it.policies[0].name = "a b".into(), "policies[0]: policy name \"a b\""),
        (|it| it.rules[1].policies = vec!["nope".into()], "rules[1]: no policy is named \"nope\""),
        (
            |it| it.rules[1].methods = vec!["get".into()],
            "rules[1]: methods is \"get\", but must be a method in capitals",
        ),
        (
            |it| it.rules[1].path = Some("/x".into()),
            "rules[1]: prefix is \"/api\", but must be left out",
        ),
        (
            |it| it.rules[1].prefix = Some("api".into()),
            "rules[1]: path pattern \"api\" must start with '/'",
        ),
        (
            |it| it.rules[1].subject = SubjectConfig::Header("a b".into()),
            "rules[1]: header is \"a b\", but must be the name of a field",
        ),
        (
            |it| it.rules[1].subject = SubjectConfig::Parameter("id".into()),
            "rules[1]: the rule's path has no segment {id}",
        ),
        (
            |it| {
                it.rules[1].subject = SubjectConfig::Tiers;
                it.rules[1].policies = vec!["api".into(); 4];
            },
            "rules[1]: policies of tiers is 4, but must be within 1..=3",
        ),
        (
            |it| it.exceptions.push(ExceptionConfig { policy: "no".into(), ..Default::default() }),
            "exceptions[0]: no policy is named \"no\"",
        ),
        (
            |it| it.exceptions.push(ExceptionConfig { policy: "api".into(), ..Default::default() }),
            "exceptions[0]: an exception must name at least one key",
        ),
        (|it| it.max_keys = 0, "max_keys is 0, but must be within 1..=67108864"),
        (|it| it.client.ipv6_prefix = 0, "ipv6_prefix is 0, but must be within 1..=128"),
        (|it| it.client.trusted = vec!["ten".into()], "\"ten\" is not an address or a network"),
        (|it| it.allow = vec!["ten".into()], "\"ten\" is not an address or a network"),
        (
            |it| {
                it.client.behind = 1;
                it.client.trusted = vec!["10.0.0.0/8".into()];
            },
            "behind is 1, but must be within 0..=0",
        ),
        (|it| it.rules.clear(), "a limit layer must name at least one rule"),
        (|it| it.policies.clear(), "a limiter must name at least one policy"),
    ] {
        let error = error(change);
        assert!(error.starts_with(text), "{error}");
    }
}

#[test]
fn keys_of_exceptions_are_not_printed() {
    let mut config = config();
    let keys = vec!["sesame".into(), "sesame".into()];
    config.exceptions.push(ExceptionConfig { policy: "api".into(), keys, ..Default::default() });
    let error = config.validate().unwrap_err();
    assert!(!format!("{config:?} {error} {error:?}").contains("sesame"));
    assert_eq!(error, Error::DuplicateException { policy: "api".into() });
}

#[cfg(feature = "serde")]
#[test]
fn a_file_says_the_same_in_every_format_and_a_misspelt_field_is_refused() {
    let text = "
        allow = ['192.0.2.1']
        [client]
        behind = 1
        header = 'forwarded'
        [[policies]]
        name = 'partner'
        limit = 100
        per = '1m'
        [[exceptions]]
        policy = 'partner'
        keys = ['acme']
        limit = 5000
        per = '2m'
        [[rules]]
        path = '/p/{id}'
        methods = ['POST']
        policies = ['partner']
        subject = { header = 'x-api-key' }
        verified = true
        [[rules]]
        prefix = '/health'
        exempt = true
    ";
    let config: LayerConfig = toml::from_str(text).unwrap();
    assert_eq!(config.exceptions[0].per, Some(2 * MINUTE));
    assert_eq!(config.rules[0].subject, SubjectConfig::Header("x-api-key".into()));
    assert_eq!((config.validate(), config.lint()), (Ok(()), vec![]));
    let again: LayerConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config);
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<LayerConfig>(&json).unwrap(), config);
    for (right, wrong) in
        [("verified", "verifed"), ("behind", "hops"), ("header = 'x", "head = 'x"), ("keys", "key")]
    {
        assert!(toml::from_str::<LayerConfig>(&text.replace(right, wrong)).is_err(), "{wrong}");
    }
}
