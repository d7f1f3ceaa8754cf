//! Doing to a cluster what a plan says.

use std::time::Duration;

use futures_util::future::{join, join_all};
use seawall_devstack::{Direction, Faults};
use seawall_pool::Lsn;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::history::{Promotion as Promoted, Recorder};
use crate::plan::{Fault, Plan, Promotion, Step};

/// Runs the plan's faults. Returns the node that is the primary in the end.
pub(crate) async fn run(cluster: &Cluster, plan: &Plan, recorder: &Recorder) -> usize {
    let steps = plan.steps.iter().map(|step| {
        // The one that is promoted stays as it is.
        let late = plan.promotion.is_some_and(|(at, _)| step.at + step.lasts > at);
        run_step(cluster, *step, late, recorder)
    });
    let promotion = async {
        match plan.promotion {
            Some((at, how)) => {
                sleep(at).await;
                promote(cluster, how, recorder).await
            }
            None => 0,
        }
    };
    join(promotion, join_all(steps)).await.0
}

async fn run_step(cluster: &Cluster, step: Step, late: bool, recorder: &Recorder) {
    let Step { at, lasts, fault } = step;
    let at_servers =
        matches!(fault, Fault::Pause(_) | Fault::Pulse(_) | Fault::Cut(_) | Fault::Terminate(_));
    if late && at_servers {
        return;
    }
    sleep(at).await;
    recorder.fault(format!("{fault:?} for {lasts:?}"));
    let door = |node: usize| &cluster.doors[node];
    match fault {
        Fault::Pause(replica) => {
            try_sql(cluster, replica, "SELECT pg_wal_replay_pause()").await;
            sleep(lasts).await;
            try_sql(cluster, replica, "SELECT pg_wal_replay_resume()").await;
        }
        Fault::Pulse(replica) => pulse(cluster, replica, lasts).await,
        Fault::Reset(node) => door(node).reset_all(),
        Fault::Hole(node, blackhole) => {
            door(node).set(Faults { blackhole, ..Faults::default() });
            sleep(lasts).await;
            door(node).clear();
        }
        Fault::Slow(node) => {
            let latency = Duration::from_millis(15);
            door(node).set(Faults { latency, jitter: latency, ..Faults::default() });
            sleep(lasts).await;
            door(node).clear();
        }
        Fault::Cut(replica) => {
            let feed = &cluster.feeds[replica - 1];
            feed.set(Faults { blackhole: Direction::Both, ..Faults::default() });
            sleep(lasts).await;
            feed.clear();
        }
        Fault::Kill(node) => {
            cluster.node(node).kill().await.unwrap();
            sleep(lasts).await;
            cluster.node(node).restart().await.unwrap();
        }
        Fault::Terminate(node) => {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE application_name = 'seawall-pool'";
            try_sql(cluster, node, sql).await;
        }
    }
    recorder.fault(format!("{fault:?} is over"));
}

async fn pulse(cluster: &Cluster, replica: usize, lasts: Duration) {
    let until = Instant::now() + lasts;
    while Instant::now() < until {
        // One connection for as long as it lives: the replica may be killed meanwhile.
        if let Ok(client) = cluster.node(replica).client().await {
            while Instant::now() < until
                && client.batch_execute("SELECT pg_wal_replay_pause()").await.is_ok()
            {
                sleep(Duration::from_millis(60)).await;
                drop(client.batch_execute("SELECT pg_wal_replay_resume()").await);
                sleep(Duration::from_millis(20)).await;
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Unless the server is down, as another step may have it.
async fn try_sql(cluster: &Cluster, node: usize, sql: &str) {
    if let Ok(client) = cluster.node(node).client().await {
        drop(client.batch_execute(sql).await);
    }
}

async fn promote(cluster: &Cluster, how: Promotion, recorder: &Recorder) -> usize {
    let began = recorder.tick();
    recorder.fault(format!("{how:?}"));
    let old = cluster.node(0);
    let mut back = false;
    match how {
        Promotion::Kill | Promotion::Synchronous => old.kill().await.unwrap(),
        Promotion::Stop => {
            cluster.feeds.iter().for_each(seawall_devstack::Proxy::clear);
            cluster.streaming(2).await;
            old.stop().await.unwrap();
        }
        Promotion::Isolate => {
            cluster.doors[0].refuse().await.unwrap();
            cluster.doors[0].reset_all();
            for feed in &cluster.feeds {
                feed.refuse().await.unwrap();
                feed.reset_all();
            }
            back = true;
        }
    }
    // Commits waited for the first, or whichever has received most.
    let (one, two) = (cluster.node(1).lsn().await.unwrap(), cluster.node(2).lsn().await.unwrap());
    let (new, other) = if how == Promotion::Synchronous || one >= two { (1, 2) } else { (2, 1) };
    cluster.node(new).promote().await.unwrap();
    recorder.fault(format!("replica-{new} is promoted"));
    recorder.promoted(Promoted {
        began,
        switch: switch(cluster, new).await,
        timeline: 2,
        lossless: matches!(how, Promotion::Stop | Promotion::Synchronous),
    });
    cluster.node(other).follow(cluster.node(new).addr()).await.unwrap();
    if back {
        sleep(Duration::from_millis(150)).await;
        cluster.doors[0].accept().await.unwrap();
        recorder.fault("the old primary is back, alive".to_owned());
    }
    new
}

/// Where the second timeline leaves the first.
async fn switch(cluster: &Cluster, node: usize) -> Lsn {
    let client = cluster.node(node).client().await.unwrap();
    let sql = "SELECT split_part(pg_read_file('pg_wal/00000002.history'), E'\\t', 2)";
    let text: String = client.query_one(sql, &[]).await.unwrap().get(0);
    text.parse().unwrap()
}
