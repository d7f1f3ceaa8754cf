//! How a challenge looks: JSON for programs, a page for browsers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, RETRY_AFTER, SET_COOKIE,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::puzzle::{Pass, Puzzle};
use crate::answer::Problem;
use crate::body::LimitBody;

/// 429 with the puzzle.
pub(crate) fn challenge<A, B>(
    request: &Request<A>,
    puzzle: &Puzzle,
    scope: &str,
    now: u64,
) -> Response<LimitBody<B>> {
    let seconds = puzzle.expires.saturating_sub(now);
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = if is_browser(request) {
        let head = *request.method() == Method::HEAD;
        page(puzzle, scope, seconds, head)
    } else {
        let problem = Problem::challenge(&puzzle.text, puzzle.difficulty, seconds, &SOLUTION);
        problem.response(status, request.method())
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    // Whoever solves the puzzle need not wait; whoever does not is told a time.
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

/// Fields for the response of a request that redeemed a solution.
pub(crate) fn admitted(pass: &Pass, scope: &str, now: u64) -> Vec<(HeaderName, HeaderValue)> {
    let seconds = pass.expires.saturating_sub(now);
    // Secure: the page needs https anyway, and programs have the field.
    let cookie = format!(
        "{PASS_COOKIE}={}; Path={scope}; Max-Age={seconds}; HttpOnly; Secure; SameSite=Lax",
        pass.text
    );
    let spent = format!("{SOLUTION_COOKIE}=; Path={scope}; Max-Age=0");
    let fields = [(PASS, pass.text.clone()), (SET_COOKIE, cookie), (SET_COOKIE, spent)];
    let value = |(name, text): (_, String)| Some((name, HeaderValue::try_from(text).ok()?));
    fields.into_iter().filter_map(value).collect()
}

/// A solution that the request brings: in its own field, or as a cookie.
pub(crate) fn solution(headers: &HeaderMap) -> Option<&str> {
    brought(headers, &SOLUTION, SOLUTION_COOKIE)
}

/// A pass that the request brings, in the same ways.
pub(crate) fn pass(headers: &HeaderMap) -> Option<&str> {
    brought(headers, &PASS, PASS_COOKIE)
}

fn brought<'a>(headers: &'a HeaderMap, field: &HeaderName, cookie: &str) -> Option<&'a str> {
    if let Some(value) = headers.get(field) {
        return value.to_str().ok();
    }
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';').take(MAX_COOKIES));
    let mut named = pairs.filter_map(|pair| pair.trim().strip_prefix(cookie)?.strip_prefix('='));
    named.next()
}

/// Browsers say that they take HTML; only what they can load again gets a page.
fn is_browser<A>(request: &Request<A>) -> bool {
    let lines = request.headers().get_all(ACCEPT).into_iter();
    let html = |line: &HeaderValue| line.to_str().is_ok_and(|text| text.contains("text/html"));
    matches!(*request.method(), Method::GET | Method::HEAD) && lines.into_iter().any(html)
}

fn page<B>(puzzle: &Puzzle, scope: &str, seconds: u64, head: bool) -> Response<LimitBody<B>> {
    let html = PAGE
        .replace("{puzzle}", &puzzle.text)
        .replace("{bits}", &puzzle.difficulty.to_string())
        .replace("{cookie}", SOLUTION_COOKIE)
        .replace("{path}", scope)
        .replace("{seconds}", &seconds.to_string())
        .replace("{script}", SCRIPT);
    let body = if head { LimitBody::empty() } else { LimitBody::full(Bytes::from(html)) };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let digest = STANDARD.encode(Sha256::digest(SCRIPT));
    let policy = format!("default-src 'none'; script-src 'sha256-{digest}'; base-uri 'none'");
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const SOLUTION: HeaderName = HeaderName::from_static("challenge-solution");
const PASS: HeaderName = HeaderName::from_static("challenge-pass");
const SOLUTION_COOKIE: &str = "challenge-solution";
const PASS_COOKIE: &str = "challenge-pass";
/// Of one line; more are not looked at.
const MAX_COOKIES: usize = 128;
