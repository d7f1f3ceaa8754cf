//! What the layers allocate for a request that they admit: nothing, save for a mark.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::ready;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use seawall_limit::{
    AccessList, ClientIp, LimitLayer, Limiter, ListLayer, PeerAddr, Policy, Quota, Rule,
    SharedAccessList,
};
use tower::{Layer, Service, service_fn};

/// The request is used again and again.
type Slot = Rc<RefCell<Option<Request<()>>>>;

fn handler(
    slot: &Slot,
) -> impl Service<
    Request<()>,
    Response = Response<()>,
    Error = Infallible,
    Future = std::future::Ready<Result<Response<()>, Infallible>>,
> + Clone
+ use<> {
    let slot = Rc::clone(slot);
    service_fn(move |request| {
        slot.replace(Some(request));
        // Its map has room for six fields from its first on.
        let mut response = Response::new(());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        ready(Ok(response))
    })
}

/// How often a thousand calls allocate, after another thousand.
fn allocations<S, B>(slot: &Slot, mut service: S) -> u64
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let request = Request::get("/api/auctions/17/bids")
        .header("x-forwarded-for", "198.51.100.7, 10.0.0.2")
        .extension(PeerAddr("10.0.0.1:4000".parse().unwrap()));
    slot.replace(Some(request.body(()).unwrap()));
    let mut context = Context::from_waker(Waker::noop());
    let mut call = || {
        for _ in 0..1_000 {
            let request = slot.take().unwrap();
            let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
                panic!("the handler answers at once")
            };
            assert_eq!(response.status(), 200);
        }
    };
    call();
    allocation_counter::measure(call).count_total
}

#[test]
fn identity_lists_three_policies_and_fields_allocate_nothing_for_an_admitted_request() {
    let slot = Slot::default();
    let client = ClientIp::trusting(["10.0.0.0/8"]);
    // What a thousand calls take comes back before it is missed.
    let quota = Quota::per(10_000, Duration::from_millis(1)).unwrap();
    let policies = ["all", "api", "bids"].map(|name| Policy::new(name, quota));
    let list = AccessList::builder().deny_text("192.0.2.0/24\n2001:db8::/32").unwrap().build();
    let lists = ListLayer::new(SharedAccessList::new(list)).identify(&client).unwrap();
    let limiter = Limiter::builder().policies(policies).build().unwrap();
    let limits = || {
        LimitLayer::new(limiter.clone())
            .identify(client.clone())
            .rule(Rule::any().policy("all"))
            .rule(Rule::path_prefix("/api").policy("api"))
            .rule(Rule::path("/api/auctions/{id}/bids").policy("bids"))
    };
    let two = lists.layer(limits().build().unwrap().layer(handler(&slot)));
    let one = limits().lists(lists).build().unwrap().layer(handler(&slot));

    let bare = allocations(&slot, handler(&slot));
    assert!(bare > 0, "the handler's own are counted");
    assert_eq!(allocations(&slot, one), bare);
    assert_eq!(allocations(&slot, two), bare);
    // Whom a list allows is marked.
    let list = AccessList::builder().allow_text("198.51.100.0/24").unwrap().build();
    let allowing = ListLayer::new(SharedAccessList::new(list));
    let marking = limits().lists(allowing).build().unwrap().layer(handler(&slot));
    assert_eq!(allocations(&slot, marking), bare + 1_000);
}
