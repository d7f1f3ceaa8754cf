//! The model beside the real script, question by question.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use seawall_devstack::Stack;

use super::*;
use crate::cluster::config::ClusterConfig;
use crate::cluster::law::Law;
use crate::cluster::link::Link;
use crate::key::Key;

fn spec(laws: &[(&str, u64, u64)]) -> Spec {
    Spec {
        ids: (0..laws.len() as u8).collect(),
        laws: laws
            .iter()
            .map(|(_, emission, burst)| Law { emission: *emission, capacity: emission * burst })
            .collect(),
        names: laws.iter().map(|(name, ..)| (*name).into()).collect(),
        mask: 0,
        exact: false,
    }
}

async fn agree(functions: bool, seed: u64) {
    let stack = Stack::builder().redis().start().await.unwrap();
    let url = stack.redis().unwrap().url();
    let mut config = ClusterConfig { url, functions, ..ClusterConfig::default() };
    config.deadline = std::time::Duration::from_secs(10);
    let link = Link::start(&config).unwrap();
    while !link.is_up() {
        tokio::task::yield_now().await;
    }
    // From microseconds to the largest that may be.
    let specs = [
        spec(&[("a", 50_000, 10)]),
        spec(&[("a", 50_000, 10), ("b-1.x", 1_000, 700), ("c", 7, 3)]),
        spec(&[("long", (1 << 51) / 3, 3), ("c", 7, 3)]),
        spec(&[("b-1.x", 1_000, 700), ("long", (1 << 51) / 3, 3)]),
        // The same names under other laws, as after a reload.
        spec(&[("a", 90_001, 3), ("c~", 7, 3)]),
        spec(&[("a", 7, 1), ("b-1.x", 999_983, 5), ("long", 1_000, 1 << 31)]),
    ];
    let mut random = StdRng::seed_from_u64(seed);
    let mut model = Model::default();
    let mut granted_at = 1;
    for turn in 0..1_500 {
        let spec = &specs[random.random_range(0..specs.len())];
        let subject = Subject::of(Key::Number(random.random_range(0..4)));
        let (real, modelled) = if random.random_bool(0.7) {
            let want = Want { need: random.random_range(0..5), want: random.random_range(0..50) };
            let divisor = random.random_range(1..5);
            let real = link.decide(spec, divisor, (subject, want)).await.unwrap();
            let modelled = model.decide(real.now, subject, spec, divisor, want);
            if real.granted > 0 {
                granted_at = real.now;
            }
            (real, modelled)
        } else {
            let units = random.random_range(0..8);
            let amend = Amend {
                kind: match random.random_range(0..3) {
                    0 => AmendKind::Charge,
                    1 => AmendKind::Refund,
                    _ => AmendKind::Return { granted_at },
                },
                amounts: {
                    // As of a settlement, which is about some of them.
                    let meant = random.random_range(0..8_u32);
                    let all = spec.laws.iter().enumerate();
                    all.map(|(place, law)| law.price(units) * u64::from(meant != place as u32))
                        .collect()
                },
            };
            let amends = [(subject, amend.clone())];
            let real = link.amend(spec, &amends).await.remove(0).unwrap();
            let modelled = model.amend(real.now, subject, spec, &amend);
            (real, modelled)
        };
        assert_eq!(real, modelled, "seed {seed}, turn {turn}, {spec:?}");
    }
    link.close().await;
}

#[tokio::test]
async fn the_script_decides_as_the_model() {
    agree(false, 1).await;
}

#[tokio::test]
async fn the_function_decides_as_the_model() {
    agree(true, 2).await;
}

#[test]
fn a_return_gives_nothing_back_that_has_refilled_since() {
    let (spec, subject) = (spec(&[("a", 100, 10)]), Subject::of(Key::Number(1)));
    let (mut model, all) = (Model::default(), Want { need: 10, want: 0 });
    assert_eq!(model.decide(5_000, subject, &spec, 1, all).granted, 10);
    // Full again, and spent by others.
    assert_eq!(model.decide(6_000, subject, &spec, 1, all).granted, 10);
    let kind = AmendKind::Return { granted_at: 5_000 };
    let half = |kind| Amend { kind, amounts: vec![500] };
    assert_eq!(model.amend(6_000, subject, &spec, &half(kind)).spent, [1_000]);
    // Soon after the grant it is worth nearly all.
    let kind = AmendKind::Return { granted_at: 5_900 };
    assert_eq!(model.amend(6_000, subject, &spec, &half(kind)).spent, [600]);
}

#[test]
fn a_settlement_leaves_policies_that_it_is_not_about_as_they_are() {
    let (old, new) = (spec(&[("a", 100, 10), ("b", 100, 10)]), spec(&[("a", 50, 10)]));
    let subject = Subject::of(Key::Number(1));
    let mut model = Model::default();
    let want = Want { need: 5, want: 0 };
    assert_eq!(model.decide(1_000, subject, &new, 1, want).granted, 5);
    let before = model.keys[&subject]["a"];
    // A node that has the new law not yet settles another policy.
    let amend = Amend { kind: AmendKind::Charge, amounts: vec![0, 200] };
    assert_eq!(model.amend(1_000, subject, &old, &amend).spent[1], 200);
    assert_eq!(model.keys[&subject]["a"], before);
}
