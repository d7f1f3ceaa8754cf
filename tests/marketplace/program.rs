//! Starts the marketplace and talks to it.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// One market at a time: each wants the machine for itself.
pub static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The program, built from the sources as they are now.
pub fn path() -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        // The features of `make test`, so that nothing is built twice.
        let build =
            ["build", "--workspace", "--all-features", "--example", "marketplace", "--quiet"];
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let status = Command::new(cargo).args(build).current_dir(folder).status().unwrap();
        assert!(status.success(), "the marketplace does not build");
    });
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples/marketplace");
    assert!(path.exists(), "{} is not there", path.display());
    path
}

/// `marketplace --serve` with small data; ends with this value.
pub struct Served {
    child: Child,
    base: String,
    /// Name, process and port of each server underneath.
    pub servers: Vec<(String, i32, u16)>,
    pub folder: PathBuf,
    client: Client<HttpConnector, Full<Bytes>>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Asserts that this is a problem of that status.
    pub fn assert_problem(&self, status: u16) -> Value {
        let body = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!(self.status.as_u16(), status, "{body}");
        assert_eq!(self.headers["content-type"], "application/problem+json", "{body}");
        let json = self.json();
        assert_eq!(json["status"], status, "{body}");
        assert!(json["title"].is_string() && json["detail"].is_string(), "{body}");
        json
    }
}

impl Served {
    /// Waits until it listens.
    pub fn start(more: &[&str]) -> Self {
        let mut child = Command::new(path())
            .args(["--serve", "--listen", "127.0.0.1:0", "--scale", "0.02"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut base, mut servers) = (String::new(), Vec::new());
        let folder = loop {
            let Some(Ok(line)) = lines.next() else {
                let status = child.wait().unwrap();
                panic!("the marketplace ended before it served: {status}");
            };
            if let Some(rest) = line.strip_prefix("serving on ") {
                base = rest.split(';').next().unwrap().to_owned();
            } else if let Some(folder) = line.strip_prefix("files under ") {
                break PathBuf::from(folder);
            }
            let words: Vec<_> = line.split_whitespace().collect();
            if let [name, pid, port] = words[..]
                && let (Ok(pid), Ok(port)) = (pid.parse(), port.parse())
            {
                servers.push((name.to_owned(), pid, port));
            }
        };
        // Keeps the pipe open and empty, so that the program never blocks on it.
        std::thread::spawn(move || {
            let mut rest = Vec::new();
            for line in lines.map_while(Result::ok) {
                rest.push(line);
            }
            rest.len()
        });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { child, base, servers, folder, client }
    }

    pub fn pid(&self, server: &str) -> Pid {
        let (_, pid, _) = self.servers.iter().find(|(name, ..)| name == server).unwrap();
        Pid::from_raw(*pid).unwrap()
    }

    pub fn kill(&self, server: &str) {
        kill_process(self.pid(server), Signal::KILL).unwrap();
    }

    /// Ends the program as no handler can see.
    pub fn kill_program(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(format!("{}{path}", self.base)), "").await
    }

    pub async fn post(&self, path: &str, token: &str, body: &str) -> Answer {
        let mut request = Request::post(format!("{}{path}", self.base))
            .header("content-type", "application/json");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request, body).await
    }

    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("{}{path}", self.base))
    }

    pub async fn send(&self, request: http::request::Builder, body: &str) -> Answer {
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        let sent = tokio::time::timeout(Duration::from_secs(60), self.client.request(request));
        let (head, body) = sent.await.expect("an answer within a minute").unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Sends bytes as they are and reads until the server closes.
    pub async fn raw(&self, request: &str) -> String {
        let address = self.base.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(60), read).await.expect("it closes").unwrap();
        answer
    }

    /// Sends bytes and goes away after `patience`.
    pub async fn abandon(&self, request: &str, patience: Duration) {
        let address = self.base.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 1];
        let _ = tokio::time::timeout(patience, stream.read(&mut answer)).await;
    }

    /// A connection to the database underneath.
    pub async fn primary(&self) -> tokio_postgres::Client {
        let (_, _, port) = self.servers.iter().find(|(name, ..)| name == "primary").unwrap();
        let url = format!("postgres://seawall@127.0.0.1:{port}/seawall");
        let (client, connection) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub async fn sign_in(&self, user: u64) -> String {
        let body = format!(r#"{{"email":"user{user}@example.com","password":"surge-ready-2026"}}"#);
        let answer = self.post("/api/login", "", &body).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.json()["token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let _ = self.child.wait();
    }
}

/// Runs the program to its end; its exit code and what it printed.
pub fn run(args: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(path()).args(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    (child.wait().unwrap().code(), out)
}

/// A zombie is dead; it waits for a parent that may never ask.
pub fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let zombie =
        stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")));
    test_kill_process(pid).is_ok() && !zombie
}

/// Waits for a condition; panics with `what` after `limit`.
pub async fn wait_for(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition().await {
        assert!(Instant::now() < deadline, "{what} within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
