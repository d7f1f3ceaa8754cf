//! Services of Docker Swarm.
//!
//! ```no_run
//! use seawall_scale::Http;
//! use seawall_scale::actuate::swarm::Swarm;
//!
//! let swarm = Swarm::new(Http::plain("unix:///var/run/docker.sock")?, "shop_web")?;
//! # drop(swarm);
//! # Ok::<_, seawall_scale::ConfigError>(())
//! ```
//!
//! Must speak to a manager of the swarm. The Engine API is 1.44 (Docker 25 and later).

use http::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Tried;
use super::{ActuateError, Actuator, Boxed, Observed, Outcome, Phase};
use crate::client::segment;
use crate::{ConfigError, Http};

/// One replicated service, by its name or id.
///
/// An update sends back the whole specification that was read just before, with the version that
/// it had; if somebody else was faster, it reads and tries again, three times at most.
#[derive(Debug)]
pub struct Swarm {
    http: Http,
    service: Box<str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    version: Version,
    /// Sent back as it came: what is not understood here must not be lost.
    spec: Value,
    service_status: Option<ServiceStatus>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    index: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceStatus {
    running_tasks: u32,
}

#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

impl Swarm {
    /// A service of the swarm that `http` leads to.
    ///
    /// # Errors
    /// An empty name.
    pub fn new(http: Http, service: &str) -> Result<Self, ConfigError> {
        if service.is_empty() || service.len() > 253 {
            let (field, value) = ("service", service.chars().take(300).collect());
            return Err(ConfigError::Text { field, value, bound: "1 to 253 bytes" });
        }
        Ok(Self { http, service: service.into() })
    }

    async fn get<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        tried: Tried<'_>,
    ) -> Result<T, ActuateError> {
        let answer = self.http.get(&format!("{API}{path}")).await;
        let answer = accepted(answer.map_err(|error| tried.unreachable(error))?, tried)?;
        serde_json::from_slice(answer.body()).map_err(|error| tried.senseless(error))
    }

    /// With the number of tasks that run, which only a list says.
    async fn look(&self) -> Result<Observed, ActuateError> {
        let object = self.object();
        let tried = Tried { phase: Phase::Observe, action: "list", object: &object };
        for filter in ["name", "id"] {
            let filters = json!({ filter: [*self.service] }).to_string();
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("status", "true")
                .append_pair("filters", &filters)
                .finish();
            let found: Vec<Service> = self.get(&format!("/services?{query}"), tried).await?;
            // The filters also find what only begins so.
            let meant = |it: &Service| it.spec["Name"] == *self.service || it.id == *self.service;
            if let Some(service) = found.into_iter().find(meant) {
                let desired = self.replicas(&service, Phase::Observe)?;
                let status = service.service_status.ok_or_else(|| tried.senseless(NO_STATUS))?;
                let running = Observed::counted(status.running_tasks);
                return Ok(Observed { desired: Some(desired), ..running });
            }
        }
        Err(ActuateError::NotFound { phase: Phase::Observe, object: object.into() })
    }

    async fn service(&self, phase: Phase) -> Result<Service, ActuateError> {
        let object = self.object();
        let tried = Tried { phase, action: "inspect", object: &object };
        self.get(&format!("/services/{}", segment(&self.service)), tried).await
    }

    async fn write(&self, target: u32) -> Result<Outcome, ActuateError> {
        for _ in 0..ATTEMPTS {
            let mut service = self.service(Phase::Apply).await?;
            let from = self.replicas(&service, Phase::Apply)?;
            if from == target {
                return Ok(Outcome::Unchanged);
            }
            service.spec["Mode"]["Replicated"]["Replicas"] = json!(target);
            match self.update(&service).await {
                Ok(()) => return Ok(Outcome::Accepted { from }),
                Err(ActuateError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ActuateError::Conflict { phase: Phase::Apply, attempts: ATTEMPTS })
    }

    async fn update(&self, service: &Service) -> Result<(), ActuateError> {
        let object = self.object();
        let tried = Tried { phase: Phase::Apply, action: "update", object: &object };
        let (id, index) = (segment(&service.id), service.version.index);
        let path = format!("{API}/services/{id}/update?version={index}");
        let answer = self.http.post_json(&path, &service.spec).await;
        accepted(answer.map_err(|error| tried.unreachable(error))?, tried).map(|_| ())
    }

    fn replicas(&self, service: &Service, phase: Phase) -> Result<u32, ActuateError> {
        let replicated = &service.spec["Mode"]["Replicated"];
        if !replicated.is_object() {
            return Err(ActuateError::NotScalable { phase, object: self.object().into() });
        }
        let replicas = replicated["Replicas"].as_u64().unwrap_or(1);
        Ok(u32::try_from(replicas).unwrap_or(u32::MAX))
    }

    fn object(&self) -> String {
        format!("service {}", self.service)
    }
}

/// The engine tells a write that came too late by a text, with the status of a failure.
fn accepted(
    answer: Response<bytes::Bytes>,
    tried: Tried<'_>,
) -> Result<Response<bytes::Bytes>, ActuateError> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let refusal: Refusal = serde_json::from_slice(answer.body()).unwrap_or_default();
    if refusal.message.contains("update out of sequence") {
        return Err(ActuateError::Conflict { phase: tried.phase, attempts: 1 });
    }
    Err(tried.refused(answer.status().as_u16(), answer.headers(), &refusal.message))
}

impl Actuator for Swarm {
    fn name(&self) -> &'static str {
        "swarm"
    }

    /// Tasks that run count as ready: the API does not say which are healthy.
    fn observe(&self) -> Boxed<'_, Result<Observed, ActuateError>> {
        Box::pin(self.look())
    }

    /// The reason goes nowhere.
    fn apply<'a>(
        &'a self,
        target: u32,
        _reason: &'a str,
    ) -> Boxed<'a, Result<Outcome, ActuateError>> {
        Box::pin(self.write(target))
    }
}

const NO_STATUS: &str = "the list of services has no ServiceStatus";
const API: &str = "/v1.44";
const ATTEMPTS: u32 = 3;
