use std::time::Duration;

use crate::error::Error;

/// Who may post web vitals, and how much.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct VitalsConfig {
    /// Origins whose pages may post, as browsers write them:
    /// `https://shop.example`, without a path or a default port. Default: none, which lets in the pages of the
    /// host that the beacon is posted to, and no others.
    pub origins: Vec<String>,
    /// Largest body in bytes, 64 to 65 536. Default: 1024.
    pub max_bytes: usize,
    /// Beacons per second of all browsers together, with as many in reserve; 1
    /// to 100 000. Default: 100.
    pub max_per_second: u32,
    /// A body must be there within this, 100 ms to 1 min. Default: 5 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub timeout: Duration,
}

impl Default for VitalsConfig {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            max_bytes: 1024,
            max_per_second: 100,
            timeout: Duration::from_secs(5),
        }
    }
}

impl VitalsConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        if !(64..=65_536).contains(&self.max_bytes) {
            return Err(Error::config("max_bytes", self.max_bytes as f64, "64 to 65536"));
        }
        if !(1..=100_000).contains(&self.max_per_second) {
            let value = f64::from(self.max_per_second);
            return Err(Error::config("max_per_second", value, "1 to 100000"));
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&self.timeout) {
            let value = self.timeout.as_secs_f64();
            return Err(Error::config("timeout", value, "0.1 to 60 seconds"));
        }
        if let Some(at) = self.origins.iter().position(|origin| !is_origin(origin)) {
            let bound = "an origin as browsers write it, without a path or a default port";
            return Err(Error::config("origins", at as f64, bound));
        }
        Ok(())
    }
}

/// Whether a browser might write it so. What it never writes never matches, and
/// would shut out the pages it was meant to let in.
fn is_origin(origin: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else {
        return false;
    };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "://",
    };
    let letter = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    !scheme.is_empty()
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !host.is_empty()
        && host.chars().all(letter)
        && !host.ends_with(default_port)
}
