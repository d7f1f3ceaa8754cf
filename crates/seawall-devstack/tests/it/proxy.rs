//! Faults, each measured; against an echo server in this process.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use seawall_devstack::{Direction, Faults, Proxy, Stack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::support::{SOON, eventually, hangs};

const MS: Duration = Duration::from_millis(1);

/// Sends back what it gets, and closes when the client has.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    addr
}

async fn connected() -> (Proxy, TcpStream) {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    assert_eq!(round_trip(&mut stream, b"hello").await, b"hello");
    (proxy, stream)
}

async fn round_trip(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    timeout(SOON, stream.read_exact(&mut back)).await.expect("no echo").unwrap();
    back
}

async fn timed(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    round_trip(stream, b"x").await;
    begun.elapsed()
}

#[tokio::test]
async fn bytes_pass_unchanged_and_are_counted() {
    let (proxy, mut stream) = connected().await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut read, mut write) = stream.split();
    let mut back = vec![0; bytes.len()];
    let (sent, received) = tokio::join!(write.write_all(&bytes), read.read_exact(&mut back));
    sent.unwrap();
    received.unwrap();
    assert!(back == bytes);
    assert_eq!(proxy.bytes_to_server(), 1_000_005);
    // The last of them are counted just after they are written.
    eventually("all are counted", || async { proxy.bytes_to_client() == 1_000_005 }).await;
    assert_eq!((proxy.connections(), proxy.accepted()), (1, 1));
    drop(stream);
    eventually("the connection is counted off", || async { proxy.connections() == 0 }).await;
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn end_of_one_way_leaves_the_other_open() {
    let (_proxy, mut stream) = connected().await;
    stream.write_all(b"last words").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, b"last words");
}

#[tokio::test]
async fn latency_adds_to_each_way_and_ends_with_it() {
    let (proxy, mut stream) = connected().await;
    let latency = 1_000 * MS;
    proxy.set(Faults { latency, ..Faults::default() });
    let took = timed(&mut stream).await;
    assert!((2 * latency..20 * latency).contains(&took), "{took:?}");
    proxy.clear();
    assert_eq!(proxy.faults(), Faults::default());
    let took = timed(&mut stream).await;
    assert!(took < latency, "{took:?}");
}

#[tokio::test]
async fn latency_delays_a_stream_once_not_each_chunk() {
    let (proxy, mut stream) = connected().await;
    let latency = 500 * MS;
    proxy.set(Faults { latency, ..Faults::default() });
    let begun = Instant::now();
    let bytes = vec![7; 500_000];
    let (mut read, mut write) = stream.split();
    let mut back = vec![0; bytes.len()];
    let (sent, received) = tokio::join!(write.write_all(&bytes), read.read_exact(&mut back));
    sent.unwrap();
    received.unwrap();
    // Thirty chunks, each way.
    assert!((2 * latency..30 * latency).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn lowered_latency_frees_what_is_on_its_way() {
    let (proxy, mut stream) = connected().await;
    for latency in [Duration::from_secs(3600), Duration::MAX] {
        proxy.set(Faults { latency, jitter: latency, ..Faults::default() });
        stream.write_all(b"x").await.unwrap();
        let mut back = [0];
        assert!(hangs(stream.read_exact(&mut back)).await);
        proxy.clear();
        timeout(SOON, stream.read_exact(&mut back)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn jitter_varies_within_its_bound_and_repeats_with_its_seed() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        // A seed belongs to the connection's number, so each run has its own proxy.
        let (proxy, mut stream) = connected().await;
        proxy.set(Faults { jitter: 300 * MS, seed, ..Faults::default() });
        let mut run = Vec::new();
        for _ in 0..8 {
            run.push(timed(&mut stream).await);
        }
        assert!(run.iter().all(|took| *took < 600 * MS + 5_000 * MS), "{run:?}");
        assert!(
            run.iter().max().unwrap().abs_diff(*run.iter().min().unwrap()) > 20 * MS,
            "{run:?}"
        );
        runs.push(run);
    }
    // The middle one, for now and then the machine stalls.
    let distance = |a: usize, b: usize| {
        let mut all: Vec<_> = runs[a].iter().zip(&runs[b]).map(|(a, b)| a.abs_diff(*b)).collect();
        all.sort();
        all[all.len() / 2]
    };
    // The same seed differs only by what the scheduler adds.
    assert!(distance(0, 1) < distance(0, 2), "{runs:?}");
}

#[tokio::test]
async fn bandwidth_is_shared_by_the_connections() {
    let (proxy, stream) = connected().await;
    let other = TcpStream::connect(proxy.addr()).await.unwrap();
    proxy.set(Faults { bandwidth_bytes_per_s: Some(100_000), ..Faults::default() });
    let begun = Instant::now();
    let transfer = |mut stream: TcpStream| async move {
        round_trip(&mut stream, &[1; 25_000]).await;
        stream
    };
    let (_, mut stream) = tokio::join!(transfer(other), transfer(stream));
    // 50 kB at 100 kB/s, the way back overlapping the way there.
    assert!((450 * MS..15_000 * MS).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    proxy.set(Faults { bandwidth_bytes_per_s: Some(0), ..Faults::default() });
    assert!(hangs(timed(&mut stream)).await);
}

#[tokio::test]
async fn blackhole_holds_bytes_one_way_and_delivers_them_when_cleared() {
    for (blackhole, to_server, to_client) in [
        (Direction::ToServer, false, false),
        (Direction::ToClient, true, false),
        (Direction::Both, false, false),
        (Direction::None, true, true),
    ] {
        let (proxy, mut stream) = connected().await;
        let before = (proxy.bytes_to_server(), proxy.bytes_to_client());
        proxy.set(Faults { blackhole, ..Faults::default() });
        stream.write_all(b"abc").await.unwrap();
        let mut back = [0; 3];
        assert_eq!(!hangs(stream.read_exact(&mut back)).await, to_client, "{blackhole:?}");
        assert_eq!(proxy.bytes_to_server() > before.0, to_server, "{blackhole:?}");
        assert_eq!(proxy.bytes_to_client() > before.1, to_client, "{blackhole:?}");
        if !to_client {
            proxy.clear();
            timeout(SOON, stream.read_exact(&mut back)).await.unwrap().unwrap();
            assert_eq!(&back, b"abc");
        }
    }
}

#[tokio::test]
async fn end_of_a_connection_does_not_pass_a_blackhole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    let client = TcpStream::connect(proxy.addr()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    proxy.set(Faults { blackhole: Direction::Both, ..Faults::default() });
    client.set_zero_linger().unwrap();
    drop(client);
    let mut byte = [0];
    assert!(hangs(server.read(&mut byte)).await);
    proxy.clear();
    let error = timeout(SOON, server.read(&mut byte)).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn reset_reaches_both_sides_and_spares_later_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    let mut byte = [0];
    // Twice: the first reset must not count for the second connection.
    for _ in 0..2 {
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        let accepted = timeout(SOON, listener.accept()).await;
        let (mut server, _) = accepted.expect("reset before it was connected").unwrap();
        client.write_all(b"x").await.unwrap();
        server.read_exact(&mut byte).await.unwrap();
        proxy.reset_all();
        for side in [&mut client, &mut server] {
            let error = timeout(SOON, side.read(&mut byte)).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
}

#[tokio::test]
async fn refused_port_is_refused_and_opens_again_with_old_connections_alive() {
    let (proxy, mut stream) = connected().await;
    for _ in 0..3 {
        proxy.refuse().await.unwrap();
        proxy.refuse().await.unwrap();
        for _ in 0..10 {
            let error = TcpStream::connect(proxy.addr()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
        round_trip(&mut stream, b"still here").await;
        proxy.accept().await.unwrap();
        proxy.accept().await.unwrap();
        let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
        round_trip(&mut new, b"new").await;
    }
}

#[tokio::test]
async fn client_of_a_server_that_is_down_is_reset() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = closed.local_addr().unwrap();
    drop(closed);
    let proxy = Proxy::start(addr).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let error = timeout(SOON, client.read(&mut [0])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn dropped_proxy_closes_its_port_and_its_connections() {
    let (proxy, mut stream) = connected().await;
    let addr = proxy.addr();
    drop(proxy);
    let end = timeout(SOON, stream.read(&mut [0])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    eventually("the port is closed", || async { TcpStream::connect(addr).await.is_err() }).await;
}

#[tokio::test]
async fn real_servers_are_reached_through_it() {
    let stack = Stack::builder().postgres().start().await.unwrap();
    let primary = stack.primary().unwrap();
    let proxy = Proxy::start(primary.addr()).await.unwrap();
    let url = primary.url_via(proxy.addr());
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.query_one("SELECT 1", &[]).await.unwrap();
    proxy.reset_all();
    connection.await.unwrap().unwrap_err();
    assert!(client.is_closed());
}
