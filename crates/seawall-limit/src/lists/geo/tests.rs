use super::*;

fn decide(policy: &GeoPolicy, country: &str) -> Access {
    policy.decide(Place { country: country.parse().ok(), asn: None })
}

fn countries(list: &[&str]) -> Vec<Country> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn an_allow_list_of_countries_keeps_the_others_out_and_deny_beats_it() {
    let policy = GeoPolicy {
        allow: countries(&["DE", "fr"]),
        deny: countries(&["FR"]),
        ..GeoPolicy::default()
    };
    assert_eq!(decide(&policy, "de"), Access::Allow);
    assert_eq!(decide(&policy, "FR"), Access::Deny);
    assert_eq!(decide(&policy, "US"), Access::Deny);
}

#[test]
fn a_gap_in_the_database_locks_nobody_out_unless_told() {
    let policy = GeoPolicy { allow: countries(&["DE"]), ..GeoPolicy::default() };
    assert_eq!(decide(&policy, ""), Access::Allow);
    assert_eq!(decide(&GeoPolicy { deny_unknown: true, ..policy }, ""), Access::Deny);
}

#[test]
fn what_is_no_country_is_refused() {
    for text in ["", "D", "DEU", "1A", "é", "D "] {
        assert_eq!(text.parse::<Country>(), Err(Error::Country { text: text.into() }));
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_policy_is_read_from_a_file_and_typos_are_refused() {
    let policy: GeoPolicy = toml::from_str("allow = [\"de\"]\ndeny_asns = [64496]").unwrap();
    assert_eq!(policy.allow, countries(&["DE"]));
    assert_eq!(toml::from_str::<GeoPolicy>(&toml::to_string(&policy).unwrap()).unwrap(), policy);
    assert!(toml::from_str::<GeoPolicy>("allow = [\"germany\"]").is_err());
    assert!(toml::from_str::<GeoPolicy>("alow = [\"DE\"]").is_err());
}
