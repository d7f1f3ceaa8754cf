use std::fmt;

use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::Refusal;
use crate::actuate::ActuateError;
use crate::actuate::answer::Tried;

/// Requests to the API server by kube's client: its address, identity and TLS, but the answer's
/// status and headers as they are.
pub(super) struct Api {
    client: kube::Client,
}

impl Api {
    pub(super) fn new(client: kube::Client) -> Self {
        Self { client }
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        tried: Tried<'_>,
    ) -> Result<T, ActuateError> {
        let request = Request::get(path).header(header::ACCEPT, "application/json");
        self.ask(request.body(Body::empty()), tried).await
    }

    pub(super) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        patch: &impl Serialize,
        tried: Tried<'_>,
    ) -> Result<T, ActuateError> {
        let body = serde_json::to_vec(patch).map_err(|error| tried.senseless(error))?;
        let request = Request::patch(format!("{path}?fieldManager=seawall"))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/merge-patch+json")
            .body(Body::from(body));
        self.ask(request, tried).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: Result<Request<Body>, http::Error>,
        tried: Tried<'_>,
    ) -> Result<T, ActuateError> {
        let request = request.map_err(|error| tried.unreachable(error))?;
        let answer = self.client.send(request).await.map_err(|error| tried.unreachable(error))?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| tried.unreachable(error))?.to_bytes();
        if !parts.status.is_success() {
            let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
            return Err(tried.refused(parts.status.as_u16(), &parts.headers, &refusal.message));
        }
        serde_json::from_slice(&body).map_err(|error| tried.senseless(error))
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

/// Answers are small, but for lists; more than this is not one.
const MAX_ANSWER: usize = 4 << 20;
