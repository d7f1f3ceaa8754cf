//! Over HTTP: axum on a thread of its own, and 64 clients on another that ask again at once.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use bench_harness::{Bench, Role, Row};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::util::MapResponseLayer;
use tower_governor::key_extractor::SmartIpKeyExtractor;

use crate::stack;

const CLIENTS: usize = 64;
const SERVERS: usize = 4;
/// The place of the one without a layer.
const BARE: usize = 1;
/// Short and many: neighbours disturb what runs in two threads, and so they disturb some of all.
const ROUND: Duration = Duration::from_millis(100);
const ROUNDS_FOR_EACH: usize = 11;
const ANSWER: &str = r#"{"auction":17,"bids":[{"by":"alice","amount":100}]}"#;

pub(crate) fn measure(bench: &mut Bench) -> std::io::Result<()> {
    let app = || Router::new().route(stack::PATH, get(async || ANSWER));
    let client = stack::behind_a_proxy();
    let whole = app().layer(stack::whole(&client));
    // What axum itself takes for any layer around a router.
    let idle = app().layer(MapResponseLayer::new(std::convert::identity::<Response>));
    let servers = [
        ("lists, three policies, fields", Role::Ours, serve(whole)?),
        ("no layer", Role::Floor, serve(app())?),
        (
            "tower_governor, one quota, fields",
            Role::Peer,
            serve(app().layer(stack::theirs(SmartIpKeyExtractor)))?,
        ),
        ("a layer that does nothing", Role::Floor, serve(idle)?),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut clients = Vec::new();
    for (.., server) in &servers {
        clients.push(runtime.block_on(connect(server.address))?);
    }
    let mut rates = [const { Vec::new() }; SERVERS];
    let mut costs = [const { Vec::new() }; SERVERS];
    let rounds = if bench.rounds() == 1 { 1 } else { bench.rounds() * ROUNDS_FOR_EACH };
    // The first is to warm up.
    for round in 0..=rounds {
        for place in 0..servers.len() {
            let turn = (round + place) % servers.len();
            let server = &servers[turn].2;
            let (before, start) = (server.busy()?, Instant::now());
            let asked = runtime.block_on(load(&mut clients[turn]))? as f64;
            let took = start.elapsed().as_secs_f64();
            if round > 0 {
                rates[turn].push(asked / took);
                costs[turn].push((server.busy()? - before) / asked);
            }
        }
    }
    report(bench, &servers.map(|(name, role, _)| (name, role)), &rates, &costs);
    Ok(())
}

fn report(
    bench: &mut Bench,
    servers: &[(&'static str, Role); SERVERS],
    rates: &[Vec<f64>; SERVERS],
    costs: &[Vec<f64>; SERVERS],
) {
    let case = format!("axum over HTTP, {CLIENTS} connections: requests a second");
    for ((name, role), rates) in servers.iter().zip(rates) {
        bench.add(Row::of(&case, name, *role, "/s", rates.clone()));
    }
    for (case, values) in [
        ("throughput over that without a layer, in each round", rates),
        ("the server's processor time over that without a layer, in each round", costs),
    ] {
        for (at, (name, role)) in servers.iter().enumerate().filter(|(at, _)| *at != BARE) {
            let shares =
                values[at].iter().zip(&values[BARE]).map(|(with, bare)| 100.0 * with / bare);
            bench.add(Row::of(case, name, *role, "%", shares.collect()));
        }
    }
    let case = "the server's processor time for a request";
    for ((name, role), costs) in servers.iter().zip(costs) {
        bench.add(Row::of(case, name, *role, "ns", costs.clone()));
    }
}

/// A server with one thread, which is what limits the rate: the clients do less.
struct Server {
    address: SocketAddr,
    /// Where the system tells of its thread.
    thread: std::path::PathBuf,
}

impl Server {
    /// For how many nanoseconds it ran so far.
    fn busy(&self) -> std::io::Result<f64> {
        let text = std::fs::read_to_string(self.thread.join("schedstat"))?;
        Ok(text.split(' ').next().and_then(|run| run.parse().ok()).unwrap_or(f64::NAN))
    }
}

fn serve(app: Router) -> std::io::Result<Server> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let thread =
                std::path::Path::new("/proc").join(std::fs::read_link("/proc/thread-self")?);
            let _ = tell.send(Server { address: listener.local_addr()?, thread });
            axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
        })
    });
    told.recv().map_err(std::io::Error::other)
}

struct Client {
    stream: TcpStream,
    request: String,
}

async fn connect(address: SocketAddr) -> std::io::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for host in 0..CLIENTS {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let path = stack::PATH;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\nuser-agent: bench\r\nx-forwarded-for: 198.51.100.{host}\r\n\r\n"
        );
        clients.push(Client { stream, request });
    }
    Ok(clients)
}

/// All ask for the length of a round; how many answers came.
async fn load(clients: &mut Vec<Client>) -> std::io::Result<u64> {
    let until = Instant::now() + ROUND;
    let mut asking = JoinSet::new();
    for client in clients.drain(..) {
        asking.spawn(ask(client, until));
    }
    let mut answers = 0;
    while let Some(done) = asking.join_next().await {
        let (client, count) = done.map_err(std::io::Error::other)??;
        answers += count;
        clients.push(client);
    }
    Ok(answers)
}

async fn ask(mut client: Client, until: Instant) -> std::io::Result<(Client, u64)> {
    let mut buffer = [0; 1_024];
    let mut count = 0;
    while Instant::now() < until {
        client.stream.write_all(client.request.as_bytes()).await?;
        let mut filled = 0;
        while !buffer[..filled].ends_with(ANSWER.as_bytes()) {
            let read = client.stream.read(&mut buffer[filled..]).await?;
            assert!(read > 0, "a whole answer of 200");
            filled += read;
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "nobody is turned away");
        count += 1;
    }
    Ok((client, count))
}
