use std::time::Duration;

use crate::{Condition, ParseError};

/// A condition and what to do about it, as rule files have it:
///
/// ```yaml
/// condition: "cpu_usage > 80"
/// action: scale_up
/// cooldown: 300
/// ```
///
/// `A` is the vocabulary of whoever acts: an enum of its own makes a misspelt
/// action an error of the file. The default takes any text. With feature
/// `serde` a cooldown is whole seconds (`300`) or text (`"5m"`), and a field
/// nobody knows is refused.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct Rule<A = String> {
    /// For people; default: none.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub name: Option<String>,
    /// When.
    pub condition: Condition,
    /// What to do.
    pub action: A,
    /// How long to leave it at that after acting. Default: 0 s.
    #[cfg_attr(feature = "serde", serde(default, with = "cooldown"))]
    pub cooldown: Duration,
}

impl<A> Rule<A> {
    /// A rule without name and cooldown.
    ///
    /// # Errors
    /// The condition does not parse.
    pub fn new(condition: &str, action: A) -> Result<Self, ParseError> {
        let condition = condition.parse()?;
        Ok(Self { name: None, condition, action, cooldown: Duration::ZERO })
    }

    /// Sets the cooldown.
    #[must_use]
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }
}

#[cfg(feature = "serde")]
mod cooldown {
    use std::fmt;
    use std::time::Duration;

    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        from.deserialize_any(Written)
    }

    struct Written;

    impl de::Visitor<'_> for Written {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("whole seconds such as 300, or a duration such as \"5m\"")
        }

        fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
            Ok(Duration::from_secs(seconds))
        }

        fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
            u64::try_from(seconds)
                .map(Duration::from_secs)
                .map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            humantime::parse_duration(text)
                .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Action {
        ScaleUp,
        ScaleDown,
    }

    /// The four rules of the launch plan, as its file has them.
    const FILE: &str = r#"
        [[rules]]
        condition = "cpu_usage > 80"
        action = "scale_up"
        cooldown = 300
        [[rules]]
        condition = "memory_usage > 85"
        action = "scale_up"
        cooldown = 300
        [[rules]]
        condition = "cpu_usage < 30"
        action = "scale_down"
        cooldown = 600
        [[rules]]
        condition = "response_time > 500"
        action = "scale_up"
        cooldown = 300
    "#;

    #[derive(serde::Deserialize)]
    struct File {
        rules: Vec<Rule<Action>>,
    }

    #[test]
    fn the_rule_file_of_the_launch_plan_parses_as_it_is() {
        let file: File = toml::from_str(FILE).expect("parses");
        let seen: Vec<_> = file
            .rules
            .iter()
            .map(|it| (it.condition.to_string(), &it.action, it.cooldown.as_secs()))
            .collect();
        assert_eq!(
            seen,
            [
                ("cpu_usage > 80".to_owned(), &Action::ScaleUp, 300),
                ("memory_usage > 85".to_owned(), &Action::ScaleUp, 300),
                ("cpu_usage < 30".to_owned(), &Action::ScaleDown, 600),
                ("response_time > 500".to_owned(), &Action::ScaleUp, 300),
            ]
        );
    }

    #[test]
    fn a_rule_is_refused_with_the_place_of_its_mistake() {
        let read = |json: &str| serde_json::from_str::<Rule<Action>>(json);
        for (json, says) in [
            (r#"{"condition": "cpu_usage over 80", "action": "scale_up"}"#, "column 11"),
            (r#"{"condition": "p95(x_seconds) > 80%", "action": "scale_up"}"#, "500ms"),
            (r#"{"condition": "cpu > 8", "action": "scale_sideways"}"#, "scale_sideways"),
            (r#"{"condition": "cpu > 8", "action": "scale_up", "colldown": 3}"#, "colldown"),
            (r#"{"condition": "cpu > 8", "action": "scale_up", "cooldown": -3}"#, "whole seconds"),
            (r#"{"condition": "cpu > 8", "action": "scale_up", "cooldown": "soon"}"#, "soon"),
        ] {
            let error = read(json).expect_err(json).to_string();
            assert!(error.contains(says), "{json}: {error}");
        }
    }

    #[test]
    fn a_rule_travels_there_and_back() {
        let rule = Rule::new("avg(cpu_usage, 300s) > 80% clear < 70% for 2m", "page".to_owned())
            .expect("parses")
            .cooldown(Duration::from_secs(300));
        let json = serde_json::to_string(&rule).expect("writes");
        assert!(json.contains(r#""cooldown":"5m""#), "{json}");
        assert_eq!(serde_json::from_str::<Rule>(&json).expect("reads"), rule);
    }
}
