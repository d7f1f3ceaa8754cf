//! Rules that charge other subjects than the client.

use http::{Method, StatusCode};
use seawall_limit::{
    ClientConfig, ExceptionConfig, LayerConfig, LimitService, PolicyConfig, RuleConfig, Share,
    SubjectConfig,
};
use std::time::Duration;
use tower::Layer as _;

use crate::support::{Inner, get, inner, request, send};

fn policy(name: &str, limit: u32) -> PolicyConfig {
    PolicyConfig {
        name: name.to_owned(),
        limit,
        per: Duration::from_secs(60),
        mode: seawall_limit::Mode::default(),
        burst: None,
        debt: 0,
        message: None,
        enforced: Share::ALL,
        candidate: None,
    }
}

fn rule(path: &str, policies: &[&str], subject: SubjectConfig) -> RuleConfig {
    RuleConfig {
        path: Some(path.to_owned()),
        policies: policies.iter().map(|name| (*name).to_owned()).collect(),
        subject,
        verified: true,
        ..RuleConfig::default()
    }
}

fn layered(config: &LayerConfig) -> LimitService<Inner> {
    config.build().unwrap().layer(inner().0)
}

async fn passes(service: &LimitService<Inner>, path: &str, peer: &str) -> bool {
    get(service, path, peer).await.status == StatusCode::OK
}

async fn passes_with_key(service: &LimitService<Inner>, keys: &[&str], peer: &str) -> bool {
    let mut request = request(Method::GET, "/k", peer);
    for key in keys {
        request.headers_mut().append("x-api-key", key.parse().unwrap());
    }
    send(service, request).await.status == StatusCode::OK
}

#[tokio::test(start_paused = true)]
async fn a_key_in_a_field_has_its_own_quota_wherever_it_comes_from() {
    let config = LayerConfig {
        policies: vec![policy("p", 2)],
        exceptions: vec![ExceptionConfig {
            policy: "p".into(),
            keys: vec!["vip".into(), "9.9.9.9".into()],
            limit: Some(5),
            ..ExceptionConfig::default()
        }],
        rules: vec![rule("/k", &["p"], SubjectConfig::Header("x-api-key".into()))],
        ..LayerConfig::default()
    };
    let service = layered(&config);
    for peer in ["1.1.1.1", "2.2.2.2"] {
        assert!(passes_with_key(&service, &["a"], peer).await);
    }
    assert!(!passes_with_key(&service, &["a"], "3.3.3.3").await);
    // Without a key, or with two, it is the address.
    for keys in [&[][..], &["b", "c"]] {
        assert!(passes_with_key(&service, keys, "1.1.1.1").await);
    }
    assert!(!passes_with_key(&service, &[""], "1.1.1.1").await);
    // Exceptions, by key and by address.
    for keys in [&["vip"][..], &[]] {
        for _ in 0..5 {
            assert!(passes_with_key(&service, keys, "9.9.9.9").await);
        }
        assert!(!passes_with_key(&service, keys, "9.9.9.9").await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_parameter_has_one_quota_in_every_spelling() {
    let config = LayerConfig {
        policies: vec![policy("item", 3), policy("client", 100)],
        rules: vec![
            rule("/items/{id}/bids", &["client"], SubjectConfig::Client),
            rule("/items/{id}/bids", &["item"], SubjectConfig::Parameter("id".into())),
        ],
        ..LayerConfig::default()
    };
    let service = layered(&config);
    for (path, peer) in [
        ("/items/7/bids", "1.1.1.1"),
        ("/items/%37/bids", "2.2.2.2"),
        ("/items/7/bids/", "3.3.3.3"),
    ] {
        assert!(passes(&service, path, peer).await, "{path}");
    }
    let rejected = get(&service, "/items/7/bids", "4.4.4.4").await;
    assert_eq!(rejected.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(rejected.json()["violated-policies"], serde_json::json!(["item"]));
    assert!(passes(&service, "/items/8/bids", "4.4.4.4").await);
}

#[tokio::test(start_paused = true)]
async fn what_the_total_or_the_share_refuses_is_charged_to_neither() {
    let config = LayerConfig {
        policies: vec![policy("total", 5), policy("share", 3)],
        rules: vec![
            rule("/t", &["total"], SubjectConfig::Everybody),
            rule("/t", &["share"], SubjectConfig::Client),
        ],
        ..LayerConfig::default()
    };
    let service = layered(&config);
    let mut passed = 0;
    for _ in 0..50 {
        passed += usize::from(passes(&service, "/t", "1.1.1.1").await);
    }
    assert_eq!(passed, 3, "the share");
    assert!(passes(&service, "/t", "2.2.2.2").await && passes(&service, "/t", "2.2.2.2").await);
    // Both reject the first client: the longer wait, 20 s of the share, is told.
    let rejected = get(&service, "/t", "1.1.1.1").await;
    assert_eq!(rejected.header("retry-after"), Some("20"));
    let rejected = get(&service, "/t", "3.3.3.3").await;
    assert_eq!(rejected.json()["violated-policies"], serde_json::json!(["total"]));
    tokio::time::advance(Duration::from_secs(20)).await;
    assert!(passes(&service, "/t", "1.1.1.1").await);
}

#[tokio::test(start_paused = true)]
async fn a_large_network_is_held_by_its_wider_tiers_in_one_decision() {
    let config = LayerConfig {
        policies: vec![policy("net64", 2), policy("net56", 4), policy("net48", 6)],
        rules: vec![rule("/x", &["net64", "net56", "net48"], SubjectConfig::Tiers)],
        client: ClientConfig::default(),
        ..LayerConfig::default()
    };
    let service = layered(&config);
    let mut passed = 0;
    // 40 /64s in one /56.
    for net in 0..40 {
        passed += usize::from(passes(&service, "/x", &format!("2001:db8:1:{net:x}::1")).await);
    }
    assert_eq!(passed, 4);
    let rejected = get(&service, "/x", "2001:db8:1:ff::1").await;
    assert_eq!(rejected.json()["violated-policies"], serde_json::json!(["net56"]));
    // Then 200 /56s of the same /48: what the /56 refused was not charged to it.
    let mut passed = 0;
    for site in 1..200 {
        passed +=
            usize::from(passes(&service, "/x", &format!("2001:db8:1:{:x}::1", site << 8)).await);
    }
    assert_eq!(passed, 2);
    assert!(passes(&service, "/x", "2001:db8:2::1").await);
    for _ in 0..2 {
        assert!(passes(&service, "/x", "192.0.2.1").await);
    }
    assert!(!passes(&service, "/x", "192.0.2.1").await, "IPv4 has the first tier alone");
}
