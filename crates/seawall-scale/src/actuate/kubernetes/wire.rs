//! The parts of Kubernetes' objects that are read and written here.

use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub(super) struct Scale {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: Spec,
    #[serde(default)]
    pub(super) status: Status,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    resource_version: Option<String>,
}

/// Zero is left out on the wire.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Spec {
    #[serde(default)]
    pub(super) replicas: u32,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    pub(super) replicas: u32,
}

/// A merge patch that fails if the object has changed since it was read.
#[derive(Debug, Serialize)]
pub(super) struct Resized<'a> {
    metadata: &'a Metadata,
    spec: Spec,
}

impl Scale {
    pub(super) fn resized(&self, replicas: u32) -> Resized<'_> {
        Resized { metadata: &self.metadata, spec: Spec { replicas } }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WorkloadStatus {
    #[serde(default)]
    pub(super) status: Ready,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ready {
    pub(super) ready_replicas: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Autoscalers {
    #[serde(default)]
    pub(super) items: Vec<Autoscaler>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Autoscaler {
    pub(super) metadata: Named,
    pub(super) spec: AutoscalerSpec,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: Box<str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AutoscalerSpec {
    pub(super) scale_target_ref: TargetRef,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TargetRef {
    #[serde(default)]
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
}

/// Kubernetes' way of saying no.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    pub(super) message: String,
}
