//! The users: each wish becomes requests, and each answer is held against what
//! the service acknowledged before.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use super::client::{Answer, Client, Sender};
use super::oracle::{Freshness, Oracle};
use super::stats::{Ending, Route, Sample, Stats, Tally};
use super::wish::Wish;
use crate::error::Failure;
use crate::seed::{self, PASSWORD};
use crate::service::READ_AFTER;

/// All users, and what they saw.
#[derive(Debug)]
pub struct Crowd {
    client: Client,
    tokens: Vec<String>,
    oracle: Oracle,
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    start: Instant,
    stats: Stats,
    phase: Phase,
}

/// Scripts spend their quotas in each phase from addresses of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Calibration,
    Run,
}

/// What was seen so far, in numbers.
#[derive(Clone, Copy, Debug)]
pub struct Glance {
    /// Wishes fulfilled; each is one request or more.
    pub arrivals: u64,
    pub requests: u64,
    pub errors: u64,
    pub stale: u64,
}

/// Since when a user waits.
#[derive(Clone, Copy, Debug)]
enum Since {
    /// Since the schedule wanted the request sent.
    Due(Instant),
    /// It follows from the answer before.
    Now,
}

impl Crowd {
    /// Signs `sessions` users in, through the front door.
    pub async fn sign_in(client: Client, sessions: u64) -> Result<Self, Failure> {
        let mut tokens = Vec::new();
        for user in 1..=sessions {
            let sender =
                Sender { address: format!("10.2.0.{}", 1 + user % 250), ..Sender::default() };
            let login = json!({ "email": seed::email(user), "password": PASSWORD });
            let answer = client.send(Method::POST, "/api/login", &sender, Some(&login)).await;
            let token = answer.and_then(|answer| Some(answer.json()["token"].as_str()?.to_owned()));
            tokens.push(token.ok_or(Failure::Load { what: "a seeded user could not sign in" })?);
        }
        let (start, stats) = (Instant::now(), Stats::default());
        let book = Book { start, stats, phase: Phase::Calibration };
        Ok(Self { client, tokens, oracle: Oracle::default(), book: Mutex::new(book) })
    }

    /// Forgets the counts (not what was acknowledged) and starts the clock.
    pub fn begin(&self, phase: Phase) -> Instant {
        let mut book = self.book();
        *book = Book { start: Instant::now(), stats: Stats::default(), phase };
        book.start
    }

    /// So many arrivals were due and not sent, or not answered by the end.
    pub fn missed(&self, arrivals: u64) {
        self.book().stats.missed += arrivals;
    }

    /// What was seen since [`Self::begin`].
    pub fn stats(&self) -> Stats {
        self.book().stats.clone()
    }

    /// The counts since [`Self::begin`], without a copy of the rest.
    pub fn glance(&self) -> Glance {
        let book = self.book();
        let tallies = || Route::ALL.into_iter().map(|route| book.stats.route(route));
        Glance {
            arrivals: book.stats.arrivals,
            requests: tallies().map(Tally::total).sum(),
            errors: tallies().map(|tally| tally.errors).sum(),
            stale: book.stats.stale(),
        }
    }

    /// Does what one user wants, `due` being when the schedule wanted it.
    pub async fn act(&self, wish: Wish, address: String, due: Instant) {
        self.fulfil(wish, address, Since::Due(due)).await;
        self.book().stats.arrivals += 1;
    }

    async fn fulfil(&self, wish: Wish, address: String, due: Since) {
        let scripts = if self.book().phase == Phase::Run { "10.9" } else { "10.8" };
        let sender = Sender { address, ..Sender::default() };
        match wish {
            Wish::Read { auction } => self.read(auction, &sender, due).await,
            Wish::List { page, status } => {
                let path = format!("/api/auctions?page={page}&per_page=20&status={status}");
                self.plain(Route::List, &path, &sender, due).await;
            }
            Wish::Top => self.plain(Route::Top, "/api/auctions/top", &sender, due).await,
            Wish::MyBids { session } => {
                let sender = self.signed_in(sender, session);
                self.plain(Route::MyBids, "/api/users/me/bids", &sender, due).await;
            }
            Wish::Bid { auction, session, raise, audit } => {
                let sender = self.signed_in(sender, session);
                self.bid(auction, raise, audit, &sender, due).await;
            }
            Wish::Login { user } => self.login(user, PASSWORD, StatusCode::OK, &sender, due).await,
            Wish::ScriptedBid { auction, session, script } => {
                let sender = Sender { address: format!("{scripts}.0.{}", 1 + script), ..sender };
                let sender = self.signed_in(sender, session);
                self.scripted_bid(auction, &sender, due).await;
            }
            Wish::GuessedLogin { user } => {
                let sender = Sender { address: format!("{scripts}.1.1"), ..sender };
                self.login(user, "123456", StatusCode::UNAUTHORIZED, &sender, due).await;
            }
        }
    }

    async fn read(&self, auction: u64, sender: &Sender, due: Since) {
        let floor = self.oracle.floor(auction);
        let path = format!("/api/auctions/{auction}");
        let (answer, timing) = self.send(Method::GET, &path, sender, None, due).await;
        let cents = answer.as_ref().and_then(|answer| answer.json()["current_cents"].as_u64());
        let ending = match ending_of(answer.as_ref(), &[]) {
            // An answer without a price makes no sense.
            Ending::Ok if cents.is_none() => Ending::Error,
            ending => ending,
        };
        let verdict = cents.and_then(|cents| self.oracle.judge(floor, cents));
        self.record(Route::Read, ending, timing, verdict);
    }

    async fn bid(&self, auction: u64, raise: u64, audit: bool, sender: &Sender, mut due: Since) {
        if self.oracle.seen(auction).is_none() {
            self.read(auction, sender, due).await;
            due = Since::Now;
        }
        let cents = self.oracle.seen(auction).unwrap_or(1) + raise;
        let Some((bid, read_after)) = self.place(auction, cents, sender, due).await else { return };
        self.read(auction, sender, Since::Now).await;
        if audit {
            let sender = Sender { read_after, ..sender.clone() };
            self.audit(bid, &sender).await;
        }
    }

    /// The number of the bid, and the token that a later read shows.
    async fn place(
        &self,
        auction: u64,
        cents: u64,
        sender: &Sender,
        due: Since,
    ) -> Option<(u64, Option<String>)> {
        let path = format!("/api/auctions/{auction}/bids");
        let body = json!({ "amount_cents": cents });
        let (answer, timing) = self.send(Method::POST, &path, sender, Some(&body), due).await;
        let bid = answer
            .as_ref()
            .filter(|answer| answer.status == StatusCode::CREATED)
            .and_then(|answer| answer.json()["bid_id"].as_u64());
        if bid.is_some() {
            self.oracle.acknowledge(auction, cents);
        }
        let ending = match bid {
            Some(_) => Ending::Ok,
            None => ending_of(answer.as_ref(), &REFUSALS),
        };
        self.record(Route::Bid, ending, timing, None);
        let header = answer.as_ref().and_then(|answer| answer.headers.get(READ_AFTER));
        Some((bid?, header.and_then(|value| value.to_str().ok()).map(str::to_owned)))
    }

    async fn audit(&self, bid: u64, sender: &Sender) {
        let (answer, timing) =
            self.send(Method::GET, "/api/users/me/bids", sender, None, Since::Now).await;
        let ending = ending_of(answer.as_ref(), &[]);
        let verdict = answer.filter(|_| ending == Ending::Ok).map(|answer| {
            let json = answer.json();
            let shown: Vec<u64> = json["bids"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|bid| bid["bid_id"].as_u64())
                .collect();
            // The newest twenty: newer ones of the same user may have pushed it off the page.
            let pushed_off = shown.len() >= 20 && shown.iter().all(|&newer| newer > bid);
            if shown.contains(&bid) || pushed_off { Freshness::Fresh } else { Freshness::Stale }
        });
        self.record(Route::MyBids, ending, timing, verdict);
    }

    async fn scripted_bid(&self, auction: u64, sender: &Sender, due: Since) {
        let path = format!("/api/auctions/{auction}/bids");
        // Never enough: the script is there to be limited, not to win.
        let body = json!({ "amount_cents": 1 });
        let (answer, timing) = self.send(Method::POST, &path, sender, Some(&body), due).await;
        let ending = ending_of(answer.as_ref(), &REFUSALS);
        self.record(Route::Bid, ending, timing, None);
    }

    async fn login(
        &self,
        user: u64,
        password: &str,
        expected: StatusCode,
        sender: &Sender,
        due: Since,
    ) {
        let body = json!({ "email": seed::email(user), "password": password });
        let (answer, timing) =
            self.send(Method::POST, "/api/login", sender, Some(&body), due).await;
        let ending = ending_of(answer.as_ref(), &[expected]);
        self.record(Route::Login, ending, timing, None);
    }

    async fn plain(&self, route: Route, path: &str, sender: &Sender, due: Since) {
        let (answer, timing) = self.send(Method::GET, path, sender, None, due).await;
        self.record(route, ending_of(answer.as_ref(), &[]), timing, None);
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        sender: &Sender,
        json: Option<&serde_json::Value>,
        due: Since,
    ) -> (Option<Answer>, Timing) {
        let sent = Instant::now();
        let answer = self.client.send(method, path, sender, json).await;
        let done = Instant::now();
        let (due, scheduled) = match due {
            Since::Due(due) => (due, true),
            Since::Now => (sent, false),
        };
        (answer, Timing { due, scheduled, response: done - due, service: done - sent })
    }

    fn record(&self, route: Route, ending: Ending, timing: Timing, verdict: Option<Freshness>) {
        let mut book = self.book();
        let due = timing.due.saturating_duration_since(book.start);
        let Timing { scheduled, response, service, .. } = timing;
        book.stats.record(&Sample { route, ending, due, scheduled, response, service, verdict });
    }

    fn signed_in(&self, sender: Sender, session: usize) -> Sender {
        let token = self.tokens.get(session % self.tokens.len().max(1)).cloned();
        Sender { token, ..sender }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Debug)]
struct Timing {
    due: Instant,
    scheduled: bool,
    response: Duration,
    service: Duration,
}

/// Why a bid may be turned down: outbid, ended, or the bidder's own auction.
const REFUSALS: [StatusCode; 2] = [StatusCode::CONFLICT, StatusCode::FORBIDDEN];

/// 200 is what was asked for; `expected` are refusals that the caller reckons with.
fn ending_of(answer: Option<&Answer>, expected: &[StatusCode]) -> Ending {
    match answer.map(|answer| answer.status) {
        Some(StatusCode::OK) => Ending::Ok,
        Some(StatusCode::TOO_MANY_REQUESTS) => Ending::Limited,
        Some(status) if expected.contains(&status) => Ending::Refused,
        _ => Ending::Error,
    }
}
