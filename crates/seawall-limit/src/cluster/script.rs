//! The Lua, as a script and as a function, and what it takes to run either.

use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::types::scripts::Script;
use fred::types::{FromValue, Value};
use seawall_redis::{Way, plain};

/// One body of Lua under two forms.
pub(crate) struct Library {
    sha1: String,
    script: String,
    name: &'static str,
    function: String,
}

impl Library {
    /// One round trip for all policies of some subjects.
    pub(crate) fn decide() -> Self {
        Self::new(include_str!("lua/decide.lua"), "seawall_limit", "seawall_limit_v3")
    }

    /// Beats and orders.
    pub(crate) fn control() -> Self {
        let text = include_str!("lua/control.lua");
        Self::new(text, "seawall_limit_control", "seawall_limit_control_v1")
    }

    fn new(text: &str, body: &str, name: &'static str) -> Self {
        let script = format!("{text}return {body}(KEYS, ARGV)\n");
        let function =
            format!("#!lua name={name}\n{text}redis.register_function('{name}', {body})\n");
        Self { sha1: Script::from_lua(&*script).sha1().to_string(), script, name, function }
    }

    /// Runs it about `keys`, all of one slot. Loads it where Redis does not have it.
    pub(crate) async fn run<R: FromValue>(
        &self,
        way: &Way,
        as_function: bool,
        keys: &[String],
        arguments: Vec<Value>,
    ) -> Result<R, Error> {
        let words = |first: &str, arguments: Vec<Value>| {
            let mut words = Vec::with_capacity(2 + keys.len() + arguments.len());
            words.push(Value::from(first));
            words.push(Value::Integer(i64::try_from(keys.len()).unwrap_or(0)));
            words.extend(keys.iter().map(|key| Value::from(key.as_str())));
            words.extend(arguments);
            words
        };
        let (command, name) =
            if as_function { ("FCALL", self.name) } else { ("EVALSHA", &*self.sha1) };
        // A clone of the arguments shares their bytes.
        match way.send(command, words(name, arguments.clone())).await {
            // EVAL both runs the script and loads it there.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                way.send("EVAL", words(&self.script, arguments)).await
            }
            Err(error) if as_function && error.details().contains("Function not found") => {
                let load: Vec<Value> =
                    vec!["LOAD".into(), "REPLACE".into(), self.function.as_str().into()];
                way.client().custom::<Value, _>(plain("FUNCTION"), load).await?;
                way.send(command, words(name, arguments)).await
            }
            answer => answer,
        }
    }
}
