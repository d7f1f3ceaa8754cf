//! Just enough of Redis' protocol (RESP2) to set a server up and to ask it things.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// What Redis answered to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// A status such as `OK`.
    Status(String),
    /// A whole number.
    Integer(i64),
    /// A string of bytes; `None` for nil.
    Bulk(Option<Vec<u8>>),
    /// Several replies.
    Array(Vec<Self>),
}

impl Reply {
    /// The status or the string as text, if it is one; bytes that are not UTF-8
    /// are replaced.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Status(text) => Some(text.clone()),
            Self::Bulk(Some(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Self::Integer(_) | Self::Bulk(None) | Self::Array(_) => None,
        }
    }
}

/// Connects, runs one command and closes.
pub(super) async fn command(addr: SocketAddr, words: &[&str]) -> io::Result<Reply> {
    let mut stream = BufReader::new(TcpStream::connect(addr).await?);
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes()).await?;
    read(&mut stream).await
}

async fn read(stream: &mut (impl AsyncBufRead + Unpin + Send)) -> io::Result<Reply> {
    let line = read_line(stream).await?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(malformed)?;
    match kind {
        "+" => Ok(Reply::Status(rest.to_owned())),
        "-" => Err(io::Error::other(rest.to_owned())),
        ":" => Ok(Reply::Integer(number(rest)?)),
        "$" => match usize::try_from(number(rest)?) {
            Ok(length) => {
                let mut bytes = vec![0; length + 2];
                stream.read_exact(&mut bytes).await?;
                bytes.truncate(length);
                Ok(Reply::Bulk(Some(bytes)))
            }
            Err(_) => Ok(Reply::Bulk(None)),
        },
        "*" => {
            let mut items = Vec::new();
            for _ in 0..number(rest)? {
                items.push(Box::pin(read(stream)).await?);
            }
            Ok(Reply::Array(items))
        }
        _ => Err(malformed()),
    }
}

async fn read_line(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(|_| malformed())
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(bytes: &[u8]) -> io::Result<Reply> {
        read(&mut BufReader::new(bytes)).await
    }

    #[tokio::test]
    async fn replies_of_each_kind_are_read() {
        assert_eq!(parse(b"+OK\r\n").await.unwrap(), Reply::Status("OK".into()));
        assert_eq!(parse(b":-7\r\n").await.unwrap(), Reply::Integer(-7));
        assert_eq!(parse(b"$-1\r\n").await.unwrap(), Reply::Bulk(None));
        assert_eq!(
            parse(b"$4\r\na\r\nb\r\n").await.unwrap(),
            Reply::Bulk(Some(b"a\r\nb".to_vec()))
        );
        let nested = parse(b"*2\r\n:1\r\n*1\r\n$0\r\n\r\n").await.unwrap();
        let inner = Reply::Array(vec![Reply::Bulk(Some(Vec::new()))]);
        assert_eq!(nested, Reply::Array(vec![Reply::Integer(1), inner]));
    }

    #[tokio::test]
    async fn error_cut_and_garbage_are_told_apart() {
        let refused = parse(b"-ERR unknown command\r\n").await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Other);
        assert_eq!(refused.to_string(), "ERR unknown command");
        for cut in [&b""[..], b"+O", b"$4\r\nab"] {
            assert_eq!(parse(cut).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        for garbage in [&b"?\r\n"[..], b"\r\n", b":x\r\n"] {
            assert_eq!(parse(garbage).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
