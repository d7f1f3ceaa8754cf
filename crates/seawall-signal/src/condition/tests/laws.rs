use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::super::{Condition, Evaluator, MissingData};
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
    let arith = prop::sample::select(vec!["+", " - ", "*", "/ "]);
    // Bare numbers: units rarely go together by chance.
    let operand = prop_oneof![3 => signal.clone(), 1 => (-9_i32..9).prop_map(|x| x.to_string())];
    let sum = operand.prop_recursive(3, 12, 2, move |inner| {
        prop_oneof![
            (inner.clone(), arith.clone(), inner.clone())
                .prop_map(|(a, op, b)| format!("{a} {op}{b}")),
            inner.prop_map(|x| format!("({x})")),
        ]
    });
    let leaf = prop_oneof![
        4 => (signal.clone(), op.clone(), literal).prop_map(|(s, o, l)| format!("{s}{o}{l}")),
        3 => (sum.clone(), op, sum).prop_map(|(a, o, b)| format!("{a}{o}{b}")),
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
    let missing = prop::sample::select(vec![
        "",
        " missing true",
        " missing false",
        " missing keep",
        " missing unknown",
    ]);
    (tree, prop::option::of(0_u32..100_000), missing).prop_map(|(tree, hold, missing)| match hold {
        Some(s) => format!("{tree} for {s}s{missing}"),
        None => format!("{tree}{missing}"),
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
            "((and|or|not|for|clear|missing|absent|true|a|p95|80%|2m|[(),<>*/+-]|==) ?){0,20}",
        ],
    ) {
        if let Err(error) = Condition::parse(&text) {
            prop_assert!(error.column() <= text.chars().count() + 1);
            prop_assert!(error.found().is_none_or(|found| text.contains(found)));
            prop_assert!(error.render().lines().count() == 3);
        }
    }

    #[test]
    fn one_slip_in_a_condition_is_pointed_at_or_makes_another_condition(
        text in condition(),
        at in any::<prop::sample::Index>(),
        slip in prop_oneof![
            Just(None),
            any::<char>().prop_map(Some),
            prop::sample::select(vec!['(', ')', '>', '=', '%', '-', '/', '.', ',', ' ', '9', 'e', 'x'])
                .prop_map(Some),
        ],
        replace in any::<bool>(),
    ) {
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        if replace || slip.is_none() {
            chars.remove(at);
        }
        if let Some(slip) = slip {
            chars.insert(at, slip);
        }
        let text: String = chars.into_iter().collect();
        match Condition::parse(&text) {
            Ok(condition) => {
                let shown = condition.to_string();
                prop_assert_eq!(Condition::parse(&shown), Ok(condition), "{} shown as {}", text, shown);
            }
            Err(error) => {
                prop_assert!(error.column() <= text.chars().count() + 1);
                let found: usize = error.found().map_or(0, |found| found.chars().count());
                prop_assert!(error.column() - 1 + found <= text.chars().count());
                // The carets stand below what was found.
                let picture = error.render();
                let carets = picture.lines().nth(2).unwrap_or_default();
                prop_assert_eq!(carets.chars().take_while(|c| *c == ' ').count(), error.column() + 1);
                prop_assert_eq!(carets.trim().chars().count(), found.max(1));
            }
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
            let condition_keeps = condition.missing() == MissingData::Keep;
            let stepped = Evaluator::new(condition).step(&signals, now);
            let kept = condition_keeps && plain.is_unknown();
            let expected = if kept || held && plain.is_true() { Truth::False } else { plain };
            prop_assert_eq!(stepped, expected);
        }
    }

    #[test]
    fn knowing_more_never_turns_a_known_answer_round(
        text in condition(),
        values in prop::collection::vec(prop::option::of(-2.0..2.0_f64), 3),
    ) {
        // Kleene's logic is monotone: what is settled without a signal stays so
        // with it. `absent` and policies ask about missing data itself.
        let Ok(condition) = Condition::parse(&text) else { return Ok(()) };
        prop_assume!(!text.contains("absent") && condition.missing() == MissingData::Unknown);
        let now = Instant::now();
        let (mut all, mut some) = (Signals::new(), Signals::new());
        for (name, value) in ["a", "b", "c"].into_iter().zip(values) {
            all.set(name, value.unwrap_or(0.5), Unit::None, now);
            if let Some(value) = value {
                some.set(name, value, Unit::None, now);
            }
        }
        let max_age = Duration::from_secs(60);
        let (less, more) =
            (condition.evaluate(&some, now, max_age), condition.evaluate(&all, now, max_age));
        prop_assert!(less.is_unknown() || less == more, "{} {:?} {:?}", text, less, more);
    }
}

#[test]
fn three_valued_logic_keeps_its_laws() {
    let all = [Truth::True, Truth::False, Truth::Unknown];
    for a in all {
        assert_eq!(!!a, a);
        assert_eq!(a.and(a), a);
        assert_eq!(a.or(a), a);
        assert_eq!(a.and(Truth::True), a);
        assert_eq!(a.or(Truth::False), a);
        for b in all {
            assert_eq!(a.and(b), b.and(a));
            assert_eq!(!(a.and(b)), (!a).or(!b));
            assert_eq!(a.or(a.and(b)), a);
            for c in all {
                assert_eq!(a.and(b.and(c)), a.and(b).and(c));
                assert_eq!(a.or(b.or(c)), a.or(b).or(c));
                assert_eq!(a.and(b.or(c)), a.and(b).or(a.and(c)));
            }
        }
    }
}
