//! A Prometheus server of a stack.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::Error;
use crate::process::StopSignal;
use crate::server::{Place, Server};

/// A Prometheus server that scrapes what the stack was told to, once a second.
///
/// It keeps its data in the stack's directory.
pub struct Prometheus {
    server: Server,
    promtool: PathBuf,
}

impl Prometheus {
    pub(crate) fn configure(
        place: &Place<'_>,
        targets: &[SocketAddr],
        features: &[String],
    ) -> Result<Self, Error> {
        let mut lines = String::from(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  \
             evaluation_interval: 1h\nscrape_configs:\n",
        );
        for (number, target) in targets.iter().enumerate() {
            lines.push_str(&format!(
                "  - job_name: target-{number}\n    static_configs:\n      - targets: ['{target}']\n"
            ));
        }
        let path = place.write("prometheus.yml", &lines)?;
        let mut args: Vec<OsString> = [
            format!("--web.listen-address=127.0.0.1:{}", place.port),
            "--log.level=warn".to_owned(),
        ]
        .map(OsString::from)
        .into();
        let mut path_arg = |flag: &str, path: PathBuf| {
            let mut arg = OsString::from(flag);
            arg.push(path);
            args.push(arg);
        };
        path_arg("--config.file=", path);
        path_arg("--storage.tsdb.path=", place.dir().join("data"));
        if !features.is_empty() {
            args.push(format!("--enable-feature={}", features.join(",")).into());
        }
        let promtool = place.program.with_file_name("promtool");
        Ok(Self { server: place.server(args, StopSignal::Kill), promtool })
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The program `promtool` that came with it.
    #[must_use]
    pub fn promtool(&self) -> &Path {
        &self.promtool
    }

    /// Evaluates a PromQL expression now; returns the JSON of `/api/v1/query`.
    ///
    /// # Errors
    /// As [`get`](Self::get); a refused expression is [`Error::Prometheus`] with its answer.
    pub async fn query(&self, expression: &str) -> Result<String, Error> {
        self.get(&format!("/api/v1/query?query={}", percent(expression))).await
    }

    /// The body of what it answers to `GET path`.
    ///
    /// # Errors
    /// [`Error::Prometheus`] if it refuses the connection or answers with another status than
    /// 200, [`Error::Deadline`] if it does not answer within ten seconds.
    pub async fn get(&self, path: &str) -> Result<String, Error> {
        match timeout(CONTROL_DEADLINE, get(self.addr(), path)).await {
            Ok(answer) => {
                answer.map_err(|source| Error::Prometheus { action: "a request", source })
            }
            Err(_) => Err(self.deadline("an answer to a request", CONTROL_DEADLINE)),
        }
    }

    /// Kills it if it is up, starts it with its data on the same port, and returns when it is
    /// ready.
    ///
    /// # Errors
    /// [`Error::Exited`] or [`Error::NotReady`], with the log, if it does not start.
    pub async fn restart(&self) -> Result<(), Error> {
        let addr = self.addr();
        self.process().restart(START_DEADLINE, || is_ready(addr)).await
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn wait_ready(&self, deadline: Duration) -> Result<(), Error> {
        let addr = self.addr();
        self.process().until(deadline, || is_ready(addr)).await
    }
}

impl Deref for Prometheus {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show("Prometheus", f)
    }
}

async fn is_ready(addr: SocketAddr) -> bool {
    get(addr, "/-/ready").await.is_ok()
}

/// One request over a connection of its own. HTTP/1.0: the body ends with the connection.
async fn get(addr: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {addr}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    if head.split(' ').nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        let status = head.lines().next().unwrap_or_default();
        Err(io::Error::other(format!("{status}: {}", body.trim())))
    }
}

fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

pub(crate) const NAME: &str = "prometheus";
const CONTROL_DEADLINE: Duration = Duration::from_secs(10);
const START_DEADLINE: Duration = Duration::from_secs(30);
