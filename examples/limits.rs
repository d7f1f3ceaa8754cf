//! Quotas in a terminal: two clients against three policies, what the four modes
//! let a greedy one have, a charge that is settled afterwards, and what a
//! rejected one is told; a tighter quota as a shadow, then for a growing share of
//! the clients; and a client that keeps overrunning until it is blocked. The time
//! is made up, so nothing waits. Then a service of ten workers under four times its load, for two seconds of real time.
//!
//! `cargo run --release --example limits`

#![expect(clippy::print_stdout, reason = "printing is what it does")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use seawall_limit::{
    ClientIp, Criticality, GuardLayer, Key, LimitLayer, Limiter, Outcome, Overload, OverloadConfig,
    Penalties, PenaltyConfig, Policy, PolicySet, Priority, Quota, Rule, Share, Standing,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::ServiceExt as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let minute = Duration::from_secs(60);
    let limiter = Limiter::builder()
        .policy(
            Policy::new("bids", Quota::per(50, minute)?.with_burst(5)?)
                .message("Too many bids. Slow down."),
        )
        .policy(Policy::new("api", Quota::per(120, minute)?.with_burst(12)?))
        .policy(Policy::new("all", Quota::per(600, minute)?.with_burst(60)?))
        .build()?;

    bursts(&limiter)?;
    modes()?;
    shares_and_failures()?;
    trial()?;
    penalties()?;
    over_http(limiter).await?;
    overload().await
}

/// Two clients bid at different paces; each decision charges three policies or none.
fn bursts(limiter: &Limiter) -> Result<(), Box<dyn Error>> {
    println!("Policies");
    for policy in limiter.policies() {
        let quota = policy.quota();
        println!(
            "  {:<5} {:>4} per {:?}, burst {:>2}, one each {:>6?}, at most {:>3} in any minute",
            policy.name(),
            quota.limit(),
            quota.period(),
            quota.burst(),
            quota.interval(),
            quota.max_admitted(Duration::from_secs(60)),
        );
    }

    let bidding = limiter.set(&["bids", "api", "all"])?;
    let start = Instant::now();
    println!("\nhasty bids every 100 ms, calm every 1.2 s");
    println!(
        "  {:>6}  {:<6} {:<9} {:<7} {:>9}  {:>11}",
        "time", "client", "decision", "policy", "remaining", "retry after"
    );
    for tick in 0..26_u32 {
        let at = tick * Duration::from_millis(100);
        if tick < 9 || tick == 25 {
            bid(limiter, &bidding, "hasty", start, at);
        }
        if tick % 12 == 0 {
            bid(limiter, &bidding, "calm", start, at);
        }
    }

    let now = start + Duration::from_millis(2_500);
    let api = limiter.set(&["api"])?;
    println!(
        "\nRejected bids cost nothing elsewhere: hasty has {} api units left",
        limiter.peek("hasty", &api, now).remaining()
    );
    limiter.refund("hasty", &bidding, 1);
    println!(
        "After a refund of one bid it may bid {} times",
        limiter.peek("hasty", &bidding, now).remaining()
    );
    Ok(())
}

/// Ten a minute, to one who asks every 100 ms for two minutes, after a first request and a pause.
fn modes() -> Result<(), Box<dyn Error>> {
    let (minute, tick) = (Duration::from_secs(60), Duration::from_millis(100));
    println!("\nTen a minute in four modes, asked for all the time");
    println!(
        "  {:<8} {:>13}  {:>21}  {:>14}",
        "mode", "in two minutes", "most in any one minute", "never more than"
    );
    let quotas = [
        ("smooth", Quota::per(10, minute)?),
        ("strict", Quota::strict(10, minute)?),
        ("window", Quota::window(10, minute)?),
        ("fixed", Quota::fixed(10, minute)?),
    ];
    for (name, quota) in quotas {
        let limiter = Limiter::builder().policy(Policy::new(name, quota)).build()?;
        let set = limiter.set(&[name])?;
        let start = Instant::now();
        let first = limiter.check("greedy", &set, start).is_allowed();
        let asked = (1..=1_200_u32).map(|turn| minute - tick + turn * tick);
        let mut admitted: Vec<Duration> =
            asked.filter(|at| limiter.check("greedy", &set, start + *at).is_allowed()).collect();
        let total = admitted.len();
        if first {
            admitted.insert(0, Duration::ZERO);
        }
        let within = |from: &Duration| {
            admitted.iter().filter(|at| (*from..=*from + minute).contains(*at)).count()
        };
        let most = admitted.iter().map(within).max().unwrap_or(0);
        println!("  {name:<8} {total:>13}  {most:>21}  {:>14}", quota.max_admitted(minute));
    }
    Ok(())
}

/// A share inside a total; and sign-ins, of which only failures count.
fn shares_and_failures() -> Result<(), Box<dyn Error>> {
    let minute = Duration::from_secs(60);
    let limiter = Limiter::builder()
        .policy(Policy::new("share", Quota::per(6, minute)?))
        .policy(Policy::new("total", Quota::per(10, minute)?))
        .policy(Policy::new("failures", Quota::strict(3, minute)?.with_burst(3)?.with_debt(3)?))
        .build()?;
    let (share, total) = (limiter.set(&["share"])?, limiter.set(&["total"])?);
    let now = Instant::now();
    println!("\nA share of 6 in a total of 10, eight requests each");
    for user in ["hasty", "calm"] {
        let subjects = [(Key::Text(user), &share), (Key::Text("all"), &total)];
        let passed = (0..8).filter(|_| limiter.check_joint(subjects, 1, now).is_allowed()).count();
        println!("  {user:<6} {passed} passed");
    }

    let failures = limiter.set(&["failures"])?;
    println!("\nSign-ins at once, settled on the response; only failures count");
    let attempts: Vec<_> = (0..6).map(|_| limiter.admit("mallory", &failures, now)).collect();
    let flying = attempts.iter().filter(|attempt| attempt.is_ok()).count();
    for (attempt, status) in attempts.into_iter().flatten().zip([200, 401, 401, 401, 200, 401]) {
        attempt.settle(u32::from(status == 401), now);
    }
    let wait = limiter.peek("mallory", &failures, now).retry_after().unwrap_or_default();
    println!("  {flying} in flight, 4 failed: the next not before {wait:.0?}, one of them is debt");
    Ok(())
}

/// Twelve a minute instead of twenty: whom would that refuse? Then for more and more clients.
fn trial() -> Result<(), Box<dyn Error>> {
    let minute = Duration::from_secs(60);
    println!("\nShadow: 12 a minute tried in place of 20, in force for nobody, then for some");
    println!("  client n of 30 asks n times; what each of the two says of every request");
    println!(
        "  {:<12}  {:>8}  {:>10}  {:>17}  {:>19}  {:>11}",
        "in force for",
        "admitted",
        "both admit",
        "only live refuses",
        "only shadow refuses",
        "both refuse"
    );
    for percent in [0, 10, 50, 100] {
        let share = Share::percent(percent)?;
        let policy =
            Policy::new("api", Quota::per(20, minute)?).candidate(Quota::per(12, minute)?, share);
        let limiter = Limiter::builder().policy(policy).build()?;
        let (set, now) = (limiter.set(&["api"])?, Instant::now());
        let asked = (1..=30_u64).flat_map(|client| (0..client).map(move |_| client));
        let admitted = asked.filter(|client| limiter.check(client, &set, now).is_allowed()).count();
        let Some(stats) = limiter.shadow() else { continue };
        let it = stats.requests;
        println!(
            "  {:>10} %  {admitted:>8}  {:>10}  {:>17}  {:>19}  {:>11}",
            percent, it.both_admit, it.only_live_refuses, it.only_shadow_refuses, it.both_refuse
        );
    }
    Ok(())
}

/// Every violation of one client, and what becomes of it.
fn penalties() -> Result<(), Box<dyn Error>> {
    let config = PenaltyConfig { challenge_after: 3, block_after: 4, ..PenaltyConfig::default() };
    let penalties = Penalties::new(&config)?;
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    println!("\nPenalties: 3 violations a minute challenge, 4 more within 5 min block for 5 min");
    println!("  {:>7}  {:<11}  {:<10}  {:>11}", "time", "what", "standing", "blocked for");
    let tell = |seconds: u64, what: &str| {
        let now = after(seconds);
        let standing = match penalties.standing("mallory", now) {
            Standing::Ok => "ok",
            Standing::Challenge => "challenge",
            _ => "blocked",
        };
        let wait = penalties.blocked_for("mallory", now);
        let wait = wait.map_or(String::new(), |wait| format!("{wait:?}"));
        println!("  {seconds:>5} s  {what:<11}  {standing:<10}  {wait:>11}");
    };
    for seconds in 1..=7 {
        penalties.violated("mallory", after(seconds));
        tell(seconds, "violation");
    }
    for seconds in [306, 307, 906, 907] {
        tell(seconds, "nothing");
    }
    Ok(())
}

fn bid(limiter: &Limiter, bidding: &PolicySet, client: &str, start: Instant, at: Duration) {
    let decision = limiter.check(client, bidding, start + at);
    let verdict = if decision.is_allowed() { "allowed" } else { "rejected" };
    let wait = decision.retry_after().map_or(String::new(), |wait| format!("{wait:?}"));
    let at = format!("{:.1} s", at.as_secs_f64());
    let (policy, remaining) = (decision.policy(), decision.remaining());
    println!("  {at:>6}  {client:<6} {verdict:<9} {policy:<7} {remaining:>9}  {wait:>11}");
}

/// The same limiter as layers of an axum router.
async fn over_http(limiter: Limiter) -> Result<(), Box<dyn Error>> {
    let peer =
        |ext: &http::Extensions| ext.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let limits = LimitLayer::new(limiter)
        .identify(ClientIp::trusting(["127.0.0.0/8"]).peer(peer))
        .rule(Rule::any().policy("all"))
        .rule(Rule::path_prefix("/api").policy("api"))
        .rule(Rule::path("/api/auctions/{id}/bids").method(Method::POST).policy("bids"))
        .rule(Rule::path_prefix("/health").exempt())
        .build()?;
    let app = Router::new()
        .route("/api/auctions/{id}/bids", post(|| async { "bid taken" }))
        .route("/health", get(|| async { "well" }))
        .layer(limits)
        .layer(GuardLayer::default());

    println!("\nOver HTTP, six bids at once from 203.0.113.7 behind a proxy");
    for attempt in 1..=6 {
        let response = app.clone().oneshot(request(Method::POST, "/api/auctions/7/bids")?).await?;
        let state = response
            .headers()
            .get("ratelimit")
            .and_then(|value| value.to_str().ok())
            .unwrap_or("-");
        println!("  {attempt}. {}  RateLimit: {state}", response.status());
        if attempt == 6 {
            println!();
            print(response).await?;
        }
    }

    println!("\nA URL of 3000 bytes meets a guard");
    print(app.clone().oneshot(request(Method::GET, &format!("/?{}", "q".repeat(3_000)))?).await?)
        .await?;
    let health = app.oneshot(request(Method::GET, "/health")?).await?;
    println!("\nThe health check is exempt: {}", health.status());
    Ok(())
}

fn request(method: Method, uri: &str) -> Result<Request<Body>, http::Error> {
    Request::builder()
        .method(method)
        .uri(uri)
        .header("x-forwarded-for", "198.51.100.66, 203.0.113.7")
        .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000))))
        .body(Body::empty())
}

async fn print(response: Response<Body>) -> Result<(), Box<dyn Error>> {
    let (parts, body) = response.into_parts();
    println!("  HTTP/1.1 {}", parts.status);
    for (name, value) in &parts.headers {
        println!("  {name}: {}", value.to_str()?);
    }
    println!("\n  {}", String::from_utf8_lossy(&body.collect().await?.to_bytes()));
    Ok(())
}

/// Ten workers of 5 ms can serve 2 000 a second; 8 000 come, one in twenty of them a bid.
async fn overload() -> Result<(), Box<dyn Error>> {
    let guard = Overload::new(&OverloadConfig::default())?;
    let workers = Arc::new(Semaphore::new(10));
    println!("\nOverload: 8000 requests a second to a service that can serve 2000");
    println!("  {:>6}  {:>5}  {:>6}  {:>9}  {:>10}", "time", "limit", "shed", "bids", "the rest");
    let mut requests = JoinSet::new();
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    for tick in 1..=400_u32 {
        pace.tick().await;
        for number in 0..40_u32 {
            let bid = number % 20 == 0;
            let class = if bid { Criticality::CriticalPlus } else { Criticality::Sheddable };
            let user = tick.wrapping_mul(40).wrapping_add(number) % 997;
            let acquire = guard.acquire(Priority::new(class).user(&user));
            let workers = Arc::clone(&workers);
            requests.spawn(async move {
                let Ok(permit) = acquire.await else { return (bid, false) };
                let worker = workers.acquire().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
                drop(worker);
                permit.finish(Outcome::Success);
                (bid, true)
            });
        }
        if tick % 100 == 0 {
            let mut served = [[0_u32; 2]; 2];
            while let Some(done) = requests.try_join_next() {
                let (bid, passed) = done?;
                served[usize::from(bid)][usize::from(passed)] += 1;
            }
            let share =
                |[turned_away, passed]: [u32; 2]| 100 * passed / (turned_away + passed).max(1);
            let status = guard.status();
            println!(
                "  {:>4.1} s  {:>5}  {:>4.0} %  {:>4} % ok  {:>5} % ok",
                f64::from(tick) * 0.005,
                status.limit,
                status.shed_ratio * 100.0,
                share(served[1]),
                share(served[0]),
            );
        }
    }
    Ok(())
}
