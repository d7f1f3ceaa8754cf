//! Path patterns, matched segment by segment.

use crate::error::Error;

/// A compiled pattern. Slashes at the end of the request's path are ignored, so
/// that they are no way around a rule where the router ignores them too.
#[derive(Debug)]
pub(crate) enum Pattern {
    Any,
    Exact(Segments),
    Prefix(Segments),
}

/// What comes before the first parameter is compared as one text.
#[derive(Debug)]
pub(crate) struct Segments {
    /// Without a slash at either end; `None` if a parameter comes first, or nothing does.
    literal: Option<Box<str>>,
    rest: Box<[Segment]>,
}

#[derive(Debug)]
pub(crate) enum Segment {
    Literal(Box<str>),
    Parameter,
}

impl Pattern {
    /// `/a/{id}` or `/a/{*rest}`: exact, save for a last `{*rest}`, which takes
    /// one segment or more.
    pub(crate) fn exact(pattern: &str) -> Result<Self, Error> {
        match pattern.rsplit_once('/') {
            Some((before, last))
                if last.len() > 3 && last.starts_with("{*") && last.ends_with('}') =>
            {
                let mut segments = parse(pattern, before)?;
                segments.push(Segment::Parameter);
                Ok(Self::Prefix(Segments::new(segments)))
            }
            _ => Ok(Self::Exact(Segments::new(parse(pattern, pattern)?))),
        }
    }

    /// Everything at or under a path.
    pub(crate) fn prefix(pattern: &str) -> Result<Self, Error> {
        Ok(Self::Prefix(Segments::new(parse(pattern, pattern)?)))
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        let (pattern, whole) = match self {
            Self::Any => return true,
            Self::Exact(pattern) => (pattern, true),
            Self::Prefix(pattern) => (pattern, false),
        };
        let path = path.as_bytes();
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let mut rest = match &pattern.literal {
            None => Some(path),
            Some(literal) => match after(path, literal) {
                None => return false,
                Some(rest) => rest,
            },
        };
        for segment in &pattern.rest {
            let Some(path) = rest else { return false };
            rest = match segment {
                Segment::Literal(literal) => match after(path, literal) {
                    None => return false,
                    Some(rest) => rest,
                },
                Segment::Parameter => match path.iter().position(|byte| *byte == b'/') {
                    // axum's router lets a parameter be empty if a slash follows.
                    None if path.is_empty() => return false,
                    None => None,
                    Some(slash) => Some(&path[slash + 1..]),
                },
            };
        }
        !whole || rest.is_none_or(|rest| rest.iter().all(|byte| *byte == b'/'))
    }
}

/// What comes after `literal` and a slash, if a path begins with it; `None` within if nothing does.
#[inline]
fn after<'a>(path: &'a [u8], literal: &str) -> Option<Option<&'a [u8]>> {
    match path.strip_prefix(literal.as_bytes())? {
        [] => Some(None),
        [b'/', rest @ ..] => Some(Some(rest)),
        _ => None,
    }
}

impl Segments {
    fn new(segments: Vec<Segment>) -> Self {
        let mut literal = None::<String>;
        let mut rest = segments.into_iter().peekable();
        while let Some(Segment::Literal(next)) =
            rest.next_if(|segment| matches!(segment, Segment::Literal(_)))
        {
            literal = Some(literal.map_or_else(|| next.to_string(), |text| text + "/" + &next));
        }
        Self { literal: literal.map(Into::into), rest: rest.collect() }
    }
}

fn parse(pattern: &str, text: &str) -> Result<Vec<Segment>, Error> {
    let wrong = || Error::PathPattern { pattern: pattern.into() };
    if !pattern.starts_with('/') {
        return Err(wrong());
    }
    let text = text.strip_prefix('/').unwrap_or(text).trim_end_matches('/');
    // Of `/`, none.
    let count = if text.is_empty() { 0 } else { usize::MAX };
    text.split('/')
        .take(count)
        .map(|segment| match segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
            Some(name) if !name.is_empty() && !name.contains(['{', '}', '*']) => {
                Ok(Segment::Parameter)
            }
            Some(_) => Err(wrong()),
            None if segment.contains(['{', '}']) => Err(wrong()),
            None => Ok(Segment::Literal(segment.into())),
        })
        .collect()
}

#[cfg(test)]
mod tests;
