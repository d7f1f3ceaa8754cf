//! Who is told of what, and what bounds there are. The rest is in the conformance tests.

use std::time::Duration;

use super::*;
use crate::config::MAX_TTL;
use crate::record::tests::plain;
use crate::remote::fake::FakeRemote;

const KEEP: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(300);

/// Writes down what it is told.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<String>>,
    versions: Mutex<Vec<u64>>,
    remote: Option<MemoryRemote>,
}

impl Ear {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock())
    }

    fn note(&self, what: String) {
        // Would never return if a lock of the store were held.
        if let Some(remote) = &self.remote {
            assert!(!format!("{remote:?}").is_empty());
        }
        self.heard.lock().push(what);
    }
}

impl Watcher for Ear {
    fn changed(&self, text: &str, version: Option<u64>) {
        self.versions.lock().push(version.expect("this store says so"));
        self.note(format!("changed {text}"));
    }

    fn landed(&self, text: &str) {
        self.note(format!("landed {text}"));
    }

    fn lost(&self, node: Option<u32>) {
        self.note(format!("lost {node:?}"));
    }

    fn link(&self, node: u32, up: bool) {
        self.note(format!("link {node} {up}"));
    }

    fn proved(&self, at: Instant) {
        self.note(format!("proved {}", at > Instant::now()));
    }
}

fn listen(remote: &impl Remote, ear: Ear, namespace: &str) -> Arc<Ear> {
    let ear = Arc::new(ear);
    let weak: Weak<dyn Watcher> = Arc::downgrade(&(Arc::clone(&ear) as Arc<dyn Watcher>));
    assert!(remote.watch(namespace, weak));
    assert_eq!(ear.take(), ["link 0 true", "proved true"]);
    ear
}

async fn put(remote: &impl Remote, text: &str) -> u64 {
    match remote.put(text, plain(text, 0, &7_u64), TTL, KEEP).await.expect("never fails") {
        Put::Stored(version) => version,
        Put::Superseded => panic!("no source"),
    }
}

async fn seen(remote: &impl Remote, text: &str) -> Seen {
    let fetched = remote.read(text).await.expect("never fails");
    let version = fetched.bytes.map_or(0, |bytes| crate::record::peek(&bytes).version);
    Seen { version, at: fetched.now }
}

#[tokio::test(start_paused = true)]
async fn what_is_written_is_told_with_its_version_before_it_is_acknowledged() {
    let remote = MemoryRemote::default();
    let ear = listen(&remote, Ear { remote: Some(remote.clone()), ..Ear::default() }, "ns");
    let put = put(&remote, "ns:1").await;
    let removed = remote.remove("ns:1", 0, KEEP).await.expect("never fails");
    let ticket = Ticket { seen: seen(&remote, "ns:1").await, keep: KEEP, token: None };
    let fill = remote.fill("ns:1", ticket, plain("ns:1", 0, &8_u64), TTL).await;
    let Ok(Fill::Stored(filled)) = fill else { panic!("{fill:?}") };
    let advanced = remote.advance("ns#t:a", MarkChange::Hard).await.expect("never fails");
    let swept = remote.sweep("ns:*", 1, KEEP, &|_| {}).await.expect("never fails");
    assert_eq!(swept.removed, 1);
    let heard = ear.take();
    let text = |at: usize| heard[at].as_str();
    assert_eq!(heard.len(), 5);
    assert!((0..3).chain([4]).all(|at| text(at) == "changed ns:1"), "{heard:?}");
    assert_eq!(text(3), "changed ns#t:a");
    let swept = seen(&remote, "ns:1").await.version;
    assert_eq!(*ear.versions.lock(), [put, removed, filled, advanced.version(), swept]);
}

#[tokio::test(start_paused = true)]
async fn what_changed_nothing_is_not_told() {
    let remote = MemoryRemote::default();
    remote.put("ns:1", plain("ns:1", 9, &7_u64), TTL, KEEP).await.expect("never fails");
    let ear = listen(&remote, Ear::default(), "ns");
    let superseded = remote.put("ns:1", plain("ns:1", 8, &7_u64), TTL, KEEP).await;
    assert_eq!(superseded.expect("never fails"), Put::Superseded);
    let ticket = Ticket { seen: Seen { version: 1, at: 1 }, keep: KEEP, token: None };
    let moved = remote.fill("ns:1", ticket, plain("ns:1", 9, &7_u64), TTL).await;
    assert_eq!(moved.expect("never fails"), Fill::Moved);
    remote.marks(&["ns#ns".into()], Instant::now()).await.expect("never fails");
    remote.read("ns:1").await.expect("never fails");
    assert!(ear.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_lease_is_told_only_if_someone_waits() {
    let remote = MemoryRemote::default();
    let ear = listen(&remote, Ear::default(), "ns");
    for waits in [false, true] {
        for end in ["put", "remove", "release", "fill", "refused"] {
            let text = &format!("ns:{end}");
            let before = seen(&remote, text).await;
            remote.lease(text, before, 1, KEEP).await.expect("never fails");
            if waits {
                let held = remote.lease(text, before, 2, KEEP).await.expect("never fails");
                assert_eq!(held, Leased::Held { for_at_most: KEEP });
                remote.lease(text, before, 1, KEEP).await.expect("never fails");
            }
            let mut ticket = Ticket { seen: before, keep: KEEP, token: Some(1) };
            ear.take();
            match end {
                "put" => drop(put(&remote, text).await),
                "remove" => drop(remote.remove(text, 0, KEEP).await),
                "release" => drop(remote.release(text, 1).await),
                _ => {
                    ticket.seen.version += u64::from(end == "refused");
                    drop(remote.fill(text, ticket, plain(text, 0, &7_u64), TTL).await);
                }
            }
            let landed = format!("landed {text}");
            assert_eq!(ear.take().contains(&landed), waits, "{end}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ended_by_itself_is_not_told() {
    let remote = MemoryRemote::default();
    let ear = listen(&remote, Ear::default(), "ns");
    let before = seen(&remote, "ns:1").await;
    remote.lease("ns:1", before, 1, KEEP).await.expect("never fails");
    remote.lease("ns:1", before, 2, KEEP).await.expect("never fails");
    tokio::time::sleep(KEEP).await;
    remote.release("ns:1", 1).await.expect("never fails");
    assert!(ear.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn namespaces_that_start_alike_hear_nothing_of_each_other() {
    let remote = MemoryRemote::default();
    let users = listen(&remote, Ear::default(), "users");
    let others = listen(&remote, Ear::default(), "usersAbc");
    put(&remote, "usersAbc:1").await;
    remote.advance("usersAbc#ns", MarkChange::Soft).await.expect("never fails");
    assert!(users.take().is_empty());
    assert_eq!(others.take(), ["changed usersAbc:1", "changed usersAbc#ns"]);
}

#[tokio::test(start_paused = true)]
async fn all_that_watch_are_told_and_those_that_are_gone_are_forgotten() {
    let remote = MemoryRemote::default();
    let (one, other) =
        (listen(&remote, Ear::default(), "ns"), listen(&remote, Ear::default(), "ns"));
    put(&remote, "ns:1").await;
    assert_eq!((one.take().len(), other.take().len()), (1, 1));
    let gone = Arc::downgrade(&one);
    drop(one);
    assert!(gone.upgrade().is_none(), "the remote does not keep it");
    put(&remote, "ns:1").await;
    assert_eq!(other.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_had_to_make_room_comes_back_as_one_that_invalidates_no_less() {
    let remote = MemoryRemote::new(1);
    let since = Instant::now();
    let advanced = remote.advance("ns#t:0", MarkChange::Hard).await.expect("never fails");
    let text = |tag: u64| [format!("ns#t:{tag}")];
    for tag in 1..5_000 {
        tokio::time::advance(Duration::from_micros(1)).await;
        remote.marks(&text(tag), Instant::now()).await.expect("never fails");
    }
    assert!(remote.shared.store.lock().sizes()[2] <= 1_024);
    let back = remote.marks(&text(0), since).await.expect("never fails").remove(0);
    assert!(back.mark.version() >= advanced.version(), "{back:?}");
    assert!(!back.unmoved, "{back:?}");
    let gone = back.mark.check(advanced.version() - 1, || "any".into());
    assert_eq!(gone, crate::marks::Verdict::Gone);
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_dropped() {
    let remote = MemoryRemote::default();
    for key in 0..100_u64 {
        let text = &format!("ns:{key}");
        put(&remote, text).await;
        let before = seen(&remote, text).await;
        remote.lease(text, before, 1, KEEP).await.expect("never fails");
        remote.marks(&[format!("ns#t:{key}")], Instant::now()).await.expect("never fails");
    }
    tokio::time::advance(MAX_TTL + KEEP).await;
    put(&remote, "ns:x").await;
    assert_eq!(remote.shared.store.lock().sizes(), [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn messages_can_be_lost_held_and_delayed() {
    let fake = FakeRemote::default();
    let ear = listen(&fake, Ear::default(), "ns");
    let node = fake.another();
    put(&node, "ns:1").await;
    assert_eq!(ear.take(), ["changed ns:1"], "of another node's write");
    fake.lose_messages();
    put(&node, "ns:2").await;
    fake.tell_lost();
    assert_eq!(ear.take(), ["lost None"]);
    fake.hold_messages();
    put(&node, "ns:3").await;
    put(&node, "ns:4").await;
    assert!(ear.take().is_empty());
    fake.tell_held();
    assert_eq!(ear.take(), ["changed ns:3", "changed ns:4"]);
    fake.delay_messages(KEEP);
    put(&node, "ns:5").await;
    tokio::time::sleep(KEEP / 2).await;
    assert!(ear.take().is_empty());
    tokio::time::sleep(KEEP).await;
    assert_eq!(ear.take(), ["changed ns:5"]);
    fake.tell_link(false);
    fake.tell_proved(Instant::now());
    assert_eq!(ear.take(), ["link 0 false", "proved false"]);
}

#[tokio::test(start_paused = true)]
async fn a_load_from_before_what_was_evicted_is_refused() {
    let remote = MemoryRemote::new(1);
    let before = seen(&remote, "ns:1").await;
    put(&remote, "ns:1").await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    put(&remote, "ns:2").await;
    let now = seen(&remote, "ns:1").await;
    assert_eq!(now.version, 0, "evicted");
    let fill = async |seen| {
        let ticket = Ticket { seen, keep: KEEP, token: None };
        remote.fill("ns:1", ticket, plain("ns:1", 0, &8_u64), TTL).await.expect("never fails")
    };
    assert_eq!(fill(before).await, Fill::Moved);
    assert!(matches!(fill(now).await, Fill::Stored(_)));
}
