//! The challenge layer.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use seawall_limit::{
    AccessList, Challenge, ChallengeConfig, ChallengeLayer, ChallengeService, ListLayer,
    SharedAccessList, solve,
};
use tower::Layer as _;

use crate::support::{Answer, Inner, get, inner, request, send};

/// Two requests a minute are free.
fn layer() -> ChallengeLayer {
    let config =
        ChallengeConfig { per_client: Some(2), difficulty: 4, ..ChallengeConfig::default() };
    ChallengeLayer::new(Challenge::new(&[7; 32], config).unwrap(), "/api").unwrap()
}

fn challenged() -> ChallengeService<Inner> {
    layer().layer(inner().0)
}

fn with(peer: &str, field: &'static str, value: &str) -> Request<Full<Bytes>> {
    let mut request = request(Method::GET, "/api/bids", peer);
    request.headers_mut().insert(field, value.parse().unwrap());
    request
}

fn solved(answer: &Answer) -> String {
    let challenge = &answer.json()["challenge"];
    let bits = challenge["difficulty"].as_u64().unwrap() as u8;
    solve(challenge["puzzle"].as_str().unwrap(), bits).unwrap()
}

async fn exhaust(service: &ChallengeService<Inner>, peer: &str) -> Answer {
    for _ in 0..2 {
        assert_eq!(get(service, "/api/bids", peer).await.status, 200);
    }
    let answer = get(service, "/api/bids", peer).await;
    assert_eq!(answer.status, 429);
    answer
}

#[tokio::test(start_paused = true)]
async fn a_program_above_the_threshold_gets_a_puzzle_and_its_solution_a_pass() {
    let service = challenged();
    let challenge = exhaust(&service, "1.1.1.1").await;
    assert_eq!(challenge.header("content-type"), Some("application/problem+json"));
    assert_eq!(challenge.header("cache-control"), Some("no-store"));
    let json = challenge.json();
    assert_eq!(
        json["type"],
        "https://iana.org/assignments/http-problem-types#abnormal-usage-detected"
    );
    assert_eq!(json["challenge"]["solution-field"], "challenge-solution");
    let solution = solved(&challenge);
    let admitted = send(&service, with("1.1.1.1", "challenge-solution", &solution)).await;
    assert_eq!((admitted.status.as_u16(), &admitted.body[..]), (200, &b"ok"[..]));
    let pass = admitted.header("challenge-pass").unwrap();
    for _ in 0..10 {
        assert_eq!(send(&service, with("1.1.1.1", "challenge-pass", pass)).await.status, 200);
    }
    let replayed = send(&service, with("1.1.1.1", "challenge-solution", &solution)).await;
    assert_eq!(replayed.status, 429);
}

#[tokio::test(start_paused = true)]
async fn a_pass_is_worth_nothing_to_another_client_or_in_another_scope() {
    let service = challenged();
    let solution = solved(&exhaust(&service, "1.1.1.1").await);
    exhaust(&service, "2.2.2.2").await;
    let stolen = send(&service, with("2.2.2.2", "challenge-solution", &solution)).await;
    assert_eq!(stolen.status, 429);
    let admitted = send(&service, with("1.1.1.1", "challenge-solution", &solution)).await;
    let pass = admitted.header("challenge-pass").unwrap();
    assert_eq!(send(&service, with("2.2.2.2", "challenge-pass", pass)).await.status, 429);
    // The rest of the client's own network shares it.
    let config =
        ChallengeConfig { per_client: Some(2), difficulty: 4, ..ChallengeConfig::default() };
    let other = ChallengeLayer::new(Challenge::new(&[7; 32], config).unwrap(), "/").unwrap();
    let other = other.layer(inner().0);
    exhaust(&other, "1.1.1.1").await;
    assert_eq!(send(&other, with("1.1.1.1", "challenge-pass", pass)).await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn a_browser_gets_a_page_with_a_policy_and_its_cookie_a_pass() {
    let service = challenged();
    let solution = solved(&exhaust(&service, "1.1.1.1").await);
    let html = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";
    let page = send(&service, with("1.1.1.1", "accept", html)).await;
    assert_eq!(page.status, 429);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'sha256-"));
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(text.contains("data-bits=\"4\"") && text.contains("data-path=\"/api\""), "{text}");
    assert!(!text.contains("{puzzle}") && !text.contains("{script}"), "{text}");

    let cookies = format!("theme=dark; challenge-solution={solution}; lang=en");
    let admitted = send(&service, with("1.1.1.1", "cookie", &cookies)).await;
    assert_eq!(admitted.status, 200);
    let set: Vec<_> = admitted.headers.get_all("set-cookie").iter().collect();
    let pass = set[0].to_str().unwrap();
    assert!(pass.contains("; HttpOnly; Secure; ") && pass.contains("; Path=/api; "), "{pass}");
    assert!(set[1].to_str().unwrap().contains("Max-Age=0"));
    let pass = pass.split(';').next().unwrap();
    assert_eq!(send(&service, with("1.1.1.1", "cookie", pass)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_a_browser_cannot_load_again_gets_no_page() {
    let service = challenged();
    exhaust(&service, "1.1.1.1").await;
    let mut post = with("1.1.1.1", "accept", "text/html");
    *post.method_mut() = Method::POST;
    let answer = send(&service, post).await;
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let mut head = with("1.1.1.1", "accept", "text/html");
    *head.method_mut() = Method::HEAD;
    let answer = send(&service, head).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (429, 0));
}

#[tokio::test(start_paused = true)]
async fn other_paths_and_allowed_clients_are_neither_counted_nor_challenged() {
    let layer = layer();
    layer.engage(true);
    let service = layer.layer(inner().0);
    for path in ["/", "/apis", "/health"] {
        assert_eq!(get(&service, path, "1.1.1.1").await.status, 200, "{path}");
    }
    assert_eq!(get(&service, "/api", "1.1.1.1").await.status, 429);
    let list = AccessList::builder().allow_text("1.1.1.1").unwrap().build();
    let listed = ListLayer::new(SharedAccessList::new(list)).layer(service);
    assert_eq!(get(&listed, "/api", "1.1.1.1").await.status, 200);
    assert_eq!(get(&listed, "/api", "1.1.1.2").await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn an_operator_challenges_everybody_and_takes_it_back() {
    let layer = layer();
    let service = layer.layer(inner().0);
    layer.engage(true);
    assert_eq!(get(&service, "/api", "1.1.1.1").await.status, 429);
    layer.engage(false);
    assert_eq!(get(&service, "/api", "1.1.1.1").await.status, 200);
}

#[test]
fn a_scope_that_could_break_out_of_a_cookie_or_the_page_is_refused() {
    let challenge = Challenge::random(ChallengeConfig::default()).unwrap();
    for scope in ["", "api", "/api/", "/a;b", "/\"><script>", "/é", "/a b"] {
        assert!(ChallengeLayer::new(challenge.clone(), scope).is_err(), "{scope}");
    }
}
