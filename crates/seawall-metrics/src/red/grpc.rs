//! The status of a call of gRPC.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// A response of gRPC and the status seen so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    status: Option<u8>,
}

impl Call {
    /// `None` if the response is not one of gRPC. gRPC-Web is none: its status
    /// is in the bytes of its body.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let kind = headers.get(CONTENT_TYPE)?.as_bytes();
        let prefix = b"application/grpc";
        let (start, rest) = kind.split_at_checked(prefix.len())?;
        let ends = matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'));
        let is = ends && start.eq_ignore_ascii_case(prefix);
        let mut call = is.then_some(Self { status: None })?;
        call.read(headers);
        Some(call)
    }

    /// A status that is no number is `UNKNOWN`, as clients read it.
    pub(super) fn read(&mut self, fields: &HeaderMap) {
        if let Some(status) = fields.get("grpc-status") {
            let number = status.to_str().ok().and_then(|it| it.trim().parse().ok());
            self.status = Some(number.unwrap_or(UNKNOWN));
        }
    }

    /// The name of a status that is the server's fault.
    pub(super) fn error(self) -> Option<&'static str> {
        match self.status.unwrap_or(UNKNOWN) {
            4 => Some("DEADLINE_EXCEEDED"),
            12 => Some("UNIMPLEMENTED"),
            13 => Some("INTERNAL"),
            14 => Some("UNAVAILABLE"),
            15 => Some("DATA_LOSS"),
            // What the client did wrong, or asked to end.
            0 | 1 | 3 | 5..=11 | 16 => None,
            _ => Some("UNKNOWN"),
        }
    }
}

const UNKNOWN: u8 = 2;
