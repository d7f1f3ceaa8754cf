use std::time::{Duration, SystemTime};

use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use seawall_signal::Unit;
use serde::Deserialize;

use super::{Probe, Reading, SourceError};
use crate::actuate::Boxed;

/// What the metrics API of Kubernetes says of the pods that a label selector chooses.
///
/// Signals: `NAME_cpu`, cores in use, and `NAME_memory`, bytes, both the mean over the pods that have
/// a sample of a container, and `NAME_pods`, how many those are. Their age is that of the oldest sample, by the API
/// server's clock; metrics-server takes one every 15 s by default. Needs the right to `list`
/// `pods.metrics.k8s.io`.
#[derive(Clone)]
pub struct KubernetesPods {
    client: kube::Client,
    name: Box<str>,
    path: Box<str>,
}

impl KubernetesPods {
    /// `name` begins the signals' names; the selector is as `kubectl -l` takes it.
    #[must_use]
    pub fn new(client: kube::Client, name: &str, namespace: &str, selector: &str) -> Self {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("labelSelector", selector)
            .finish();
        let segment: String = form_urlencoded::byte_serialize(namespace.as_bytes()).collect();
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{segment}/pods?{query}");
        Self { client, name: name.into(), path: path.into() }
    }

    async fn ask(&self) -> Result<Vec<Reading>, SourceError> {
        let unreachable = |source| SourceError::Unreachable { source };
        let senseless = |source| SourceError::Answer { source };
        let request = Request::get(&*self.path).body(Body::empty());
        let request = request.map_err(|error| senseless(Some(Box::new(error))))?;
        let answer = self.client.send(request).await;
        let (parts, body) = answer.map_err(|error| unreachable(Box::new(error)))?.into_parts();
        if !parts.status.is_success() {
            return Err(SourceError::Refused { status: parts.status.as_u16() });
        }
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(unreachable)?.to_bytes();
        let list: List =
            serde_json::from_slice(&body).map_err(|error| senseless(Some(Box::new(error))))?;
        let date = parts.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        self.mean(&list.items, date)
    }

    fn mean(&self, pods: &[Pod], now: Option<SystemTime>) -> Result<Vec<Reading>, SourceError> {
        let signal = |suffix: &str| format!("{}_{suffix}", self.name);
        let (mut cpu, mut memory, mut age) = (0.0, 0.0, Duration::ZERO);
        // One without containers says nothing: it is not idle.
        let pods: Vec<_> = pods.iter().filter(|pod| !pod.containers.is_empty()).collect();
        for pod in &pods {
            let at = humantime::parse_rfc3339(&pod.timestamp)
                .map_err(|error| SourceError::Answer { source: Some(Box::new(error)) })?;
            // Without a date in the answer the samples are as young as the answer.
            age = age.max(now.and_then(|now| now.duration_since(at).ok()).unwrap_or_default());
            for container in &pod.containers {
                let number = |text: &str, suffix: &str| {
                    quantity(text)
                        .ok_or_else(|| SourceError::NotANumber { signal: signal(suffix).into() })
                };
                cpu += number(&container.usage.cpu, "cpu")?;
                memory += number(&container.usage.memory, "memory")?;
            }
        }
        if pods.is_empty() {
            return Err(SourceError::Empty { signal: signal("cpu").into() });
        }
        #[expect(clippy::cast_precision_loss, reason = "an answer has 16 MiB at most")]
        let count = pods.len() as f64;
        Ok(vec![
            Reading::new(&signal("cpu"), cpu / count, Unit::None).aged(age),
            Reading::new(&signal("memory"), memory / count, Unit::Bytes).aged(age),
            Reading::new(&signal("pods"), count, Unit::Count).aged(age),
        ])
    }
}

impl Probe for KubernetesPods {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self) -> Boxed<'_, Result<Vec<Reading>, SourceError>> {
        Box::pin(self.ask())
    }
}

impl std::fmt::Debug for KubernetesPods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubernetesPods").field("path", &self.path).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct List {
    items: Vec<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    timestamp: String,
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    usage: Usage,
}

#[derive(Deserialize)]
struct Usage {
    cpu: String,
    memory: String,
}

/// `12m`, `1`, `128974848`, `34Mi`, `1e3`.
fn quantity(text: &str) -> Option<f64> {
    let split = text.find(|it: char| it.is_ascii_alphabetic() && !matches!(it, 'e' | 'E'));
    let exponent_or_exa = text.ends_with('E').then(|| text.len() - 1);
    let (number, suffix) = text.split_at(split.or(exponent_or_exa).unwrap_or(text.len()));
    // `5Ei`: the letter before is a part of the suffix.
    let (number, suffix) = match number.strip_suffix('E') {
        Some(number) if suffix == "i" => (number, "Ei"),
        _ => (number, suffix),
    };
    let factor = SUFFIXES.iter().find(|(name, _)| *name == suffix)?.1;
    let value = number.parse::<f64>().ok()? * factor;
    value.is_finite().then_some(value)
}

const SUFFIXES: [(&str, f64); 16] = [
    ("", 1.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
];

const MAX_ANSWER: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, value) in [
            ("0", 0.0),
            ("250m", 0.25),
            ("1500000n", 0.0015),
            ("12u", 0.000_012),
            ("2", 2.0),
            ("1.5", 1.5),
            ("34Mi", 35_651_584.0),
            ("1Ki", 1024.0),
            ("3k", 3000.0),
            ("1e3", 1000.0),
            ("2E", 2e18),
            ("1Ei", 1_152_921_504_606_846_976.0),
        ] {
            let read = quantity(text).unwrap();
            assert!((read - value).abs() <= value * 1e-12, "{text}: {read}");
        }
        for bad in ["", "m", "1x", "1Mib", "-", "NaN", "inf", "1e999"] {
            assert_eq!(quantity(bad), None, "{bad}");
        }
    }
}
