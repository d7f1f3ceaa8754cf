use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Condition;

/// As its canonical text.
impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From its text; the error has the column.
impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Condition;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a condition such as \"cpu_usage > 80%\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Condition, E> {
                Condition::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_travels_as_its_text() {
        let condition: Condition =
            serde_json::from_str("\"cpu_usage>80 for 120s\"").expect("parses");
        let text = serde_json::to_string(&condition).expect("serialises");
        assert_eq!(text, "\"cpu_usage > 80 for 120s\"");
    }

    #[test]
    fn a_wrong_condition_is_refused_with_its_column() {
        let error = serde_json::from_str::<Condition>("\"cpu_usage over 80\"").expect_err("wrong");
        let text = error.to_string();
        assert!(text.starts_with("column 11: expected one of"), "{text}");
    }
}
