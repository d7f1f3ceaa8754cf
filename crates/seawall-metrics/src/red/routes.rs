//! The handles of each (method, route, outcome), made once.
//!
//! Each stripe of threads keeps its own table, so a look-up takes a lock no
//! other thread wants, and its own entries, so that their reference counts
//! stay in one cache. Which routes exist is agreed on in one shared set,
//! consulted the first time a stripe sees a route.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use http::{Method, StatusCode};
use metrics::{Gauge, Histogram, Key, Label, Level, Metadata, Recorder, Unit};
use parking_lot::RwLock;

use crate::cells::{slot, stripe_count};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Status(StatusCode),
    /// A status of gRPC that is the server's fault.
    Grpc(StatusCode, &'static str),
    BodyError(StatusCode),
    BodyPanic(StatusCode),
    Aborted(StatusCode),
    ServiceError,
    Panic,
    Cancelled,
}

pub(super) enum Source {
    Facade,
    Given(Box<dyn Recorder + Send + Sync>),
}

pub(super) struct Routes {
    source: Arc<Source>,
    hasher: RandomState,
    stripes: Box<[CachePadded<Table>]>,
    known: RwLock<HashSet<Box<str>>>,
}

type Table = RwLock<HashTable<Arc<Entry>>>;

/// One method on one route.
pub(super) struct Entry {
    method: &'static str,
    route: Box<str>,
    source: Arc<Source>,
    pub(super) active: Gauge,
    pub(super) first_byte: Histogram,
    pub(super) request_size: Histogram,
    pub(super) body_size: Histogram,
    /// The first outcomes that came; a request reads them without a lock.
    durations: [OnceLock<(Outcome, Histogram)>; COMMON_OUTCOMES],
    rare: RwLock<Vec<(Outcome, Histogram)>>,
}

impl Routes {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source: Arc::new(source),
            hasher: RandomState::default(),
            stripes: (0..stripe_count()).map(|_| CachePadded::default()).collect(),
            known: RwLock::default(),
        }
    }

    pub(super) fn find(&self, method: &Method, route: Option<&str>) -> Arc<Entry> {
        self.entry(method_label(method), route.unwrap_or(UNMATCHED))
    }

    fn entry(&self, method: &'static str, route: &str) -> Arc<Entry> {
        let hash = self.hash(method, route);
        // There is at least one stripe, and their number is a power of two.
        let Some(stripe) = self.stripes.get(slot() & (self.stripes.len() - 1)) else {
            return Arc::new(Entry::new(method, route, self.source.clone()));
        };
        if let Some(entry) = stripe.read().find(hash, |entry| entry.is(method, route)) {
            return entry.clone();
        }
        if route != OTHER && !self.admit(route) {
            return self.entry(method, OTHER);
        }
        let mut table = stripe.write();
        if let Some(entry) = table.find(hash, |entry| entry.is(method, route)) {
            return entry.clone();
        }
        let entry = Arc::new(Entry::new(method, route, self.source.clone()));
        table.insert_unique(hash, entry.clone(), |entry| self.hash(entry.method, &entry.route));
        entry
    }

    /// True if the route is known or there is room for it.
    #[cold]
    fn admit(&self, route: &str) -> bool {
        let known = self.known.read();
        if known.contains(route) {
            return true;
        }
        if known.len() >= MAX_ROUTES {
            // For good, so that further routes cost no exclusive lock.
            return false;
        }
        drop(known);
        let mut known = self.known.write();
        known.contains(route) || (known.len() < MAX_ROUTES && known.insert(route.into()))
    }

    fn hash(&self, method: &str, route: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        method.hash(&mut hasher);
        route.hash(&mut hasher);
        hasher.finish()
    }
}

impl Entry {
    fn new(method: &'static str, route: &str, source: Arc<Source>) -> Self {
        let labels = || {
            vec![
                Label::from_static_parts("http_request_method", method),
                Label::new("http_route", route.to_owned()),
            ]
        };
        let (active, first_byte, request_size, body_size) = source.with(|recorder| {
            describe(recorder);
            (
                recorder.register_gauge(&Key::from_parts(ACTIVE, labels()), &METADATA),
                recorder.register_histogram(&Key::from_parts(FIRST_BYTE, labels()), &METADATA),
                recorder.register_histogram(&Key::from_parts(REQUEST_SIZE, labels()), &METADATA),
                recorder.register_histogram(&Key::from_parts(BODY_SIZE, labels()), &METADATA),
            )
        });
        Self {
            method,
            route: route.into(),
            source,
            active,
            first_byte,
            request_size,
            body_size,
            durations: Default::default(),
            rare: RwLock::default(),
        }
    }

    /// Counts a request that took so long and ended so.
    pub(super) fn record(&self, outcome: Outcome, seconds: f64) {
        for slot in &self.durations {
            let (known, histogram) = slot.get_or_init(|| (outcome, self.register(outcome)));
            if *known == outcome {
                return histogram.record(seconds);
            }
        }
        let find = |known: &[(Outcome, Histogram)]| {
            let found = known.iter().find(|(of, _)| *of == outcome);
            found.map(|(_, histogram)| histogram.record(seconds)).is_some()
        };
        if find(&self.rare.read()) {
            return;
        }
        let mut rare = self.rare.write();
        if !find(&rare) {
            let histogram = self.register(outcome);
            histogram.record(seconds);
            rare.push((outcome, histogram));
        }
    }

    /// The duration histogram of one outcome.
    fn register(&self, outcome: Outcome) -> Histogram {
        let mut labels = vec![
            Label::from_static_parts("http_request_method", self.method),
            Label::new("http_route", self.route.as_ref().to_owned()),
        ];
        let (status, error) = outcome.labels();
        labels.extend(
            status
                .map(|status| Label::new("http_response_status_code", status.as_str().to_owned())),
        );
        labels.extend(error.map(|error| Label::new("error_type", error)));
        let key = Key::from_parts(DURATION, labels);
        self.source.with(|recorder| recorder.register_histogram(&key, &METADATA))
    }

    fn is(&self, method: &str, route: &str) -> bool {
        self.method == method && *self.route == *route
    }
}

impl Outcome {
    fn labels(self) -> (Option<StatusCode>, Option<String>) {
        match self {
            Self::Status(status) if status.is_server_error() => {
                (Some(status), Some(status.as_str().to_owned()))
            }
            Self::Status(status) => (Some(status), None),
            Self::Grpc(status, name) => (Some(status), Some(name.to_owned())),
            Self::BodyError(status) => (Some(status), Some("body_error".to_owned())),
            Self::BodyPanic(status) => (Some(status), Some("panic".to_owned())),
            Self::Aborted(status) => (Some(status), Some("aborted".to_owned())),
            Self::ServiceError => (None, Some("service_error".to_owned())),
            Self::Panic => (None, Some("panic".to_owned())),
            Self::Cancelled => (None, Some("cancelled".to_owned())),
        }
    }
}

impl Source {
    fn with<T>(&self, use_it: impl FnOnce(&dyn Recorder) -> T) -> T {
        match self {
            Self::Facade => metrics::with_recorder(use_it),
            Self::Given(recorder) => use_it(&**recorder),
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("method", &self.method)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}

fn describe(recorder: &dyn Recorder) {
    for (name, unit, text) in [
        (DURATION, Unit::Seconds, "Time from the request to the end of the response."),
        (FIRST_BYTE, Unit::Seconds, "Time from the request to the response headers."),
        (REQUEST_SIZE, Unit::Bytes, "Bytes of request body that the client announced."),
        (BODY_SIZE, Unit::Bytes, "Bytes of response body handed to the server."),
    ] {
        recorder.describe_histogram(name.into(), Some(unit), text.into());
    }
    recorder.describe_gauge(ACTIVE.into(), None, "Requests in flight.".into());
}

/// The nine methods of RFC 9110 and RFC 5789; all others as one.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => OTHER,
    }
}

const DURATION: &str = "http_server_request_duration_seconds";
const FIRST_BYTE: &str = "http_server_time_to_first_byte_seconds";
const REQUEST_SIZE: &str = "http_server_request_body_size_bytes";
const BODY_SIZE: &str = "http_server_response_body_size_bytes";
const ACTIVE: &str = "http_server_active_requests";
const UNMATCHED: &str = "unmatched";
const OTHER: &str = "_OTHER";
const MAX_ROUTES: usize = 1024;
/// Statuses that a route gives often.
const COMMON_OUTCOMES: usize = 4;
const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
