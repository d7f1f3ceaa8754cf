//! The connection that only reads.

use bytes::Bytes;
use parking_lot::Mutex;
use seawall_devstack::{Redis, Reply, Stack};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Reads over that connection, which is waited for.
async fn read(routes: &Routes, key: &str) -> Result<Option<Bytes>, Error> {
    let node = routes.topology().node(key.as_bytes());
    until("there is a connection for reads", async || {
        routes.to(node).is_ok_and(|way| way.reads().is_some())
    })
    .await;
    let way = routes.to(node)?;
    let reads = way.reads().ok_or_else(seawall_redis::gone)?;
    reads.ask(Bytes::copy_from_slice(key.as_bytes()), Instant::now() + PATIENCE).await
}

#[tokio::test]
async fn what_was_written_is_read_and_what_has_no_value_is_told_from_it() {
    let stack = Stack::builder().redis().start().await.unwrap();
    let redis = stack.redis().unwrap();
    let followed = connected(redis.url()).await;
    let routes = &followed.routes;
    set(routes, "a", "1").await.unwrap();
    redis.command(&["HSET", "hash", "a", "1"]).await.unwrap();
    assert_eq!(read(routes, "a").await.unwrap(), Some(Bytes::from("1")));
    assert_eq!(read(routes, "none").await.unwrap(), None);
    let error = read(routes, "hash").await.expect_err("no text");
    assert!(error.details().starts_with("WRONGTYPE"), "{error:?}");
    // Each write is seen by who asks after it.
    for number in 0..100 {
        set(routes, "a", &number.to_string()).await.unwrap();
        assert_eq!(read(routes, "a").await.unwrap(), Some(Bytes::from(number.to_string())));
    }
}

#[tokio::test]
async fn many_tasks_share_few_commands() {
    let stack = Stack::builder().redis().start().await.unwrap();
    let followed = connected(stack.redis().unwrap().url()).await;
    let routes = &followed.routes;
    for key in 0..64 {
        set(routes, &key.to_string(), &key.to_string()).await.unwrap();
    }
    read(routes, "0").await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|key| {
            let (way, key) = (routes.to(0).unwrap(), Bytes::from(key.to_string()));
            tokio::spawn(async move {
                for _ in 0..10 {
                    let until = Instant::now() + PATIENCE;
                    let value = way.reads().unwrap().ask(key.clone(), until).await.unwrap();
                    assert_eq!(value.as_ref(), Some(&key));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let calls = calls(stack.redis().unwrap()).await;
    assert!(calls <= 320, "{calls} commands for 640 keys");
}

/// How many GETs and MGETs the server has answered.
async fn calls(redis: &Redis) -> u64 {
    let stats = redis.command(&["INFO", "commandstats"]).await.unwrap().text().unwrap();
    let of = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0,");
        line.split(',').next().unwrap().parse::<u64>().unwrap()
    };
    of("cmdstat_get:calls=") + of("cmdstat_mget:calls=")
}

#[tokio::test]
async fn it_says_who_it_is_and_reads_the_database_of_the_url() {
    let stack = Stack::builder().redis().start().await.unwrap();
    let redis = stack.redis().unwrap();
    let url = redis.url();
    let address = url.rsplit('/').next().unwrap().to_owned();
    let open = connected(format!("redis://{address}/3")).await;
    set(&open.routes, "a", "three").await.unwrap();
    let user = ["ACL", "SETUSER", "reader", "on", ">secret", "~*", "&*", "+@all"];
    redis.command(&user).await.unwrap();
    redis.command(&["CONFIG", "SET", "requirepass", "other"]).await.unwrap();
    for user in ["reader:secret", ":other"] {
        let followed = connected(format!("redis://{user}@{address}/3")).await;
        let value = read(&followed.routes, "a").await.unwrap();
        assert_eq!(value, Some(Bytes::from("three")), "{user}");
    }
}

#[tokio::test]
async fn it_comes_back_with_the_server() {
    let stack = Stack::builder().redis().start().await.unwrap();
    let redis = stack.redis().unwrap();
    let followed = connected(redis.url()).await;
    let routes = &followed.routes;
    read(routes, "a").await.unwrap();
    redis.kill().await.unwrap();
    until("it is noticed", async || {
        routes.to(0).is_err() || routes.to(0).is_ok_and(|way| way.reads().is_none())
    })
    .await;
    redis.restart().await.unwrap();
    until("it can be written", async || set(routes, "a", "2").await.is_ok()).await;
    // The first who reads may be told that the connection was lost.
    let two = Some(Bytes::from("2"));
    until("it is read", async || read(routes, "a").await.is_ok_and(|value| value == two)).await;
}

/// As an address that stands for the master does: connections that were made stay where they are.
#[tokio::test]
async fn after_a_failover_nothing_is_read_where_the_master_was() {
    let (old, new) = (
        Stack::builder().redis().start().await.unwrap(),
        Stack::builder().redis().start().await.unwrap(),
    );
    let (old, new) = (old.redis().unwrap(), new.redis().unwrap());
    let master = Arc::new(Mutex::new(old.addr()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let to = Arc::clone(&master);
    let proxy = tokio::spawn(async move {
        loop {
            let (mut here, _) = listener.accept().await.unwrap();
            let master = to.lock().to_string();
            tokio::spawn(async move {
                let mut there = TcpStream::connect(master).await.unwrap();
                let _ = copy_bidirectional(&mut here, &mut there).await;
            });
        }
    });
    let followed = connected(format!("redis://{address}")).await;
    let routes = &followed.routes;
    set(routes, "a", "old").await.unwrap();
    assert_eq!(read(routes, "a").await.unwrap(), Some(Bytes::from("old")));
    // The commands' connection is made anew, elsewhere; that for reads is up and hears nothing of it.
    *master.lock() = new.addr();
    let clients = old.command(&["CLIENT", "LIST"]).await.unwrap().text().unwrap();
    for client in clients.lines() {
        let field = |name: &str| client.split(' ').find_map(|it| it.strip_prefix(name));
        if field("name=") != Some("seawall-reads") && field("cmd=") != Some("client|list") {
            old.command(&["CLIENT", "KILL", "ID", field("id=").unwrap()]).await.unwrap();
        }
    }
    until("it is written there", async || {
        let written = set(routes, "a", "new").await.is_ok();
        written && new.command(&["EXISTS", "a"]).await.unwrap() == Reply::Integer(1)
    })
    .await;
    let mut answered = false;
    while !answered {
        if let Ok(value) = read(routes, "a").await {
            assert_eq!(value, Some(Bytes::from("new")));
            answered = true;
        }
    }
    proxy.abort();
}

#[tokio::test]
async fn a_node_of_a_cluster_names_who_has_the_key() {
    let stack = Stack::builder().redis_cluster().start().await.unwrap();
    let followed = connected(stack.redis_cluster().unwrap().url()).await;
    let routes = &followed.routes;
    set(routes, "a", "1").await.unwrap();
    assert_eq!(read(routes, "a").await.unwrap(), Some(Bytes::from("1")));
    let node = routes.topology().node(b"a");
    let other = routes.topology().serving().into_iter().find(|it| *it != node).unwrap();
    until("another has such a connection", async || routes.to(other).unwrap().reads().is_some())
        .await;
    let way = routes.to(other).unwrap();
    let reply = way.reads().unwrap().ask(Bytes::from("a"), Instant::now() + PATIENCE).await;
    let way = routes.redirect(&reply.expect_err("elsewhere"), other).expect("it names it");
    assert_eq!(way.node(), node);
}

const PATIENCE: Duration = Duration::from_secs(30);
