use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::PoisonError;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, StatusCode, Uri};
use tower_service::Service;

use super::answer::{self, Answer};
use super::selector::Selector;
use super::{ExternalMetrics, Key};

/// A tower service made by [`ExternalMetrics::service`]. Bodies of requests are not read.
#[derive(Clone, Debug)]
pub struct ExternalMetricsService {
    metrics: ExternalMetrics,
}

impl ExternalMetricsService {
    pub(super) fn new(metrics: ExternalMetrics) -> Self {
        Self { metrics }
    }

    fn answer(&self, method: &Method, uri: &Uri) -> Answer {
        let parts: Vec<_> = uri.path().trim_matches('/').split('/').collect();
        let known = match parts[..] {
            ["apis", answer::GROUP] => answer::group(),
            ["apis", answer::GROUP, "v1beta1"] => self.resources(),
            ["apis", answer::GROUP, "v1beta1", "namespaces", _namespace, metric] => {
                self.values(metric, uri.query().unwrap_or_default())
            }
            _ => return answer::refusal(StatusCode::NOT_FOUND, "NotFound", "no such path"),
        };
        if method != Method::GET {
            let code = StatusCode::METHOD_NOT_ALLOWED;
            return answer::refusal(code, "MethodNotAllowed", "only GET is answered");
        }
        known
    }

    fn resources(&self) -> Answer {
        let series = self.metrics.series.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = series.keys().map(|key| &*key.metric).collect();
        names.dedup();
        answer::resources(names.into_iter())
    }

    fn values(&self, metric: &str, query: &str) -> Answer {
        let selector = form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "labelSelector")
            .map_or_else(String::new, |(_, text)| text.into_owned());
        let Some(selector) = Selector::parse(&selector) else {
            let message = "labelSelector cannot be read";
            return answer::refusal(StatusCode::BAD_REQUEST, "BadRequest", message);
        };
        let series = self.metrics.series.read().unwrap_or_else(PoisonError::into_inner);
        let of_it: Vec<_> = series.iter().filter(|(key, _)| *key.metric == *metric).collect();
        if of_it.is_empty() {
            let message = "there is no such metric";
            return answer::refusal(StatusCode::NOT_FOUND, "NotFound", message);
        }
        let selected = of_it.into_iter().filter(|(key, _)| selector.matches(&key.labels));
        let found: Option<Vec<(&Key, f64, Duration)>> = selected
            .map(|(key, reader)| {
                let (value, at) = (*reader.borrow())?;
                let age = at.elapsed();
                (age <= self.metrics.config.max_age).then_some((key, value, age))
            })
            .collect();
        match found {
            Some(found) => answer::values(found.into_iter()),
            // A sum without it would be too small.
            None => answer::refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "the engine's last decision is too old, or there was none",
            ),
        }
    }
}

impl<B> Service<Request<B>> for ExternalMetricsService {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.uri())))
    }
}
