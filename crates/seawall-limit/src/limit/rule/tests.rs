use super::*;
use crate::presets;

fn rules(rules: Vec<Rule>) -> Result<Rules, Error> {
    let limiters = Limiters {
        local: Some(Limiter::builder().policies(presets::auction()).build()?),
        #[cfg(feature = "redis")]
        cluster: None,
    };
    Rules::compile(limiters, rules)
}

fn auction() -> Rules {
    rules(vec![
        Rule::any().policy("all"),
        Rule::path_prefix("/api").policy("api"),
        Rule::path("/api/auctions/{id}/bids").method(Method::POST).policy("bids"),
        Rule::path("/api/list").method(Method::GET).policy("auth").policy("all"),
        Rule::path_prefix("/health").exempt(),
    ])
    .unwrap()
}

fn met(rules: &Rules, method: &Method, path: &str) -> Vec<String> {
    let sets = rules.policies(method, path).into_iter().flat_map(|sets| &sets.local);
    sets.flat_map(|(_, set)| set.names().map(str::to_owned)).collect()
}

#[test]
fn all_matching_rules_count_and_the_last_is_first() {
    let rules = auction();
    assert_eq!(met(&rules, &Method::GET, "/"), ["all"]);
    assert_eq!(met(&rules, &Method::GET, "/api/auctions/7/bids"), ["api", "all"]);
    assert_eq!(met(&rules, &Method::POST, "/api/auctions/7/bids"), ["bids", "api", "all"]);
    assert_eq!(met(&rules, &Method::GET, "/api/list"), ["auth", "all", "api"]);
}

#[test]
fn head_is_no_way_around_a_rule_for_get() {
    assert_eq!(met(&auction(), &Method::HEAD, "/api/list"), ["auth", "all", "api"]);
    assert_eq!(met(&auction(), &Method::POST, "/api/list"), ["api", "all"]);
}

#[test]
fn exempt_beats_every_other_rule() {
    assert!(met(&auction(), &Method::GET, "/health").is_empty());
    assert!(met(&auction(), &Method::GET, "/health/ready").is_empty());
    assert_eq!(met(&auction(), &Method::GET, "/healthy"), ["all"]);
}

#[test]
fn a_combination_is_made_once() {
    let rules = auction();
    let twice = [(); 2].map(|()| std::ptr::from_ref(rules.policies(&Method::GET, "/api").unwrap()));
    assert_eq!(twice[0], twice[1]);
}

#[test]
fn rules_that_cannot_work_are_refused() {
    let error = |list| rules(list).err().unwrap();
    assert!(matches!(error(vec![]), Error::Empty { what: "a limit layer", .. }));
    assert!(matches!(error(vec![Rule::any()]), Error::Empty { what: "a rule", .. }));
    assert_eq!(error(vec![Rule::any().policy("x")]), Error::UnknownPolicy { name: "x".into() });
    assert!(matches!(error(vec![Rule::path("x").policy("all")]), Error::PathPattern { .. }));
    assert!(matches!(
        error(vec![Rule::any().exempt(); 65]),
        Error::OutOfRange { field: "rules", value: 65, .. }
    ));
}
