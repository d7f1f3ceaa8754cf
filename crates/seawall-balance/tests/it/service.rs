//! The tower service over a stream of services.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_util::{Stream, StreamExt as _, stream};
use seawall_balance::{
    BalanceConfig, BalanceLayer, BalanceService, BoxError, Change, Error, Outcome, Policy,
    Standing, hash_key,
};
use tokio::sync::{mpsc, oneshot};
use tower::{Layer as _, Service, ServiceExt as _};

use crate::support::{SECOND, config};

/// What a node does, as the test decides.
#[derive(Clone, Default)]
struct Remote {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    ready: bool,
    broken: bool,
    waker: Option<Waker>,
    polls: usize,
    calls: Vec<oneshot::Sender<Result<u32, BoxError>>>,
}

impl Remote {
    fn ready() -> Self {
        let remote = Self::default();
        remote.inner.lock().unwrap().ready = true;
        remote
    }

    fn set(&self, ready: bool) {
        let mut inner = self.inner.lock().unwrap();
        inner.ready = ready;
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }

    fn calls(&self) -> usize {
        self.inner.lock().unwrap().calls.len()
    }

    fn polls(&self) -> usize {
        self.inner.lock().unwrap().polls
    }
}

impl Service<u64> for Remote {
    type Response = u32;
    type Error = BoxError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<u32, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let mut inner = self.inner.lock().unwrap();
        inner.polls += 1;
        inner.waker = Some(cx.waker().clone());
        if inner.broken {
            return Poll::Ready(Err("broken".into()));
        }
        if inner.ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: u64) -> Self::Future {
        let (sender, receiver) = oneshot::channel();
        self.inner.lock().unwrap().calls.push(sender);
        Box::pin(async move { receiver.await? })
    }
}

type Answer = Result<Change<u32, Remote>, BoxError>;
type Feed = mpsc::UnboundedSender<Answer>;
type Changes = std::pin::Pin<Box<dyn Stream<Item = Answer> + Send>>;

fn service(config: BalanceConfig) -> (Feed, BalanceService<Changes, u32, Remote, u64>) {
    let (feed, changes) = mpsc::unbounded_channel();
    let changes = stream::unfold(changes, |mut changes| async {
        changes.recv().await.map(|change| (change, changes))
    });
    let changes: Changes = Box::pin(changes);
    (feed, BalanceLayer::new(config).unwrap().layer(changes))
}

fn nodes(feed: &Feed, remotes: &[(u32, Remote)]) {
    for (id, remote) in remotes {
        feed.send(Ok(Change::insert(*id, remote.clone()))).unwrap();
    }
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

#[tokio::test(start_paused = true)]
async fn requests_go_round_the_services_of_the_stream() {
    let (feed, mut service) = service(config(Policy::RoundRobin));
    assert!(service.poll_ready(&mut cx()).is_pending());
    let remotes = [(1, Remote::ready()), (2, Remote::ready()), (3, Remote::ready())];
    nodes(&feed, &remotes);
    let calls: Vec<_> = {
        let mut calls = Vec::new();
        for key in 0..6 {
            calls.push(service.ready().await.unwrap().call(key));
        }
        calls
    };
    assert!(remotes.iter().all(|(_, remote)| remote.calls() == 2));
    assert!(
        service
            .balancer()
            .status(tokio::time::Instant::now())
            .nodes
            .iter()
            .all(|n| n.outstanding == 2)
    );
    for (id, remote) in &remotes {
        for sender in remote.inner.lock().unwrap().calls.drain(..) {
            sender.send(Ok(*id)).unwrap();
        }
    }
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    assert_eq!(answers, [1, 2, 3, 1, 2, 3]);
    assert!(
        service
            .balancer()
            .status(tokio::time::Instant::now())
            .nodes
            .iter()
            .all(|n| n.outstanding == 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_passed_over_and_not_polled_until_it_wakes() {
    let (feed, mut service) = service(config(Policy::RoundRobin));
    let remotes = [(1, Remote::ready()), (2, Remote::default())];
    nodes(&feed, &remotes);
    for key in 0..10 {
        drop(service.ready().await.unwrap().call(key));
    }
    assert_eq!((remotes[0].1.calls(), remotes[1].1.calls()), (10, 0));
    assert_eq!(remotes[1].1.polls(), 1);
    remotes[1].1.set(true);
    for key in 0..10 {
        drop(service.ready().await.unwrap().call(key));
    }
    assert_eq!((remotes[0].1.calls(), remotes[1].1.calls()), (15, 5));
}

#[tokio::test(start_paused = true)]
async fn with_nobody_ready_it_waits_and_is_woken() {
    let (feed, service) = service(config(Policy::PeakEwma));
    let remotes = [(1, Remote::default()), (2, Remote::default())];
    nodes(&feed, &remotes);
    let waiting = tokio::spawn(service.ready_oneshot());
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    remotes[1].1.set(true);
    let mut service = waiting.await.unwrap().unwrap();
    drop(service.call(1));
    assert_eq!(remotes[1].1.calls(), 1);
    drop(feed);
}

#[tokio::test(start_paused = true)]
async fn a_removed_service_takes_no_more_and_ends_what_it_has() {
    let (feed, mut service) = service(config(Policy::RoundRobin));
    let remotes = [(1, Remote::ready()), (2, Remote::ready())];
    nodes(&feed, &remotes);
    let first = service.ready().await.unwrap().call(0);
    feed.send(Ok(Change::Remove(1))).unwrap();
    for key in 0..5 {
        drop(service.ready().await.unwrap().call(key));
    }
    assert_eq!((remotes[0].1.calls(), remotes[1].1.calls()), (1, 5));
    remotes[0].1.inner.lock().unwrap().calls.remove(0).send(Ok(7)).unwrap();
    assert_eq!(first.await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_readiness_fails_is_dropped() {
    let (feed, mut service) = service(config(Policy::RoundRobin));
    let remotes = [(1, Remote::ready()), (2, Remote::ready())];
    nodes(&feed, &remotes);
    service.ready().await.unwrap();
    remotes[0].1.inner.lock().unwrap().broken = true;
    remotes[0].1.set(true); // its wake-up brings the bad news
    for key in 0..3 {
        drop(service.ready().await.unwrap().call(key));
    }
    assert_eq!((remotes[0].1.calls(), remotes[1].1.calls()), (0, 3));
    assert_eq!(service.balancer().status(tokio::time::Instant::now()).nodes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn errors_count_against_the_node_and_dropped_calls_do_not() {
    let (feed, mut service) = service(config(Policy::RoundRobin));
    let remotes: Vec<_> = (0..4).map(|id| (id, Remote::ready())).collect();
    nodes(&feed, &remotes);
    for key in 0..20 {
        let call = service.ready().await.unwrap().call(key);
        let (id, remote) = remotes.iter().find(|(_, remote)| remote.calls() > 0).unwrap();
        let sender = remote.inner.lock().unwrap().calls.pop().unwrap();
        match id {
            0 => drop(call),
            1 => {
                sender.send(Err("no".into())).unwrap();
                assert_eq!(call.await.unwrap_err().to_string(), "no");
            }
            _ => {
                sender.send(Ok(1)).unwrap();
                call.await.unwrap();
            }
        }
    }
    let status = service.balancer().status(tokio::time::Instant::now());
    let standings: HashMap<_, _> =
        status.nodes.iter().map(|node| (node.id, node.standing)).collect();
    assert_eq!(standings[&1], Standing::Ejected);
    assert!([0, 2, 3].iter().all(|id| standings[id] == Standing::Open));
}

#[tokio::test(start_paused = true)]
async fn the_key_and_the_classification_are_the_caller_s() {
    let remotes: Vec<_> = (0..10_u32).map(|id| (id, Remote::ready())).collect();
    let changes: Vec<_> = remotes
        .iter()
        .map(|(id, remote)| Ok::<_, BoxError>(Change::insert(*id, remote.clone())))
        .collect();
    let layer = BalanceLayer::new(config(Policy::Maglev))
        .unwrap()
        .key(|key: &u64| Some(hash_key(key)))
        .classify(|result: Result<&u32, &BoxError>| match result {
            Ok(503) => Outcome::Saturated(None),
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        });
    let mut service = layer.layer(stream::iter(changes).chain(stream::pending()));
    for _ in 0..8 {
        drop(service.ready().await.unwrap().call(42));
    }
    let at: Vec<_> =
        remotes.iter().map(|(_, remote)| remote.calls()).filter(|calls| *calls > 0).collect();
    assert_eq!(at, [8]);
    let home = remotes.iter().find(|(_, remote)| remote.calls() > 0).unwrap();
    let call = service.ready().await.unwrap().call(42);
    home.1.inner.lock().unwrap().calls.pop().unwrap().send(Ok(503)).unwrap();
    assert_eq!(call.await.unwrap(), 503);
    drop(service.ready().await.unwrap().call(42));
    assert_eq!(home.1.calls(), 8); // it rests, so the key went elsewhere
}

#[tokio::test(start_paused = true)]
async fn when_all_are_full_the_answer_is_a_typed_error() {
    let (feed, mut service) =
        service(BalanceConfig { max_outstanding: 1, ..config(Policy::PeakEwma) });
    nodes(&feed, &[(1, Remote::ready())]);
    let held = service.ready().await.unwrap().call(1);
    let error = service.ready().await.unwrap().call(2).await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Error::AllSaturated(_))), "{error}");
    drop(held);
    drop(service.ready().await.unwrap().call(3));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_stream_is_fatal_only_to_an_empty_set_and_its_end_to_none() {
    let (feed, mut service) = service(config(Policy::PeakEwma));
    feed.send(Err("lost".into())).unwrap();
    let Poll::Ready(Err(error)) = service.poll_ready(&mut cx()) else { panic!("it goes on") };
    assert_eq!(error.to_string(), "lost");
    nodes(&feed, &[(1, Remote::ready())]);
    feed.send(Err("lost".into())).unwrap();
    service.ready().await.unwrap();
    drop(feed);
    drop(service.ready().await.unwrap().call(1));
    drop(service.ready().await.unwrap().call(1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ended_empty_says_there_are_no_nodes() {
    let (feed, mut service) = service(config(Policy::PeakEwma));
    drop(feed);
    let error = service.ready().await.err().unwrap();
    assert_eq!(error.downcast_ref(), Some(&Error::NoNodes));
}

#[tokio::test(start_paused = true)]
async fn an_ejected_node_alone_ready_waits_for_the_sound_one() {
    let (feed, mut service) = service(config(Policy::RoundRobin));
    let remotes = [(1, Remote::ready()), (2, Remote::default()), (3, Remote::default())];
    nodes(&feed, &remotes);
    for key in 0..5 {
        let call = service.ready().await.unwrap().call(key);
        remotes[0].1.inner.lock().unwrap().calls.pop().unwrap().send(Err("no".into())).unwrap();
        call.await.unwrap_err();
    }
    assert!(service.poll_ready(&mut cx()).is_pending());
    remotes[2].1.set(true);
    drop(service.ready().await.unwrap().call(9));
    assert_eq!(remotes[2].1.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_never_becomes_ready_does_not_hold_up_one_that_rested() {
    let (feed, mut service) = service(config(Policy::RoundRobin));
    let (sound, hung) = (Remote::ready(), Remote::default());
    nodes(&feed, &[(1, sound.clone()), (2, hung)]);
    let began = tokio::time::Instant::now();
    drop(service.ready().await.unwrap().call(0));
    service.balancer().saturate(&1, 3 * SECOND, tokio::time::Instant::now()).unwrap();
    let ready = tokio::time::timeout(60 * SECOND, service.ready()).await;
    drop(ready.expect("ready when the rest is over").unwrap().call(1));
    // Not when the minute is over, which has it asked once more.
    let took = began.elapsed();
    assert!(took >= 3 * SECOND && took < 10 * SECOND, "{took:?}");
    assert_eq!(sound.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_never_becomes_ready_does_not_hold_up_one_that_was_full() {
    let full = BalanceConfig { max_outstanding: 1, ..config(Policy::RoundRobin) };
    let (feed, mut service) = service(full);
    let sound = Remote::ready();
    nodes(&feed, &[(1, sound.clone()), (2, Remote::default())]);
    let began = tokio::time::Instant::now();
    let call = service.ready().await.unwrap().call(0);
    assert!(service.poll_ready(&mut cx()).is_pending());
    let later = tokio::spawn(async move {
        tokio::time::sleep(SECOND).await;
        drop(call);
    });
    let ready = tokio::time::timeout(60 * SECOND, service.ready()).await;
    drop(ready.expect("ready when there is room").unwrap().call(1));
    assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
    later.await.unwrap();
    assert_eq!(sound.calls(), 2);
}
