//! Ports that no other stack takes.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};

use rand::Rng;

use crate::error::Error;
use crate::home::Home;

/// A loopback port reserved for one server, also while that server is down.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    /// Keeps other stacks of this user off; released when the file closes.
    _lock: File,
}

/// Reserves a port that nobody listens on and of which the port `also` above,
/// if not 0, is free too.
///
/// Taken from below the range that systems use for outgoing connections: while
/// a killed server is down, no client's connection can happen to take its port.
pub(crate) fn reserve(home: &Home, also: u16) -> Result<Port, Error> {
    for _ in 0..ATTEMPTS {
        let number = rand::rng().random_range(RANGE);
        let Some(lock) = home.try_lock(&format!("ports/{number}")) else {
            continue;
        };
        if is_free(number) && (also == 0 || is_free(number + also)) {
            return Ok(Port { number, _lock: lock });
        }
    }
    let source = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    Err(Error::Net { action: "find a free port on 127.0.0.1", source })
}

fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}

/// Registered services are sparse here, and Redis' bus port, 10000 above, fits below 32768.
const RANGE: std::ops::Range<u16> = 12_000..22_000;
const ATTEMPTS: usize = 1_000;
