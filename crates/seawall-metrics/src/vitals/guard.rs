use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, Uri};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::beacon::Refusal;
use super::config::VitalsConfig;

/// Decides by the headers whether a body is worth reading.
pub(super) struct Guard {
    config: VitalsConfig,
    /// Beacons left and when that was reckoned.
    bucket: Mutex<(f64, Instant)>,
}

impl Guard {
    pub(super) fn new(config: VitalsConfig, now: Instant) -> Self {
        let full = f64::from(config.max_per_second);
        Self { config, bucket: Mutex::new((full, now)) }
    }

    pub(super) fn config(&self) -> &VitalsConfig {
        &self.config
    }

    /// What costs nothing comes first, so that strangers do not use up the
    /// rate.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        now: Instant,
    ) -> Result<(), Refusal> {
        if !self.origin(headers, uri) {
            return Err(Refusal::Origin);
        }
        if !known_type(headers) {
            return Err(Refusal::ContentType);
        }
        let length =
            headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.config.max_bytes as u64) {
            return Err(Refusal::TooLarge);
        }
        if self.take(now) { Ok(()) } else { Err(Refusal::Rate) }
    }

    /// Browsers put the origin into every beacon; what has none is no browser.
    fn origin(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let Some(origin) = headers.get(ORIGIN).and_then(|it| it.to_str().ok()) else {
            return false;
        };
        if !self.config.origins.is_empty() {
            return self.config.origins.iter().any(|one| one.eq_ignore_ascii_case(origin));
        }
        // HTTP/2 has the host in the address.
        let host = headers.get(HOST).and_then(|it| it.to_str().ok());
        let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str));
        match (origin.split_once("://"), host) {
            (Some((_, origin)), Some(host)) => origin.eq_ignore_ascii_case(host),
            _ => false,
        }
    }

    /// A bucket that fills by `max_per_second` and holds a second's worth.
    fn take(&self, now: Instant) -> bool {
        let most = f64::from(self.config.max_per_second);
        let mut bucket = self.bucket.lock();
        let (left, at) = *bucket;
        let gained = now.saturating_duration_since(at).as_secs_f64() * most;
        let left = (left + gained).min(most);
        let taken = left >= 1.0;
        *bucket = (if taken { left - 1.0 } else { left }, at.max(now));
        taken
    }
}

/// What `sendBeacon` says of a text, and what a form says.
fn known_type(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()) else {
        return false;
    };
    let essence = kind.split(';').next().unwrap_or_default().trim();
    ["text/plain", "application/x-www-form-urlencoded"]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}
