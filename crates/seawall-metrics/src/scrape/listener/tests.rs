use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::Recorder;

const LONG: Duration = Duration::from_secs(30);

async fn ask(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

async fn listener(config: ListenerConfig) -> Listener {
    let (_recorder, handle) = Recorder::builder().build().unwrap();
    handle.listen(SocketAddr::from(([127, 0, 0, 1], 0)), config).await.unwrap()
}

/// Of a client that has room for little.
async fn narrow(addr: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(addr).await.unwrap()
}

/// With an answer that is more than a server's socket and a narrow one hold: 33 MB.
async fn listener_of_much(config: ListenerConfig) -> Listener {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let long = "x".repeat(16 * 1024);
    metrics::with_local_recorder(&recorder, || {
        for n in 0..2_000 {
            metrics::counter!("x_total", "n" => format!("{n}{long}")).increment(1);
        }
    });
    handle.listen(SocketAddr::from(([127, 0, 0, 1], 0)), config).await.unwrap()
}

#[tokio::test]
async fn it_serves_metrics_and_nothing_else() {
    let listener = listener(ListenerConfig::default()).await;
    let answer = ask(listener.local_addr(), &get("/metrics")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(answer.contains("\nseawall_metrics_series "));
    for path in ["/", "/metrics/", "/admin"] {
        let answer = ask(listener.local_addr(), &get(path)).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_head_does_not_say_that_there_is_nothing() {
    let listener = listener(ListenerConfig::default()).await;
    let answer = ask(listener.local_addr(), &get("/metrics").replace("GET", "HEAD")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("content-length: 0"), "{answer}");
}

#[tokio::test]
async fn an_address_outside_the_list_learns_nothing() {
    let allow = vec!["10.0.0.0/8".parse().unwrap()];
    let listener = listener(ListenerConfig { allow, ..ListenerConfig::default() }).await;
    for path in ["/metrics", "/"] {
        let answer = ask(listener.local_addr(), &get(path)).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(!answer.contains("seawall_metrics"));
    }
}

#[test]
fn the_list_knows_networks_and_ipv4_inside_ipv6() {
    let allow = vec!["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()];
    let config = ListenerConfig { allow, ..ListenerConfig::default() };
    for (peer, allowed) in [
        ("10.1.255.255", true),
        ("10.2.0.0", false),
        ("::ffff:10.1.0.7", true),
        ("::ffff:10.2.0.7", false),
        ("fd12::1", true),
        ("fe80::1", false),
        ("127.0.0.1", false),
    ] {
        assert_eq!(config.allows(peer.parse().unwrap()), allowed, "{peer}");
    }
    // A network spelt as IPv4 inside IPv6 is that IPv4 network; all of IPv6 is not all of IPv4.
    let allow = vec!["::ffff:10.1.0.0/112".parse().unwrap()];
    let config = ListenerConfig { allow, ..ListenerConfig::default() };
    assert!(config.allows("10.1.0.7".parse().unwrap()));
    assert!(config.allows("::ffff:10.1.0.7".parse().unwrap()));
    assert!(!config.allows("10.2.0.7".parse().unwrap()));
    let config = ListenerConfig { allow: vec!["::/0".parse().unwrap()], ..config };
    assert!(!config.allows("::ffff:10.1.0.7".parse().unwrap()));
    let loopback = ListenerConfig::default();
    assert!(loopback.allows("127.9.9.9".parse().unwrap()));
    assert!(loopback.allows("::1".parse().unwrap()));
    assert!(!loopback.allows("192.168.0.1".parse().unwrap()));
}

#[tokio::test]
async fn a_client_that_sends_nothing_does_not_keep_its_place() {
    let config = ListenerConfig {
        max_connections: 1,
        header_timeout: Duration::from_millis(50),
        ..ListenerConfig::default()
    };
    let listener = listener(config).await;
    let _mute = TcpStream::connect(listener.local_addr()).await.unwrap();
    let answer = timeout(LONG, ask(listener.local_addr(), &get("/metrics"))).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_dropped_listener_gives_its_address_back() {
    let (_recorder, handle) = Recorder::builder().build().unwrap();
    let first = listener(ListenerConfig::default()).await;
    let addr = first.local_addr();
    let taken = handle.listen(addr, ListenerConfig::default()).await;
    assert!(matches!(&taken, Err(error @ Error::Bind { .. }) if error.is_retryable()));
    drop(first);
    let again = async {
        loop {
            match handle.listen(addr, ListenerConfig::default()).await {
                Ok(listener) => return listener,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(timeout(LONG, again).await.unwrap().local_addr(), addr);
}

#[test]
fn settings_out_of_bounds_are_refused_by_name() {
    for (config, field) in [
        (ListenerConfig { max_connections: 0, ..ListenerConfig::default() }, "max_connections"),
        (
            ListenerConfig { header_timeout: Duration::ZERO, ..ListenerConfig::default() },
            "header_timeout",
        ),
        (
            ListenerConfig {
                answer_timeout: Duration::from_secs(301),
                ..ListenerConfig::default()
            },
            "answer_timeout",
        ),
    ] {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.starts_with(field), "{error}");
    }
    assert!(ListenerConfig::default().validate().is_ok());
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_does_not_keep_its_place() {
    let config = ListenerConfig {
        max_connections: 1,
        header_timeout: Duration::from_millis(200),
        answer_timeout: Duration::from_millis(200),
        ..ListenerConfig::default()
    };
    let listener = listener_of_much(config).await;
    let mut deaf = narrow(listener.local_addr()).await;
    deaf.write_all(get("/metrics").as_bytes()).await.unwrap();
    let answer = timeout(LONG, ask(listener.local_addr(), &get("/none"))).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn clients_that_may_not_scrape_take_no_place_of_those_who_may() {
    let config = ListenerConfig {
        allow: vec!["127.0.0.2/32".parse().unwrap()],
        max_connections: 1,
        header_timeout: Duration::from_secs(300),
        ..ListenerConfig::default()
    };
    let listener = listener(config).await;
    let mut mute = Vec::new();
    for _ in 0..5 {
        mute.push(TcpStream::connect(listener.local_addr()).await.unwrap());
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
    let mut stream = socket.connect(listener.local_addr()).await.unwrap();
    stream.write_all(get("/metrics").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

#[tokio::test]
async fn many_clients_at_once_are_all_answered_though_few_at_a_time() {
    let config = ListenerConfig { max_connections: 2, ..ListenerConfig::default() };
    let listener = listener(config).await;
    let all = (0..100).map(|_| ask(listener.local_addr(), "GET /none HTTP/1.0\r\n\r\n"));
    for answer in futures_util::future::join_all(all).await {
        assert!(answer.starts_with("HTTP/1.0 404 "), "{answer}");
    }
}

#[tokio::test]
async fn what_is_no_http_ends_its_connection_and_no_other() {
    let listener = listener(ListenerConfig::default()).await;
    let long = "a".repeat(1 << 20);
    for (nonsense, status) in [
        ("\0\u{1}\u{2}\r\n\r\n".to_owned(), "400"),
        ("GET\r\n\r\n".to_owned(), "400"),
        ("GET /metrics HTTP/9.9\r\n\r\n".to_owned(), "400"),
        (format!("GET /metrics HTTP/1.1\r\nx: {long}\r\n\r\n"), "431"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), "4"),
        ("GET /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_owned(), "400"),
        // What begins a connection of HTTP/2.
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "400"),
    ] {
        let mut stream = TcpStream::connect(listener.local_addr()).await.unwrap();
        // It may be cut off before it has said all.
        let _ = stream.write_all(nonsense.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let start: String = nonsense.chars().take(40).collect();
        // Nothing, if the reset came first.
        let refused = answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}"));
        assert!(refused, "{start:?}: {answer}");
    }
    let post = "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nconnection: close\r\n\r\n123456789";
    assert!(ask(listener.local_addr(), post).await.starts_with("HTTP/1.1 405 "));
    let answer = ask(listener.local_addr(), &get("/metrics")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_at_once_and_others_with_their_answer() {
    let config = ListenerConfig { header_timeout: LONG * 2, ..ListenerConfig::default() };
    let listener = listener_of_much(config).await;
    let addr = listener.local_addr();
    let mut unused = TcpStream::connect(addr).await.unwrap();
    let mut idle = TcpStream::connect(addr).await.unwrap();
    idle.write_all(b"HEAD /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    while idle.read_u8().await.unwrap() != b'\r' {}
    let mut reading = narrow(addr).await;
    reading.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(reading.read_u8().await.unwrap(), b'H');
    let mut gone = tokio::spawn(listener.shutdown());
    for stream in [&mut unused, &mut idle] {
        timeout(LONG, stream.read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    }
    // Only its reader keeps it.
    assert!(timeout(Duration::from_millis(50), &mut gone).await.is_err());
    let mut answer = Vec::new();
    timeout(LONG, reading.read_to_end(&mut answer)).await.unwrap().unwrap();
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = text.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    assert_eq!(answer.len() - head - 4, length.parse::<usize>().unwrap());
    timeout(LONG, gone).await.unwrap().unwrap();
    assert!(TcpListener::bind(addr).await.is_ok());
}
