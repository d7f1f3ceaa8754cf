//! From nothing to a service that answers: servers, data, caches, quotas, routes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use rand::Rng;
use seawall::cache::{Cache, Redis, RedisConfig};
use seawall::limit::{ClientIp, GuardLayer, LimitLayer, Rule};
use seawall::metrics::{Recorder, Resources};
use seawall::pool::{NodeConfig, Pool, Role};
use seawall_devstack::Stack;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::args::Args;
use crate::error::Failure;
use crate::progress::Step;
use crate::seed::{self, Size};
use crate::service::{self, App, Caches, Keys};
use crate::settings::Settings;

/// The running service and everything under it.
#[derive(Debug)]
pub struct Market {
    stack: Stack,
    app: App,
    address: SocketAddr,
    size: Size,
    resources: Resources,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

/// How often CPU and memory are sampled here: the run is short.
const SAMPLE: Duration = Duration::from_secs(1);
/// How long the replicas may take to replay the seeded data.
const CATCH_UP: Duration = Duration::from_secs(120);

/// Starts all of it, telling the terminal about each step.
pub async fn open(args: &Args, settings: &Settings) -> Result<Market, Failure> {
    // First, because it is what fails most often and costs nothing.
    let wanted = args.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let refused = |source| Failure::Listen { address: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;

    let metrics = Recorder::builder().install()?;
    let resources = Resources::spawn(SAMPLE)?;

    let step = Step::spin("servers");
    let stack = Stack::builder().replicas(2).redis().start().await?;
    step.done("PostgreSQL primary, two streaming replicas, Redis");

    let size = Size::scaled(args.scale);
    load_data(&stack, size, args.seed).await?;

    let step = Step::spin("service");
    let pool = Pool::connect(settings.pool_over(&stack)?).await?;
    let redis_config = RedisConfig { url: stack.redis()?.url(), ..RedisConfig::default() };
    let redis = Redis::connect(redis_config).await?;
    let caches = Arc::new(caches(settings, &redis)?);
    let random: [u8; 32] = rand::rng().random();
    let secret = args.secret.as_ref().map_or(&random[..], |secret| secret.as_bytes());
    let keys =
        Keys::new(secret).map_err(|_| Failure::Load { what: "the session key has no length" })?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let app = App {
        pool,
        redis,
        caches,
        keys,
        hashing: Arc::new(Semaphore::new((cores / 2).max(1))),
        metrics,
        disk: stack.dir().to_owned(),
    };

    let guards = GuardLayer::new(settings.guards);
    let limits = if args.no_limits { None } else { Some(limits(settings)?) };
    let router = service::router(app.clone(), guards, limits);
    let (stop, stopped) = oneshot::channel::<()>();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move {
        axum::serve(listener, service)
            .with_graceful_shutdown(async {
                // Either the word to stop, or nobody left to give it.
                let _ = stopped.await;
            })
            .await
    });
    step.done(&format!("listening on http://{address}"));
    Ok(Market { stack, app, address, size, resources, stop, server })
}

impl Market {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn size(&self) -> Size {
        self.size
    }

    pub fn app(&self) -> &App {
        &self.app
    }

    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The nodes of the pool, in its order.
    pub fn node_names(&self) -> Vec<String> {
        self.app.pool.status().nodes.into_iter().map(|node| node.name.to_string()).collect()
    }

    /// What was seeded, in words.
    pub fn rows(&self) -> String {
        let Size { users, auctions, bids } = self.size;
        format!("{auctions} auctions, {bids} bids, {users} users")
    }

    /// The machine, in words.
    pub fn machine(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        format!(
            "{cores} cores for service, load, three PostgreSQL servers and Redis, {}",
            std::env::consts::OS
        )
    }

    /// A table of the servers underneath, for whoever wants to break one.
    pub fn servers(&self) -> String {
        let mut lines = vec![format!("{:<12}{:>8}{:>8}", "server", "pid", "port")];
        let mut row = |name: String, pid: Option<u32>, port: u16| {
            let pid = pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            lines.push(format!("{name:<12}{pid:>8}{port:>8}"));
        };
        if let Ok(primary) = self.stack.primary() {
            row("primary".to_owned(), primary.pid(), primary.port());
        }
        for (index, replica) in self.stack.replicas().iter().enumerate() {
            row(format!("replica-{}", index + 1), replica.pid(), replica.port());
        }
        if let Ok(redis) = self.stack.redis() {
            row("redis".to_owned(), redis.pid(), redis.port());
        }
        lines.push(format!("files under {}", self.stack.dir().display()));
        lines.join("\n")
    }

    /// Answers what is under way, then stops everything.
    pub async fn close(self) {
        // The receiver is gone only if the server has ended already.
        let _ = self.stop.send(());
        // Idle keep-alive connections would hold the server open for ever.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.server).await;
        self.app.pool.shutdown().await;
        self.stack.shutdown().await;
    }
}

async fn load_data(stack: &Stack, size: Size, seed: u64) -> Result<(), Failure> {
    let step = Step::count("data", size.rows(), "{msg} [{bar:40}] {human_pos}/{human_len} rows");
    let client = stack.primary()?.client().await?;
    seed::seed(&client, size, seed, |rows| step.bar().inc(rows)).await?;
    for replica in stack.replicas() {
        replica.wait_caught_up(stack.primary()?, CATCH_UP).await?;
    }
    step.done(&format!(
        "{} users, {} auctions, {} bids on all nodes",
        size.users, size.auctions, size.bids
    ));
    Ok(())
}

fn caches(settings: &Settings, redis: &Redis) -> Result<Caches, Failure> {
    let settings = &settings.cache;
    let (application, database, api) = (settings.application, settings.database, settings.api);
    Ok(Caches {
        auctions: Cache::builder("database.auction")
            .ttl(database.ttl)
            .capacity(database.capacity)
            .remote(redis.clone())
            .build()?,
        names: Cache::builder("application.name")
            .ttl(application.ttl)
            .capacity(application.capacity)
            .remote(redis.clone())
            .build()?,
        pages: Cache::builder("api.page")
            .ttl(api.ttl)
            .capacity(api.capacity)
            .remote(redis.clone())
            .build()?,
        top: Cache::builder("api.top").ttl(api.ttl).capacity(16).remote(redis.clone()).build()?,
    })
}

/// Quotas by client address. The load comes through one trusted hop, loopback, as
/// a service behind a proxy sees it.
fn limits(settings: &Settings) -> Result<LimitLayer, Failure> {
    let peer = |extensions: &http::Extensions| {
        extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
    };
    Ok(LimitLayer::new(settings.limits.build()?)
        .identify(ClientIp::trusting(["127.0.0.0/8", "::1"]).peer(peer))
        .rule(Rule::path("/health").exempt())
        .rule(Rule::path("/ready").exempt())
        .rule(Rule::path("/metrics").exempt())
        .rule(Rule::any().policy("all"))
        .rule(Rule::path_prefix("/api").policy("api"))
        .rule(Rule::path("/api/login").policy("auth"))
        .rule(Rule::path("/api/auctions/{id}/bids").method(http::Method::POST).policy("bids"))
        .build()?)
}

impl Settings {
    fn pool_over(&self, stack: &Stack) -> Result<seawall::pool::PoolConfig, Failure> {
        let mut config = self.pool.clone();
        config.primary = NodeConfig::new(stack.primary()?.url());
        config.replicas =
            stack.replicas().iter().map(|replica| NodeConfig::new(replica.url())).collect();
        // The last one is kept for analytics.
        if let Some(last) = config.replicas.last_mut() {
            last.role = Role::Analytics;
        }
        Ok(config)
    }
}
