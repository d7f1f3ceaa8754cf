use super::super::{Condition, ParseErrorKind};

/// Column, what was found, what was expected.
fn error(text: &str) -> (usize, Option<String>, ParseErrorKind) {
    let error = Condition::parse(text).expect_err(text);
    (error.column(), error.found().map(ToOwned::to_owned), error.kind())
}

#[test]
fn each_mistake_is_found_where_it_stands() {
    use ParseErrorKind as K;
    let max = std::time::Duration::from_secs(366 * 86_400);
    for (text, column, found, kind) in [
        ("", 1, None, K::ExpectedCondition),
        ("   ", 4, None, K::ExpectedCondition),
        ("80 < cpu", 1, Some("80"), K::ExpectedCondition),
        ("and", 1, Some("and"), K::ExpectedCondition),
        ("cpu", 4, None, K::ExpectedOperator),
        ("cpu over 80", 5, Some("over"), K::ExpectedOperator),
        ("cpu = 80", 5, Some("="), K::ExpectedOperator),
        ("cpu >", 6, None, K::ExpectedNumber),
        ("cpu > high", 7, Some("high"), K::ExpectedNumber),
        ("cpu > 80 percent", 10, Some("percent"), K::ExpectedEnd),
        ("cpu > 80ticks", 7, Some("80ticks"), K::UnknownUnit),
        ("cpu > 1e999", 7, Some("1e999"), K::NumberOutOfRange),
        ("cpu > 80 or", 12, None, K::ExpectedCondition),
        ("(cpu > 80", 10, None, K::ExpectedClose),
        ("cpu > 80)", 9, Some(")"), K::ExpectedEnd),
        ("p95(", 5, None, K::ExpectedArgument),
        ("p95(a b)", 7, Some("b"), K::ExpectedCommaOrClose),
        ("absent(80)", 8, Some("80"), K::ExpectedSignal),
        ("absent > 1", 8, Some(">"), K::ExpectedCondition),
        ("cpu > 80 for 2", 14, Some("2"), K::ExpectedDuration),
        ("cpu > 80 for ever", 14, Some("ever"), K::ExpectedDuration),
        ("cpu > 80 for -1s", 14, Some("-1s"), K::HoldOutOfRange { max }),
        ("cpu > 80 for 367d", 14, Some("367d"), K::HoldOutOfRange { max }),
        ("a > 1 for 1s for 2s", 14, Some("for"), K::ExpectedEnd),
        ("a > 1 clear < 0 clear < 0", 17, Some("clear"), K::ExpectedEnd),
        ("a > 9 and b > 9 for 1s clear < 3", 24, Some("clear"), K::ClearOfMany),
        ("not a > 9 clear < 3", 11, Some("clear"), K::ClearBelowNot),
        ("a > 80% clear < 90%", 15, Some("<"), K::ClearWrongSide),
        ("a > 80% clear > 70%", 15, Some(">"), K::ClearWrongSide),
        ("a >= 80% clear <= 80%", 16, Some("<="), K::ClearWrongSide),
        ("a == 1 clear < 1", 14, Some("<"), K::ClearWrongSide),
        ("a > 80% clear < 70", 15, Some("<"), K::ClearOtherUnit),
        ("cpu > 80 \u{fc}", 10, Some("\u{fc}"), K::ExpectedEnd),
        ("\u{fc} cpu", 1, Some("\u{fc}"), K::ExpectedCondition),
    ] {
        assert_eq!(error(text), (column, found.map(Into::into), kind), "{text}");
    }
}

#[test]
fn nesting_is_bounded_and_width_is_not() {
    let deep = |levels| format!("{}a > 1{}", "(".repeat(levels), ")".repeat(levels));
    assert!(Condition::parse(&deep(32)).is_ok());
    assert_eq!(error(&deep(33)).2, ParseErrorKind::TooDeep { max: 32 });
    assert_eq!(error(&"(".repeat(100_000)).0, 33);
    assert_eq!(error(&"not ".repeat(100_000)).0, 32 * 4 + 1);
    assert_eq!(error(&"f(".repeat(100_000)).0, 32 * 2 + 2);
    let wide = vec!["a > 1"; 10_000].join(" and ");
    assert_eq!(Condition::parse(&wide).expect("wide").comparisons().len(), 10_000);
}

#[test]
fn the_caret_stands_under_the_mistake() {
    let error = Condition::parse("cpu_usage\tover 80").expect_err("no operator");
    assert_eq!(
        error.render(),
        "column 11: expected one of > >= < <= == != after the signal, found `over`\n  \
         cpu_usage over 80\n            ^^^^"
    );
    let error = Condition::parse("cpu >").expect_err("no number");
    assert!(error.to_string().ends_with("found the end"), "{error}");
    assert!(error.render().ends_with("cpu >\n       ^"), "{}", error.render());
}
