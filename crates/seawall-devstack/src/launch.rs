//! Starting a stack.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::binaries;
use crate::builder::StackBuilder;
use crate::error::Error;
use crate::guard::Guard;
use crate::home::Home;
use crate::pgbouncer::{self, PgBouncer};
use crate::ports;
use crate::postgres::{self, Postgres};
use crate::process::Process;
use crate::prometheus::{self, Prometheus};
use crate::redis::{Redis, RedisCluster, RedisSentinel, Role, Watched};
use crate::run_as::RunAs;
use crate::server::Place;
use crate::stack::Stack;
use crate::template::{Maker, Template};

/// One attempt; all that it started is gone again if it fails or is dropped.
pub(crate) async fn launch(plan: &StackBuilder) -> Result<Stack, Error> {
    let started = Instant::now();
    let timeout = plan.start_timeout;
    let plan = plan.clone();
    // Files are copied and programs run: nothing for the runtime's threads.
    let prepared = spawn_blocking(move || prepare(&plan)).await;
    let mut stack = prepared.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => Err(Error::RuntimeStopped),
    })?;
    wait_ready(&stack, timeout).await?;
    stack.ready_in = started.elapsed();
    Ok(stack)
}

/// Everything up to the running, not yet ready, processes.
fn prepare(plan: &StackBuilder) -> Result<Stack, Error> {
    let run_as = RunAs::detect();
    let postgres =
        if plan.postgres { Some(binaries::postgres(plan.postgres_bin.as_deref())?) } else { None };
    let pgbouncer = match plan.pgbouncer {
        Some(connections) => {
            Some((binaries::pgbouncer(plan.pgbouncer_bin.as_deref())?, connections))
        }
        None => None,
    };
    let redis = if plan.redis || plan.redis_cluster || plan.redis_sentinel {
        Some(binaries::redis(plan.redis_bin.as_deref())?)
    } else {
        None
    };
    let prometheus = if plan.scrapes.is_empty() {
        None
    } else {
        Some(binaries::prometheus(plan.prometheus_bin.as_deref())?)
    };

    let home = Home::open(plan.dir.as_deref(), run_as)?;
    let dir = home.new_stack(run_as)?;
    let guard = Guard::new(dir, home.kept_logs(), plan.keep_logs)?;
    let mut stack = Stack {
        primary: None,
        replicas: Vec::new(),
        pgbouncer: None,
        redis: None,
        cluster: None,
        sentinel: None,
        prometheus: None,
        ready_in: Duration::ZERO,
        guard,
    };
    let ground = Ground { kept_logs: home.kept_logs(), home, run_as };
    if let Some(program) = redis {
        add_redis(&mut stack, plan, &ground, &program)?;
    }
    if let Some(program) = prometheus {
        let port = ground.port(&mut stack, 0)?;
        let place = ground.place(&stack, prometheus::NAME, &program, port);
        let server = Prometheus::configure(&place, &plan.scrapes, &plan.prometheus_features)?;
        start(&stack.guard, server.process())?;
        stack.prometheus = Some(server);
    }
    if let Some(programs) = postgres {
        add_postgres(&mut stack, plan, &ground, &programs)?;
    }
    let primary = stack.primary.as_ref().map(|primary| primary.port());
    if let (Some((program, connections)), Some(primary)) = (pgbouncer, primary) {
        let port = ground.port(&mut stack, 0)?;
        let place = ground.place(&stack, pgbouncer::NAME, &program, port);
        let server = PgBouncer::configure(&place, primary, connections)?;
        start(&stack.guard, server.process())?;
        stack.pgbouncer = Some(server);
    }
    Ok(stack)
}

fn add_redis(
    stack: &mut Stack,
    plan: &StackBuilder,
    ground: &Ground,
    program: &Path,
) -> Result<(), Error> {
    let add = |stack: &mut Stack, name: &str, port: Option<u16>, role: Role<'_>| {
        let port = match port {
            Some(port) => port,
            None => ground.port(stack, role.bus_offset())?,
        };
        let place = ground.place(stack, name, program, port);
        let server = Redis::configure(&place, &role, &plan.redis_settings)?;
        start(&stack.guard, server.process())?;
        Ok::<_, Error>(server)
    };
    if plan.redis {
        stack.redis = Some(add(stack, "redis", None, Role::Alone)?);
    }
    if plan.redis_cluster {
        let mut nodes = Vec::new();
        let count = if plan.redis_cluster_replicas { CLUSTER.len() } else { 3 };
        for name in &CLUSTER[..count] {
            nodes.push(add(stack, name, None, Role::ClusterNode)?);
        }
        let replicas = nodes.split_off(3);
        stack.cluster = Some(RedisCluster::new(nodes, replicas));
    }
    if plan.redis_sentinel {
        let master = add(stack, "redis-master", None, Role::Alone)?;
        let replica = add(stack, "redis-replica", None, Role::ReplicaOf(master.port()))?;
        let servers = [master.port(), replica.port()];
        // Each is told of the others before any is started.
        let mut ports = Vec::new();
        for _ in SENTINELS {
            ports.push(ground.port(stack, 0)?);
        }
        let watched = Watched { servers: &servers, sentinels: &ports };
        let mut sentinels = Vec::new();
        for (index, name) in SENTINELS.iter().enumerate() {
            sentinels.push(add(stack, name, Some(ports[index]), watched.sentinel(index))?);
        }
        stack.sentinel = Some(RedisSentinel::new(vec![master, replica], sentinels));
    }
    Ok(())
}

fn add_postgres(
    stack: &mut Stack,
    plan: &StackBuilder,
    ground: &Ground,
    programs: &binaries::Postgres,
) -> Result<(), Error> {
    let names: Vec<String> = std::iter::once("primary".to_owned())
        .chain((1..=plan.replicas).map(|number| format!("replica-{number}")))
        .collect();
    let pg_stat_statements = copy_template(stack, ground, programs, &names)?;
    let run_as = ground.run_as;
    let config = postgres::Config { settings: plan.settings.clone(), pg_stat_statements, run_as };
    let mut primary_port = None;
    for name in &names {
        let port = ground.port(stack, 0)?;
        let server = Postgres::configure(&postgres::ServerSpec {
            place: ground.place(stack, name, &programs.postgres, port),
            id: &stack.guard.dir.id,
            primary_port,
            config: &config,
        })?;
        // A replica that comes up first asks again until its primary is there.
        start(&stack.guard, server.process())?;
        if primary_port.is_none() {
            primary_port = Some(port);
            stack.primary = Some(server);
        } else {
            stack.replicas.push(server);
        }
    }
    Ok(())
}

/// Makes a data directory for each name; says whether `pg_stat_statements` is in it.
fn copy_template(
    stack: &Stack,
    ground: &Ground,
    programs: &binaries::Postgres,
    names: &[String],
) -> Result<bool, Error> {
    let run_as = ground.run_as;
    loop {
        let template =
            Template::open(&ground.home, &Maker { programs, run_as, stack_dir: stack.dir() })?;
        let copies: Vec<Result<bool, Error>> = std::thread::scope(|scope| {
            let copies: Vec<_> = names
                .iter()
                .map(|name| {
                    let (to, template) = (stack.dir().join(name), &template);
                    scope.spawn(move || template.copy_to(&to, run_as))
                })
                .collect();
            let copies = copies.into_iter().map(ScopedJoinHandle::join);
            copies.map(|copy| copy.unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        let copies = copies.into_iter().collect::<Result<Vec<_>, _>>()?;
        if copies.iter().all(|whole| *whole) {
            return Ok(template.pg_stat_statements);
        }
    }
}

/// What the servers of a stack share.
struct Ground {
    home: Home,
    kept_logs: PathBuf,
    run_as: Option<RunAs>,
}

impl Ground {
    /// A port that nobody else takes, nor the one `offset` above it.
    fn port(&self, stack: &mut Stack, offset: u16) -> Result<u16, Error> {
        Ok(stack.guard.hold_port(ports::reserve(&self.home, offset)?))
    }

    fn place<'a>(
        &'a self,
        stack: &'a Stack,
        name: &'a str,
        program: &'a Path,
        port: u16,
    ) -> Place<'a> {
        Place {
            name,
            program,
            stack_dir: &stack.guard.dir.path,
            kept_logs: &self.kept_logs,
            port,
            run_as: self.run_as,
        }
    }
}

/// Registers it with the guard first: from its first moment it is stopped with the rest.
fn start(guard: &Guard, process: &Arc<Process>) -> Result<(), Error> {
    guard.add(process.clone());
    process.spawn()
}

async fn wait_ready(stack: &Stack, timeout: Duration) -> Result<(), Error> {
    let postgres = async {
        let Some(primary) = &stack.primary else { return Ok(Vec::new()) };
        let replicas = stack.replicas.iter().map(|server| server.wait_ready(timeout, true));
        tokio::try_join!(primary.wait_ready(timeout, false), try_join_all(replicas))?;
        // All begin at the same point, as after a base backup.
        let replicas = stack.replicas.iter();
        try_join_all(replicas.map(|server| server.wait_caught_up(primary, timeout))).await
    };
    let redis = try_join_all(stack.redis.iter().map(|server| server.wait_answer(timeout)));
    let cluster = async {
        let Some(cluster) = &stack.cluster else { return Ok(()) };
        try_join_all(cluster.all().map(|node| node.wait_answer(timeout))).await?;
        cluster.form(timeout).await?;
        cluster.wait_ready(timeout).await
    };
    let sentinel = async {
        let Some(sentinel) = &stack.sentinel else { return Ok(()) };
        let all = sentinel.servers().iter().chain(sentinel.sentinels());
        try_join_all(all.map(|server| server.wait_answer(timeout))).await?;
        sentinel.wait_ready(timeout).await
    };
    let prometheus = try_join_all(stack.prometheus.iter().map(|server| server.wait_ready(timeout)));
    // It is ready when the primary answers through it.
    let pgbouncer = try_join_all(stack.pgbouncer.iter().map(|server| server.wait_ready(timeout)));
    let postgres = async { postgres.await.map(drop) };
    tokio::try_join!(postgres, pgbouncer, redis, cluster, sentinel, prometheus).map(drop)
}

/// The masters, and then their replicas.
const CLUSTER: [&str; 6] = ["redis-1", "redis-2", "redis-3", "redis-4", "redis-5", "redis-6"];

const SENTINELS: [&str; 3] = ["sentinel-1", "sentinel-2", "sentinel-3"];
