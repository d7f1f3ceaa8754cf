//! The bounds.

use crate::error::{Error, in_range};

/// How large a request may be. The type's greatest value lifts a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Guards {
    /// Bytes of body, as the service inside receives it; if a layer outside of
    /// this one decompresses, after that. Default: 10 MiB (10 x 1024 x 1024).
    /// Above: 413.
    pub max_body: u64,
    /// Bytes of path and query, as sent. Default: 2 048. Above: 414.
    pub max_url: usize,
    /// Header lines; a name that comes twice is two. Default: 50. Above: 431.
    /// The server has a bound of its own (hyper: 100 for HTTP/1), and answers
    /// beyond that before this one sees the request.
    pub max_headers: usize,
    /// Bytes of header names and values together, and 4 for each line (`: ` and
    /// the end of the line). Default: 32 KiB (32 x 1 024). Above: 431. HTTP/2 has
    /// a bound of its own (hyper: 16 KiB) and counts 32 for each line.
    pub max_header_bytes: usize,
    /// Query parameters: one more than there are `&`, so that empty ones count;
    /// an empty query has none. Default: 100. Above: 400.
    pub max_query_params: usize,
}

impl Guards {
    /// Checks the bounds.
    ///
    /// # Errors
    /// If `max_url` is 0, since every request has a path, or `max_headers` or
    /// `max_header_bytes` is 0, since every HTTP/1.1 request has a `Host`.
    pub fn validate(&self) -> Result<(), Error> {
        in_range("max_url", self.max_url as u64, 1, u64::MAX)?;
        in_range("max_headers", self.max_headers as u64, 1, u64::MAX)?;
        in_range("max_header_bytes", self.max_header_bytes as u64, 1, u64::MAX)
    }
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            max_body: 10 * 1024 * 1024,
            max_url: 2_048,
            max_headers: 50,
            max_header_bytes: 32 * 1024,
            max_query_params: 100,
        }
    }
}
