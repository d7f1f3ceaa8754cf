//! The connection for reads, against a scripted node.

use std::time::Duration;

use bytes::BytesMut;
use fred::types::config::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

use super::line::Line;
use super::plan::{End, Whereabouts};
use super::queue::Reply;
use super::*;

mod handshake;
mod hostile;

/// Both ends of a connection.
struct Scene {
    reads: Arc<Reads>,
    node: TcpStream,
    /// What was read of the commands, and not looked at yet.
    heard: BytesMut,
    client: broadcast::Sender<Server>,
    end: JoinHandle<Option<End>>,
}

impl Scene {
    async fn new(clustered: bool, bound: usize) -> Self {
        Self::with(clustered, bound, PATIENCE).await
    }

    async fn with(clustered: bool, bound: usize, unresponsive: Duration) -> Self {
        let [here, there] = [0; 2].map(|_| {
            let socket = TcpSocket::new_v4().expect("a socket");
            // So that little is on its way.
            socket.set_send_buffer_size(16 * 1024).expect("a size");
            socket.set_recv_buffer_size(16 * 1024).expect("a size");
            socket
        });
        there.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let listener = there.listen(1).expect("bound");
        let address = listener.local_addr().expect("bound");
        let stream = here.connect(address).await.expect("it listens");
        let (node, _) = listener.accept().await.expect("connected");
        let line = Line::new(stream, BytesMut::new(), clustered, unresponsive);
        let (client, connected) = broadcast::channel(4);
        let queue = Arc::new(Queue::new(bound));
        let (told, end) = tokio::sync::oneshot::channel();
        let serving = Arc::clone(&queue);
        let task = async move {
            let end = line.serve(&mut Whereabouts::new(connected), &serving).await;
            let _ = told.send(end);
        };
        let reads = Arc::new(Reads::over(queue, task, &Handle::current()));
        while !reads.is_up() {
            yield_now().await;
        }
        let end = tokio::spawn(async { end.await.ok() });
        Self { reads, node, heard: BytesMut::new(), client, end }
    }

    fn ask(&self, key: &str) -> JoinHandle<Reply> {
        self.ask_within(key, PATIENCE)
    }

    fn ask_within(&self, key: &str, patience: Duration) -> JoinHandle<Reply> {
        let (reads, key) = (Arc::clone(&self.reads), Bytes::from(key.to_owned()));
        tokio::spawn(async move { reads.ask(key, Instant::now() + patience).await })
    }

    /// The next command, as words.
    async fn command(&mut self) -> Vec<String> {
        let words = self.line().await.strip_prefix('*').expect("a command").parse().expect("words");
        let mut all = Vec::new();
        for _ in 0..words {
            self.line().await;
            all.push(self.line().await);
        }
        all
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.heard.windows(2).position(|it| it == b"\r\n") {
                let line = self.heard.split_to(end + 2);
                return String::from_utf8_lossy(&line[..end]).into_owned();
            }
            let read = timeout(PATIENCE, self.node.read_buf(&mut self.heard)).await;
            assert_ne!(read.expect("in time").expect("up"), 0, "closed");
        }
    }

    async fn say(&mut self, text: &str) {
        self.node.write_all(text.as_bytes()).await.expect("up");
    }

    /// Answers a command with its keys.
    async fn echo(&mut self, command: &[String]) {
        let (name, keys) = command.split_first().expect("a name");
        let mut text = if name == "MGET" { format!("*{}\r\n", keys.len()) } else { String::new() };
        for key in keys {
            text += &bulk(key);
        }
        self.say(&text).await;
    }

    async fn end(self) -> End {
        timeout(PATIENCE, self.end).await.expect("it ends").expect("no panic").expect("told")
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

async fn text(ask: JoinHandle<Reply>) -> Result<Option<String>, String> {
    let reply = timeout(PATIENCE, ask).await.expect("it is answered").expect("no panic");
    let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
    reply.map(|bytes| bytes.map(text)).map_err(|error| error.details().to_owned())
}

fn is(key: &str) -> Result<Option<String>, String> {
    Ok(Some(key.to_owned()))
}

#[tokio::test]
async fn keys_asked_for_at_once_share_few_commands_and_each_gets_its_own() {
    let mut scene = Scene::new(false, 1_000).await;
    let keys: Vec<String> = (0..300).map(|number| format!("key:{number}")).collect();
    let asks: Vec<_> = keys.iter().map(|key| scene.ask(key)).collect();
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < keys.len() {
        let command = scene.command().await;
        sizes.push(command.len() - 1);
        scene.echo(&command).await;
    }
    assert!(sizes.len() <= 6 && sizes.iter().all(|size| *size <= 128), "{sizes:?}");
    for (key, ask) in keys.iter().zip(asks) {
        assert_eq!(text(ask).await, is(key));
    }
    let alone = scene.ask("alone");
    let command = scene.command().await;
    assert_eq!(command, ["GET", "alone"]);
    scene.echo(&command).await;
    assert_eq!(text(alone).await, is("alone"));
}

#[tokio::test]
async fn answers_that_come_in_pieces_are_handed_out_as_they_come() {
    let mut scene = Scene::new(false, 100).await;
    let (a, b) = (scene.ask("a"), scene.ask("b"));
    assert_eq!(scene.command().await, ["MGET", "a", "b"]);
    for part in ["*", "2\r", "\n$3", "\r\nx", "yz", "\r"] {
        scene.say(part).await;
        yield_now().await;
    }
    assert!(!a.is_finished());
    scene.say("\n$").await;
    assert_eq!(text(a).await, is("xyz"));
    assert!(!b.is_finished(), "the rest of the command is still to come");
    scene.say("-1\r\n").await;
    assert_eq!(text(b).await, Ok(None));
}

#[tokio::test]
async fn a_long_value_comes_whole_and_what_follows_it_too() {
    let mut scene = Scene::new(false, 100).await;
    let (a, b) = (scene.ask("a"), scene.ask("b"));
    scene.command().await;
    let long = "long".repeat(1 << 18);
    scene.say(&format!("*2\r\n{}{}", bulk(&long), bulk("short"))).await;
    assert_eq!(text(a).await, is(&long));
    assert_eq!(text(b).await, is("short"));
}

#[tokio::test]
async fn an_error_reaches_all_of_its_command_and_no_other() {
    let mut scene = Scene::new(false, 100).await;
    let (a, b) = (scene.ask("a"), scene.ask("b"));
    scene.command().await;
    let c = scene.ask("c");
    scene.command().await;
    scene.say("-LOADING it is\r\n").await;
    scene.say(&bulk("c")).await;
    assert_eq!(text(a).await, Err("LOADING it is".to_owned()));
    assert_eq!(text(b).await, Err("LOADING it is".to_owned()));
    assert_eq!(text(c).await, is("c"));
}

#[tokio::test]
async fn on_a_cluster_each_key_is_asked_for_by_itself_and_may_be_elsewhere() {
    let mut scene = Scene::new(true, 100).await;
    let (a, b) = (scene.ask("a"), scene.ask("b"));
    assert_eq!(scene.command().await, ["GET", "a"]);
    assert_eq!(scene.command().await, ["GET", "b"]);
    scene.say("-MOVED 1 127.0.0.1:1\r\n").await;
    scene.say(&bulk("b")).await;
    let moved = timeout(PATIENCE, a).await.expect("in time").expect("no panic");
    let moved = moved.expect_err("elsewhere");
    assert_eq!((moved.kind(), moved.details()), (&ErrorKind::Cluster, "MOVED 1 127.0.0.1:1"));
    assert_eq!(text(b).await, is("b"));
}

#[tokio::test]
async fn who_waits_is_told_at_its_time_and_its_answer_goes_to_nobody_else() {
    let mut scene = Scene::new(false, 100).await;
    let patient = scene.ask("patient");
    assert_eq!(scene.command().await, ["GET", "patient"]);
    let hasty = scene.ask_within("hasty", Duration::from_millis(30));
    scene.command().await;
    let last = scene.ask("last");
    scene.command().await;
    let reply = timeout(PATIENCE, hasty).await.expect("it is told").expect("no panic");
    assert_eq!(*reply.expect_err("no answer").kind(), ErrorKind::Timeout);
    assert!(!patient.is_finished() && !last.is_finished());
    scene.say(&[bulk("patient"), bulk("hasty"), bulk("last")].concat()).await;
    assert_eq!(text(patient).await, is("patient"));
    assert_eq!(text(last).await, is("last"));
}

#[tokio::test]
async fn a_key_that_nobody_waits_for_any_more_is_not_read() {
    let mut scene = Scene::new(false, 100).await;
    let until = Instant::now() + PATIENCE;
    let push = |key| scene.reads.queue.push(Bytes::from(key), until).expect("up");
    let [a, b, c] = ["a", "b", "c"].map(push);
    drop(b);
    let command = scene.command().await;
    assert_eq!(command, ["MGET", "a", "c"]);
    scene.echo(&command).await;
    for (key, reply) in [("a", a), ("c", c)] {
        assert_eq!(text(tokio::spawn(async { reply.await.expect("told") })).await, is(key));
    }
}

#[tokio::test]
async fn what_was_not_asked_for_ends_it_and_all_are_told() {
    for answer in ["$1\r\na\r\n$1\r\nb\r\n", "*1\r\n$1\r\na\r\n", ":1\r\n"] {
        let mut scene = Scene::new(false, 100).await;
        let (a, b) = (scene.ask("a"), scene.ask("b"));
        assert_eq!(scene.command().await.len(), 3);
        scene.say(answer).await;
        assert_eq!(text(a).await, Err(lost().details().to_owned()), "{answer:?}");
        assert_eq!(text(b).await, Err(lost().details().to_owned()), "{answer:?}");
        assert!(matches!(scene.end().await, End::Garbled), "{answer:?}");
    }
}

#[tokio::test]
async fn a_node_that_goes_or_says_nothing_ends_it() {
    let mut scene = Scene::new(false, 100).await;
    let ask = scene.ask("a");
    scene.command().await;
    let Scene { node, reads, .. } = scene;
    drop(node);
    assert_eq!(text(ask).await, Err(lost().details().to_owned()));
    let refused = reads.ask(Bytes::from("b"), Instant::now() + PATIENCE).await;
    assert_eq!(*refused.expect_err("nobody asks").kind(), ErrorKind::IO);

    let mut scene = Scene::with(false, 100, Duration::from_millis(200)).await;
    let ask = scene.ask_within("a", Duration::from_millis(1));
    scene.command().await;
    assert_eq!(text(ask).await, Err(late().details().to_owned()));
    let end = scene.end().await;
    assert!(matches!(end, End::Unresponsive), "{end}");
}

#[tokio::test]
async fn a_value_that_takes_long_to_come_is_no_silence() {
    const SILENCE: Duration = Duration::from_millis(500);
    let mut scene = Scene::with(false, 100, SILENCE).await;
    let (hasty, patient) =
        (scene.ask_within("hasty", Duration::from_millis(30)), scene.ask("patient"));
    assert_eq!(scene.command().await.len(), 3);
    let long = "long".repeat(10);
    let answer = format!("*2\r\n{}{}", bulk(&long), bulk(&long));
    let (slow, rest) = answer.split_at(20);
    // Longer than it may say nothing, and no value whole.
    for piece in slow.as_bytes().chunks(2) {
        scene.node.write_all(piece).await.expect("up");
        tokio::time::sleep(SILENCE / 5).await;
    }
    scene.say(rest).await;
    assert_eq!(text(hasty).await, Err(late().details().to_owned()));
    assert_eq!(text(patient).await, is(&long));
}

#[tokio::test]
async fn nothing_is_read_where_the_node_was_before() {
    let mut scene = Scene::new(false, 100).await;
    let before = scene.ask("a");
    scene.command().await;
    // Its commands go elsewhere by now, as after a failover: what was written since is there.
    scene.client.send(Server::new("127.0.0.1", 1)).expect("it listens");
    let after = scene.ask("b");
    assert_eq!(text(after).await, Err(lost().details().to_owned()));
    assert_eq!(text(before).await, Err(lost().details().to_owned()));
    let mut rest = Vec::new();
    timeout(PATIENCE, scene.node.read_to_end(&mut rest)).await.expect("closed").ok();
    assert!(rest.is_empty(), "{rest:?}");
    assert!(matches!(scene.end().await, End::Moved));
}

#[tokio::test]
async fn more_than_the_bound_fail_at_once() {
    let mut scene = Scene::new(false, 2).await;
    let asks = [scene.ask("a"), scene.ask("b")];
    let command = scene.command().await;
    let reply = scene.reads.ask(Bytes::from("c"), Instant::now() + PATIENCE).await;
    assert_eq!(*reply.expect_err("one too many").kind(), ErrorKind::Backpressure);
    scene.echo(&command).await;
    for ask in asks {
        text(ask).await.expect("answered");
    }
    let again = scene.ask("d");
    let command = scene.command().await;
    scene.echo(&command).await;
    assert_eq!(text(again).await, is("d"));
}

#[tokio::test]
async fn a_node_that_takes_nothing_for_a_while_gets_all_of_it_in_the_end() {
    let mut scene = Scene::new(false, 10_000).await;
    // Some 1.2 MiB of keys, more than sockets hold and are kept for them.
    let keys: Vec<String> = (0..300).map(|number| format!("{number:04096}")).collect();
    let asks: Vec<_> = keys.iter().map(|key| scene.ask(key)).collect();
    for _ in 0..100 {
        yield_now().await;
    }
    let mut left = keys.len();
    while left > 0 {
        let command = scene.command().await;
        left -= command.len() - 1;
        scene.echo(&command).await;
    }
    for (key, ask) in keys.iter().zip(asks) {
        assert_eq!(text(ask).await, is(key));
    }
}

#[test]
fn who_waits_elsewhere_is_told_though_the_home_of_the_task_stands_still() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (home, away) = (runtime().expect("a runtime"), runtime().expect("a runtime"));
    let scene = home.block_on(Scene::new(false, 100));
    let late = away.block_on(async {
        let patience = Instant::now() + Duration::from_millis(20);
        timeout(PATIENCE, scene.reads.ask(Bytes::from("a"), patience)).await
    });
    let error = late.expect("it is told").expect_err("nobody answers");
    assert_eq!(*error.kind(), ErrorKind::Timeout);
}

const PATIENCE: Duration = Duration::from_secs(30);
