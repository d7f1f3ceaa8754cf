//! The fields against the grammar of RFC 9651, and against each other over time.

use std::time::Duration;

use proptest::prelude::*;
use seawall_limit::{LimitLayer, Limiter, Policy, Quota, Rule};
use tower::Layer as _;

use crate::support::{get, inner};

type Parameters = Vec<(String, u64)>;

/// A List of Strings with Integer parameters, strictly.
fn parse(field: &str) -> Option<Vec<(String, Parameters)>> {
    field.split(", ").map(item).collect()
}

fn item(text: &str) -> Option<(String, Parameters)> {
    let (name, rest) = text.strip_prefix('"')?.split_once('"')?;
    if !name.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'\\') {
        return None;
    }
    let mut parameters = Vec::new();
    let mut rest = rest;
    while let Some(parameter) = rest.strip_prefix(';') {
        let (pair, after) =
            parameter.find(';').map_or((parameter, ""), |end| parameter.split_at(end));
        let (key, value) = pair.split_once('=')?;
        let digits =
            (1..=15).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
        if !key.bytes().all(|byte| byte.is_ascii_lowercase()) || !digits {
            return None;
        }
        parameters.push((key.to_owned(), value.parse().ok()?));
        rest = after;
    }
    rest.is_empty().then(|| (name.to_owned(), parameters))
}

fn value(parameters: &[(String, u64)], key: &str) -> Option<u64> {
    parameters.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_response_parses_and_keeps_its_promises(
        quotas in prop::collection::vec((1..30_u32, 1..5_000_u64, 1..40_u32), 1..4),
        gaps in prop::collection::vec(0..3_000_u64, 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut builder = Limiter::builder();
            let mut rule = Rule::any();
            for (index, (limit, period, burst)) in quotas.iter().enumerate() {
                let period = Duration::from_millis(period * 10);
                let quota = Quota::per(*limit, period).unwrap().with_burst(*burst).unwrap();
                builder = builder.policy(Policy::new(format!("p{index}"), quota));
                rule = rule.policy(format!("p{index}"));
            }
            let service = LimitLayer::new(builder.build().unwrap()).rule(rule).build().unwrap().layer(inner().0);
            let mut policies = None;
            let mut before: Option<(String, u64)> = None;
            for gap in gaps {
                tokio::time::advance(Duration::from_millis(gap)).await;
                let answer = get(&service, "/", "1.1.1.1").await;

                let policy = answer.header("ratelimit-policy").unwrap().to_owned();
                let listed = parse(&policy).expect(&policy);
                prop_assert_eq!(listed.len(), quotas.len());
                let first = policies.get_or_insert_with(|| policy.clone());
                prop_assert_eq!(&policy, first);

                let state = answer.header("ratelimit").unwrap();
                let states = parse(state).expect(state);
                prop_assert_eq!(states.len(), 1);
                let (name, parameters) = &states[0];
                let (r, t) = (value(parameters, "r").unwrap(), value(parameters, "t").unwrap());
                let (_, of_policy) = listed.iter().find(|(listed, _)| listed == name).unwrap();
                prop_assert!(r <= value(of_policy, "q").unwrap());
                if let Some((last, least)) = &before && last == name && gap == 0 {
                    prop_assert!(r <= *least, "r rose without time passing");
                }
                before = Some((name.clone(), r));

                if answer.status == 429 {
                    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                    prop_assert!(wait >= 1 && wait >= t);
                    prop_assert_eq!(&answer.json()["violated-policies"][0], name);
                } else {
                    prop_assert!(answer.header("retry-after").is_none());
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_spreads_what_is_left_over_the_window_is_never_rejected() {
    let quota = Quota::per(10, Duration::from_secs(60)).unwrap();
    let limiter = Limiter::builder().policy(Policy::new("p", quota)).build().unwrap();
    let layer = LimitLayer::new(limiter).rule(Rule::any().policy("p")).build().unwrap();
    let service = layer.layer(inner().0);
    for round in 0..50 {
        let answer = get(&service, "/", "1.1.1.1").await;
        assert_eq!(answer.status, 200, "round {round}");
        let state = parse(answer.header("ratelimit").unwrap()).unwrap();
        let (r, t) = (value(&state[0].1, "r").unwrap(), value(&state[0].1, "t").unwrap());
        tokio::time::advance(Duration::from_secs(t) / r.max(1) as u32).await;
    }
}
