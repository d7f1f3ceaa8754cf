//! A layer that gets another configuration while it runs.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Method, StatusCode};
use http_body_util::Full;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use seawall_limit::{
    Access, AccessList, Error, LayerConfig, LimitLayer, LimitLayerBuilder, LimitService, ListLayer,
    Mode, PolicyConfig, RuleConfig, Share, SharedAccessList,
};
use tower::{Layer as _, Service as _};

use crate::support::{Inner, get, inner, request};

pub(crate) fn config(policies: &[(&str, u32)]) -> LayerConfig {
    let policy = |(name, limit): &(&str, u32)| PolicyConfig {
        name: (*name).to_owned(),
        limit: *limit,
        per: Duration::from_secs(3_600),
        mode: Mode::Smooth,
        burst: None,
        debt: 0,
        message: None,
        enforced: Share::ALL,
        candidate: None,
    };
    let rule = |(name, _): &(&str, u32)| RuleConfig {
        prefix: Some(format!("/{name}")),
        policies: vec![(*name).to_owned()],
        ..RuleConfig::default()
    };
    LayerConfig {
        policies: policies.iter().map(policy).collect(),
        rules: policies.iter().map(rule).collect(),
        ..LayerConfig::default()
    }
}

fn running(policies: &[(&str, u32)]) -> (LimitLayer, LimitService<Inner>) {
    let layer = config(policies).build().unwrap();
    let service = layer.layer(inner().0);
    (layer, service)
}

async fn spend(service: &LimitService<Inner>, path: &str, peer: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(get(service, path, peer).await.status, StatusCode::OK);
    }
}

async fn passes(service: &LimitService<Inner>, path: &str, peer: &str) -> usize {
    let mut passed = 0;
    while passed < 1_000 && get(service, path, peer).await.status == StatusCode::OK {
        passed += 1;
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn a_service_that_runs_keeps_the_share_that_was_spent() {
    let (layer, service) = running(&[("a", 100), ("gone", 5)]);
    spend(&service, "/a", "1.1.1.1", 60).await;
    spend(&service, "/gone", "1.1.1.1", 5).await;
    assert_eq!(passes(&service, "/a", "2.2.2.2").await, 100);
    layer.reload(&config(&[("a", 50), ("fresh", 3)]), |code| code).unwrap();
    assert_eq!(passes(&service, "/a", "1.1.1.1").await, 20);
    assert_eq!(passes(&service, "/a", "2.2.2.2").await, 0);
    assert_eq!(passes(&service, "/a", "3.3.3.3").await, 50);
    assert_eq!(passes(&service, "/fresh", "1.1.1.1").await, 3);
    assert_eq!(passes(&service, "/gone", "1.1.1.1").await, 1_000, "no rule names it any more");
    layer.reload(&config(&[("gone", 5)]), |code| code).unwrap();
    assert_eq!(passes(&service, "/gone", "1.1.1.1").await, 5, "what is gone is forgotten");
}

#[test]
fn a_bad_configuration_changes_nothing_and_is_counted() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (layer, service) = running(&[("a", 10)]);
            spend(&service, "/a", "1.1.1.1", 4).await;
            let mut bad = config(&[("a", 1_000)]);
            bad.rules[0].policies.push("nope".into());
            assert!(matches!(
                layer.reload(&bad, |code| code),
                Err(Error::At { list: "rules", index: 0, .. })
            ));
            let mut trap = config(&[("a", 1_000)]);
            trap.client.trusted = vec!["0.0.0.0/0".into()];
            assert!(matches!(layer.reload(&trap, |code| code), Err(Error::Trap(_))));
            let code = |code: LimitLayerBuilder| code.allow(["ten"]);
            assert!(layer.reload(&config(&[("a", 1_000)]), code).is_err());
            assert_eq!(passes(&service, "/a", "1.1.1.1").await, 6);
            layer.reload(&config(&[("a", 20)]), |code| code).unwrap();
        });
    });
    let count = |outcome: &str| {
        let all = seen.snapshot().into_vec();
        let found = all.into_iter().find(|(key, ..)| {
            key.key().name() == "seawall_limit_reloads_total"
                && key.key().labels().any(|label| label.value() == outcome)
        });
        found.map(|(.., value)| format!("{value:?}"))
    };
    assert_eq!(count("refused"), Some("Counter(3)".into()));
}

#[test]
fn reloads_under_fire_lose_no_charge_and_forgive_nobody() {
    const LIMIT: u32 = 3_000;
    const RELOADS: usize = 40;
    let (layer, service) = running(&[("a", LIMIT)]);
    let (passed, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let mut service = service.clone();
            let (passed, stop) = (&passed, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let call = std::pin::pin!(service.call(request(Method::GET, "/a", "1.1.1.1")));
                    let polled = call.poll(&mut Context::from_waker(Waker::noop()));
                    let Poll::Ready(Ok(response)) = polled else { panic!("at once") };
                    passed.fetch_add(
                        usize::from(response.status() == StatusCode::OK),
                        Ordering::Relaxed,
                    );
                }
            });
        }
        for round in 0..RELOADS {
            // The quota stays; the table and everything else change.
            let policies = [("a", LIMIT), ("b", 5)];
            layer.reload(&config(&policies[..1 + round % 2]), |code| code).unwrap();
            std::thread::yield_now();
        }
        while passed.load(Ordering::Relaxed) < LIMIT as usize - 2 * RELOADS {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
    // In an hour LIMIT units come back: one each 1.2 s. No bound in time here:
    // what may come back while a slow machine runs this is taken off.
    let passed = passed.load(Ordering::Relaxed);
    assert!(passed <= LIMIT as usize + 100, "{passed}");
}

#[test]
fn a_request_that_meets_two_lists_at_a_reload_is_counted_once_and_keeps_no_mark_of_the_first() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let lists = |allow: &str| {
            let list = AccessList::builder().allow_text(allow).unwrap().build();
            ListLayer::new(SharedAccessList::new(list))
        };
        let layer = Arc::new(OnceLock::<LimitLayer>::new());
        let (of_layer, replacing) = (Arc::clone(&layer), lists("2.2.2.2"));
        let built = config(&[("a", 10)]).builder().unwrap().lists(lists("1.1.1.1"));
        // In the midst of the first decision; the closure stays, and would do it for ever.
        let once = AtomicBool::new(false);
        let built = built.key_by(move |_| {
            if !once.swap(true, Ordering::Relaxed) {
                let other = |code: LimitLayerBuilder| code.lists(replacing.clone());
                of_layer.get().unwrap().reload(&config(&[("a", 10)]), other).unwrap();
            }
            None
        });
        let built = layer.get_or_init(|| built.build().unwrap());
        let marks = Mutex::new(Vec::new());
        let mut service = built.layer(tower::service_fn(|request: http::Request<Full<Bytes>>| {
            marks.lock().unwrap().push(request.extensions().get::<Access>().copied());
            std::future::ready(Ok::<_, Infallible>(http::Response::new(())))
        }));
        let call = service.call(request(Method::GET, "/a", "1.1.1.1"));
        assert_eq!(call.now_or_never().unwrap().unwrap().status(), StatusCode::OK);
        assert_eq!(*marks.lock().unwrap(), [None], "the lists of now do not name it");
    });
    let counted = seen.snapshot().into_vec().into_iter().filter_map(|(key, .., value)| {
        let ours = key.key().name() == "seawall_limit_list_decisions_total";
        let outcome = key.key().labels().next().map(|label| label.value().to_owned());
        (ours && value != DebugValue::Counter(0)).then_some((outcome, value))
    });
    assert_eq!(
        counted.collect::<Vec<_>>(),
        [(Some("unlisted".to_owned()), DebugValue::Counter(1))]
    );
}
