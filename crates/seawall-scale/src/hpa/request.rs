use std::collections::BTreeMap;

use super::MetricError;

/// What the containers of a pod ask for of one resource, in thousandths. `None`: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "callers build it; the pod spec has no more")]
pub struct Requests {
    /// By name of the container.
    pub containers: BTreeMap<String, Option<i64>>,
    /// Init containers with the restart policy `Always`. Others do not count.
    pub restartable_init: BTreeMap<String, Option<i64>>,
    /// Of the pod as a whole, where that feature is on.
    pub pod_level: Option<i64>,
}

impl Requests {
    /// What use is divided by: the request of one container, or of the pod.
    ///
    /// # Errors
    /// If a container that counts asks for nothing, or none has the name.
    pub fn effective(&self, container: Option<&str>) -> Result<i64, MetricError> {
        let mut all = self.containers.iter().chain(&self.restartable_init);
        match (container, self.pod_level) {
            (Some(name), _) => {
                let found = all.find(|(container, _)| *container == name);
                let (_, request) = found.ok_or(MetricError::ContainerNotFound)?;
                request.ok_or(MetricError::MissingRequest)
            }
            (None, Some(request)) => Ok(request),
            (None, None) => all.try_fold(0_i64, |sum, (_, request)| {
                Ok(sum.saturating_add(request.ok_or(MetricError::MissingRequest)?))
            }),
        }
    }
}
