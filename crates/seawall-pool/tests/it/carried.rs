//! What a user has written and seen, from request to request.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderValue, Request, Response};
use seawall_pool::{Causal, CausalLayer, Error, Pool, PoolConfig};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{admin, config, is_up, millis, node, secs, stack, until};

/// A browser, and a service that is asked to `write`, or else for what there is.
struct User {
    pool: Pool,
    layer: CausalLayer,
    cookie: Option<HeaderValue>,
}

/// What a handler does.
#[derive(Clone, Copy)]
enum Act {
    /// In a way that does not tell its position.
    WriteMany,
    /// And has no time to wait for the end.
    WriteAndLeave,
    Write,
    Count,
}

impl User {
    async fn ask(&mut self, act: Act) -> (i64, String) {
        let mut request = Request::new(());
        request.headers_mut().extend(self.cookie.clone().map(|cookie| (COOKIE, cookie)));
        let pool = &self.pool;
        let handler = service_fn(async |request: Request<()>| {
            let causal = request.extensions().get::<Causal>().unwrap();
            let write = || pool.write().causal(causal);
            let insert = "INSERT INTO note SELECT $1::int FROM pg_sleep($2::float8)";
            match act {
                Act::WriteMany => {
                    write().query_each(insert, &[&[&1i32, &0f64], &[&2i32, &0f64]]).await?;
                }
                Act::WriteAndLeave => {
                    let left = write().execute(insert, &[&1i32, &600f64]);
                    tokio::time::timeout(millis(200), left).await.unwrap_err();
                }
                Act::Write => drop(write().execute(insert, &[&1i32, &0f64]).await?),
                Act::Count => {}
            }
            let read = pool.read().causal(causal);
            let at = match act {
                Act::Count => Some(read.query_at("SELECT count(*) FROM note", &[]).await?),
                _ => None,
            };
            let found = at.map(|at| (at.value[0].get::<_, i64>(0), at.node.to_string()));
            Ok::<_, Error>(Response::new(found.unwrap_or_default()))
        });
        let response = self.layer.layer(handler).oneshot(request).await.unwrap();
        if let Some(line) = response.headers().get(SET_COOKIE) {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(HeaderValue::try_from(pair).unwrap());
        }
        response.into_body()
    }
}

#[tokio::test]
async fn the_next_request_after_a_write_of_unknown_position_reads_on_the_primary() {
    let stack = stack(1).await;
    admin(stack.primary().unwrap(), "CREATE TABLE note (id int)").await;
    let replica = stack.replica(0).unwrap();
    let config = PoolConfig { catch_up_wait: millis(1), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    until("it serves", secs(20), async || is_up(&pool, "replica-1")).await;
    let layer = CausalLayer::cookie("seen", b"a key of thirty-two bytes or more").unwrap();
    let mut user = User { pool: pool.clone(), layer, cookie: None };
    until("the table is there", secs(20), async || {
        pool.read().query("SELECT FROM note", &[]).await.is_ok()
            && node(&pool, "replica-1").served.reads > 0
    })
    .await;

    replica.pause_replay().await.unwrap();
    user.ask(Act::WriteMany).await;
    assert!(user.cookie.is_some(), "something is to be carried");
    assert_eq!(user.ask(Act::Count).await, (2, "primary".to_owned()));
    // Its position is known now, and the replica does not have it.
    assert_eq!(user.ask(Act::Count).await, (2, "primary".to_owned()));
    replica.resume_replay().await.unwrap();
    let mut served = String::new();
    until("the replica serves again", secs(20), async || {
        let (count, node) = user.ask(Act::Count).await;
        assert_eq!(count, 2);
        served = node;
        served == "replica-1"
    })
    .await;

    // What may still be running no read covers, but the next write does.
    user.ask(Act::WriteAndLeave).await;
    for _ in 0..3 {
        assert_eq!(user.ask(Act::Count).await.1, "primary");
    }
    user.ask(Act::Write).await;
    until("the replica serves again", secs(20), async || {
        user.ask(Act::Count).await.1 == "replica-1"
    })
    .await;
}
