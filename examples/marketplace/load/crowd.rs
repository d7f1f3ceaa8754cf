//! The users: each wish becomes requests, and each answer is held against what
//! the service acknowledged before.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use super::client::{Answer, Client, Sender};
use super::oracle::{Freshness, Oracle};
use super::stats::{Ending, Route, Sample, Stats};
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
        let book = Book { start: Instant::now(), stats: Stats::default() };
        Ok(Self { client, tokens, oracle: Oracle::default(), book: Mutex::new(book) })
    }

    /// Forgets the counts (not what was acknowledged) and starts the clock.
    pub fn begin(&self) -> Instant {
        let mut book = self.book();
        *book = Book { start: Instant::now(), stats: Stats::default() };
        book.start
    }

    /// A request was due and not sent.
    pub fn missed(&self) {
        self.book().stats.unsent += 1;
    }

    /// What was seen since [`Self::begin`].
    pub fn stats(&self) -> Stats {
        self.book().stats.clone()
    }

    /// Requests finished, errors and stale reads since [`Self::begin`], without a copy of the rest.
    pub fn glance(&self) -> (u64, u64, u64) {
        let book = self.book();
        let (mut done, mut errors) = (0, 0);
        for route in Route::ALL {
            done += book.stats.route(route).total();
            errors += book.stats.route(route).errors;
        }
        (done, errors, book.stats.stale())
    }

    /// Does what one user wants, `due` being when the schedule wanted it.
    pub async fn act(&self, wish: Wish, address: String, due: Instant) {
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
                let sender = Sender { address: format!("10.9.0.{}", 1 + script), ..sender };
                let sender = self.signed_in(sender, session);
                self.scripted_bid(auction, &sender, due).await;
            }
            Wish::GuessedLogin { user } => {
                let sender = Sender { address: "10.9.1.1".to_owned(), ..sender };
                self.login(user, "123456", StatusCode::UNAUTHORIZED, &sender, due).await;
            }
        }
    }

    async fn read(&self, auction: u64, sender: &Sender, due: Instant) {
        let floor = self.oracle.floor(auction);
        let path = format!("/api/auctions/{auction}");
        let (answer, timing) = self.send(Method::GET, &path, sender, None, due).await;
        let cents = answer.as_ref().and_then(|answer| answer.json()["current_cents"].as_u64());
        let ending = match (&answer, cents) {
            (Some(answer), Some(_)) if answer.status == StatusCode::OK => Ending::Ok,
            _ => ending_of(answer.as_ref(), None),
        };
        let verdict = cents.and_then(|cents| self.oracle.judge(floor, cents));
        self.record(Route::Read, ending, timing, verdict);
    }

    async fn bid(&self, auction: u64, raise: u64, audit: bool, sender: &Sender, mut due: Instant) {
        if self.oracle.seen(auction).is_none() {
            self.read(auction, sender, due).await;
            due = Instant::now();
        }
        let cents = self.oracle.seen(auction).unwrap_or(1) + raise;
        let Some((bid, read_after)) = self.place(auction, cents, sender, due).await else { return };
        self.read(auction, sender, Instant::now()).await;
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
        due: Instant,
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
            None => ending_of(answer.as_ref(), Some(StatusCode::CONFLICT)),
        };
        self.record(Route::Bid, ending, timing, None);
        let token = answer?.headers.get(READ_AFTER)?.to_str().ok().map(str::to_owned);
        Some((bid?, token))
    }

    async fn audit(&self, bid: u64, sender: &Sender) {
        let (answer, timing) =
            self.send(Method::GET, "/api/users/me/bids", sender, None, Instant::now()).await;
        let ending = ending_of(answer.as_ref(), None);
        let verdict = (ending == Ending::Ok).then(|| {
            let shown = answer.is_some_and(|answer| {
                let json = answer.json();
                let bids = json["bids"].as_array().cloned().unwrap_or_default();
                // Twenty are shown, newest first: only an older newest one proves a stale read.
                bids.iter().any(|shown| shown["bid_id"].as_u64() >= Some(bid))
            });
            if shown { Freshness::Fresh } else { Freshness::Stale }
        });
        self.record(Route::MyBids, ending, timing, verdict);
    }

    async fn scripted_bid(&self, auction: u64, sender: &Sender, due: Instant) {
        let path = format!("/api/auctions/{auction}/bids");
        // Never enough: the script is there to be limited, not to win.
        let body = json!({ "amount_cents": 1 });
        let (answer, timing) = self.send(Method::POST, &path, sender, Some(&body), due).await;
        let ending = ending_of(answer.as_ref(), Some(StatusCode::CONFLICT));
        self.record(Route::Bid, ending, timing, None);
    }

    async fn login(
        &self,
        user: u64,
        password: &str,
        expected: StatusCode,
        sender: &Sender,
        due: Instant,
    ) {
        let body = json!({ "email": seed::email(user), "password": password });
        let (answer, timing) =
            self.send(Method::POST, "/api/login", sender, Some(&body), due).await;
        let ending = ending_of(answer.as_ref(), Some(expected));
        self.record(Route::Login, ending, timing, None);
    }

    async fn plain(&self, route: Route, path: &str, sender: &Sender, due: Instant) {
        let (answer, timing) = self.send(Method::GET, path, sender, None, due).await;
        self.record(route, ending_of(answer.as_ref(), None), timing, None);
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        sender: &Sender,
        json: Option<&serde_json::Value>,
        due: Instant,
    ) -> (Option<Answer>, Timing) {
        let sent = Instant::now();
        let answer = self.client.send(method, path, sender, json).await;
        let done = Instant::now();
        (answer, Timing { due, response: done - due, service: done - sent })
    }

    fn record(&self, route: Route, ending: Ending, timing: Timing, verdict: Option<Freshness>) {
        let mut book = self.book();
        let due = timing.due.saturating_duration_since(book.start);
        let Timing { response, service, .. } = timing;
        book.stats.record(&Sample { route, ending, due, response, service, verdict });
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
    response: Duration,
    service: Duration,
}

/// 200 is what was asked for, `expected` a refusal that the caller reckons with.
fn ending_of(answer: Option<&Answer>, expected: Option<StatusCode>) -> Ending {
    match answer.map(|answer| answer.status) {
        Some(StatusCode::OK) => Ending::Ok,
        Some(StatusCode::TOO_MANY_REQUESTS) => Ending::Limited,
        Some(status) if Some(status) == expected => Ending::Refused,
        _ => Ending::Error,
    }
}
