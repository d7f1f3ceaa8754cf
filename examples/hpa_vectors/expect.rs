//! Comparing what is expected with what came out.

use serde_json::Value;

/// How `actual` differs from what is expected of it, field by field. Fields that nothing is
/// expected of do not count; of a condition all do, since the set is complete.
pub(crate) fn differences(expected: &Value, actual: &Value) -> Vec<String> {
    let Value::Object(fields) = expected else {
        return vec!["what is expected is not an object".to_owned()];
    };
    let differs = |(field, expected): (&String, &Value)| {
        let actual = actual.get(field).unwrap_or(&Value::Null);
        (!agree(field, expected, actual))
            .then(|| format!("{field}: expected {expected}, decided {actual}"))
    };
    fields.iter().filter_map(differs).collect()
}

fn agree(field: &str, expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| near(a, b)),
        },
        (Value::Array(a), Value::Array(b)) if is_a_set(field) => {
            a.len() == b.len() && a.iter().all(|one| b.contains(one))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agree(field, a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let complete = field != "conditions" || a.len() == b.len();
            let null = Value::Null;
            complete && a.iter().all(|(key, a)| agree(key, a, b.get(key).unwrap_or(&null)))
        }
        _ => expected == actual,
    }
}

fn is_a_set(field: &str) -> bool {
    matches!(field, "unready" | "missing" | "ignored")
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(1.0)
}
