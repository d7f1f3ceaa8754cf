//! tower's own balancer in the simulation: `p2c::Balance` over `PeakEwma`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PeakEwmaDiscover};
use tower::util::rng::HasherRng;

use super::{NODES, Subject};

type Nodes = ServiceList<Vec<Node>>;
type Call = Pin<Box<dyn Future<Output = Result<(), tower::BoxError>>>>;

/// Decay as ours; an unmeasured node is taken to answer in 30 ms, as linkerd has it.
pub(crate) struct Peer {
    balance: Balance<PeakEwmaDiscover<Nodes>, oneshot::Receiver<bool>>,
    picked: Arc<AtomicUsize>,
}

impl Peer {
    /// Must be called within the simulation's runtime, for its clock.
    pub(crate) fn new(seed: u64) -> Self {
        let picked = Arc::new(AtomicUsize::new(0));
        let nodes: Vec<Node> =
            (0..NODES).map(|index| Node { index, picked: Arc::clone(&picked) }).collect();
        let discover = PeakEwmaDiscover::new::<oneshot::Receiver<bool>>(
            ServiceList::new::<oneshot::Receiver<bool>>(nodes),
            Duration::from_millis(30),
            Duration::from_secs(10),
            CompleteOnResponse::default(),
        );
        let rng = HasherRng::with_hasher(Seeded(seed));
        Self { balance: Balance::from_rng(discover, rng), picked }
    }
}

impl Subject for Peer {
    type Token = (oneshot::Sender<bool>, Call);

    fn pick(&mut self, _key: u64) -> (usize, Self::Token) {
        let (sender, receiver) = oneshot::channel();
        let mut cx = Context::from_waker(Waker::noop());
        // The nodes are always ready, and so then is the balancer.
        while self.balance.poll_ready(&mut cx).is_pending() {}
        let mut call: Call = Box::pin(self.balance.call(receiver));
        let _ = call.as_mut().poll(&mut cx);
        (self.picked.load(Ordering::Relaxed), (sender, call))
    }

    fn finish(&mut self, (sender, mut call): Self::Token, good: bool) {
        let _ = sender.send(good);
        let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }

    fn timed_out(&mut self, token: Self::Token) {
        // As tower's Timeout does it: the call is dropped.
        drop(token);
    }
}

struct Node {
    index: usize,
    picked: Arc<AtomicUsize>,
}

impl Service<oneshot::Receiver<bool>> for Node {
    type Response = ();
    type Error = tower::BoxError;
    type Future = Call;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, answer: oneshot::Receiver<bool>) -> Call {
        self.picked.store(self.index, Ordering::Relaxed);
        Box::pin(async move { if answer.await? { Ok(()) } else { Err("bad".into()) } })
    }
}

struct Seeded(u64);

impl std::hash::BuildHasher for Seeded {
    type Hasher = std::hash::DefaultHasher;

    fn build_hasher(&self) -> Self::Hasher {
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hasher::write_u64(&mut hasher, self.0);
        hasher
    }
}
