//! PostgreSQL and Redis as sources and as keepers of the lease: real servers.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::config::ReconnectPolicy;
use seawall_devstack::Stack;
use seawall_scale::capacity::{Planner, PlannerConfig, Service};
use seawall_scale::lead::{
    Elector, LeaseConfig, LeaseError, LeaseStore, PostgresLease, RedisLease,
};
use seawall_scale::sources::{PollConfig, Poller, Postgres, Probe, Redis, RedisQuery, SourceError};
use seawall_scale::{Decision, Engine, Forecast, PlanFeed, Policy, Reason};
use seawall_signal::{Signals, Source, Unit};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Config, NoTls};

const LONG: Duration = Duration::from_secs(20);
/// Long enough for a machine that is slow; waits are for conditions.
const TTL: Duration = Duration::from_secs(4);

async fn stack() -> Stack {
    Stack::builder().postgres().redis().start().await.unwrap()
}

fn config(stack: &Stack) -> Config {
    stack.primary().unwrap().url().parse().unwrap()
}

async fn client(stack: &Stack) -> Client {
    let config = fred::types::config::Config::from_url(&stack.redis().unwrap().url()).unwrap();
    let reconnects = ReconnectPolicy::new_constant(0, 50);
    let client = Client::new(config, None, None, Some(reconnects));
    client.init().await.unwrap();
    client
}

async fn number(probe: impl Probe) -> Result<f64, SourceError> {
    let readings = probe.read().await?;
    assert_eq!(readings.len(), 1);
    Ok(readings[0].value)
}

#[tokio::test]
async fn a_query_of_postgresql_is_a_number_of_any_kind() {
    let stack = stack().await;
    let ask =
        |query: &str| number(Postgres::new(config(&stack), NoTls, "jobs", query, Unit::Count));
    for query in
        ["SELECT 7::int2", "SELECT 7", "SELECT 7::int8", "SELECT 7::float4", "SELECT 7::float8"]
    {
        assert_eq!(ask(query).await.unwrap(), 7.0, "{query}");
    }
    assert!(matches!(ask("SELECT 7 WHERE false").await, Err(SourceError::Empty { .. })));
    assert!(matches!(ask("SELECT max(7) WHERE false").await, Err(SourceError::Empty { .. })));
    let two = ask("SELECT * FROM generate_series(1, 2)").await;
    assert!(matches!(two, Err(SourceError::Ambiguous { found: 2, .. })));
    assert!(matches!(ask("SELECT 'NaN'::float8").await, Err(SourceError::NotANumber { .. })));
    assert!(matches!(ask("SELECT '7'::text").await, Err(SourceError::Answer { .. })));
    assert!(matches!(ask("SELECT nothing").await, Err(SourceError::Failed { .. })));
    let wrote = ask("CREATE TABLE t AS SELECT 7").await;
    assert!(matches!(wrote, Err(SourceError::Failed { .. })), "it may only read");
    let used = Postgres::connections_used(config(&stack), NoTls, "used");
    let used = number(used).await.unwrap();
    assert!(used > 0.0 && used < 1.0, "{used}");
}

#[tokio::test]
async fn postgresql_that_restarts_is_connected_anew_and_its_signal_grows_old_meanwhile() {
    let stack = stack().await;
    let primary = stack.primary().unwrap();
    let query = "SELECT extract(epoch FROM pg_postmaster_start_time())::float8";
    let mut poller = Poller::new();
    let pace = Duration::from_millis(100);
    let config_ = PollConfig { interval: pace, backoff_max: pace, ..PollConfig::default() };
    poller.add(Postgres::new(config(&stack), NoTls, "born", query, Unit::None), config_).unwrap();
    poller.settled().await;
    let born = |poller: &Poller| {
        let mut signals = Signals::new();
        poller.feed(&mut signals, Instant::now());
        signals.get("born").map(|sample| (sample.value, sample.at))
    };
    let first = born(&poller).expect("read once").0;
    primary.stop_immediate().await.unwrap();
    until(|| poller.status().all(|(_, status)| status.failures > 0)).await;
    let (value, at) = born(&poller).unwrap();
    assert_eq!(value, first);
    until(|| at.elapsed() > Duration::from_millis(300)).await;
    assert_eq!(born(&poller), Some((value, at)), "the age is that of the last good value");
    primary.restart().await.unwrap();
    until(|| born(&poller).unwrap().0 > first).await;
}

/// An engine that follows a plan of what a poller reads.
struct Planned {
    poller: Poller,
    feed: PlanFeed,
    engine: Engine,
    signals: Signals,
}

impl Planned {
    fn tick(&mut self) -> Decision {
        let now = Instant::now();
        self.poller.feed(&mut self.signals, now);
        let (policy, state) = (self.engine.policy(), self.engine.state());
        self.feed.publish(&mut self.signals, policy, state, now);
        self.engine.tick(&self.signals, now)
    }

    fn plan(&self) -> Option<Instant> {
        self.signals.get("plan").map(|plan| plan.at)
    }

    /// Decides until it `holds`; the sizes by the way.
    async fn until(&mut self, holds: impl Fn(&Self, &Decision) -> bool) -> Vec<u32> {
        let (deadline, mut sizes) = (Instant::now() + LONG * 2, Vec::new());
        loop {
            let decision = self.tick();
            sizes.push(decision.target);
            if holds(self, &decision) {
                return sizes;
            }
            assert!(Instant::now() < deadline, "it did not come to be: {}", decision.explain());
            sleep(Duration::from_millis(100)).await;
        }
    }
}

fn lacks_its_plan(_: &Planned, decision: &Decision) -> bool {
    let lacks =
        |reason: &Reason| matches!(reason, Reason::Missing { signal, .. } if signal == "plan");
    decision.reasons.iter().any(lacks)
}

#[tokio::test]
async fn a_plan_outlives_a_restart_of_what_it_is_made_from_and_nothing_shrinks_meanwhile() {
    let stack = stack().await;
    let (primary, redis) = (stack.primary().unwrap(), stack.redis().unwrap());
    let pace = Duration::from_millis(100);
    let second = Duration::from_secs(1);
    let often =
        PollConfig { interval: pace, backoff_max: pace, deadline: second, ..PollConfig::default() };
    let mut poller = Poller::new();
    let load = Postgres::new(config(&stack), NoTls, "load", "SELECT 60::float8", Unit::PerSecond);
    poller.add(load, often.clone()).unwrap();
    let jobs = RedisQuery::ListLength { key: "jobs".into() };
    poller.add(Redis::new(client(&stack).await, "waiting", jobs), often).unwrap();
    poller.settled().await;
    let service = Service { rate: 10.0, slots: 8, wait: 1.0 / 3.0 };
    let planner = Planner::new(PlannerConfig::default(), service, pace.as_secs_f64());
    let policy = Policy {
        max: 50,
        forecasts: vec![Forecast::plan("plan")],
        max_signal_age: second,
        evaluate_every: pace,
        ..Policy::default()
    };
    let mut it = Planned {
        poller,
        feed: PlanFeed::new(planner, "load").backlog("waiting"),
        engine: Engine::new(policy, 1).unwrap(),
        signals: Signals::new(),
    };
    let least = service.least(60.0);
    it.until(|_, decision| decision.target >= least).await;

    primary.stop_immediate().await.unwrap();
    redis.kill().await.unwrap();
    let before = it.engine.state().current;
    let sizes = it.until(lacks_its_plan).await;
    assert!(sizes.iter().all(|size| *size >= before), "{before}: {sizes:?}");
    // The backlog alone is no plan.
    redis.restart().await.unwrap();
    let last = it.plan();
    let sizes = it.until(|it, _| it.signals.get("waiting").is_some_and(|w| w.at > last.unwrap()));
    assert_eq!(sizes.await.last(), Some(&it.engine.state().current));
    assert_eq!(it.plan(), last, "a load that is too old makes no plan");
    primary.restart().await.unwrap();
    let back = Instant::now();
    let sizes = it.until(|it, decision| {
        it.plan().is_some_and(|at| at > back) && !lacks_its_plan(it, decision)
    });
    assert!(sizes.await.iter().all(|size| *size >= least), "the load is what it was");
}

#[tokio::test]
async fn redis_tells_lists_streams_and_info() {
    let stack = stack().await;
    let redis = stack.redis().unwrap();
    for command in [
        &["RPUSH", "jobs", "a", "b", "c"][..],
        &["XADD", "events", "1-1", "k", "v"],
        &["XADD", "events", "2-1", "k", "v"],
        &["XADD", "events", "3-1", "k", "v"],
        &["XGROUP", "CREATE", "events", "others", "$"],
        &["XGROUP", "CREATE", "events", "workers", "0"],
        &["XREADGROUP", "GROUP", "workers", "w1", "COUNT", "1", "STREAMS", "events", ">"],
    ] {
        redis.command(command).await.unwrap();
    }
    let client = client(&stack).await;
    let ask = |query: RedisQuery| number(Redis::new(client.clone(), "signal", query));
    let key = || Box::from("events");
    let group = || Box::from("workers");
    assert_eq!(ask(RedisQuery::ListLength { key: "jobs".into() }).await.unwrap(), 3.0);
    assert_eq!(ask(RedisQuery::ListLength { key: "none".into() }).await.unwrap(), 0.0);
    assert_eq!(ask(RedisQuery::StreamPending { key: key(), group: group() }).await.unwrap(), 1.0);
    assert_eq!(ask(RedisQuery::StreamLag { key: key(), group: group() }).await.unwrap(), 2.0);
    let unknown = ask(RedisQuery::StreamLag { key: key(), group: "typo".into() }).await;
    assert!(matches!(unknown, Err(SourceError::Empty { .. })));
    let missing = ask(RedisQuery::StreamPending { key: "none".into(), group: group() }).await;
    assert!(matches!(missing, Err(SourceError::Failed { .. })));
    let wrong = ask(RedisQuery::ListLength { key: "events".into() }).await;
    assert!(matches!(wrong, Err(SourceError::Failed { .. })));
    let memory = RedisQuery::Info { field: "used_memory".into(), unit: Unit::Bytes };
    assert!(ask(memory).await.unwrap() > 100_000.0);
    let field = RedisQuery::Info { field: "redis_version".into(), unit: Unit::None };
    assert!(matches!(ask(field).await, Err(SourceError::Empty { .. })), "no number");
}

/// What every store of a lease must do.
async fn keeps_its_promises(one: &dyn LeaseStore, two: &dyn LeaseStore) {
    let first = one.take(LONG * 10).await.unwrap().expect("free");
    assert_eq!(one.take(LONG * 10).await.unwrap(), Some(first), "a renewal is the same term");
    assert_eq!(two.take(LONG).await.unwrap(), None);
    assert!(one.holds(first).await.unwrap() && !two.holds(first).await.unwrap());
    two.release().await.unwrap();
    assert!(one.holds(first).await.unwrap(), "only the holder gives it back");
    one.release().await.unwrap();
    assert!(!one.holds(first).await.unwrap());
    // It expires by itself, and whoever held it cannot come back in the old term.
    let second = two.take(Duration::from_millis(300)).await.unwrap().expect("given back");
    assert!(second > first);
    let third = take_when_free(one).await;
    assert!(third > second);
    assert!(!two.holds(second).await.unwrap(), "fenced");
    assert_eq!(two.take(LONG).await.unwrap(), None, "a late renewal is refused");
    assert!(one.holds(third).await.unwrap() && !one.holds(second).await.unwrap());
    one.release().await.unwrap();
}

async fn take_when_free(store: &dyn LeaseStore) -> u64 {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(term) = store.take(LONG * 10).await.unwrap() {
            return term;
        }
        assert!(Instant::now() < deadline, "it never expired");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Two engines over their stores; the first dies.
async fn follows_a_dead_leader(one: impl LeaseStore + 'static, two: impl LeaseStore + 'static) {
    let config = LeaseConfig { ttl: TTL };
    let one = Elector::spawn("web", one, config.clone()).unwrap();
    let first = timeout(LONG, one.elected()).await.unwrap().unwrap();
    let two = Elector::spawn("web", two, config).unwrap();
    drop(one);
    let second = timeout(LONG, two.elected()).await.unwrap().unwrap();
    assert!(second > first);
    timeout(LONG, two.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_lease_in_redis_has_one_holder_and_growing_terms() {
    let stack = stack().await;
    let lease = RedisLease::new(client(&stack).await, "web");
    let other = RedisLease::new(client(&stack).await, "web");
    keeps_its_promises(&lease, &other).await;
    // A term that is lost while the lease is held does not hold it without a term for ever.
    assert!(lease.take(LONG).await.unwrap().is_some());
    stack.redis().unwrap().command(&["DEL", "{web}:term"]).await.unwrap();
    let anew = lease.take(LONG).await.unwrap().expect("renewed in a term");
    assert!(lease.holds(anew).await.unwrap());
    lease.release().await.unwrap();
    let unrelated = RedisLease::new(client(&stack).await, "other");
    assert!(unrelated.take(LONG).await.unwrap().is_some());
    follows_a_dead_leader(lease, other).await;
}

#[tokio::test]
async fn a_lease_in_postgresql_has_one_holder_and_growing_terms() {
    let stack = stack().await;
    let lease = || PostgresLease::new(config(&stack), NoTls, "web");
    let (one, two) = (lease(), lease());
    let error = one.take(LONG).await.unwrap_err();
    assert!(matches!(error, LeaseError::Store { .. }) && error.is_retryable(), "no table yet");
    let (made, as_well) = tokio::join!(one.prepare(), two.prepare());
    made.and(as_well).unwrap();
    one.prepare().await.unwrap();
    keeps_its_promises(&one, &two).await;
    follows_a_dead_leader(one, two).await;
}

#[tokio::test]
async fn a_leader_that_cannot_reach_its_store_stops_leading_and_leads_again_later() {
    let stack = stack().await;
    let primary = stack.primary().unwrap();
    let lease = PostgresLease::new(config(&stack), NoTls, "web");
    lease.prepare().await.unwrap();
    let lease = Arc::new(lease);
    let elector = Elector::spawn("web", Arc::clone(&lease), LeaseConfig { ttl: TTL }).unwrap();
    let first = timeout(LONG, elector.elected()).await.unwrap().unwrap();
    primary.pause().await.unwrap();
    until(|| elector.leads().is_none()).await;
    primary.resume().await.unwrap();
    until(|| elector.leads().is_some_and(|term| term >= first)).await;
}

async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG * 2;
    while !holds() {
        assert!(Instant::now() < deadline, "it did not come to be");
        sleep(Duration::from_millis(20)).await;
    }
}
