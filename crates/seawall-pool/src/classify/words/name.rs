//! Names, with or without a schema.

use super::Last;
use super::keywords::Word;
use crate::classify::Functions;

/// A name, as far as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    /// What stood before it.
    pub(super) head: Last,
    /// The part before the last.
    pub(super) schema: Option<Part<'a>>,
    pub(super) part: Part<'a>,
}

/// One of the parts between dots.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part<'a> {
    /// With its quotes.
    pub(super) text: &'a str,
    pub(super) quoted: bool,
}

impl<'a> Name<'a> {
    /// The next part, after a dot, or else the first part of another.
    pub(super) fn then(self, last: Last, part: Part<'a>) -> Self {
        if last == Last::Dot {
            Self { schema: Some(self.part), part, ..self }
        } else {
            Self { head: last, schema: None, part }
        }
    }

    /// Whether it is that of a function which is known to be harmless.
    pub(super) fn is_harmless(&self, functions: &Functions) -> bool {
        let Some(schema) = self.schema else {
            return self.part.read(|name| {
                if self.part.quoted {
                    functions.is_harmless_function(None, name)
                } else {
                    functions.is_harmless(name)
                }
            });
        };
        schema.read(|schema| {
            self.part.read(|name| functions.is_harmless_function(Some(schema), name))
        })
    }
}

impl Default for Name<'_> {
    fn default() -> Self {
        Self { head: Last::Word(Word::Name), schema: None, part: Part::default() }
    }
}

impl Part<'_> {
    /// Whether it is this name.
    pub(super) fn is(self, name: &str) -> bool {
        self.read(|own| own == name)
    }

    /// Asks about it as the catalogue has it: PostgreSQL folds no letters but those of ASCII where one
    /// takes several bytes. Not if it is longer than a name can be, or has quotes in its quotes.
    fn read(self, ask: impl FnOnce(&str) -> bool) -> bool {
        if self.quoted {
            let inner = self.text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            return inner.is_some_and(|name| !name.contains('"') && ask(name));
        }
        if !self.text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return ask(self.text);
        }
        let mut folded = [0; LONGEST_NAME];
        let Some(folded) = folded.get_mut(..self.text.len()) else { return false };
        folded.copy_from_slice(self.text.as_bytes());
        folded.make_ascii_lowercase();
        str::from_utf8(folded).is_ok_and(ask)
    }
}

/// A name that is longer is cut off.
const LONGEST_NAME: usize = 63;
