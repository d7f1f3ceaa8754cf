//! A decision as tonic's status, for interceptors and handlers.

use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::grpc;
use crate::decision::Decision;

impl Decision<'_> {
    /// RESOURCE_EXHAUSTED with the policy's message, `RetryInfo` and
    /// `QuotaFailure` as details, and `grpc-retry-pushback-ms`. `None` if allowed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_limit::{Limiter, Policy, Quota};
    /// # let quota = Quota::per(1, Duration::from_secs(60))?;
    /// # let limiter = Limiter::builder().policy(Policy::new("calls", quota)).build()?;
    /// # let (set, now) = (limiter.set(&["calls"])?, tokio::time::Instant::now());
    /// assert!(limiter.check("alice", &set, now).to_status().is_none());
    /// let status = limiter.check("alice", &set, now).to_status().ok_or("allowed")?;
    /// assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn to_status(&self) -> Option<Status> {
        if self.is_allowed() {
            return None;
        }
        let mut metadata = MetadataMap::new();
        if let Ok(pushback) = grpc::pushback(self).parse() {
            metadata.insert("grpc-retry-pushback-ms", pushback);
        }
        let details = grpc::details(self).into();
        let code = Code::ResourceExhausted;
        Some(Status::with_details_and_metadata(code, self.message(), details, metadata))
    }
}
