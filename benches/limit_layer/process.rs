//! In process: what is added to a call of a service that answers at once.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::ready;
use std::hint::black_box;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::extract::ConnectInfo;
use bench_harness::{Bench, Role, Row};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request, Response};
use seawall_limit::ClientIp;
use tokio::time::Instant;
use tower::{Layer as _, Service, service_fn};
use tower_governor::key_extractor::{KeyExtractor, PeerIpKeyExtractor, SmartIpKeyExtractor};

use crate::stack;

const CLIENTS: u32 = 10_000;
/// Calls of a subject in a round: some 50 ms.
const CALLS: u64 = 60_000;

pub(crate) fn measure(bench: &mut Bench) {
    let forwarded = |turn: u32, request: &mut Request<Body>, names: &[HeaderValue]| {
        let client = names[turn as usize].clone();
        request.headers_mut().insert(X_FORWARDED_FOR, client);
    };
    let smart = SmartIpKeyExtractor;
    case(bench, "behind a proxy", &stack::behind_a_proxy(), smart, forwarded);
    let connected = |turn: u32, request: &mut Request<Body>, _: &[HeaderValue]| {
        let peer = SocketAddr::from((address(turn), 40_000));
        request.extensions_mut().get_mut::<ConnectInfo<SocketAddr>>().unwrap().0 = peer;
    };
    case(bench, "by the connection", &stack::direct(), PeerIpKeyExtractor, connected);
}

/// Answers at once, and gives the request back to be used again.
type Slot = Rc<RefCell<Option<Request<Body>>>>;

fn handler(
    slot: &Slot,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = std::future::Ready<Result<Response<Body>, Infallible>>,
> + Clone
+ use<> {
    let slot = Rc::clone(slot);
    service_fn(move |request: Request<Body>| {
        slot.replace(Some(request));
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        ready(Ok(response))
    })
}

struct Way<'a> {
    name: &'static str,
    role: Role,
    run: Box<dyn FnMut(u64) + 'a>,
}

fn case<K: KeyExtractor>(
    bench: &mut Bench,
    how: &str,
    client: &ClientIp,
    key: K,
    dress: impl Fn(u32, &mut Request<Body>, &[HeaderValue]) + Copy,
) {
    let names: Vec<_> =
        (0..CLIENTS).map(|turn| address(turn).to_string().parse().unwrap()).collect();
    let slot = Slot::default();
    let mut request = Request::get(stack::PATH).header("host", "localhost");
    for (name, value) in [("accept", "*/*"), ("user-agent", "bench"), ("x-forwarded-for", "::1")] {
        request = request.header(name, value);
    }
    let peer = ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 40_000)));
    slot.replace(Some(request.extension(peer).body(Body::empty()).unwrap()));
    let bare = handler(&slot);
    let whole = stack::whole(client).layer(bare.clone());
    let two = stack::lists(client).layer(stack::limits(client).layer(bare.clone()));
    let one = stack::one_limit(client).layer(bare.clone());
    let theirs = stack::theirs(key).layer(bare.clone());
    let mut ways = [
        way("lists, three policies, fields", Role::Ours, &slot, &names, dress, whole),
        way("the same as two layers", Role::Ours, &slot, &names, dress, two),
        way("one policy, fields", Role::Ours, &slot, &names, dress, one),
        way("no layer", Role::Floor, &slot, &names, dress, bare),
        way("tower_governor, one quota, fields", Role::Peer, &slot, &names, dress, theirs),
    ];
    compare(bench, how, &mut ways);
}

fn way<'a, S, B: 'a>(
    name: &'static str,
    role: Role,
    slot: &'a Slot,
    names: &'a [HeaderValue],
    dress: impl Fn(u32, &mut Request<Body>, &[HeaderValue]) + 'a,
    mut service: S,
) -> Way<'a>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'a,
{
    let mut turn = 0_u32;
    let run = move |times: u64| {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..times {
            turn = (turn + 7_919) % CLIENTS;
            let mut request = slot.take().unwrap();
            dress(turn, &mut request, names);
            let _ = service.poll_ready(&mut context);
            let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
                unreachable!("the handler answers at once")
            };
            assert_eq!(response.status(), 200);
            black_box(response);
        }
    };
    Way { name, role, run: Box::new(run) }
}

/// Places of those with a layer, and of the one without.
const LAYERED: [usize; 4] = [0, 1, 2, 4];
const BARE: usize = 3;

/// Rounds of all in turn. What a layer adds is taken within a round.
fn compare(bench: &mut Bench, how: &str, ways: &mut [Way<'_>; 5]) {
    let mut took = [const { Vec::new() }; 5];
    for way in ways.iter_mut() {
        // Fills tables and what is made once.
        (way.run)(u64::from(CLIENTS) * 4);
    }
    for round in 0..bench.rounds() {
        for place in 0..ways.len() {
            let turn = (round + place) % ways.len();
            let start = Instant::now();
            (ways[turn].run)(CALLS);
            took[turn].push(start.elapsed().as_nanos() as f64 / CALLS as f64);
        }
    }
    let case = format!("a request, in process, client known {how}");
    for (way, times) in ways.iter().zip(&took) {
        bench.add(Row::of(&case, way.name, way.role, "ns", times.clone()));
    }
    let added = LAYERED.map(|way| {
        let over = took[way].iter().zip(&took[BARE]).map(|(all, bare)| all - bare);
        (way, over.collect::<Vec<f64>>())
    });
    let case = format!("what the layer adds, client known {how}");
    for (way, times) in &added {
        bench.add(Row::of(&case, ways[*way].name, ways[*way].role, "ns", times.clone()));
    }
    let ratio = added[0]
        .1
        .iter()
        .zip(&added[LAYERED.len() - 1].1)
        .map(|(ours, theirs)| 100.0 * ours / theirs)
        .collect();
    let case = format!("{case}: lists and three policies over tower_governor");
    bench.add(Row::of(&case, "in each round", Role::Ours, "%", ratio));
    let case = format!("allocations beside those of the service itself, client known {how}");
    let mut count = |way: usize| {
        allocation_counter::measure(|| (ways[way].run)(CALLS)).count_total as f64 / CALLS as f64
    };
    let bare = count(BARE);
    let counts = LAYERED.map(|way| (way, count(way) - bare));
    for (way, count) in counts {
        let count = vec![count];
        bench.add(Row::of(&case, ways[way].name, ways[way].role, "each", count));
    }
}

fn address(turn: u32) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::from_bits(0xc600_0000 + turn * 13)
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
