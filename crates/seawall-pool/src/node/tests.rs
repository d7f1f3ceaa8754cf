use super::*;
use crate::route::Replica;

const WITHIN: Duration = Duration::from_secs(60);

/// A primary and a replica to which nobody connects.
fn nodes() -> [Arc<Node>; 2] {
    let server = || NodeConfig::new("postgres://nobody@localhost/nothing");
    let config =
        PoolConfig { primary: server(), replicas: vec![server()], ..PoolConfig::default() };
    let replica = Replica { role: Role::General, weight: 1 };
    let router = Router::new(&config.routing, &[replica], Instant::now()).unwrap();
    let router = Arc::new(router);
    [0, 1].map(|index| Arc::new(Node::new(index, &server(), &config, &router).unwrap()))
}

async fn later() -> Instant {
    tokio::time::advance(Duration::from_secs(1)).await;
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_cut_loose_does_not_stand_in_for_a_primary_that_was_down_later() {
    let [primary, copy] = nodes();
    copy.stood_by(later().await);
    copy.wrote(later().await);
    for _ in 0..2 {
        later().await;
        primary.apply(Verdict::Up, None, 0);
    }
    later().await;
    primary.apply(Verdict::Down, None, 0);
    copy.wrote(later().await);
    primary.apply(Verdict::Up, None, 0);
    assert!(!copy.may_stand_in_for(&primary, WITHIN), "it wrote before");

    // Followed again, and promoted while nobody looked.
    copy.stood_by(later().await);
    assert!(!copy.may_stand_in_for(&primary, WITHIN), "it stood by after");
    // Seen before the outage was certain, which it was twice.
    copy.wrote(later().await);
    for _ in 0..2 {
        later().await;
        primary.apply(Verdict::Down, None, 0);
    }
    assert!(copy.may_stand_in_for(&primary, WITHIN));
    later().await;
    primary.apply(Verdict::Up, None, 0);
    assert!(copy.may_stand_in_for(&primary, WITHIN));
    tokio::time::advance(WITHIN).await;
    assert!(!copy.may_stand_in_for(&primary, WITHIN), "long ago");
}

#[tokio::test(start_paused = true)]
async fn what_was_written_as_the_primary_is_nothing_against_the_next_promotion() {
    let [primary, copy] = nodes();
    copy.stood_by(later().await);
    copy.wrote(later().await);
    copy.ascend();
    copy.resign();
    later().await;
    primary.apply(Verdict::Up, None, 0);
    later().await;
    primary.apply(Verdict::Down, None, 0);
    copy.wrote(later().await);
    assert!(copy.may_stand_in_for(&primary, WITHIN));
}
