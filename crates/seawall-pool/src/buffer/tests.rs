use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Place;
use crate::error::Error;
use crate::health::Verdict;
use crate::monitor::Board;
use crate::node::Node;
use crate::route::{Replica, Router};
use crate::{Lsn, NodeConfig, PoolConfig, Role};

/// A primary and a replica to which nobody connects.
fn board() -> (Arc<Board>, Arc<Node>) {
    let server = || NodeConfig::new("postgres://nobody@localhost/nothing");
    let config =
        PoolConfig { primary: server(), replicas: vec![server()], ..PoolConfig::default() };
    let replica = Replica { role: Role::General, weight: 1 };
    let router = Router::new(&config.routing, &[replica], Instant::now()).unwrap();
    let router = Arc::new(router);
    let node = |index| Arc::new(Node::new(index, &server(), &config, &router).unwrap());
    let nodes = vec![node(0), node(1)];
    let primary = Arc::clone(&nodes[0]);
    primary.apply(Verdict::Up, None, 0);
    (Arc::new(Board::new(nodes, &config)), primary)
}

fn writable(node: &Node, writable: bool) {
    node.sampled(Lsn(1), writable, None, Instant::now());
}

fn cause(node: &Node) -> Error {
    Error::NotWritable { node: Arc::clone(&node.name) }
}

const LONG: Duration = Duration::from_secs(30);

/// As after an outage with a pool that is used up: the primary is there, and whoever has the
/// turn waits for one of its connections.
#[tokio::test(start_paused = true)]
async fn who_stands_behind_others_at_a_primary_that_is_there_is_not_told_that_there_is_none() {
    let (board, primary) = board();
    writable(&primary, false);
    let limit = Instant::now() + LONG;
    let first = tokio::spawn({
        let (board, cause) = (Arc::clone(&board), cause(&primary));
        async move {
            let mut place = Place::default();
            board.wait_for_primary(&mut place, limit, cause).await.unwrap();
            assert!(place.has_turn());
            sleep(LONG).await;
        }
    });
    while board.buffer.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    writable(&primary, true);
    board.let_go();
    let mut place = Place::default();
    let started = Instant::now();
    board.wait_for_primary(&mut place, limit, cause(&primary)).await.unwrap();
    assert!(!place.has_turn(), "the first one has it");
    assert_eq!(started.elapsed().as_secs(), 10);
    first.abort();

    // Without one it is told so.
    writable(&primary, false);
    let error = board.wait_for_primary(&mut Place::default(), limit, cause(&primary)).await;
    assert!(matches!(error, Err(Error::NoPrimary { .. } | Error::NotWritable { .. })), "{error:?}");
}

/// One that seems to be there each time, and each time will not serve.
#[tokio::test(start_paused = true)]
async fn a_primary_that_comes_and_goes_is_waited_for_no_longer_than_the_call_has() {
    let (board, primary) = board();
    writable(&primary, true);
    let (mut place, started) = (Place::default(), Instant::now());
    let limit = started + Duration::from_secs(1);
    let mut error = cause(&primary);
    // As a call does, which meets it again and again.
    let gave_up = loop {
        match board.wait_for_primary(&mut place, limit, error).await {
            Ok(()) => error = cause(&primary),
            Err(error) => break error,
        }
    };
    assert!(matches!(gave_up, Error::NoPrimary { .. }), "{gave_up:?}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
