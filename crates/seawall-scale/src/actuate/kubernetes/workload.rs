use crate::ConfigError;

/// Which workload: its kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    group: Box<str>,
    version: Box<str>,
    plural: Box<str>,
    kind: Box<str>,
    namespace: Box<str>,
    name: Box<str>,
}

impl Workload {
    /// A Deployment.
    ///
    /// # Errors
    /// A name that Kubernetes would not take.
    pub fn deployment(namespace: &str, name: &str) -> Result<Self, ConfigError> {
        Self::of("apps", "v1", "deployments", "Deployment", namespace, name)
    }

    /// A StatefulSet.
    ///
    /// # Errors
    /// A name that Kubernetes would not take.
    pub fn stateful_set(namespace: &str, name: &str) -> Result<Self, ConfigError> {
        Self::of("apps", "v1", "statefulsets", "StatefulSet", namespace, name)
    }

    /// Anything with a scale subresource, such as a Rollout of Argo: `("argoproj.io", "v1alpha1",
    /// "rollouts", "Rollout", ..)`.
    ///
    /// # Errors
    /// A name that Kubernetes would not take.
    pub fn of(
        group: &str,
        version: &str,
        plural: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Self, ConfigError> {
        for (field, value) in [
            ("group", group),
            ("version", version),
            ("plural", plural),
            ("kind", kind),
            ("namespace", namespace),
            ("name", name),
        ] {
            let ends = |it: char| it.is_ascii_alphanumeric();
            let proper = value.starts_with(ends)
                && value.ends_with(ends)
                && value.len() <= 253
                && value.chars().all(|it| it.is_ascii_alphanumeric() || it == '-' || it == '.');
            if !proper {
                let value = value.chars().take(300).collect();
                return Err(ConfigError::Text { field, value, bound: NAME });
            }
        }
        Ok(Self {
            group: group.into(),
            version: version.into(),
            plural: plural.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        })
    }

    pub(super) fn path(&self) -> String {
        let Self { group, version, plural, namespace, name, .. } = self;
        format!("/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}")
    }

    pub(super) fn scale_path(&self) -> String {
        format!("{}/scale", self.path())
    }

    pub(super) fn rivals_path(&self) -> String {
        format!("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers", self.namespace)
    }

    /// As `kubectl auth can-i` takes it.
    pub(super) fn name(&self) -> String {
        format!("{} {}/{}", self.plural, self.namespace, self.name)
    }

    pub(super) fn scale_name(&self) -> String {
        format!("{}/scale {}/{}", self.plural, self.namespace, self.name)
    }

    /// Whether a `scaleTargetRef` means this workload. The version does not matter: it is the same
    /// object in each.
    pub(super) fn is(&self, api_version: &str, kind: &str, name: &str) -> bool {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        *self.kind == *kind && *self.name == *name && (group.is_empty() || *self.group == *group)
    }
}

const NAME: &str = "1 to 253 letters, digits, dots or hyphens, a letter or digit at both ends";
