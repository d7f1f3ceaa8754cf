use std::convert::Infallible;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderName, HeaderValue, Request, Response};
use proptest::prelude::*;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

use super::CausalLayer;
use super::seal::{Carried, Seal};
use crate::causal::Unknown;
use crate::{Causal, Error, Lsn, Token};

const KEY: &[u8] = b"a key of thirty-two bytes or more";
const OTHER: &[u8] = b"another key of thirty-two bytes, or more";

fn token(lsn: u64) -> Token {
    Token { system: 7, timeline: 1, lsn: Lsn(lsn) }
}

/// Sends a request; what the handler found, and the response.
async fn send(
    layer: &CausalLayer,
    request: Request<()>,
    writes: Option<Token>,
) -> (Option<Token>, Response<()>) {
    let found = std::sync::Mutex::new(None);
    let handler = service_fn(async |request: Request<()>| {
        let causal = request.extensions().get::<Causal>().unwrap();
        *found.lock().unwrap() = causal.token();
        if let Some(token) = writes {
            causal.observe(token);
        }
        Ok::<_, Infallible>(Response::new(()))
    });
    let response = layer.layer(handler).oneshot(request).await.unwrap();
    (found.into_inner().unwrap(), response)
}

fn with(name: impl Into<HeaderName>, value: &HeaderValue) -> Request<()> {
    let mut request = Request::new(());
    request.headers_mut().insert(name.into(), value.clone());
    request
}

#[tokio::test]
async fn a_token_comes_back_with_the_next_request() {
    let name = HeaderName::from_static("x-seen");
    let layer = CausalLayer::header(name.clone(), KEY).unwrap();
    let (found, response) = send(&layer, Request::new(()), Some(token(5))).await;
    assert_eq!(found, None);
    let carried = response.headers()[&name].clone();

    let (found, response) = send(&layer, with(name.clone(), &carried), None).await;
    assert_eq!(found, Some(token(5)));
    assert!(response.headers().is_empty(), "nothing new, nothing sent");
    let (_, response) = send(&layer, with(name.clone(), &carried), Some(token(4))).await;
    assert!(response.headers().is_empty(), "an older one is not news");
}

#[tokio::test]
async fn a_cookie_is_found_among_others_and_set_so_that_scripts_cannot_read_it() {
    let layer = CausalLayer::cookie("seen", KEY).unwrap();
    let (_, response) = send(&layer, Request::new(()), Some(token(5))).await;
    let line = response.headers()[SET_COOKIE].to_str().unwrap();
    let (pair, rest) = line.split_once(';').unwrap();
    assert_eq!(rest, " Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure");
    let cookies = HeaderValue::try_from(format!("theme=dark; {pair}; notseen=1.1.1.x")).unwrap();
    let (found, _) = send(&layer, with(COOKIE, &cookies), None).await;
    assert_eq!(found, Some(token(5)));
}

/// Sends a request whose handler does `act`; what the next one is to carry.
async fn carries(
    layer: &CausalLayer,
    carried: Option<&HeaderValue>,
    act: impl Fn(&Causal),
) -> Option<HeaderValue> {
    let name = HeaderName::from_static("x-seen");
    let mut request = Request::new(());
    request.headers_mut().extend(carried.map(|value| (name.clone(), value.clone())));
    let handler = service_fn(async |request: Request<()>| {
        act(request.extensions().get::<Causal>().unwrap());
        Ok::<_, Infallible>(Response::new(()))
    });
    let response = layer.layer(handler).oneshot(request).await.unwrap();
    response.headers().get(&name).cloned()
}

#[tokio::test]
async fn a_write_of_unknown_position_is_carried_until_one_is_known() {
    let layer = CausalLayer::header(HeaderName::from_static("x-seen"), KEY).unwrap();
    let first = carries(&layer, None, Causal::observe_unknown).await.unwrap();
    let next = carries(&layer, Some(&first), |causal| {
        assert_eq!((causal.token(), causal.unknown()), (None, Some(Unknown::Done)));
    });
    assert_eq!(next.await, None, "nothing new, nothing sent");
    let settled = carries(&layer, Some(&first), |causal| {
        causal.read_on_primary(token(5), causal.since());
    });
    let settled = settled.await.unwrap();
    let lost = carries(&layer, Some(&settled), |causal| {
        assert_eq!((causal.token(), causal.unknown()), (Some(token(5)), None));
        causal.lost_sight();
    });
    let lost = lost.await.unwrap();
    let known = carries(&layer, Some(&lost), |causal| {
        assert_eq!((causal.token(), causal.unknown()), (Some(token(5)), Some(Unknown::Open)));
        // Its position is not news, that it is known is.
        causal.wrote(token(5), causal.since());
    });
    carries(&layer, Some(&known.await.unwrap()), |causal| assert_eq!(causal.unknown(), None)).await;
}

#[tokio::test]
async fn a_token_signed_by_somebody_else_counts_as_none_and_an_older_key_still_does() {
    let name = HeaderName::from_static("x-seen");
    let old = CausalLayer::header(name.clone(), OTHER).unwrap();
    let (_, response) = send(&old, Request::new(()), Some(token(5))).await;
    let carried = response.headers()[&name].clone();
    let new = CausalLayer::header(name.clone(), KEY).unwrap();
    assert_eq!(send(&new, with(name.clone(), &carried), None).await.0, None);
    let both = new.or_key(OTHER).unwrap();
    assert_eq!(send(&both, with(name.clone(), &carried), None).await.0, Some(token(5)));
}

#[test]
fn short_keys_and_bad_names_are_refused_without_showing_the_key() {
    let error = CausalLayer::cookie("seen", b"short").unwrap_err();
    assert_eq!(error.to_string(), "key is 5 bytes long, which is not within at least 32 bytes");
    let error = CausalLayer::cookie("se en", KEY).unwrap_err();
    assert!(matches!(error, Error::Config { field: "cookie name", .. }));
}

proptest! {
    /// Whatever is changed in a sealed token, it no longer opens.
    #[test]
    fn a_changed_token_does_not_open(
        lsn: u64,
        has: bool,
        unknown in prop::sample::select(vec![None, Some(Unknown::Done), Some(Unknown::Open)]),
        at: prop::sample::Index, to in "[0-9a-zA-Z.=_-]") {
        let seal = Seal::new(KEY).unwrap();
        let carried = Carried { token: has.then_some(token(lsn)), unknown };
        prop_assume!(has || unknown.is_some());
        let text = seal.close(carried);
        prop_assert_eq!(seal.open(&text), Some(carried));
        let at = at.index(text.len());
        let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
        if changed != text {
            prop_assert_eq!(seal.open(&changed), None);
        }
    }

    #[test]
    fn no_text_panics(text: String) {
        prop_assert_eq!(Seal::new(KEY).unwrap().open(&text), None);
    }
}
