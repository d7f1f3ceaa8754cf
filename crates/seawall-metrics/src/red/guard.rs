//! One request on its way through: counts it once, whatever happens.

use std::sync::Arc;

use http::response::Parts;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;

use super::grpc::Call;
use super::routes::{Entry, Outcome};

#[derive(Debug)]
pub(super) struct Guard {
    entry: Arc<Entry>,
    started: Instant,
    head: bool,
    /// Whether statuses of gRPC are looked at.
    grpc: bool,
    /// What the response says of itself, if it is one of gRPC.
    call: Option<Call>,
    /// Status and body length, once the headers are there.
    response: Option<(StatusCode, Option<u64>)>,
    /// When the headers came, if nothing has happened since.
    headers_at: Option<Instant>,
    bytes: u64,
    outcome: Option<Outcome>,
}

/// Whether the response ends with its headers, whatever its body says.
#[derive(PartialEq, Eq)]
pub(super) enum NoBody {
    Yes,
    No,
}

impl Guard {
    /// `size` is that of the request body, as far as it was announced.
    pub(super) fn new(entry: Arc<Entry>, method: &Method, size: Option<u64>, grpc: bool) -> Self {
        entry.active.increment(1.0);
        if let Some(size) = size {
            entry.request_size.record(size as f64);
        }
        Self {
            entry,
            started: Instant::now(),
            head: method == Method::HEAD,
            grpc,
            call: None,
            response: None,
            headers_at: None,
            bytes: 0,
            outcome: None,
        }
    }

    /// The inner service returned an error.
    pub(super) fn failed(mut self) {
        self.outcome = Some(Outcome::ServiceError);
    }

    /// The headers are there.
    pub(super) fn headers(&mut self, parts: &Parts, length: Option<u64>) -> NoBody {
        let status = parts.status;
        if self.grpc {
            self.call = Call::of(&parts.headers);
        }
        let now = Instant::now();
        self.headers_at = Some(now);
        self.response = Some((status, length));
        self.entry.first_byte.record((now - self.started).as_secs_f64());
        // Servers drop the body of these without polling it.
        let bare = self.head
            || status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        if bare { NoBody::Yes } else { NoBody::No }
    }

    /// The body was polled since the headers: their time is not the end's.
    pub(super) fn moved_on(&mut self) {
        self.headers_at = None;
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Trailers came.
    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(call) = &mut self.call {
            call.read(trailers);
        }
    }

    /// The body came to its end.
    pub(super) fn finished(mut self) {
        self.outcome = self.response.map(|(status, _)| self.ended(status));
    }

    fn ended(&self, status: StatusCode) -> Outcome {
        match self.call.and_then(Call::error) {
            Some(name) => Outcome::Grpc(status, name),
            None => Outcome::Status(status),
        }
    }

    /// The body returned an error.
    pub(super) fn broken(mut self) {
        self.outcome = self.response.map(|(status, _)| Outcome::BodyError(status));
    }

    /// What it means to be dropped now.
    fn dropped(&self) -> Outcome {
        match self.response {
            None if std::thread::panicking() => Outcome::Panic,
            None => Outcome::Cancelled,
            // Not the client's doing, whatever was sent before.
            Some((status, _)) if std::thread::panicking() => Outcome::BodyPanic(status),
            // All announced bytes were taken: a server need not poll for the end.
            Some((status, Some(length))) if self.bytes >= length => self.ended(status),
            Some((status, _)) => Outcome::Aborted(status),
        }
    }
}

/// Drops the guard while a panic passes: if a layer outside catches the panic,
/// what holds the guard is dropped only later, when nothing tells of it any more.
pub(super) struct Unwinding<'a>(pub(super) &'a mut Option<Guard>);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.take();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let now = match (self.headers_at, self.outcome) {
            // Ended with the headers: that reading of the clock will do.
            (Some(at), Some(_)) => at,
            _ => Instant::now(),
        };
        let outcome = self.outcome.unwrap_or_else(|| self.dropped());
        self.entry.active.decrement(1.0);
        if self.response.is_some() {
            self.entry.body_size.record(self.bytes as f64);
        }
        self.entry.record(outcome, (now - self.started).as_secs_f64());
    }
}
