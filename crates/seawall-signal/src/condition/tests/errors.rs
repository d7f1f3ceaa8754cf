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
        ("cpu > or", 7, Some("or"), K::ExpectedNumber),
        ("cpu > (a > 1)", 7, Some("("), K::ExpectedNumber),
        ("cpu + > 1", 7, Some(">"), K::ExpectedNumber),
        ("(cpu + 1", 9, None, K::ExpectedOperator),
        ("(cpu + 1) or", 11, Some("or"), K::ExpectedOperator),
        ("cpu + 1", 8, None, K::ExpectedOperator),
        ("2 * 3 > cpu", 1, Some("2"), K::ExpectedCondition),
        ("a > b clear < 1", 7, Some("clear"), K::ClearOfExpression),
        ("a > 1 missing", 14, None, K::ExpectedMissing),
        ("a > 1 missing maybe", 15, Some("maybe"), K::ExpectedMissing),
        ("a > 1 missing true missing true", 20, Some("missing"), K::ExpectedTail),
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
        ("a > 1 for 1s for 2s", 14, Some("for"), K::ExpectedTail),
        ("a > 1 for 1s or b > 2", 14, Some("or"), K::ExpectedTail),
        ("a > 1 missing keep and b > 2", 20, Some("and"), K::ExpectedTail),
        ("a > 1 clear < 0 clear < 0", 17, Some("clear"), K::ExpectedTail),
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
    // A function in any argument but the first is as deep as one in the first.
    let deeper = |levels| format!("{}a{} > 1", "f(a, ".repeat(levels), ")".repeat(levels));
    assert!(Condition::parse(&deeper(32)).is_ok());
    assert_eq!(error(&deeper(33)).2, ParseErrorKind::TooDeep { max: 32 });
    assert_eq!(error(&"f(a, ".repeat(100_000)).0, 32 * 5 + 2);
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

#[test]
fn what_was_found_is_never_what_was_expected() {
    for text in [
        "a > 1 for 1s or b > 2",
        "a > 1 for 1s and b > 2",
        "a > 1 missing true or b > 2",
        "a > 1 clear < 0 for 1s clear < 0",
        "a > 1 clear < 0 clear < 0",
        "a > 1 b",
        "(a > 1) (b > 2)",
        "a for 1s",
        "a > for 1s",
    ] {
        let error = Condition::parse(text).expect_err(text).to_string();
        let (expected, found) = error.split_once(", found ").expect(text);
        let again = expected.contains("has not come yet");
        assert!(!expected.contains(found) || again, "{error}");
    }
}

#[test]
fn an_error_is_one_line_whatever_it_points_at() {
    let text = "a_seconds > 1 *\n\tb_bytes and x\u{1b}[31m > 1";
    let error = Condition::parse(text).expect_err("refused");
    assert_eq!(error.found(), Some("1 *\n\tb_bytes"));
    assert!(error.to_string().ends_with("found `1 *  b_bytes`"), "{error}");
    let picture = error.render();
    assert_eq!(picture.lines().count(), 3, "{picture}");
    assert!(!picture.replace('\n', "").contains(|c: char| c.is_control()), "{picture}");
    // What a terminal would obey is not handed on to it.
    let error = Condition::parse("a > 1 \u{1b}[2J").expect_err("refused").to_string();
    assert!(!error.contains('\u{1b}'), "{error}");
}

#[test]
fn what_cannot_be_compared_is_refused_where_the_right_side_stands() {
    use crate::Arith::{Plus, Times};
    use crate::Unit::{Bytes, PerSecond, Ratio, Seconds};
    use ParseErrorKind as K;
    for (text, column, found, kind) in [
        ("p95(http_request_duration) > 80%", 30, "80%", K::OtherUnit { left: Seconds }),
        ("rate(errors) > 5%", 16, "5%", K::OtherUnit { left: PerSecond }),
        ("rate(errors) / rate(requests) > 5ms", 33, "5ms", K::OtherUnit { left: Ratio }),
        ("used_bytes > 2 * wait_seconds", 14, "2 * wait_seconds", K::OtherUnit { left: Bytes }),
        (
            "a_seconds + b_bytes > 1",
            13,
            "b_bytes",
            K::UnitsDoNotMix { left: Seconds, op: Plus, right: Bytes },
        ),
        (
            "x > 1 and a_seconds * (b_seconds) > 1",
            23,
            "(b_seconds)",
            K::UnitsDoNotMix { left: Seconds, op: Times, right: Seconds },
        ),
    ] {
        assert_eq!(error(text), (column, Some(found.into()), kind), "{text}");
    }
    let error = Condition::parse("p95(http_request_duration) > 80%").expect_err("refused");
    assert_eq!(
        error.render(),
        "column 30: expected a duration such as `500ms`, for the left side is seconds, found `80%`\n  \
         p95(http_request_duration) > 80%\n                               ^^^"
    );
}

#[test]
fn a_table_of_units_refuses_what_a_name_does_not_give_away() {
    let units = [("cpu_usage".to_owned(), crate::Unit::Ratio)].into();
    assert!(Condition::parse("cpu_usage > 500ms").is_ok());
    let error = Condition::parse_with("max(cpu_usage, 5m) > 500ms", &units).expect_err("refused");
    assert_eq!(error.column(), 22);
    assert!(Condition::parse_with("cpu_usage > 80", &units).is_ok());
}

#[test]
fn a_long_sum_is_refused_before_it_becomes_deep() {
    let sum = |operands| format!("{} > 1", vec!["a"; operands].join(" + "));
    assert!(Condition::parse(&sum(32)).is_ok());
    assert_eq!(error(&sum(33)).2, ParseErrorKind::TooLong { max: 32 });
    assert_eq!(error(&sum(100_000)).0, 127);
}

#[test]
fn the_deepest_sum_there_may_be_is_read_printed_and_reckoned() {
    // Each level a sum of 32, the first of them a product of 32, the first of
    // them the next level.
    let (product, sum) = (" * 1".repeat(31), " + 1".repeat(31));
    let mut text = "a".to_owned();
    for _ in 0..32 {
        text = format!("({text}{product}{sum})");
    }
    let condition = Condition::parse(&format!("{text} > 1")).expect("parses");
    assert_eq!(Condition::parse(&condition.to_string()).expect("prints"), condition);
    assert_eq!(condition.signals(), ["a"]);
    let now = tokio::time::Instant::now();
    let mut signals = crate::Signals::new();
    signals.set("a", 1.0, crate::Unit::Count, now);
    let second = std::time::Duration::from_secs(1);
    let reading = condition.readings(&signals, now, second);
    assert_eq!(reading.first().map(|it| it.value), Some(Ok(1.0 + 32.0 * 31.0)));
    assert!(condition.lint(&signals.units()).is_empty());
}
