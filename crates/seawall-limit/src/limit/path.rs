//! Path patterns, matched segment by segment.

use crate::error::Error;

/// A compiled pattern. A trailing slash of the request's path is ignored, so
/// that it is no way around a rule where the router ignores it too.
#[derive(Debug)]
pub(crate) enum Pattern {
    Any,
    Exact(Box<[Segment]>),
    Prefix(Box<[Segment]>),
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
                Ok(Self::Prefix(segments.into()))
            }
            _ => Ok(Self::Exact(parse(pattern, pattern)?.into())),
        }
    }

    /// Everything at or under a path.
    pub(crate) fn prefix(pattern: &str) -> Result<Self, Error> {
        Ok(Self::Prefix(parse(pattern, pattern)?.into()))
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        let (pattern, whole) = match self {
            Self::Any => return true,
            Self::Exact(pattern) => (pattern, true),
            Self::Prefix(pattern) => (pattern, false),
        };
        let mut path = segments(path);
        let agree = pattern.iter().all(|segment| match (segment, path.next()) {
            (Segment::Literal(literal), Some(given)) => **literal == *given,
            (Segment::Parameter, Some(given)) => !given.is_empty(),
            (_, None) => false,
        });
        agree && (!whole || path.next().is_none())
    }
}

fn parse(pattern: &str, text: &str) -> Result<Vec<Segment>, Error> {
    let wrong = || Error::PathPattern { pattern: pattern.into() };
    if !pattern.starts_with('/') {
        return Err(wrong());
    }
    segments(text)
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

/// The segments of a path; of `/`, none.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path).trim_end_matches('/');
    let count = if path.is_empty() { 0 } else { usize::MAX };
    path.split('/').take(count)
}

#[cfg(test)]
mod tests;
