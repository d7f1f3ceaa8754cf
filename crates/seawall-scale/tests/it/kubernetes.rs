use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use seawall_scale::actuate::kubernetes::{Kubernetes, Workload};
use seawall_scale::actuate::{
    ActuateError, Actuator, Outcome, Phase, Reconciler, ReconcilerConfig, Standing, Warning,
};
use seawall_scale::sources::{KubernetesPods, Probe, Reading, SourceError};
use seawall_signal::Unit;
use serde_json::{Value, json};

use crate::fake::{Answer, Asked, Fake};

const SCALE: &str = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
const WORKLOAD: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const RIVALS: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers";

/// What an API server keeps of one Deployment, with the rules of its versions.
#[derive(Debug)]
struct Cluster {
    replicas: u32,
    running: u32,
    ready: u32,
    version: u64,
    /// How many writes somebody else is faster than.
    races: u32,
    rivals: Value,
    most: u32,
    /// Answers instead, by the end of the path.
    instead: Vec<(Method, &'static str, Answer)>,
}

type Shared = Arc<Mutex<Cluster>>;

async fn cluster(replicas: u32) -> (Fake, Shared) {
    let cluster = Arc::new(Mutex::new(Cluster {
        replicas,
        running: replicas,
        ready: replicas,
        version: 100,
        races: 0,
        rivals: json!([]),
        most: u32::MAX,
        instead: Vec::new(),
    }));
    let shared = Arc::clone(&cluster);
    (Fake::start(move |asked| shared.lock().unwrap().answer(asked)).await, cluster)
}

impl Cluster {
    fn answer(&mut self, asked: &Asked) -> Answer {
        let method = &asked.method;
        let instead =
            self.instead.iter().position(|(of, path, _)| of == method && asked.path == *path);
        if let Some(index) = instead {
            return self.instead[index].2.clone();
        }
        match (method, asked.path.as_str()) {
            (&Method::GET, SCALE) => Answer::json(&self.scale()),
            (&Method::PATCH, SCALE) => self.patch(asked),
            (&Method::GET, WORKLOAD) => Answer::json(&json!({
                "metadata": { "name": "web" },
                "spec": { "replicas": self.replicas },
                "status": { "replicas": self.running, "readyReplicas": self.ready },
            })),
            (&Method::GET, RIVALS) => Answer::json(&json!({ "items": self.rivals })),
            _ => refusal(404, "the server could not find the requested resource"),
        }
    }

    fn scale(&self) -> Value {
        let mut spec = json!({ "replicas": self.replicas });
        if self.replicas == 0 {
            spec = json!({});
        }
        json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": { "name": "web", "resourceVersion": self.version.to_string() },
            "spec": spec, "status": { "replicas": self.running },
        })
    }

    fn patch(&mut self, asked: &Asked) -> Answer {
        assert_eq!(asked.headers["content-type"], "application/merge-patch+json");
        assert_eq!(asked.query, "fieldManager=seawall");
        let patch = asked.json();
        if self.races > 0 {
            self.races -= 1;
            self.version += 1;
        }
        let version = self.version.to_string();
        if patch["metadata"]["resourceVersion"] != version {
            return refusal(409, "the object has been modified");
        }
        let wished = u32::try_from(patch["spec"]["replicas"].as_u64().unwrap()).unwrap();
        self.replicas = wished.min(self.most);
        self.version += 1;
        Answer::json(&self.scale())
    }
}

fn refusal(status: u16, message: &str) -> Answer {
    let body = json!({ "kind": "Status", "code": status, "message": message });
    Answer::text(status, body.to_string())
}

fn kubernetes(fake: &Fake) -> Kubernetes {
    let mut config = kube::Config::new(fake.url.parse().unwrap());
    config.default_retry = false;
    let client = kube::Client::try_from(config).unwrap();
    Kubernetes::new(client, Workload::deployment("shop", "web").unwrap())
}

#[tokio::test]
async fn it_reads_and_writes_the_scale_subresource() {
    let (fake, cluster) = cluster(3).await;
    let it = kubernetes(&fake);
    cluster.lock().unwrap().ready = 2;
    let seen = it.observe().await.unwrap();
    assert_eq!((seen.desired, seen.running, seen.ready, seen.warning), (Some(3), 3, 2, None));
    assert_eq!(it.apply(5, "cpu").await.unwrap(), Outcome::Accepted { from: 3 });
    assert_eq!(it.apply(5, "cpu").await.unwrap(), Outcome::Unchanged);
    assert_eq!(cluster.lock().unwrap().replicas, 5);
    assert_eq!(fake.count(&Method::PATCH, "/scale"), 1);
    assert_eq!(fake.count(&Method::GET, "horizontalpodautoscalers"), 1, "once a minute");
}

#[tokio::test]
async fn zero_is_a_size_although_the_wire_leaves_it_out() {
    let (fake, cluster) = cluster(1).await;
    let it = kubernetes(&fake);
    assert_eq!(it.apply(0, "idle").await.unwrap(), Outcome::Accepted { from: 1 });
    assert_eq!(cluster.lock().unwrap().replicas, 0);
    assert_eq!(it.observe().await.unwrap().desired, Some(0));
    assert_eq!(it.apply(1, "a request").await.unwrap(), Outcome::Accepted { from: 0 });
}

#[tokio::test]
async fn a_conflict_is_tried_again_with_a_fresh_read() {
    let (fake, cluster) = cluster(3).await;
    cluster.lock().unwrap().races = 1;
    let it = kubernetes(&fake);
    assert_eq!(it.apply(5, "cpu").await.unwrap(), Outcome::Accepted { from: 3 });
    let patches: Vec<_> =
        fake.asked().into_iter().filter(|it| it.method == Method::PATCH).collect();
    let versions: Vec<_> =
        patches.iter().map(|it| it.json()["metadata"]["resourceVersion"].clone()).collect();
    assert_eq!(versions, [json!("100"), json!("101")]);
}

#[tokio::test]
async fn a_conflict_without_end_gives_up_after_three_and_may_be_retried_later() {
    let (fake, cluster) = cluster(3).await;
    cluster.lock().unwrap().races = 1_000;
    let error = kubernetes(&fake).apply(5, "cpu").await.unwrap_err();
    assert!(matches!(error, ActuateError::Conflict { attempts: 3, .. }), "{error}");
    assert!(error.is_retryable() && !error.may_have_happened());
    assert_eq!(fake.count(&Method::PATCH, "/scale"), 3);
    assert_eq!(cluster.lock().unwrap().replicas, 3);
}

#[tokio::test]
async fn a_missing_right_is_final_and_says_which() {
    let (fake, cluster) = cluster(3).await;
    let no = refusal(403, "User \"x\" cannot patch resource");
    cluster.lock().unwrap().instead.push((Method::PATCH, SCALE, no));
    let error = kubernetes(&fake).apply(5, "cpu").await.unwrap_err();
    assert!(!error.is_retryable());
    let said = "applying: not allowed to patch deployments/scale shop/web (status 403)";
    assert_eq!(error.to_string(), said);
    assert_eq!(fake.count(&Method::PATCH, "/scale"), 1);
}

#[tokio::test]
async fn a_workload_that_is_not_there_is_named() {
    let (fake, _cluster) = cluster(3).await;
    let mut config = kube::Config::new(fake.url.parse().unwrap());
    config.default_retry = false;
    let client = kube::Client::try_from(config).unwrap();
    let it = Kubernetes::new(client, Workload::stateful_set("shop", "db").unwrap());
    let error = it.observe().await.unwrap_err();
    assert_eq!(error.phase(), Phase::Observe);
    assert_eq!(error.to_string(), "observing: statefulsets/scale shop/db does not exist");
}

#[tokio::test]
async fn an_overloaded_server_says_how_long_to_leave_it_alone() {
    let (fake, cluster) = cluster(3).await;
    let busy = refusal(429, "too many requests").header("retry-after", "7");
    cluster.lock().unwrap().instead.push((Method::PATCH, SCALE, busy));
    let error = kubernetes(&fake).apply(5, "cpu").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(error.is_retryable() && !error.may_have_happened());
    cluster.lock().unwrap().instead[0].2 = refusal(503, "").header("retry-after", "never");
    let error = kubernetes(&fake).apply(5, "cpu").await.unwrap_err();
    assert!(matches!(error, ActuateError::Busy { status: 503, retry_after: None, .. }), "{error}");
}

#[tokio::test]
async fn a_slow_server_does_not_hold_up_the_reconciler_and_is_not_told_twice() {
    let (fake, cluster) = cluster(3).await;
    let slow = Answer::json(&json!({})).after(Duration::from_secs(600));
    cluster.lock().unwrap().instead.push((Method::PATCH, SCALE, slow));
    let config = ReconcilerConfig { timeout: Duration::from_secs(2), ..Default::default() };
    let mut it = Reconciler::new("web", kubernetes(&fake), config).unwrap();
    it.want(5, "cpu");
    // Looking may itself be late on a machine that is: then it is looked at again.
    while fake.count(&Method::PATCH, "/scale") == 0 {
        assert_eq!(it.step().await.standing, Standing::BackingOff);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(it.status().error.as_ref().is_some_and(|error| error.may_have_happened()));
    // It was taken nevertheless.
    let told = fake.count(&Method::PATCH, "/scale");
    {
        let mut taken = cluster.lock().unwrap();
        taken.instead.clear();
        taken.replicas = 5;
    }
    it.resume();
    while it.step().await.standing == Standing::BackingOff {
        it.resume();
    }
    assert_eq!(it.status().standing, Standing::Following);
    assert_eq!(it.status().external_writes, 0);
    assert_eq!(fake.count(&Method::PATCH, "/scale"), told);
}

#[tokio::test]
async fn a_server_that_is_gone_is_unreachable_and_may_come_back() {
    let (fake, _cluster) = cluster(3).await;
    let it = kubernetes(&fake);
    drop(fake);
    tokio::task::yield_now().await;
    let error = it.observe().await.unwrap_err();
    assert!(matches!(error, ActuateError::Unreachable { phase: Phase::Observe, .. }), "{error}");
    assert!(error.is_retryable() && std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn an_autoscaler_on_the_same_workload_is_not_fought() {
    let (fake, cluster) = cluster(3).await;
    let hpa = |name: &str, kind: &str, target: &str| {
        json!({
            "metadata": { "name": name },
            "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": kind, "name": target } },
        })
    };
    cluster.lock().unwrap().rivals =
        json!([hpa("other", "Deployment", "api"), hpa("db", "StatefulSet", "web")]);
    assert_eq!(kubernetes(&fake).observe().await.unwrap().warning, None);

    cluster.lock().unwrap().rivals = json!([hpa("keda-hpa-web", "Deployment", "web")]);
    let it = kubernetes(&fake);
    let warning = it.observe().await.unwrap().warning.unwrap();
    let kind = "HorizontalPodAutoscaler";
    assert_eq!(warning, Warning::OtherAutoscaler { kind, name: "keda-hpa-web".into() });
    assert_eq!(it.apply(9, "cpu").await.unwrap(), Outcome::Yielded);
    let mut reconciler = Reconciler::new("web", it, ReconcilerConfig::default()).unwrap();
    reconciler.want(9, "cpu");
    assert_eq!(reconciler.step().await.standing, Standing::Yielding);
    assert_eq!(fake.count(&Method::PATCH, "/scale"), 0);
}

#[tokio::test]
async fn rights_that_it_can_do_without_are_asked_for_once() {
    let (fake, cluster) = cluster(3).await;
    {
        let mut cluster = cluster.lock().unwrap();
        cluster.ready = 1;
        cluster.instead.push((Method::GET, WORKLOAD, refusal(403, "no")));
        cluster.instead.push((Method::GET, RIVALS, refusal(403, "no")));
    }
    let it = kubernetes(&fake);
    for _ in 0..3 {
        let seen = it.observe().await.unwrap();
        assert_eq!((seen.ready, seen.warning), (3, Some(Warning::RivalsUnknown)));
    }
    assert_eq!(fake.count(&Method::GET, "/deployments/web"), 1);
    assert_eq!(fake.count(&Method::GET, "horizontalpodautoscalers"), 1);
    assert_eq!(it.apply(4, "cpu").await.unwrap(), Outcome::Accepted { from: 3 });
}

#[tokio::test]
async fn a_size_that_admission_cuts_is_a_part() {
    let (fake, cluster) = cluster(3).await;
    cluster.lock().unwrap().most = 6;
    let outcome = kubernetes(&fake).apply(9, "cpu").await.unwrap();
    assert_eq!(outcome, Outcome::Partial { granted: 6 });
}

#[tokio::test]
async fn an_answer_that_is_none_may_have_been_a_yes() {
    let (fake, cluster) = cluster(3).await;
    let proxy = Answer::text(200, "<html>login</html>");
    cluster.lock().unwrap().instead.push((Method::PATCH, SCALE, proxy));
    let error = kubernetes(&fake).apply(5, "cpu").await.unwrap_err();
    assert!(matches!(error, ActuateError::Answer { .. }) && error.may_have_happened(), "{error}");
    cluster.lock().unwrap().instead[0].2 = refusal(422, "spec.replicas: Invalid value");
    let error = kubernetes(&fake).apply(5, "cpu").await.unwrap_err();
    assert!(matches!(error, ActuateError::Rejected { status: 422, .. }), "{error}");
    let said = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(said, "spec.replicas: Invalid value");
}

async fn pods(items: Value) -> Result<Vec<Reading>, SourceError> {
    let fake = Fake::start(move |asked| {
        assert_eq!(asked.path, "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods");
        assert_eq!(asked.query, "labelSelector=app%3Dweb");
        Answer::json(&json!({ "kind": "PodMetricsList", "items": items }))
            .header("date", "Tue, 14 Nov 2023 22:13:20 GMT")
    })
    .await;
    let config = kube::Config::new(fake.url.parse().unwrap());
    let client = kube::Client::try_from(config).unwrap();
    KubernetesPods::new(client, "web", "shop", "app=web").read().await
}

fn pod(timestamp: &str, usages: &[(&str, &str)]) -> Value {
    let containers: Vec<_> = usages
        .iter()
        .map(|(cpu, memory)| json!({ "name": "c", "usage": { "cpu": cpu, "memory": memory } }))
        .collect();
    json!({ "timestamp": timestamp, "window": "15s", "containers": containers })
}

#[tokio::test]
async fn the_metrics_api_tells_the_mean_over_pods_and_the_age_of_the_oldest_sample() {
    let young = pod("2023-11-14T22:13:10Z", &[("250m", "1Mi"), ("50000000n", "1Mi")]);
    let old = pod("2023-11-14T22:12:50Z", &[("500m", "4Mi")]);
    let readings = pods(json!([young, old])).await.unwrap();
    let age = Duration::from_secs(30);
    let cpu = &readings[0];
    assert!((cpu.value - 0.4).abs() < 1e-9 && &*cpu.signal == "web_cpu" && cpu.age == age);
    let mega = 1_048_576.0;
    assert_eq!(readings[1], Reading::new("web_memory", 3.0 * mega, Unit::Bytes).aged(age));
    assert_eq!(readings[2], Reading::new("web_pods", 2.0, Unit::Count).aged(age));
}

#[tokio::test]
async fn pods_without_samples_or_with_senseless_ones_are_no_zero() {
    assert!(matches!(pods(json!([])).await, Err(SourceError::Empty { .. })));
    // A pod whose containers are not measured yet is missing, and not idle.
    let bare = pod("2023-11-14T22:13:10Z", &[]);
    assert!(matches!(pods(json!([bare])).await, Err(SourceError::Empty { .. })));
    let busy = pod("2023-11-14T22:13:10Z", &[("500m", "1Mi")]);
    let readings = pods(json!([bare, busy])).await.unwrap();
    assert_eq!((readings[0].value, readings[2].value), (0.5, 1.0));
    let odd = pod("2023-11-14T22:13:10Z", &[("some", "1Mi")]);
    assert!(matches!(pods(json!([odd])).await, Err(SourceError::NotANumber { .. })));
    let undated = pod("yesterday", &[("1", "1Mi")]);
    assert!(matches!(pods(json!([undated])).await, Err(SourceError::Answer { .. })));
}

#[test]
fn a_name_cannot_lead_to_another_path() {
    for bad in ["", "web/../../x", "web?x=1", "-web", "we b", &"x".repeat(254)] {
        let error = Workload::deployment("shop", bad).unwrap_err().to_string();
        assert!(error.starts_with("name: "), "{error}");
    }
}
