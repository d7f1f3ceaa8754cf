//! Numbers as they are printed.

/// Shortest decimal form that reads back as `value`; exponents only for very
/// large and very small numbers.
pub(crate) fn float(value: f64) -> String {
    let size = value.abs();
    if let Some(text) = special(value) {
        text.into()
    } else if size != 0.0 && !(1e-7..1e17).contains(&size) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

/// The canonical form of OpenMetrics, used for bucket bounds: shortest, always
/// with a point or an exponent, an exponent from a million on and below a
/// ten-thousandth.
pub(crate) fn bound(value: f64) -> String {
    if let Some(text) = special(value) {
        return text.into();
    }
    if value == 0.0 {
        return "0.0".into();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        // Debug is the shortest form too, and keeps the point.
        format!("{value:?}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

/// Appends milliseconds as seconds: what [`float`] would write, for a fraction of
/// its cost.
pub(super) fn seconds(out: &mut String, millis: u64) {
    out.push_str(itoa::Buffer::new().format(millis / 1000));
    let mut rest = millis % 1000;
    if rest > 0 {
        out.push('.');
        let mut digit = 100;
        while rest > 0 {
            out.push(char::from(b'0' + (rest / digit) as u8));
            rest %= digit;
            digit /= 10;
        }
    }
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_have_the_canonical_form_of_openmetrics() {
        // From the table of the specification and of Prometheus' own tests.
        for (value, text) in [
            (0.0, "0.0"),
            (-1.0, "-1.0"),
            (1.0, "1.0"),
            (10.0, "10.0"),
            (0.03, "0.03"),
            (0.1 + 0.2, "0.30000000000000004"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (1_048_576.0, "1.048576e+06"),
            (0.0001, "0.0001"),
            (1e-5, "1e-05"),
            (1e-10, "1e-10"),
            (1e21, "1e+21"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(bound(value), text);
        }
    }

    #[test]
    fn a_time_is_written_as_any_other_number() {
        for millis in (0..3_000).chain(1_795_319_480_000..1_795_319_483_000) {
            let mut text = String::new();
            seconds(&mut text, millis);
            assert_eq!(text, float(millis as f64 / 1000.0));
        }
    }

    proptest! {
        #[test]
        fn any_number_reads_back_as_itself(value in any::<f64>()) {
            for text in [bound(value), float(value)] {
                let read = match text.as_str() {
                    "+Inf" => f64::INFINITY,
                    "-Inf" => f64::NEG_INFINITY,
                    other => other.parse().unwrap(),
                };
                prop_assert!(read == value || read.is_nan() && value.is_nan(), "{text}");
            }
        }
    }
}
