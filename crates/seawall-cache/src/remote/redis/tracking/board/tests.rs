//! Who is told of what.

use std::time::Duration;

use super::*;

#[derive(Default)]
struct Told {
    events: Mutex<Vec<String>>,
    proved: Mutex<Option<Instant>>,
}

impl Told {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.events.lock())
    }
}

impl Watcher for Told {
    fn changed(&self, text: &str, _: Option<u64>) {
        self.events.lock().push(format!("changed {text}"));
    }

    fn landed(&self, text: &str) {
        self.events.lock().push(format!("landed {text}"));
    }

    fn lost(&self, node: Option<u32>) {
        self.events.lock().push(format!("lost {node:?}"));
    }

    fn link(&self, node: u32, up: bool) {
        self.events.lock().push(format!("link {node} {up}"));
    }

    fn proved(&self, at: Instant) {
        *self.proved.lock() = Some(at);
    }

    fn tells(&self, tells: bool) {
        self.events.lock().push(format!("tells {tells}"));
    }
}

fn board() -> Board {
    Board::new("p:", true)
}

fn watch(board: &Board, namespace: &str) -> Arc<Told> {
    let told = Arc::new(Told::default());
    let all: Arc<dyn Watcher> = told.clone();
    board.watch(namespace, Arc::downgrade(&all));
    told
}

fn changed(board: &Board, keys: &[&str]) {
    board.changed(keys.iter().map(|key| key.as_bytes()));
}

#[test]
fn only_the_caches_of_the_namespace_are_told() {
    let board = board();
    let (users, users_too, user) =
        (watch(&board, "users"), watch(&board, "users"), watch(&board, "user"));
    changed(
        &board,
        &["p:users:1", "p:user:2", "p:users#ns", "q:users:3", "p:users", "p:users#t:x"],
    );
    board.changed([&b"p:users:\xff"[..], b"p:", b""].into_iter());
    let expected = ["changed users:1", "changed users#ns", "changed users", "changed users#t:x"];
    assert_eq!(users.take(), expected);
    assert_eq!(users_too.take(), expected);
    assert_eq!(user.take(), ["changed user:2"]);
}

#[test]
fn a_watcher_that_is_gone_is_forgotten() {
    let board = board();
    let first = watch(&board, "users");
    drop(first);
    changed(&board, &["p:users:1"]);
    let second = watch(&board, "users");
    assert_eq!(board.watchers.read()["users"].len(), 1);
    changed(&board, &["p:users:1"]);
    assert_eq!(second.take().len(), 1);
}

#[test]
fn what_was_missed_is_told_before_the_link_is_up() {
    let board = board();
    board.joins(0);
    let told = watch(&board, "users");
    board.armed(0, true, &[3]);
    board.down(0);
    board.down(0);
    board.armed(0, true, &[]);
    let expected = [
        "link 0 false", // when it began to watch
        "lost Some(3)",
        "lost Some(0)",
        "link 0 true",
        "link 0 false",
        "lost Some(0)",
        "link 0 true",
    ];
    assert_eq!(told.take(), expected);
    assert_eq!(watch(&board, "late").take(), ["link 0 true"]);
    board.leaves(0);
    assert_eq!(told.take(), ["link 0 false"]);
}

#[test]
fn the_end_of_a_lease_is_told_once_by_whichever_node_hears_it() {
    let board = board();
    let told = watch(&board, "users");
    board.joins(0);
    board.joins(1);
    board.hears(0);
    board.armed(1, true, &[]);
    told.take();
    board.landed(0, b"p:users:1");
    board.landed(1, b"p:users:1");
    assert_eq!(told.take(), ["landed users:1"]);
    board.down(0);
    board.landed(1, b"p:users:2");
    assert_eq!(told.take(), ["landed users:2"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_proved_that_one_node_has_not_proved() {
    let board = board();
    let told = watch(&board, "users");
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let proved = || *told.proved.lock();
    board.joins(0);
    board.joins(1);
    board.armed(0, true, &[]);
    board.proved(0, at(1));
    assert_eq!(proved(), None, "node 1 may have told nothing");
    board.armed(1, true, &[]);
    board.proved(1, at(2));
    assert_eq!(proved(), Some(at(1)));
    board.proved(1, at(9));
    assert_eq!(proved(), Some(at(1)));
    board.proved(0, at(5));
    assert_eq!(proved(), Some(at(5)));
    // It comes back: what it told before does not count, and nothing is taken back.
    board.down(1);
    board.armed(1, true, &[]);
    board.proved(0, at(20));
    assert_eq!(proved(), Some(at(5)));
    board.leaves(1);
    board.proved(0, at(21));
    assert_eq!(proved(), Some(at(21)));
    board.proved(7, at(30));
    assert_eq!(proved(), Some(at(21)), "an unknown node proves nothing");
}

#[test]
fn the_status_says_what_the_worst_link_is_like() {
    let board = board();
    assert_eq!(board.status(), Tracking::Down);
    board.joins(0);
    board.joins(1);
    board.armed(0, true, &[]);
    assert_eq!(board.status(), Tracking::Down);
    board.armed(1, true, &[]);
    assert_eq!(board.status(), Tracking::Up);
    board.silent(1);
    assert_eq!(board.status(), Tracking::Down);
    assert!(board.refused(0) && !board.refused(0), "said once");
    board.down(0);
    board.refused(1);
    assert_eq!(board.status(), Tracking::Refused);
    let told: Arc<dyn Watcher> = Arc::new(Told::default());
    assert!(!board.watch("users", Arc::downgrade(&told)), "nothing will be told");
    assert_eq!(Board::new("p:", false).status(), Tracking::Off);
}

#[test]
fn without_tracking_a_newcomer_is_told_of_no_links() {
    let board = Board::new("p:", false);
    board.joins(0);
    board.hears(0);
    let told = watch(&board, "users");
    board.landed(0, b"p:users:1");
    assert_eq!(told.take(), ["landed users:1"]);
}

#[test]
fn a_node_that_left_does_not_come_back_by_its_last_words() {
    let board = board();
    let told = watch(&board, "users");
    board.joins(0);
    board.joins(1);
    board.armed(0, true, &[]);
    board.armed(1, true, &[]);
    board.leaves(1);
    told.take();
    board.answers(1);
    board.hears(1);
    board.silent(1);
    board.down(1);
    assert!(!board.refused(1));
    assert_eq!(told.take(), [""; 0]);
    board.armed(1, true, &[]);
    assert_eq!(told.take(), ["lost Some(1)"], "that does no harm");
    assert_eq!(watch(&board, "late").take(), ["link 0 true"]);
    assert_eq!(board.status(), Tracking::Up);
}

#[test]
fn after_the_end_every_link_is_down_for_good() {
    let board = board();
    let told = watch(&board, "users");
    for node in 0..2 {
        board.joins(node);
        board.armed(node, true, &[]);
    }
    told.take();
    board.close();
    assert_eq!(told.take(), ["link 0 false", "link 1 false"]);
    board.joins(0);
    board.answers(0);
    board.close();
    assert_eq!(told.take(), [""; 0]);
    assert_eq!(board.status(), Tracking::Down);
}

#[test]
fn watchers_hear_that_nobody_will_tell_and_that_somebody_does_again() {
    let board = board();
    board.joins(0);
    board.joins(1);
    let told = watch(&board, "users");
    told.take();
    board.refused(0);
    assert_eq!(told.take(), [""; 0], "the other may still");
    board.refused(1);
    board.refused(1);
    assert_eq!(told.take(), ["tells false"], "once");
    // A master more, which has said nothing yet.
    board.joins(2);
    let late = Arc::new(Told::default());
    let watcher: Arc<dyn Watcher> = late.clone();
    assert!(!board.watch("late", Arc::downgrade(&watcher)), "as the others were told");
    board.refused(2);
    assert_eq!((told.take(), late.take()), (vec![], vec![]));
    board.armed(1, true, &[]);
    let expected = ["lost Some(1)", "tells true", "link 1 true"];
    assert_eq!(
        (told.take(), late.take()),
        (expected.map(str::to_owned).to_vec(), expected.map(str::to_owned).to_vec())
    );
    // Its connection ends, and it will not have it again.
    board.down(1);
    assert_eq!(told.take(), ["link 1 false"]);
    board.refused(1);
    assert_eq!(told.take(), ["tells false"]);
    // The only one that did not refuse leaves.
    board.armed(2, true, &[]);
    board.down(2);
    told.take();
    board.leaves(2);
    assert_eq!(told.take(), ["link 2 false", "tells false"]);
    board.armed(7, true, &[]);
    assert_eq!(told.take(), ["lost Some(7)"], "it is none to listen to");
}
