use std::sync::{Arc, Mutex};

use axum::http::Method;
use seawall_scale::Http;
use seawall_scale::actuate::swarm::Swarm;
use seawall_scale::actuate::{
    ActuateError, Actuator, Outcome, Phase, Reconciler, ReconcilerConfig, Standing,
};
use serde_json::{Value, json};

use crate::fake::{Answer, Asked, Fake};

/// What a manager keeps of one service.
#[derive(Debug)]
struct Manager {
    spec: Value,
    index: u64,
    running: u32,
    races: u32,
}

type Shared = Arc<Mutex<Manager>>;

fn manager(mode: &Value) -> Shared {
    Arc::new(Mutex::new(Manager {
        spec: json!({
            "Name": "shop_web", "Labels": { "a": "b" }, "Mode": mode,
            "TaskTemplate": { "ContainerSpec": { "Image": "web:1", "Unheard": [1, 2] }, "ForceUpdate": 7 },
        }),
        index: 41,
        running: 3,
        races: 0,
    }))
}

fn answers(manager: &Shared) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
    let manager = Arc::clone(manager);
    move |asked| manager.lock().unwrap().answer(asked)
}

impl Manager {
    fn answer(&mut self, asked: &Asked) -> Answer {
        match (&asked.method, asked.path.as_str()) {
            (&Method::GET, "/v1.44/services") => {
                assert!(asked.query.contains("status=true"), "{}", asked.query);
                let mut longer = self.service();
                longer["Spec"]["Name"] = json!("shop_web_admin");
                longer["ServiceStatus"] = json!({ "RunningTasks": 99, "DesiredTasks": 99 });
                let mut this = self.service();
                this["ServiceStatus"] = json!({ "RunningTasks": self.running, "DesiredTasks": 3 });
                let id = asked.query.contains("abc123");
                Answer::json(&if id { json!([this]) } else { json!([longer, this]) })
            }
            (&Method::GET, "/v1.44/services/shop_web") => Answer::json(&self.service()),
            (&Method::POST, "/v1.44/services/abc123/update") => self.update(asked),
            _ => Answer::text(404, json!({ "message": "service not found" }).to_string()),
        }
    }

    fn service(&self) -> Value {
        json!({ "ID": "abc123", "Version": { "Index": self.index }, "Spec": self.spec })
    }

    fn update(&mut self, asked: &Asked) -> Answer {
        if self.races > 0 {
            self.races -= 1;
            self.index += 1;
        }
        if asked.query != format!("version={}", self.index) {
            let said = "rpc error: code = Unknown desc = update out of sequence";
            return Answer::text(500, json!({ "message": said }).to_string());
        }
        self.spec = asked.json();
        self.index += 1;
        Answer::json(&json!({ "Warnings": null }))
    }
}

fn replicated(replicas: u32) -> Value {
    json!({ "Replicated": { "Replicas": replicas } })
}

#[tokio::test]
async fn an_update_carries_the_version_and_all_else_as_it_was() {
    let manager = manager(&replicated(3));
    let fake = Fake::start(answers(&manager)).await;
    let it = Swarm::new(Http::plain(&fake.url).unwrap(), "shop_web").unwrap();
    let seen = it.observe().await.unwrap();
    assert_eq!((seen.desired, seen.running), (Some(3), 3));
    let before = manager.lock().unwrap().spec.clone();
    assert_eq!(it.apply(5, "queue").await.unwrap(), Outcome::Accepted { from: 3 });
    assert_eq!(it.apply(5, "queue").await.unwrap(), Outcome::Unchanged);
    let mut expected = before;
    expected["Mode"] = replicated(5);
    assert_eq!(manager.lock().unwrap().spec, expected);
    assert_eq!(fake.count(&Method::POST, "/update"), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn the_socket_of_the_engine_is_spoken_to_as_well() {
    let manager = manager(&replicated(3));
    let directory = std::env::temp_dir().join(format!("act-swarm-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("docker.sock");
    let fake = Fake::start_unix(&path, answers(&manager));
    let it = Swarm::new(Http::plain(&fake.url).unwrap(), "shop_web").unwrap();
    assert_eq!(it.apply(4, "queue").await.unwrap(), Outcome::Accepted { from: 3 });
    assert_eq!(it.observe().await.unwrap().desired, Some(4));
    drop(fake);
    std::fs::remove_dir_all(&directory).unwrap();
    let error = it.observe().await.unwrap_err();
    assert!(matches!(error, ActuateError::Unreachable { phase: Phase::Observe, .. }), "{error}");
}

#[tokio::test]
async fn a_write_that_came_too_late_reads_again_and_gives_up_after_three() {
    let manager = manager(&replicated(3));
    let fake = Fake::start(answers(&manager)).await;
    let it = Swarm::new(Http::plain(&fake.url).unwrap(), "shop_web").unwrap();
    manager.lock().unwrap().races = 2;
    assert_eq!(it.apply(5, "queue").await.unwrap(), Outcome::Accepted { from: 3 });
    let versions: Vec<_> = fake
        .asked()
        .into_iter()
        .filter(|it| it.method == Method::POST)
        .map(|it| it.query)
        .collect();
    assert_eq!(versions, ["version=41", "version=42", "version=43"]);
    manager.lock().unwrap().races = 100;
    let error = it.apply(9, "queue").await.unwrap_err();
    assert!(matches!(error, ActuateError::Conflict { attempts: 3, .. }), "{error}");
    assert!(error.is_retryable() && !error.may_have_happened());
}

#[tokio::test]
async fn a_service_without_a_number_of_replicas_is_refused_for_good() {
    let manager = manager(&json!({ "Global": {} }));
    let fake = Fake::start(answers(&manager)).await;
    let it = Swarm::new(Http::plain(&fake.url).unwrap(), "shop_web").unwrap();
    let mut reconciler = Reconciler::new("web", it, ReconcilerConfig::default()).unwrap();
    reconciler.want(5, "queue");
    let status = reconciler.step().await;
    assert_eq!(status.standing, Standing::Halted);
    let said = status.error.as_ref().unwrap().to_string();
    assert_eq!(said, "observing: service shop_web has no number of instances");
    assert_eq!(fake.count(&Method::POST, "/update"), 0);
}

#[tokio::test]
async fn tasks_that_do_not_run_are_seen_and_a_missing_service_is_named() {
    let manager = manager(&replicated(3));
    let fake = Fake::start(answers(&manager)).await;
    manager.lock().unwrap().running = 1;
    let it = Swarm::new(Http::plain(&fake.url).unwrap(), "shop_web").unwrap();
    let mut reconciler = Reconciler::new("web", it, ReconcilerConfig::default()).unwrap();
    reconciler.want(3, "steady");
    assert_eq!(reconciler.step().await.standing, Standing::Following);
    let it = Swarm::new(Http::plain(&fake.url).unwrap(), "abc123").unwrap();
    assert_eq!(it.observe().await.unwrap().running, 1, "by its id");
    let it = Swarm::new(Http::plain(&fake.url).unwrap(), "typo").unwrap();
    let said = it.observe().await.unwrap_err().to_string();
    assert_eq!(said, "observing: service typo does not exist");
    let said = it.apply(3, "queue").await.unwrap_err().to_string();
    assert_eq!(said, "applying: service typo does not exist");
}
