use super::PolicyError;

/// Signals that say how many instances a mean does not speak for, so that
/// targets of [`Goal::Utilisation`](crate::Goal::Utilisation) can fill them in
/// as the Kubernetes HPA does.
///
/// ```toml
/// starting = "instances_starting"
/// missing = "instances_missing"
/// failing = "instances_failing"
/// ```
///
/// On the way up those that start and those that are missing count as idle; on
/// the way down the missing ones count as fully used (at the level, if that is
/// above 100 %) and the starting ones not at all. If the filled-in mean lies in
/// the tolerance band or on the other side of the level, nothing changes.
/// Unlike the HPA, which leaves out whoever is not ready, those that were ready
/// and fail now count as saturated: an overloaded group shall grow.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Fleet {
    /// Signal: instances that have never been ready yet. Default: none.
    pub starting: Option<String>,
    /// Signal: ready instances without a sample. Default: none.
    pub missing: Option<String>,
    /// Signal: instances that were ready, and are not now. Default: none.
    pub failing: Option<String>,
}

impl Fleet {
    pub(crate) fn signals(&self) -> impl Iterator<Item = &String> {
        [&self.starting, &self.missing, &self.failing].into_iter().flatten()
    }

    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        if self.signals().any(String::is_empty) { Err(PolicyError::EmptySignal) } else { Ok(()) }
    }
}
