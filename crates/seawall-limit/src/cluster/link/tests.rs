//! Subjects of one slot, while it is on its way.

use seawall_devstack::{Redis, Stack};
use tokio::time::{Instant, sleep};

use super::*;
use crate::cluster::law::Law;
use crate::key::Key;

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "never came true: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn text(node: &Redis, words: &[&str]) -> String {
    node.command(words).await.unwrap().text().unwrap()
}

#[tokio::test]
async fn of_a_slot_on_its_way_to_a_dead_master_what_is_still_here_is_answered() {
    let builder = Stack::builder().redis_cluster();
    let stack = builder.redis_setting("cluster-require-full-coverage", "no").start().await.unwrap();
    let cluster = stack.redis_cluster().unwrap();
    let mut config = ClusterConfig { url: cluster.url(), ..ClusterConfig::default() };
    config.deadline = Duration::from_secs(10);
    let link = Link::start(&config).unwrap();
    until("all are connected to", || link.is_complete()).await;
    // Two of one slot.
    let subject = |number| Subject::of(Key::Number(number));
    let here = subject(0);
    let slot = link.group(here);
    let gone = (1..).map(subject).find(|it| link.group(*it) == slot).unwrap();
    let spec = Spec {
        ids: [0].into(),
        laws: [Law { emission: 1_000_000, capacity: 100_000_000 }].into(),
        names: ["a".into()].into(),
        mask: 1,
        exact: false,
    };
    let want = Want { need: 1, want: 0 };
    link.decide(&spec, 1, (here, want)).await.unwrap();
    let mut giver = None;
    for node in cluster.nodes() {
        // Of what it does not have it says where that is.
        if node.command(&["GET", &here.key(&config.key_prefix)]).await.is_ok() {
            giver = Some(node);
        }
    }
    let giver = giver.unwrap();
    let taker = cluster.nodes().iter().find(|it| it.addr() != giver.addr()).unwrap();
    let (giver_id, taker_id) =
        (text(giver, &["CLUSTER", "MYID"]).await, text(taker, &["CLUSTER", "MYID"]).await);
    let slot = slot.to_string();
    text(taker, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &giver_id]).await;
    text(giver, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &taker_id]).await;
    let asks = [(here, want), (gone, want)];
    let told = Mutex::new([None, None]);
    let tell = |place: usize, answer: Result<Answer, Error>| {
        told.lock()[place] = Some(answer.is_ok());
    };
    link.decide_each(&spec, 1, &asks, &tell).await;
    assert_eq!(*told.lock(), [Some(true); 2]);
    // Who is led to one that hangs holds nobody up.
    *told.lock() = [None, None];
    taker.pause().await.unwrap();
    tokio::select! {
        () = link.decide_each(&spec, 1, &asks, &tell) => {}
        () = until("what is here is answered", || told.lock()[0].is_some()) => {
            assert_eq!(*told.lock(), [Some(true), None]);
        }
    }
    assert_eq!(told.lock()[0], Some(true));
    taker.resume().await.unwrap();
    *told.lock() = [None, None];
    taker.kill().await.unwrap();
    until("that is noticed", || !link.is_complete()).await;
    link.decide_each(&spec, 1, &asks, &tell).await;
    assert_eq!(*told.lock(), [Some(true), Some(false)]);
    let charge = || Amend { kind: AmendKind::Charge, amounts: [1_000_000].into() };
    let one = link.amend(&spec, &[(here, charge()), (gone, charge())]).await;
    assert!(one[0].is_ok() && one[1].is_err() && one.len() == 2, "{one:?}");
}
