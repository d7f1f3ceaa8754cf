//! What a session has seen it goes on seeing.

use seawall_pool::{Causal, NodeConfig, Pool, PoolConfig, Route, Token};

use crate::support::{admin, config, count, secs, stack, until};

/// Where the second read of a session begins.
enum Memory {
    Causal(Causal),
    Seen(Option<Token>),
}

impl Memory {
    async fn read(&mut self, route: Route<'_>, sql: &str) -> i64 {
        match self {
            Self::Causal(causal) => route.causal(causal).query_one(sql, &[]).await.unwrap().get(0),
            Self::Seen(token) => {
                let at = route.after(*token).query_at(sql, &[]).await.unwrap();
                *token = Some(at.seen);
                at.value[0].get(0)
            }
        }
    }
}

#[tokio::test]
async fn a_commit_that_comes_between_position_and_snapshot_stays_seen() {
    let stack = stack(2).await;
    let (primary, first, second) =
        (stack.primary().unwrap(), stack.replica(0).unwrap(), stack.replica(1).unwrap());
    let tagged = |url, tag: &str| NodeConfig { tags: vec![tag.into()], ..NodeConfig::new(url) };
    let replicas = vec![tagged(first.url(), "first"), tagged(second.url(), "second")];
    let pool = Pool::connect(PoolConfig { replicas, ..config(&stack) }).await.unwrap();
    admin(
        primary,
        "CREATE TABLE tally (n bigint); INSERT INTO tally VALUES (0); \
         CREATE FUNCTION late_read() RETURNS bigint VOLATILE LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(0.5); RETURN (SELECT n FROM tally); END $$",
    )
    .await;
    for (round, mut memory) in [(1, Memory::Causal(Causal::new())), (2, Memory::Seen(None))] {
        first.wait_caught_up(primary, secs(20)).await.unwrap();
        second.wait_caught_up(primary, secs(20)).await.unwrap();
        second.pause_replay().await.unwrap();
        // The position is read, then a commit arrives, then the function looks at the table.
        let commit = async {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
            until("the reader is on its way", secs(20), async || count(first, sql).await > 0).await;
            admin(primary, "UPDATE tally SET n = n + 1").await;
        };
        let late = memory.read(pool.read().tag("first"), "SELECT late_read()");
        let (seen, ()) = tokio::join!(late, commit);
        assert_eq!(seen, round, "the commit was to come in time");
        let again = memory.read(pool.read().tag("second"), "SELECT n FROM tally").await;
        assert_eq!(again, round, "what was seen is gone");
        second.resume_replay().await.unwrap();
    }
}
