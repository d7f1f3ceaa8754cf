use super::vital::Vital;

/// Why a beacon, or a part of it, was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Neither GET, HEAD nor POST.
    Method,
    /// From a page that may not post.
    Origin,
    /// Too many beacons a second.
    Rate,
    /// Not the type that the script sends.
    ContentType,
    /// A larger body than is allowed.
    TooLarge,
    /// The body did not come in time, or broke off.
    Body,
    /// Not `NAME=number&..`.
    Malformed,
    /// A name that is no web vital, or came twice.
    UnknownMetric,
    /// A value that no page can have.
    OutOfBounds,
}

impl Refusal {
    pub(super) const ALL: [Self; 9] = [
        Self::Method,
        Self::Origin,
        Self::Rate,
        Self::ContentType,
        Self::TooLarge,
        Self::Body,
        Self::Malformed,
        Self::UnknownMetric,
        Self::OutOfBounds,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Origin => "origin",
            Self::Rate => "rate",
            Self::ContentType => "content_type",
            Self::TooLarge => "too_large",
            Self::Body => "body",
            Self::Malformed => "malformed",
            Self::UnknownMetric => "unknown_metric",
            Self::OutOfBounds => "out_of_bounds",
        }
    }
}

/// One `NAME=number` of a beacon.
pub(super) type Part = Result<(Vital, f64), Refusal>;

/// What a beacon says: `LCP=1234.5&CLS=0.02`. One bad part does not spoil the
/// others, but a text of another shape is refused as a whole.
pub(super) fn read(body: &[u8]) -> Result<Vec<Part>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::Malformed)?;
    let mut seen: Vec<&str> = Vec::new();
    let mut parts = Vec::new();
    for part in text.split('&') {
        let (name, number) = part.split_once('=').ok_or(Refusal::Malformed)?;
        if parts.len() == MOST_PARTS {
            return Err(Refusal::Malformed);
        }
        let value: f64 = number.parse().map_err(|_| Refusal::Malformed)?;
        let vital = Vital::ALL.into_iter().find(|vital| vital.key() == name);
        parts.push(match vital {
            Some(vital) if !seen.contains(&name) => {
                seen.push(name);
                // NaN lies in no range.
                if (0.0..=vital.most()).contains(&value) {
                    Ok((vital, value))
                } else {
                    Err(Refusal::OutOfBounds)
                }
            }
            _ => Err(Refusal::UnknownMetric),
        });
    }
    Ok(parts)
}

/// Twice as many as there are vitals.
const MOST_PARTS: usize = 10;
