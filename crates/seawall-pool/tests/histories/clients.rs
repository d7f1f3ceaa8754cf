//! Sessions that write and read through the pool, and note what comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use seawall_pool::tokio_postgres::Row;
use seawall_pool::{Causal, Error, Lsn, Pool, Token};
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::{LISTS, REGISTERS_OF, column};
use crate::history::{Act, Key, Outcome, Recorder};
use crate::random::Random;

/// What the sessions of one history share.
pub(crate) struct Shared {
    pub(crate) pool: Pool,
    pub(crate) history: i64,
    pub(crate) recorder: Recorder,
    /// The last value given out.
    pub(crate) values: AtomicI64,
    /// By session: a token, and the number of the last call that it covers.
    pub(crate) tokens: Vec<Mutex<Option<(Token, u64)>>>,
    pub(crate) until: Instant,
    pub(crate) seed: u64,
}

/// How a session keeps what it has written and seen.
enum Memory {
    Causal(Causal),
    /// By hand, with transactions for writes.
    Token(Option<Token>),
}

struct Session {
    shared: Arc<Shared>,
    number: usize,
    random: Random,
    memory: Memory,
    /// Reads go over shared connections.
    lanes: bool,
    registers: std::ops::Range<usize>,
    /// A write was done and its position is not known, so the token does not cover it.
    blind: bool,
    last_read: Option<Key>,
}

pub(crate) async fn run(shared: Arc<Shared>, number: usize) {
    let mut random = Random::of(shared.seed, number as u64 + 1);
    let memory =
        if random.percent(60) { Memory::Causal(Causal::new()) } else { Memory::Token(None) };
    let lanes = random.percent(30);
    let registers = REGISTERS_OF(number);
    let mut session =
        Session { shared, number, random, memory, lanes, registers, blind: false, last_read: None };
    while Instant::now() < session.shared.until {
        match session.random.below(20) {
            0..5 => session.append().await,
            5..8 => session.set().await,
            8..19 => session.read().await,
            _ => session.take(),
        }
        sleep(session.random.millis(0, 6)).await;
    }
}

impl Session {
    async fn append(&mut self) {
        let key = Key::List(self.random.below(LISTS));
        self.write(key).await;
    }

    async fn set(&mut self) {
        let Some(register) = self.registers.clone().next() else { return };
        if !self.write(Key::Register(register)).await {
            // It may take effect after later ones would.
            self.registers.next();
        }
    }

    /// Returns whether it is known what became of it.
    async fn write(&mut self, key: Key) -> bool {
        let shared = Arc::clone(&self.shared);
        let begun = shared.recorder.begin();
        let value = shared.values.fetch_add(1, Ordering::Relaxed) + 1;
        let sql = match key {
            Key::List(_) => APPEND,
            Key::Register(_) => SET,
        };
        let limit = self.patience();
        let before = self.token();
        let (history, column) = (shared.history, column(key));
        let result = match &mut self.memory {
            Memory::Causal(causal) => {
                let route = shared.pool.write().causal(causal);
                timeout(limit, route.query_one(sql, &[&value, &history, &column])).await
            }
            Memory::Token(token) => {
                let work = async {
                    let mut conn = shared.pool.write().get().await?;
                    let transaction = conn.transaction().await?;
                    let row = transaction.query_one(sql, &[&value, &history, &column]).await?;
                    let committed = transaction.commit_token().await?;
                    *token = token.map_or(Some(committed), |token| token.merge(committed));
                    Ok::<_, Error>(row)
                };
                timeout(limit, work).await
            }
        };
        let (outcome, remark) = match result {
            Ok(Ok(row)) => {
                let after = self.token();
                self.blind = before == after;
                // A token that this write did not raise is the position of something before it.
                (written(&row, after.filter(|_| !self.blind)), String::new())
            }
            Ok(Err(error)) => (failed(&error), error.to_string()),
            Err(_) => (Outcome::Unknown, format!("given up after {limit:?}")),
        };
        let known = outcome != Outcome::Unknown;
        let ended =
            shared.recorder.end(begun, self.number, Act::Write { key, value }, outcome, remark);
        self.publish(ended);
        known
    }

    async fn read(&mut self) {
        // Often what was read before: only then is it told whether it is still seen.
        let key = match (self.last_read, self.random.below(10)) {
            (Some(key), 0..5) => key,
            (_, 0..8) => Key::List(self.random.below(LISTS)),
            _ => Key::Register(self.random.below(REGISTERS_OF(self.shared.tokens.len() - 1).end)),
        };
        self.last_read = Some(key);
        let shared = Arc::clone(&self.shared);
        let begun = shared.recorder.begin();
        let limit = self.patience();
        let (history, column) = (shared.history, column(key));
        let route = shared.pool.read();
        let route = if self.lanes { route.shared() } else { route };
        let route = match &self.memory {
            Memory::Causal(causal) => route.causal(causal),
            Memory::Token(token) => route.after(*token),
        };
        // A late look finds what came since the statement began.
        let late = self.random.percent(15).then(|| self.random.millis(0, 150).as_secs_f64());
        let read = async {
            match &late {
                Some(late) => route.query_at(LATE_READ, &[&history, &column, late]).await,
                None => route.query_at(READ, &[&history, &column]).await,
            }
        };
        let result = timeout(limit, read).await;
        let (outcome, remark) = match result {
            Ok(Ok(at)) => {
                if let Memory::Token(token) = &mut self.memory {
                    *token = token.map_or(Some(at.seen), |token| token.merge(at.seen));
                }
                let row = &at.value[0];
                let saw =
                    Outcome::Saw { values: row.get(0), standby: row.get(1), port: row.get(2) };
                (saw, format!("token {}", at.seen))
            }
            Ok(Err(error)) => (Outcome::NoEffect, error.to_string()),
            Err(_) => (Outcome::NoEffect, format!("given up after {limit:?}")),
        };
        let ended = shared.recorder.end(begun, self.number, Act::Read { key }, outcome, remark);
        self.publish(ended);
    }

    /// Goes on from what another session has written and seen.
    fn take(&mut self) {
        let from = self.random.below(self.shared.tokens.len());
        let Some((token, until)) = *self.shared.tokens[from].lock() else { return };
        let begun = self.shared.recorder.begin();
        match &mut self.memory {
            Memory::Causal(causal) => causal.observe(token),
            Memory::Token(ours) => {
                *ours = ours.map_or(Some(token), |ours| ours.merge(token));
            }
        }
        let act = Act::Take { from, until };
        let remark = format!("token {token}");
        self.shared.recorder.end(begun, self.number, act, Outcome::Taken, remark);
    }

    fn token(&self) -> Option<Token> {
        match &self.memory {
            Memory::Causal(causal) => causal.token(),
            Memory::Token(token) => *token,
        }
    }

    /// Lets others take the token: it covers all up to `ended`.
    fn publish(&self, ended: u64) {
        if let Some(token) = self.token().filter(|_| !self.blind) {
            *self.shared.tokens[self.number].lock() = Some((token, ended));
        }
    }

    /// Some callers leave in the middle.
    fn patience(&mut self) -> Duration {
        if self.random.percent(5) { self.random.millis(0, 15) } else { Duration::from_secs(5) }
    }
}

fn written(row: &Row, token: Option<Token>) -> Outcome {
    let timeline = u32::try_from(row.get::<_, i64>(0)).unwrap();
    let lsn: Option<Lsn> = token.filter(|token| token.timeline == timeline).map(|token| token.lsn);
    Outcome::Written { timeline, lsn, port: row.get(1) }
}

fn failed(error: &Error) -> Outcome {
    match error.outcome() {
        Some(seawall_pool::Outcome::NotSent) => Outcome::NotSent,
        Some(seawall_pool::Outcome::NoEffect) => Outcome::NoEffect,
        _ => Outcome::Unknown,
    }
}

const APPEND: &str = "UPDATE cell SET items = items || $1::bigint WHERE history = $2 AND key = $3 \
     RETURNING ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint, \
     inet_server_port()";
const SET: &str = "UPDATE cell SET items = ARRAY[$1::bigint] WHERE history = $2 AND key = $3 \
     RETURNING ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint, \
     inet_server_port()";
const LATE_READ: &str = "SELECT late($1, $2, $3), pg_is_in_recovery(), inet_server_port()";
const READ: &str = "SELECT items, pg_is_in_recovery(), inet_server_port() FROM cell \
     WHERE history = $1 AND key = $2";
