//! Reading what servers say of their quotas, in all forms that are about.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

/// What a response says of the requests to come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// Send nothing for so long: `Retry-After` of a 429 or 503.
    pub wait: Option<Duration>,
    /// Send so many requests at the most, in so long: of several policies, the
    /// one with the fewest; of equal ones, the longest.
    pub left: Option<(u64, Duration)>,
}

/// Reads `Retry-After` (seconds or a date) of a 429 or 503, and of any response
/// the first of these that is there: `RateLimit` as a list (drafts 8 to 11) or a
/// dictionary (draft 7), `RateLimit-Remaining` and `-Reset`, `X-RateLimit-Remaining`
/// and `-Reset` (a reset above 10^8 is taken for a time since 1970). A 429
/// without any counts as one second. What is malformed is ignored, field by
/// field, as the draft demands. `now` is for dates.
///
/// ```
/// # use std::time::{Duration, SystemTime};
/// # use http::{HeaderMap, StatusCode};
/// let mut headers = HeaderMap::new();
/// headers.insert("ratelimit", "\"bids\";r=3;t=20, \"all\";r=90;t=50".parse()?);
/// let advice = seawall_limit::advice(StatusCode::OK, &headers, SystemTime::now());
/// assert_eq!(advice.left, Some((3, Duration::from_secs(20))));
/// assert_eq!(advice.wait, None);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
pub fn advice(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Advice {
    let left = list(headers)
        .or_else(|| dictionary(headers))
        .or_else(|| pair(headers, "ratelimit-remaining", "ratelimit-reset", now))
        .or_else(|| pair(headers, "x-ratelimit-remaining", "x-ratelimit-reset", now));
    let told = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            retry_after(headers, now)
        }
        _ => None,
    };
    let wait = match (told, left) {
        (Some(wait), _) => Some(wait),
        (None, Some((0, time))) if status == StatusCode::TOO_MANY_REQUESTS => Some(time),
        (None, _) => (status == StatusCode::TOO_MANY_REQUESTS).then_some(SECOND),
    };
    Advice { wait, left }
}

fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Some(seconds) = integer(text) {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // Dates are whole seconds, so ours is rounded up.
    Some(date.duration_since(now).map_or(SECOND, |wait| wait + SECOND))
}

/// `"bids";r=3;t=20, "all";r=90`. All lines are one list; if any of it is
/// malformed, none of it counts.
fn list(headers: &HeaderMap) -> Option<(u64, Duration)> {
    let mut tightest = None;
    for line in headers.get_all("ratelimit") {
        let mut rest = line.to_str().ok()?.trim();
        while !rest.is_empty() {
            let (item, after) = item(rest)?;
            rest = after;
            let (r, t) = item;
            // Without t, for now.
            let stands = (r?, Duration::from_secs(t.unwrap_or(1)));
            tightest = Some(tightest.map_or(stands, |other| tighter(stands, other)));
        }
    }
    tightest
}

type Item = (Option<u64>, Option<u64>);

/// One member and what follows its comma.
fn item(text: &str) -> Option<(Item, &str)> {
    let mut rest = after_string(text)?.trim_start();
    let mut item = (None, None);
    while let Some(parameter) = rest.strip_prefix(';') {
        let parameter = parameter.trim_start();
        let end = parameter.find([';', ',', ' ', '\t']).unwrap_or(parameter.len());
        let (pair, after) = parameter.split_at(end);
        match pair.split_once('=') {
            Some(("r", value)) => item.0 = Some(integer(value)?),
            Some(("t", value)) => item.1 = Some(integer(value)?),
            _ => {}
        }
        rest = after.trim_start();
    }
    match rest.strip_prefix(',') {
        Some(after) if after.trim_start().is_empty() => None,
        Some(after) => Some((item, after.trim_start())),
        None => rest.is_empty().then_some((item, "")),
    }
}

/// What follows a quoted string.
fn after_string(text: &str) -> Option<&str> {
    let mut chars = text.strip_prefix('"')?.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => {
                chars.next()?;
            }
            // Two quotes are one byte each.
            '"' => return text.get(at + 2..),
            _ => {}
        }
    }
    None
}

/// `limit=100, remaining=50, reset=5`
fn dictionary(headers: &HeaderMap) -> Option<(u64, Duration)> {
    let text = headers.get("ratelimit")?.to_str().ok()?;
    let value = |wanted: &str| {
        let mut pairs = text.split([',', ';']).filter_map(|pair| pair.trim().split_once('='));
        pairs.find_map(|(name, value)| integer(value).filter(|_| name == wanted))
    };
    Some((value("remaining")?, Duration::from_secs(value("reset")?)))
}

fn pair(
    headers: &HeaderMap,
    remaining: &str,
    reset: &str,
    now: SystemTime,
) -> Option<(u64, Duration)> {
    let value = |name: &str| integer(headers.get(name)?.to_str().ok()?.trim());
    let (remaining, reset) = (value(remaining)?, value(reset)?);
    let since = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let seconds = if reset > EPOCH { reset.saturating_sub(since) } else { reset };
    Some((remaining, Duration::from_secs(seconds)))
}

fn tighter(one: (u64, Duration), other: (u64, Duration)) -> (u64, Duration) {
    match one.0.cmp(&other.0) {
        std::cmp::Ordering::Less => one,
        std::cmp::Ordering::Greater => other,
        std::cmp::Ordering::Equal => (one.0, one.1.max(other.1)),
    }
}

/// An Integer of RFC 9651 that is not negative.
fn integer(text: &str) -> Option<u64> {
    let digits = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

const SECOND: Duration = Duration::from_secs(1);
/// Nobody waits three years.
const EPOCH: u64 = 100_000_000;

#[cfg(test)]
mod tests;
