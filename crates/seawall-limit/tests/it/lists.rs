//! The list layer.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use http::{Method, StatusCode};
use seawall_limit::{
    Access, AccessList, ClientIp, GeoPolicy, LimitLayer, ListLayer, Place, Rule, SharedAccessList,
};
use tower::Layer as _;

use crate::support::{get, inner, limiter, request, send};

fn shared(deny: &str, allow: &str) -> SharedAccessList {
    let builder = AccessList::builder().deny_text(deny).unwrap().allow_text(allow).unwrap();
    SharedAccessList::new(builder.build())
}

#[tokio::test]
async fn a_denied_client_gets_403_and_never_reaches_the_service() {
    let (service, calls) = inner();
    let list = shared("10.0.0.0/8\n2001:db8::/32", "10.1.0.0/16");
    let service = ListLayer::new(list).layer(service);
    for (peer, status) in
        [("10.2.0.1", 403), ("10.1.0.1", 200), ("9.9.9.9", 200), ("2001:db8::1", 403)]
    {
        assert_eq!(get(&service, "/", peer).await.status, status, "{peer}");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    let refused = get(&service, "/", "10.2.0.1").await;
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.json()["status"], 403);
    let head = send(&service, request(Method::HEAD, "/", "10.2.0.1")).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::FORBIDDEN, 0));
}

#[tokio::test]
async fn lists_within_the_quota_layer_say_what_a_layer_of_their_own_says_by_its_identity() {
    let list = shared("9.9.9.9", "8.8.8.8");
    let (service, calls) = inner();
    // The service knows whom the list allows.
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = std::sync::Arc::clone(&seen);
    let service = tower::ServiceBuilder::new()
        .map_request(move |request: http::Request<_>| {
            noted.lock().unwrap().push(request.extensions().get::<Access>().copied());
            request
        })
        .service(service);
    let layer = LimitLayer::new(limiter())
        .identify(ClientIp::trusting(["10.0.0.0/8"]))
        // Trusts nobody, which does not count.
        .lists(ListLayer::new(list.clone()).message("Not you."))
        .rule(Rule::any().policy("slow"))
        .rule(Rule::path_prefix("/health").exempt())
        .build()
        .unwrap();
    let service = layer.layer(service);
    let from = |client: &'static str, path: &'static str| {
        let mut request = request(Method::GET, path, "10.0.0.1");
        request.headers_mut().insert("x-forwarded-for", client.parse().unwrap());
        send(&service, request)
    };
    let refused = from("9.9.9.9", "/").await;
    assert_eq!(
        (refused.status, refused.json()["detail"].as_str()),
        (StatusCode::FORBIDDEN, Some("Not you."))
    );
    assert_eq!(refused.header("ratelimit"), None, "it is charged nothing");
    // What is exempt from quotas is not exempt from lists.
    assert_eq!(from("9.9.9.9", "/health").await.status, 403);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    assert_eq!(from("7.7.7.7", "/health").await.status, 200);
    // Who is on the list of the allowed still has quotas.
    let of_allowed =
        [from("8.8.8.8", "/").await, from("8.8.8.8", "/").await, from("8.8.8.8", "/").await];
    assert_eq!(of_allowed.map(|answer| answer.status.as_u16()), [200, 200, 429]);
    assert_eq!(*seen.lock().unwrap(), [None, Some(Access::Allow), Some(Access::Allow)]);
    list.replace(AccessList::builder().deny_text("7.7.7.7").unwrap().build());
    assert_eq!(from("7.7.7.7", "/").await.status, 403);
    assert_eq!(from("9.9.9.9", "/").await.status, 200);
}

#[tokio::test]
async fn a_replaced_list_holds_from_the_next_request_on_in_every_clone() {
    let list = shared("10.0.0.0/8", "");
    let layer = ListLayer::new(list.clone());
    let services = [layer.layer(inner().0), layer.layer(inner().0)];
    list.replace(AccessList::builder().deny_text("9.9.9.9").unwrap().build());
    for service in &services {
        assert_eq!(get(service, "/", "10.0.0.1").await.status, 200);
        assert_eq!(get(service, "/", "9.9.9.9").await.status, 403);
    }
}

#[tokio::test]
async fn a_forged_header_neither_lifts_nor_imposes_a_ban() {
    let layer = ListLayer::new(shared("9.9.9.9", ""))
        .identify(&ClientIp::trusting(["10.0.0.0/8"]))
        .unwrap();
    let service = layer.layer(inner().0);
    for (peer, forwarded, status) in [
        ("9.9.9.9", "1.1.1.1", 403),
        ("1.1.1.1", "9.9.9.9", 200),
        ("10.0.0.1", "9.9.9.9", 403),
        ("10.0.0.1", "9.9.9.9, 1.1.1.1", 200),
    ] {
        let mut request = request(Method::GET, "/", peer);
        request.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
        assert_eq!(send(&service, request).await.status, status, "{peer} for {forwarded}");
    }
}

#[tokio::test]
async fn countries_decide_only_on_what_no_list_names() {
    let policy = GeoPolicy { deny: vec!["XA".parse().unwrap()], ..GeoPolicy::default() };
    // All of 10/8 is in XA.
    let locate = |address: IpAddr| Place {
        country: address.to_string().starts_with("10.").then(|| "XA".parse().unwrap()),
        asn: None,
    };
    let layer = ListLayer::new(shared("9.9.9.9", "10.1.0.0/16")).geo(policy, locate);
    let service = layer.message("Not from there.").layer(inner().0);
    for (peer, status) in [("10.2.0.1", 403), ("10.1.0.1", 200), ("9.9.9.9", 403), ("8.8.8.8", 200)]
    {
        assert_eq!(get(&service, "/", peer).await.status, status, "{peer}");
    }
    assert_eq!(get(&service, "/", "10.2.0.1").await.json()["detail"], "Not from there.");
}

#[tokio::test]
async fn a_closed_service_lets_in_only_whom_it_names() {
    let service = ListLayer::new(shared("", "10.1.0.0/16")).deny_unlisted().layer(inner().0);
    assert_eq!(get(&service, "/", "10.1.0.1").await.status, 200);
    assert_eq!(get(&service, "/", "8.8.8.8").await.status, 403);
    let mut unknown = request(Method::GET, "/", "10.1.0.1");
    unknown.extensions_mut().clear();
    assert_eq!(send(&service, unknown).await.status, 403);
}
