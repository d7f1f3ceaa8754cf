//! Folding, against a scripted server.

use std::collections::VecDeque as Script;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::types::Key;
use tokio::time::{Instant, sleep};

use super::*;

type Reply = Result<(Option<Bytes>, u32), Error>;

/// Notes each command and answers ten milliseconds later with the key itself.
#[derive(Clone, Default)]
struct Server {
    commands: Arc<Mutex<Vec<Vec<Key>>>>,
    under_way: Arc<Mutex<(usize, usize)>>,
    /// How long an answer takes, if that is not [`TRIP`].
    takes: Arc<Mutex<Option<Duration>>>,
    /// What befalls the next commands.
    fails: Arc<Mutex<Script<Option<ErrorKind>>>>,
}

impl Server {
    async fn answer(&self, keys: Vec<Key>) -> Vec<Reply> {
        self.commands.lock().push(keys.clone());
        let fails = self.fails.lock().pop_front().flatten();
        {
            let mut under_way = self.under_way.lock();
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        let _ended = Ended(&self.under_way);
        let takes = self.takes.lock().unwrap_or(TRIP);
        sleep(takes).await;
        let reply = |key: Key| match &fails {
            Some(kind) => Err(Error::new(kind.clone(), "scripted")),
            None => Ok((Some(key.into_bytes()), 0)),
        };
        keys.into_iter().map(reply).collect()
    }

    fn sizes(&self) -> Vec<usize> {
        self.commands.lock().iter().map(Vec::len).collect()
    }
}

struct Ended<'a>(&'a Mutex<(usize, usize)>);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().0 -= 1;
    }
}

impl Carry for Server {
    type Ask = Key;
    type Reply = Reply;

    async fn one(&self, _: u32, key: Key) -> Reply {
        self.answer(vec![key]).await.remove(0)
    }

    async fn many(&self, _: u32, keys: Vec<Key>, replies: &Replies<Reply>) {
        let hangs = keys.iter().position(|key| *key == Key::from("hangs"));
        for (place, reply) in self.answer(keys).await.into_iter().enumerate() {
            if Some(place) != hangs {
                replies.tell(place, reply);
            }
        }
        if hangs.is_some() {
            sleep(Duration::from_secs(60)).await;
        }
    }

    fn unasked(&self, why: Unasked) -> Reply {
        let kind = match why {
            Unasked::Full => ErrorKind::Backpressure,
            Unasked::Ended => ErrorKind::Canceled,
            Unasked::Late => ErrorKind::Timeout,
        };
        Err(Error::new(kind, "scripted"))
    }
}

const MS: Duration = Duration::from_millis(1);
const TRIP: Duration = Duration::from_millis(10);

fn fold(bound: usize) -> (Server, Arc<Fold<Server>>) {
    let server = Server::default();
    (server.clone(), Arc::new(Fold::new(server, bound, Handle::current())))
}

async fn get(fold: &Fold<Server>, number: usize) -> Reply {
    fold.ask(0, Key::from(number.to_string())).await
}

fn spawn(fold: &Arc<Fold<Server>>, number: usize) -> tokio::task::JoinHandle<Reply> {
    let fold = Arc::clone(fold);
    tokio::spawn(async move { get(&fold, number).await })
}

fn is(reply: Reply, number: usize) -> bool {
    reply.is_ok_and(|(bytes, _)| bytes.is_some_and(|bytes| bytes == number.to_string().as_bytes()))
}

#[tokio::test(start_paused = true)]
async fn a_read_by_itself_is_one_command_and_no_task() {
    let (server, fold) = fold(100);
    let tasks = Handle::current().metrics().num_alive_tasks();
    for number in 0..3 {
        assert!(is(get(&fold, number).await, number));
        assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks);
    }
    assert_eq!(server.sizes(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn concurrent_reads_share_commands_and_each_gets_its_own() {
    let (server, fold) = fold(1_000);
    let reads: Vec<_> = (0..300).map(|number| spawn(&fold, number)).collect();
    for (number, read) in reads.into_iter().enumerate() {
        assert!(is(read.await.expect("no panic"), number));
    }
    let sizes = server.sizes();
    assert!(sizes.len() <= 5 && sizes.iter().all(|size| *size <= GATHERED.asks), "{sizes:?}");
    assert!(server.under_way.lock().1 <= GATHERED.commands);
    sleep(MS).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "tasks end with the work");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_leader_does_not_strand_those_that_wait() {
    let (server, fold) = fold(100);
    let first = spawn(&fold, 0);
    let second = spawn(&fold, 1);
    let third = spawn(&fold, 2);
    yield_now().await;
    first.abort();
    assert!(is(second.await.expect("no panic"), 1));
    assert!(is(third.await.expect("no panic"), 2));
    assert_eq!(server.sizes().iter().sum::<usize>(), 3);
    assert!(is(get(&fold, 3).await, 3));
    sleep(MS).await;
    assert_eq!(fold.lane(0).state.lock().commands, 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_read_that_waits_is_not_asked_for() {
    let (server, fold) = fold(100);
    let mut reads: Vec<_> = (0..2).map(|number| spawn(&fold, number)).collect();
    sleep(MS).await;
    assert_eq!(server.under_way.lock().0, GATHERED.commands);
    reads.extend((2..5).map(|number| spawn(&fold, number)));
    yield_now().await;
    reads[2].abort();
    reads[4].abort();
    for read in reads {
        let _ = read.await;
    }
    assert_eq!(server.sizes(), [1, 1, 1], "{:?}", server.commands.lock());
}

#[tokio::test(start_paused = true)]
async fn an_error_reaches_every_caller_of_its_command_and_no_other() {
    let (server, fold) = fold(100);
    *server.fails.lock() = [None, Some(ErrorKind::Timeout), None].into();
    let reads: Vec<_> = (0..10).map(|number| spawn(&fold, number)).collect();
    let mut failed = 0;
    for read in reads {
        match read.await.expect("no panic") {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(*error.kind(), ErrorKind::Timeout);
                failed += 1;
            }
        }
    }
    let sizes = server.sizes();
    assert_eq!(failed, sizes[1], "{sizes:?}");
    assert!(is(get(&fold, 11).await, 11));
}

#[tokio::test(start_paused = true)]
async fn more_reads_than_the_bound_fail_at_once() {
    let (_, fold) = fold(2);
    let reads: Vec<_> = (0..8).map(|number| spawn(&fold, number)).collect();
    let mut refused = 0;
    for read in reads {
        if let Err(error) = read.await.expect("no panic") {
            assert_eq!(*error.kind(), ErrorKind::Backpressure);
            refused += 1;
        }
    }
    assert_eq!(refused, 5, "one alone, two wait");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hangs_does_not_hold_up_another() {
    let (_, fold) = fold(100);
    let (busy, other) = (Arc::clone(&fold), Arc::clone(&fold));
    let hung: Vec<_> = (0..10_u64)
        .map(|number| {
            let busy = Arc::clone(&busy);
            tokio::spawn(async move { busy.ask(1, Key::from(number.to_string())).await })
        })
        .collect();
    yield_now().await;
    let started = Instant::now();
    assert!(is(get(&other, 7).await, 7));
    assert_eq!(started.elapsed(), TRIP, "by itself");
    for read in hung {
        read.await.expect("no panic").expect("answers");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_at_its_time_though_the_server_hangs() {
    let (server, fold) = fold(100);
    *server.takes.lock() = Some(Duration::from_secs(60));
    let start = Instant::now();
    let asks: Vec<_> = (0..20)
        .map(|number| {
            let fold = Arc::clone(&fold);
            tokio::spawn(async move {
                // One after the other, some while all commands are under way.
                sleep(MS * number).await;
                let until = Instant::now() + 50 * MS;
                let reply = fold.ask_until(0, Key::from(number.to_string()), until).await;
                (reply.map(drop).map_err(|error| error.kind().clone()), Instant::now() - until)
            })
        })
        .collect();
    for ask in asks {
        let (reply, late) = ask.await.expect("no panic");
        assert_eq!(reply, Err(ErrorKind::Timeout));
        assert!(late <= LOOK + MS, "{late:?}");
    }
    // Those that come much later are told too: nothing has come back yet.
    sleep(Duration::from_secs(1)).await;
    let until = Instant::now() + 50 * MS;
    let reply = fold.ask_until(0, Key::from("late"), until).await;
    assert_eq!(reply.map(drop).map_err(|error| error.kind().clone()), Err(ErrorKind::Timeout));
    assert!(until.elapsed() <= LOOK + MS);
    // It answers again.
    *server.takes.lock() = None;
    sleep(Duration::from_secs(120)).await;
    assert!(is(fold.ask_until(0, Key::from("7"), Instant::now() + 50 * MS).await, 7));
    assert!(start.elapsed() > Duration::from_secs(60));
    sleep(MS).await;
    assert_eq!(fold.lane(0).state.lock().commands, 0);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_led_to_a_node_that_hangs_holds_up_none_of_its_command() {
    let (server, fold) = fold(100);
    let ask = |key: &'static str| {
        let fold = Arc::clone(&fold);
        tokio::spawn(async move {
            let reply = fold.ask_until(0, Key::from(key), Instant::now() + 50 * MS).await;
            (reply.map(drop).map_err(|error| error.kind().clone()), Instant::now())
        })
    };
    let start = Instant::now();
    let asks = ["first", "a", "hangs", "b"].map(ask);
    for (index, ask) in asks.into_iter().enumerate() {
        let (reply, told) = ask.await.expect("no panic");
        if index == 2 {
            assert_eq!(reply, Err(ErrorKind::Timeout));
        } else {
            assert_eq!(reply, Ok(()));
            assert!(told - start <= 2 * TRIP, "{:?}", told - start);
        }
    }
    assert_eq!(server.sizes(), [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn questions_that_take_long_go_in_more_and_smaller_commands() {
    let server = Server::default();
    let fold = Arc::new(Fold::new(server.clone(), 1_000, Handle::current()).spread(4, 8));
    let reads: Vec<_> = (0..100).map(|number| spawn(&fold, number)).collect();
    for (number, read) in reads.into_iter().enumerate() {
        assert!(is(read.await.expect("no panic"), number));
    }
    assert!(server.sizes().iter().all(|size| *size <= 8), "{:?}", server.sizes());
    assert_eq!(server.under_way.lock().1, 4);
}

#[test]
fn who_waits_elsewhere_is_told_though_the_home_of_the_tasks_stands_still() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build();
    let (home, away) = (runtime().expect("a runtime"), runtime().expect("a runtime"));
    let server = Server::default();
    *server.takes.lock() = Some(Duration::from_secs(60));
    let fold = Arc::new(Fold::new(server, 100, home.handle().clone()));
    away.block_on(async {
        let ask = |number: usize| {
            let fold = Arc::clone(&fold);
            async move {
                fold.ask_until(0, Key::from(number.to_string()), Instant::now() + 5 * MS).await
            }
        };
        let asks: Vec<_> = (0..3).map(|number| tokio::spawn(ask(number))).collect();
        for ask in asks {
            let reply = tokio::time::timeout(Duration::from_secs(20), ask).await;
            let error = reply.expect("it is told").expect("no panic").expect_err("nobody asked");
            assert_eq!(*error.kind(), ErrorKind::Timeout);
        }
    });
}

#[test]
fn reads_that_wait_when_the_runtime_ends_are_told() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build();
    let (home, away) = (runtime().expect("a runtime"), runtime().expect("a runtime"));
    let server = Server::default();
    let fold = Arc::new(Fold::new(server, 100, home.handle().clone()));
    away.block_on(async {
        let reads: Vec<_> = (0..3).map(|number| spawn(&fold, number)).collect();
        yield_now().await;
        home.shutdown_background();
        let mut told = 0;
        for read in reads {
            told += usize::from(read.await.expect("no panic").is_err());
        }
        assert_eq!(told, 2, "the one by itself was answered");
    });
}
