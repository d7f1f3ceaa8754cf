//! Nothing outlives the process that started it, however that process ends.
//!
//! Each test runs this very test program again as that process.

use std::env;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use seawall_devstack::Stack;

use crate::support::{
    Base, eventually, is_alive, processes, processes_in, processes_of, send, send_to_group,
};

const BASE: &str = "SEAWALL_DEVSTACK_TEST_BASE";
const END: &str = "SEAWALL_DEVSTACK_TEST_END";

/// Not a test by itself: what the child process does.
#[tokio::test]
async fn child() {
    let (Ok(base), Ok(end)) = (env::var(BASE), env::var(END)) else {
        return;
    };
    #[expect(clippy::while_immutable_condition, reason = "until killed")]
    while end == "churn" {
        let stack = Stack::builder().dir(&base).replicas(1).redis().start().await.unwrap();
        drop(stack);
    }
    let stack = Stack::builder().dir(base).replicas(1).redis().start().await.unwrap();
    // A session that would not notice the end of its server by itself.
    let busy = stack.primary().unwrap().client().await.unwrap();
    let spin = busy.batch_execute("DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$");
    let spin = async { spin.await.unwrap() };
    let act = async {
        if end == "paused" {
            stack.primary().unwrap().pause().await.unwrap();
            stack.redis().unwrap().pause().await.unwrap();
        }
        let redis = stack.redis().unwrap().pid().unwrap();
        println!("\nSTACK {redis} {}", stack.dir().display());
        match end.as_str() {
            "panic" => panic!("as asked"),
            "exit" => std::process::exit(0),
            _ => std::future::pending::<()>().await,
        }
    };
    tokio::join!(spin, act);
}

struct Parent {
    child: Child,
    stack: PathBuf,
    redis: u32,
}

/// Starts a process with a stack that ends as told, and waits until the stack is up.
fn start(base: &Base, end: &str) -> Parent {
    let mut child = spawn(base, end);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.starts_with("STACK ")).unwrap();
    let mut words = line.split(' ').skip(1);
    let redis = words.next().unwrap().parse().unwrap();
    Parent { child, redis, stack: words.next().unwrap().into() }
}

fn spawn(base: &Base, end: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "leftovers::child", "--nocapture"])
        .env(BASE, base.path())
        .env(END, end)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

impl Parent {
    fn watchdog(&self) -> u32 {
        let of = self.child.id();
        let (pid, ..) = processes()
            .into_iter()
            .find(|(_, parent, title)| *parent == of && title.contains("seawall-watchdog"))
            .expect("no watchdog");
        pid
    }

    fn kill(&mut self) {
        send(Signal::KILL, self.child.id());
        self.child.wait().unwrap();
    }

    async fn assert_all_gone(&self) {
        eventually("all is gone", || async {
            !self.stack.exists() && !is_alive(self.redis) && processes_of(&self.stack).is_empty()
        })
        .await;
    }

    fn assert_all_there(&self) {
        assert!(self.stack.exists() && is_alive(self.redis));
        let titles = processes_of(&self.stack);
        for part in ["seawall-watchdog", "walreceiver", "primary: seawall seawall"] {
            assert!(titles.iter().any(|(_, _, title)| title.contains(part)), "{part}: {titles:?}");
        }
    }
}

#[tokio::test]
async fn killed_parent_leaves_nothing() {
    let base = Base::new();
    let mut parent = start(&base, "hold");
    parent.assert_all_there();
    parent.kill();
    parent.assert_all_gone().await;
}

#[tokio::test]
async fn killed_parent_of_paused_servers_leaves_nothing() {
    let base = Base::new();
    let mut parent = start(&base, "paused");
    parent.kill();
    parent.assert_all_gone().await;
}

#[tokio::test]
async fn interrupted_parent_leaves_nothing() {
    let base = Base::new();
    let mut parent = start(&base, "hold");
    let watchdog = parent.watchdog();
    // Ctrl-C signals the group; a session that ends, more than that.
    for signal in [Signal::INT, Signal::HUP, Signal::TERM] {
        send(signal, watchdog);
    }
    send_to_group(Signal::INT, parent.child.id());
    parent.child.wait().unwrap();
    parent.assert_all_gone().await;
}

#[tokio::test]
async fn parent_killed_at_any_moment_of_start_and_stop_leaves_no_process() {
    let base = Base::new();
    // With the template made, each round is a start and a stop.
    Stack::builder().dir(base.path()).postgres().start().await.unwrap().shutdown().await;
    for moment in (0..20).map(|number| Duration::from_millis(20 + number * 37)) {
        let mut child = spawn(&base, "churn");
        // The moment is the input here, not something to wait for.
        tokio::time::sleep(moment).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    eventually("no process is left", || async { processes_in(base.path()).is_empty() }).await;
    // A directory made before its watchdog was is left to the next start.
    Stack::builder().dir(base.path()).redis().start().await.unwrap().shutdown().await;
    assert_eq!(base.stacks(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn parent_killed_while_it_makes_the_template_leaves_no_process() {
    let base = Base::new();
    for moment in [100, 250, 400, 550].map(Duration::from_millis) {
        let mut child = spawn(&base, "churn");
        tokio::time::sleep(moment).await;
        child.kill().unwrap();
        child.wait().unwrap();
        eventually("no process is left", || async { processes_in(base.path()).is_empty() }).await;
    }
    // The half-made template does not spoil the next one.
    Stack::builder().dir(base.path()).postgres().start().await.unwrap().shutdown().await;
    assert_eq!(base.stacks(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn panicking_parent_leaves_only_its_logs() {
    let base = Base::new();
    let mut parent = start(&base, "panic");
    assert!(!parent.child.wait().unwrap().success());
    // The drop is synchronous: there is nothing to wait for.
    assert!(!parent.stack.exists() && !is_alive(parent.redis));
    assert_eq!(processes_of(&parent.stack), []);
    let kept = base.shared().join("kept-logs").join(parent.stack.file_name().unwrap());
    let log = std::fs::read_to_string(kept.join("primary.log")).unwrap();
    assert!(log.contains("ready to accept connections"), "{log}");
}

#[tokio::test]
async fn exit_without_a_drop_leaves_nothing() {
    let base = Base::new();
    let mut parent = start(&base, "exit");
    assert!(parent.child.wait().unwrap().success());
    parent.assert_all_gone().await;
}

#[tokio::test]
async fn next_start_sweeps_what_a_killed_parent_and_watchdog_left() {
    let base = Base::new();
    let mut parent = start(&base, "hold");
    let watchdog = parent.watchdog();
    send(Signal::KILL, watchdog);
    eventually("the watchdog is gone", || async { !is_alive(watchdog) }).await;
    // Nothing is swept while the parent lives.
    let other = Stack::builder().dir(base.path()).redis().start().await.unwrap();
    assert!(is_alive(parent.redis) && parent.stack.exists());
    parent.kill();
    assert!(is_alive(parent.redis) && parent.stack.exists());

    let next = Stack::builder().dir(base.path()).redis().start().await.unwrap();
    assert!(!parent.stack.exists() && !is_alive(parent.redis));
    assert_eq!(processes_of(&parent.stack), []);
    assert!(other.redis().unwrap().command(&["PING"]).await.is_ok());
    assert!(Path::new(next.dir()).exists());
}
