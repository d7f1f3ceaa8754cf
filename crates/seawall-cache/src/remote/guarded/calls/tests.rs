//! Leases, marks and sweeps over a remote that fails.

use parking_lot::Mutex;

use super::*;
use crate::record::tests::plain;
use crate::remote::Remote as _;
use crate::remote::fake::{FakeRemote, Fault, Op};
use crate::remote::guarded::OutageConfig;

const DEADLINE: Duration = Duration::from_millis(100);
const KEEP: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(300);

fn guarded() -> (FakeRemote, Guarded) {
    let fake = FakeRemote::default();
    (fake.clone(), Guarded::new(fake, "fake", DEADLINE, &OutageConfig::default()))
}

async fn settled(guarded: &Guarded) {
    while guarded.status().pending > 0 {
        sleep(Duration::from_millis(10)).await;
    }
}

async fn version(guarded: &Guarded, text: &str) -> u64 {
    let marks = guarded.marks(&[text.into()], Instant::now()).await.expect("in reach");
    marks[0].mark.version()
}

fn clear(pattern: &str) -> MarkChange {
    MarkChange::Clear { pattern: pattern.into(), hard: true }
}

#[tokio::test(start_paused = true)]
async fn every_call_ends_by_its_deadline() {
    let (fake, guarded) = guarded();
    let seen = Seen { version: 0, at: 0 };
    let ticket = Ticket { seen, keep: KEEP, token: None };
    let texts = ["ns:1".to_owned(), "ns:2".to_owned()];
    fake.freeze();
    for call in 0..7 {
        let asked = Instant::now();
        let error = match call {
            0 => guarded.versions(&texts).await.err(),
            1 => guarded.lease("ns:1", seen, 1, KEEP).await.err(),
            2 => guarded.renew("ns:1", 1, KEEP).await.err(),
            3 => guarded.release("ns:1", 1).await.err(),
            4 => guarded.fill("ns:1", ticket, Bytes::new(), TTL).await.err(),
            5 => guarded.marks(&texts, asked).await.err(),
            _ => guarded.read_many(&texts).await.remove(1).err(),
        };
        assert!(matches!(error, Some(RemoteError::TimedOut { after: DEADLINE })), "{error:?}");
        assert_eq!(asked.elapsed(), DEADLINE, "{call}");
        // The breaker is another test's.
        fake.heal();
        guarded.read("ns:3").await.expect("in reach");
        fake.freeze();
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_waits_hides_its_key_from_all_that_read_it() {
    let (fake, guarded) = guarded();
    let texts: Vec<String> = (0..3).map(|key| format!("ns:{key}")).collect();
    for text in &texts {
        guarded.put(text, plain(text, 0, &7_u64), TTL, KEEP).await.expect("stored");
    }
    fake.fail(Op::Remove, Fault::Refusing);
    guarded.remove(&texts[1], 0, KEEP).await.expect_err("refused");
    let fetched = guarded.read_many(&texts).await;
    assert!(matches!(fetched[1], Err(RemoteError::RemovalPending)), "{fetched:?}");
    for at in [0, 2] {
        let fetched = fetched[at].as_ref().expect("in reach");
        let there = record::peek(fetched.bytes.as_deref().expect("there"));
        let asked = fake.read(&texts[at]).await.expect("in reach");
        assert_eq!(asked.bytes, fetched.bytes, "in order");
        assert!(there.version > 0);
    }
    let versions = guarded.versions(&texts).await.expect("in reach");
    assert!(versions[0] > 0 && versions[1] == 0 && versions[2] > 0, "{versions:?}");
    let seen = Seen { version: versions[1], at: 0 };
    let hidden = guarded.lease(&texts[1], seen, 1, KEEP).await;
    assert!(matches!(hidden, Err(RemoteError::RemovalPending)), "{hidden:?}");
    assert_eq!(fake.calls.of(Op::Lease), 0);
    fake.heal();
    settled(&guarded).await;
    assert!(guarded.versions(&texts).await.expect("in reach")[1] > 0, "the tombstone");
}

#[tokio::test(start_paused = true)]
async fn all_keys_hidden_asks_for_none() {
    let (fake, guarded) = guarded();
    fake.fail(Op::Remove, Fault::Gone);
    guarded.remove("ns:1", 0, KEEP).await.expect_err("gone");
    let texts = ["ns:1".to_owned(), "ns:1".to_owned()];
    let fetched = guarded.read_many(&texts).await;
    assert!(fetched.iter().all(|fetched| matches!(fetched, Err(RemoteError::RemovalPending))));
    assert_eq!(fake.calls.of(Op::ReadMany), 0);
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_was_not_advanced_is_hidden_until_it_is() {
    let (fake, guarded) = guarded();
    let before = version(&guarded, "ns#t:a").await;
    for fault in [Fault::Gone, Fault::Refusing, Fault::Frozen, Fault::LostAnswer] {
        fake.fail(Op::Advance, fault);
        guarded.advance("ns#t:a", MarkChange::Hard).await.expect_err("failed");
        let texts = ["ns#t:b".to_owned(), "ns#t:a".to_owned()];
        let marks = guarded.marks(&texts, Instant::now()).await;
        assert!(matches!(marks, Err(RemoteError::RemovalPending)), "{marks:?}");
        version(&guarded, "ns#t:b").await;
        fake.heal();
        settled(&guarded).await;
        let after = version(&guarded, "ns#t:a").await;
        assert!(after > before);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(version(&guarded, "ns#t:a").await, after, "not again and again");
    }
}

#[tokio::test(start_paused = true)]
async fn clears_that_were_lost_are_all_repeated() {
    let (fake, guarded) = guarded();
    let stamp = version(&guarded, "ns#ns").await;
    fake.disconnect();
    guarded.advance("ns#ns", clear("a*")).await.expect_err("gone");
    guarded.advance("ns#ns", clear("b*")).await.expect_err("gone");
    assert_eq!(guarded.status().pending, 1, "one mark");
    fake.heal();
    // A later one that goes through does not make up for them.
    sleep(Duration::from_millis(1)).await;
    guarded.advance("ns#ns", clear("c*")).await.expect("in reach");
    settled(&guarded).await;
    let marks = guarded.marks(&["ns#ns".into()], Instant::now()).await.expect("in reach");
    for key in ["a", "b", "c"] {
        let says = marks[0].mark.check(stamp, || key.into());
        assert_eq!(says, crate::marks::Verdict::Gone, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hard_advance_makes_up_for_all_that_wait() {
    let (fake, guarded) = guarded();
    fake.fail(Op::Advance, Fault::Refusing);
    guarded.advance("ns#ns", clear("a*")).await.expect_err("refused");
    guarded.advance("ns#ns", MarkChange::Soft).await.expect_err("refused");
    fake.heal();
    guarded.advance("ns#ns", MarkChange::Hard).await.expect("in reach");
    assert_eq!(guarded.status().pending, 0);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_stalls_is_given_up_and_a_slow_one_is_not() {
    let (fake, guarded) = guarded();
    for key in 0..2_000 {
        let text = format!("ns:{key}");
        guarded.put(&text, plain(&text, 0, &7_u64), TTL, KEEP).await.expect("stored");
    }
    let steps = Mutex::new(Vec::new());
    let progress = |swept: Swept| steps.lock().push(swept.removed);
    fake.fail(Op::Sweep, Fault::Frozen);
    let asked = Instant::now();
    let stalled = guarded.sweep("ns:*", 1, KEEP, &progress).await;
    assert!(matches!(stalled, Err(RemoteError::TimedOut { .. })), "{stalled:?}");
    assert!(asked.elapsed() <= DEADLINE * 20);
    fake.heal();
    let swept = guarded.sweep("ns:*", 1, KEEP, &progress).await.expect("in reach");
    assert_eq!(swept.removed, 2_000);
    let steps = steps.into_inner();
    assert!(steps.len() >= 4 && steps.is_sorted() && steps.last() == Some(&2_000), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_is_not_swept_through() {
    let (fake, guarded) = guarded();
    fake.disconnect();
    while !guarded.status().breaker_open {
        guarded.read("ns:1").await.expect_err("gone");
    }
    let swept = guarded.sweep("ns:*", 1, KEEP, &|_| {}).await;
    assert!(matches!(swept, Err(RemoteError::BreakerOpen)), "{swept:?}");
    assert_eq!(fake.calls.of(Op::Sweep), 0);
}
