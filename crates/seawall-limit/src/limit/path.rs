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
        let path = path.strip_prefix('/').unwrap_or(path);
        let rest = match &pattern.literal {
            None => Some(path),
            Some(literal) => match path.strip_prefix(&**literal) {
                None => return false,
                Some("") => None,
                Some(after) => match after.strip_prefix('/') {
                    None => return false,
                    rest => rest,
                },
            },
        };
        if pattern.rest.is_empty() {
            return !whole || rest.is_none_or(|rest| rest.bytes().all(|byte| byte == b'/'));
        }
        let mut path = rest.into_iter().flat_map(|rest| rest.split('/')).peekable();
        let agree = pattern.rest.iter().all(|segment| match (segment, path.next()) {
            (Segment::Literal(literal), Some(given)) => **literal == *given,
            // axum's router lets a parameter be empty if a slash follows.
            (Segment::Parameter, Some(given)) => !given.is_empty() || path.peek().is_some(),
            (_, None) => false,
        });
        agree && (!whole || path.all(str::is_empty))
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
