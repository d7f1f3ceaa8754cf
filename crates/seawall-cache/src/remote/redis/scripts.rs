//! The scripts, and what it takes to run one.

use fred::error::Error;
use fred::interfaces::LuaInterface;
use fred::types::scripts::Script;
use fred::types::{FromValue, Value};
use seawall_redis::Way;

/// Every script of ours.
pub(super) struct Scripts {
    pub(super) lease: ScriptText,
    pub(super) renew: ScriptText,
    pub(super) release: ScriptText,
    pub(super) fill: ScriptText,
    pub(super) put: ScriptText,
    pub(super) remove: ScriptText,
    pub(super) sweep: ScriptText,
    pub(super) marks: ScriptText,
    pub(super) advance: ScriptText,
}

impl Scripts {
    pub(super) fn new() -> Self {
        macro_rules! script {
            ($start:literal, $rest:literal) => {
                ScriptText::new(concat!(include_str!($start), include_str!($rest)))
            };
        }
        Self {
            lease: script!("entry.lua", "lease.lua"),
            renew: script!("entry.lua", "renew.lua"),
            release: script!("entry.lua", "release.lua"),
            fill: script!("entry.lua", "fill.lua"),
            put: script!("entry.lua", "put.lua"),
            remove: script!("entry.lua", "remove.lua"),
            sweep: script!("entry.lua", "sweep.lua"),
            marks: script!("mark.lua", "marks.lua"),
            advance: script!("mark.lua", "advance.lua"),
        }
    }
}

pub(super) struct ScriptText {
    script: Script,
    text: &'static str,
}

impl ScriptText {
    fn new(text: &'static str) -> Self {
        Self { script: Script::from_lua(text), text }
    }

    /// Runs it about `keys`, which all have the same slot.
    pub(super) async fn run<R: FromValue>(
        &self,
        way: &Way,
        keys: Vec<String>,
        arguments: Vec<Value>,
    ) -> Result<R, Error> {
        let answer = if way.asking() {
            let words = words(self.script.sha1().clone().into(), &keys, &arguments);
            way.after_asking("EVALSHA", words).await
        } else {
            self.script.evalsha(way.client(), keys.clone(), arguments.clone()).await
        };
        match answer {
            // EVAL both runs the script and loads it there.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                if way.asking() {
                    let words = words(Value::from_static_str(self.text), &keys, &arguments);
                    return way.after_asking("EVAL", words).await;
                }
                way.client().eval(self.text, keys, arguments).await
            }
            answer => answer,
        }
    }
}

fn words(script: Value, keys: &[String], arguments: &[Value]) -> Vec<Value> {
    let mut words = vec![script, Value::Integer(i64::try_from(keys.len()).unwrap_or(0))];
    words.extend(keys.iter().map(|key| Value::from(key.as_str())));
    words.extend_from_slice(arguments);
    words
}
