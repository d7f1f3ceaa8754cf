use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::super::{Condition, Evaluator};
use crate::{Signals, Truth, Unit};

/// Text of a condition, nested at most a few levels.
fn condition() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<f64>().prop_filter_map("finite", |x| x.is_finite().then(|| format!("{x:e}"))),
        (-1000_i32..1000).prop_map(|x| x.to_string()),
        (0_u32..10_000).prop_map(|x| format!("{}.{:03}", x / 1000, x % 1000)),
    ];
    let suffix = prop::sample::select(vec![
        "", "k", "%", "ms", "s", "m", "h", "d", "us", "ns", "B", "MB", "KiB", "/s", "/min", "rps",
    ]);
    let literal = (number, suffix).prop_map(|(n, s)| format!("{n}{s}"));
    let name = prop_oneof!["[a-c]", "[a-z_][a-z0-9_.:]{0,8}"];
    let argument = literal.clone();
    let signal = name.prop_recursive(2, 6, 2, move |inner| {
        prop_oneof![
            inner.clone().prop_map(|x| format!("p95({x})")),
            (inner, argument.clone()).prop_map(|(x, l)| format!("avg( {x},{l})")),
        ]
    });
    let op = prop::sample::select(vec![">", ">=", "<", "<=", "==", "!="]);
    let leaf = prop_oneof![
        4 => (signal.clone(), op, literal).prop_map(|(s, o, l)| format!("{s}{o}{l}")),
        1 => signal.clone().prop_map(|s| format!("absent({s})")),
        1 => signal.prop_map(|s| format!("{s} > 80% clear <= 7e-1%")),
    ];
    let tree = leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|x| format!("not({x})")),
            inner.clone().prop_map(|x| format!("not {x}")),
            prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|x| format!("({})", x.join(" and "))),
            prop::collection::vec(inner, 2..4).prop_map(|x| x.join(" or ")),
        ]
    });
    (tree, prop::option::of(0_u32..100_000)).prop_map(|(tree, hold)| match hold {
        Some(s) => format!("{tree} for {s}s"),
        None => tree,
    })
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), -2.0..2.0_f64]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_displayed_parses_back_to_the_same(text in condition()) {
        // Some are refused: a keyword as name, `clear` below `not`, a literal
        // out of range. Too many refusals fail the test.
        let parsed = Condition::parse(&text);
        prop_assume!(parsed.is_ok());
        let shown = parsed.as_ref().map(ToString::to_string).unwrap_or_default();
        let again = Condition::parse(&shown);
        prop_assert_eq!(&again, &parsed, "{} shown as {}", text, shown);
        prop_assert_eq!(again.map(|c| c.to_string()), Ok(shown));
    }

    #[test]
    fn no_text_panics_and_every_error_lies_within_it(
        text in prop_oneof![
            any::<String>(),
            "[a-c0-9 ()<>=!%.,/e+-]{0,40}",
            "((and|or|not|for|clear|absent|a|p95|80%|2m|[(),<>]|==) ?){0,20}",
        ],
    ) {
        if let Err(error) = Condition::parse(&text) {
            prop_assert!(error.column() <= text.chars().count() + 1);
            prop_assert!(error.found().is_none_or(|found| text.contains(found)));
            prop_assert!(error.render().lines().count() == 3);
        }
    }

    #[test]
    fn evaluation_is_total_and_a_step_without_hold_agrees_with_it(
        text in condition(),
        values in prop::collection::vec((value(), 0_u64..200), 3),
    ) {
        let now = Instant::now() + Duration::from_secs(1000);
        let mut signals = Signals::new();
        for (name, (value, age)) in ["a", "b", "c"].into_iter().zip(values) {
            signals.set(name, value, Unit::Ratio, now + Duration::from_secs(20) - Duration::from_secs(age));
        }
        if let Ok(condition) = Condition::parse(&text) {
            let max_age = Duration::from_secs(60);
            let plain = condition.evaluate(&signals, now, max_age);
            let held = !condition.hold().is_zero();
            let stepped = Evaluator::new(condition).step(&signals, now);
            let expected = if held && plain.is_true() { Truth::False } else { plain };
            prop_assert_eq!(stepped, expected);
        }
    }
}
