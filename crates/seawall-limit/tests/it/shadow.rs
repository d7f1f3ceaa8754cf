//! Policies on trial in a layer, from a file and across a reload.

use http::StatusCode;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use seawall_limit::{
    LayerConfig, LimitLayer, LimitService, Policy, Quota, Rule, ShadowStats, Share,
};
use std::time::Duration;
use tower::Layer as _;

use crate::support::{Inner, get, inner};

fn config(enforced: &str) -> LayerConfig {
    let text = format!(
        r#"
        share_seed = 7
        [[policies]]
        name = "new"
        limit = 3
        per = "1m"
        {enforced}
        [[rules]]
        policies = ["new"]
        "#
    );
    toml::from_str(&text).unwrap()
}

async fn passes(service: &LimitService<Inner>, client: u8, times: usize) -> usize {
    let mut passed = 0;
    for _ in 0..times {
        let answer = get(service, "/", &format!("10.0.0.{client}")).await;
        passed += usize::from(answer.status == StatusCode::OK);
    }
    passed
}

fn counts(stats: &ShadowStats) -> [u64; 4] {
    let it = stats.requests;
    [it.both_admit, it.only_shadow_refuses, it.only_live_refuses, it.both_refuse]
}

#[tokio::test(start_paused = true)]
async fn a_shadow_from_a_file_refuses_nobody_and_clients_do_not_see_it() {
    let layer = config("enforced = 0").build().unwrap();
    let service = layer.layer(inner().0);
    assert_eq!(passes(&service, 1, 5).await, 5);
    let answer = get(&service, "/", "10.0.0.1").await;
    assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), (None, None));
    assert_eq!(counts(&layer.shadow().unwrap()), [3, 3, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_share_that_a_reload_raises_only_adds_clients_and_keeps_what_they_spent() {
    let layer = config("enforced = 0").build().unwrap();
    let service = layer.layer(inner().0);
    let mut before: Vec<u8> = Vec::new();
    for percent in [20, 60, 100] {
        layer.reload(&config(&format!("enforced = {percent}")), |builder| builder).unwrap();
        let mut enforced = Vec::new();
        for client in 0..100 {
            if passes(&service, client, 4).await < 4 {
                enforced.push(client);
            }
        }
        assert!(before.iter().all(|client| enforced.contains(client)), "{percent}");
        // Six standard deviations.
        assert!(enforced.len().abs_diff(percent) < 31, "{} of {percent}", enforced.len());
        // Those who were held before spent in the shadow as well: nothing was left for them.
        for client in &before {
            assert_eq!(passes(&service, *client, 1).await, 0);
        }
        match layer.shadow() {
            Some(stats) => assert_eq!(stats.policies[0].share.as_percent(), percent as f64),
            None => assert_eq!(percent, 100),
        }
        before = enforced;
    }
    assert_eq!(before.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn several_subjects_in_one_decision_have_one_twin() {
    let minute = Duration::from_secs(60);
    let limiter = seawall_limit::Limiter::builder()
        .policy(
            Policy::new("share", Quota::per(5, minute).unwrap())
                .candidate(Quota::per(2, minute).unwrap(), Share::NONE),
        )
        .policy(Policy::new("total", Quota::per(8, minute).unwrap()))
        .build()
        .unwrap();
    let layer = LimitLayer::new(limiter)
        .rule(Rule::any().policy("total").by(seawall_limit::Subject::Everybody))
        .rule(Rule::any().policy("share"))
        .build()
        .unwrap();
    let service = layer.layer(inner().0);
    let mut passed = [0; 3];
    for (passed, client) in passed.iter_mut().zip(0..) {
        *passed = passes(&service, client, 6).await;
    }
    assert_eq!(passed, [5, 3, 0]);
    let stats = layer.shadow().unwrap();
    // In the shadow each of the three has two, and six of the total are spent.
    assert_eq!(counts(&stats), [4, 4, 2, 8]);
    let total = stats.policies[1].difference;
    assert_eq!((total.only_live_refuses, total.only_shadow_refuses, total.both_refuse), (9, 0, 0));
}

#[test]
fn the_difference_is_in_the_metrics_and_a_share_as_well() {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        let layer = config("candidate = { limit = 2, enforced = 0.5 }").build().unwrap();
        let service = layer.layer(inner().0);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { assert_eq!(passes(&service, 1, 4).await, 3) });
        layer.reload(&config(""), |builder| builder).unwrap();
    });
    let mut seen = Vec::new();
    for (key, _, description, value) in recorder.snapshotter().snapshot().into_vec() {
        let (_, key) = key.into_parts();
        if key.name().contains("shadow") || key.name().contains("enforced") {
            assert!(description.is_some(), "{key}");
            let outcome = key.labels().find(|label| label.key() == "outcome");
            let name = outcome.map_or("share", |label| label.value()).to_owned();
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(share) => share.0,
                DebugValue::Histogram(_) => f64::NAN,
            };
            seen.push((name, value));
        }
    }
    seen.sort_by(|one, other| one.0.cmp(&other.0));
    let expected = [
        ("both_admit", 2.0),
        ("both_refuse", 1.0),
        ("only_live_refuses", 0.0),
        ("only_shadow_refuses", 1.0),
        // After the reload, which took the candidate away.
        ("share", 1.0),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(seen, expected);
}

#[test]
fn a_share_that_is_no_percentage_is_refused_with_its_bound() {
    for enforced in ["101", "-1", "0.001", "'all'"] {
        let text =
            format!("[[policies]]\nname = \"a\"\nlimit = 1\nper = \"1m\"\nenforced = {enforced}\n");
        let error = toml::from_str::<LayerConfig>(&text).unwrap_err().to_string();
        assert!(error.contains("a percentage within 0..=100"), "{error}");
    }
    let both = config("enforced = 5\ncandidate = { limit = 2 }").build().unwrap_err().to_string();
    assert!(both.ends_with("has a candidate, so enforced must be 100"), "{both}");
}
