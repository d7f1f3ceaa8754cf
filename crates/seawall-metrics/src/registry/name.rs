//! Names and labels as Prometheus accepts them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write as _;

use metrics::Label;

/// Labels of a series: valid names, sorted, each name once.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    /// `a="x",b="y"`, escaped, as it is printed between the braces.
    text: Box<str>,
    /// The labels themselves, kept only if a value had to be escaped: else they
    /// can be read off the text.
    escaped: Option<Box<Pairs>>,
}

type Pairs = Vec<(Box<str>, Box<str>)>;

/// No two label sets are printed alike.
impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Labels {}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Label by label, name before value.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.text.as_bytes(), other.text.as_bytes());
        let differ = a.iter().zip(b).find(|(a, b)| a != b);
        match differ {
            // Inside a name or a value the order of the bytes is that of the strings.
            Some((a, b)) if plain(*a) && plain(*b) && self.is_plain() && other.is_plain() => {
                a.cmp(b)
            }
            Some(_) => self.iter().cmp(other.iter()),
            None => a.len().cmp(&b.len()),
        }
    }
}

/// False for what may end a name or a value.
fn plain(byte: u8) -> bool {
    byte != b'"' && byte != b'='
}

impl Labels {
    /// Of two labels of one name the later wins. One without a value is left
    /// out: to Prometheus it is the same as none, and two series of one identity
    /// would cost it the scrape. On a histogram `le` is renamed, because the
    /// exposition needs that name itself.
    pub(crate) fn new<'a>(labels: impl Iterator<Item = &'a Label>, histogram: bool) -> Self {
        let mut pairs = Pairs::new();
        for label in labels {
            let name: Box<str> = label_name(label.key(), histogram).into();
            match pairs.iter_mut().find(|(known, _)| *known == name) {
                Some((_, value)) => *value = label.value().into(),
                None => pairs.push((name, label.value().into())),
            }
        }
        pairs.retain(|(_, value)| !value.is_empty());
        pairs.sort_unstable();
        Self::printed(pairs)
    }

    fn printed(pairs: Pairs) -> Self {
        let odd = |value: &str| value.contains(['\\', '"', '\n']);
        let escaped = pairs.iter().any(|(_, value)| odd(value));
        Self { text: print(&pairs).into(), escaped: escaped.then(|| Box::new(pairs)) }
    }

    fn is_plain(&self) -> bool {
        self.escaped.is_none()
    }

    pub(crate) fn overflow() -> Self {
        Self::new(std::iter::once(&Label::from_static_parts("overflow", "true")), false)
    }

    /// The same with another value for one label; `None` if there is no such label.
    pub(super) fn with(&self, name: &str, value: &str) -> Option<Self> {
        let mut pairs: Pairs =
            self.iter().map(|(name, value)| (name.into(), value.into())).collect();
        pairs.iter_mut().find(|(known, _)| **known == *name)?.1 = value.into();
        Some(Self::printed(pairs))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.escaped.iter().flat_map(|pairs| pairs.iter());
        let pairs = pairs.map(|(name, value)| (&**name, &**value));
        pairs.chain(Printed(if self.is_plain() { &self.text } else { "" }))
    }

    /// True if `given` make this label set, in any order. Builds nothing unless
    /// a name or a value among them is one that is changed or left out.
    pub(super) fn are(&self, given: &[Label], histogram: bool) -> bool {
        let mut own = 0;
        let mut found = self.iter().inspect(|_| own += 1);
        let is = |(name, value)| given.iter().any(|l| l.key() == name && l.value() == value);
        // Names here are all different: as many and all found is all of them.
        if found.all(is) && own == given.len() {
            return true;
        }
        let names = |upto: usize| given.iter().take(upto).map(Label::key);
        let odd = given.iter().enumerate().any(|(at, label)| {
            let name = label.key();
            label.value().is_empty()
                || names(at).any(|earlier| earlier == name)
                || label_name(name, histogram) != name
        });
        odd && *self == Self::new(given.iter(), histogram)
    }

    /// True if every one of `wanted` is among these labels; one that is to be
    /// empty must not be.
    pub(crate) fn contain(&self, wanted: &[(&str, &str)]) -> bool {
        wanted.iter().all(|wanted| match wanted {
            (name, "") => self.iter().all(|(own, _)| own != *name),
            _ => self.iter().any(|label| label == *wanted),
        })
    }
}

/// Labels read off a text without escapes.
struct Printed<'a>(&'a str);

impl<'a> Iterator for Printed<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_once("=\"")?;
        let (value, rest) = rest.split_once('"')?;
        self.0 = rest.strip_prefix(',').unwrap_or(rest);
        Some((name, value))
    }
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`; every other character becomes `_`.
pub(crate) fn metric_name(raw: &str) -> Cow<'_, str> {
    replace_invalid(raw, true)
}

/// The name a metric is exposed under when [`metric_name`] of it is taken: the
/// `U__` escaping of Prometheus, which no two names share.
pub(crate) fn escaped_name(raw: &str) -> String {
    let mut name = String::from("U__");
    for c in raw.chars() {
        if c == '_' {
            name.push_str("__");
        } else if c.is_ascii_alphanumeric() || c == ':' {
            name.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(name, "_{:X}_", u32::from(c));
        }
    }
    name
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`. Names starting with `__` belong to Prometheus and
/// get the prefix it uses for such clashes, `exported`.
pub(crate) fn label_name(raw: &str, histogram: bool) -> Cow<'_, str> {
    if raw.starts_with("__") {
        Cow::Owned(format!("exported{}", replace_invalid(raw, false)))
    } else if histogram && raw == "le" {
        Cow::Borrowed("exported_le")
    } else {
        replace_invalid(raw, false)
    }
}

fn replace_invalid(raw: &str, colon: bool) -> Cow<'_, str> {
    let valid = |at: usize, c: char| {
        c == '_' || c.is_ascii_alphabetic() || (colon && c == ':') || (at > 0 && c.is_ascii_digit())
    };
    if raw.is_empty() {
        Cow::Borrowed("_")
    } else if raw.char_indices().all(|(at, c)| valid(at, c)) {
        Cow::Borrowed(raw)
    } else {
        raw.char_indices().map(|(at, c)| if valid(at, c) { c } else { '_' }).collect()
    }
}

fn print(pairs: &[(Box<str>, Box<str>)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        crate::expose::escape(&mut text, value, true);
        text.push('"');
    }
    text
}

#[cfg(test)]
mod tests;
