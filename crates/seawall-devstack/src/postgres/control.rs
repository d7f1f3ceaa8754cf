//! Doing to a server what production does to it.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::{FromSqlOwned, PgLsn};

use super::{CONTROL_DEADLINE, POLL, Postgres, config};
use crate::error::Error;
use crate::process::remove_if_there;
use crate::process_table as table;
use crate::shared_memory;

impl Postgres {
    /// Stops a replica from applying the log it receives; returns when it stands
    /// still. Queries go on and see the past.
    ///
    /// # Errors
    /// [`Error::Postgres`] on a primary.
    pub async fn pause_replay(&self) -> Result<(), Error> {
        let action = "pause the replay";
        self.run("SELECT pg_wal_replay_pause()", action).await?;
        // Asking is not pausing: a record may still be on its way in.
        let paused = if self.major().await? >= 14 {
            "SELECT pg_get_wal_replay_pause_state() = 'paused'"
        } else {
            "SELECT pg_is_wal_replay_paused()"
        };
        self.until(paused, action).await
    }

    /// Lets a replica apply the log again.
    ///
    /// # Errors
    /// [`Error::Postgres`] on a primary.
    pub async fn resume_replay(&self) -> Result<(), Error> {
        self.run("SELECT pg_wal_replay_resume()", "resume the replay").await
    }

    /// Makes a replica apply each commit only when it is this old (in whole
    /// milliseconds; zero for at once, the default). Commits already waiting are
    /// released or held by the new value.
    ///
    /// # Errors
    /// [`Error::Postgres`] if the server refuses the value: at most some 24 days.
    pub async fn set_apply_delay(&self, delay: Duration) -> Result<(), Error> {
        let value = format!("{}ms", delay.as_millis());
        self.alter_system("recovery_min_apply_delay", &value).await
    }

    /// Makes a replica follow the server at `addr`: a promoted replica, or a
    /// [`Proxy`](crate::Proxy) in front of its primary, to cut or slow replication.
    /// Returns when the setting is taken; the replica connects on its own.
    ///
    /// # Errors
    /// [`Error::Postgres`] if the server cannot be told.
    pub async fn follow(&self, addr: std::net::SocketAddr) -> Result<(), Error> {
        self.alter_system("primary_conninfo", &config::conninfo(addr.port(), self.name())).await
    }

    /// Makes a replica a primary; returns when it takes writes. The old primary is
    /// left as it is, and other replicas go on following that. Of them, one that
    /// received more of the old primary's log than this one, as may be after
    /// [`kill`](Self::kill), cannot [`follow`](Self::follow) this one.
    ///
    /// # Errors
    /// [`Error::Postgres`] on a primary.
    pub async fn promote(&self) -> Result<(), Error> {
        let action = "promote the replica";
        self.value::<bool>("SELECT pg_promote(true, 10)", action).await?;
        self.until("SELECT NOT pg_is_in_recovery()", action).await
    }

    /// Shuts it down in order (fast shutdown): open transactions are rolled back,
    /// replicas get the rest of the log. Nothing happens if it is down.
    ///
    /// # Errors
    /// [`Error::Deadline`] if it has not ended after ten seconds, for instance as a
    /// frozen replica does not take the log.
    pub async fn stop(&self) -> Result<(), Error> {
        self.end(Signal::INT).await
    }

    /// Shuts it down at once (immediate shutdown), to recover at the next start.
    /// Nothing happens if it is down.
    ///
    /// # Errors
    /// [`Error::Deadline`] if it has not ended after ten seconds.
    pub async fn stop_immediate(&self) -> Result<(), Error> {
        self.end(Signal::QUIT).await
    }

    /// Kills all its processes with SIGKILL, as a machine that dies does; returns
    /// when they are gone and what they held is free. Nothing happens if it is down.
    ///
    /// # Errors
    /// [`Error::Deadline`] if a process does not go.
    pub async fn kill(&self) -> Result<(), Error> {
        match self.process().signal_all(Signal::KILL) {
            Ok(()) => self.wait_gone().await,
            Err(_) => Ok(()),
        }
    }

    /// Stops it if it is up, starts it on the same port and data, and returns when
    /// it accepts connections. A replica's primary need not be up.
    ///
    /// # Errors
    /// [`Error::Exited`] or [`Error::NotReady`], with the log, if it does not start.
    pub async fn restart(&self) -> Result<(), Error> {
        self.stop().await?;
        self.wait_gone().await?;
        self.process().spawn()?;
        self.wait_ready(START_DEADLINE, false).await
    }

    /// The end of the log that a primary has written, or that a replica has received.
    ///
    /// # Errors
    /// [`Error::Postgres`] if it cannot be asked.
    pub async fn lsn(&self) -> Result<u64, Error> {
        let sql = "SELECT coalesce(CASE WHEN pg_is_in_recovery() \
                   THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, '0/0')";
        Ok(self.value::<PgLsn>(sql, "read the log position").await?.into())
    }

    /// The position up to which a replica has applied the log, hence what its
    /// queries see; on a primary the same as [`lsn`](Self::lsn).
    ///
    /// # Errors
    /// [`Error::Postgres`] if it cannot be asked.
    pub async fn replay_lsn(&self) -> Result<u64, Error> {
        let sql = "SELECT coalesce(CASE WHEN pg_is_in_recovery() \
                   THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, '0/0')";
        Ok(self.value::<PgLsn>(sql, "read the replay position").await?.into())
    }

    /// Waits until this replica has applied all that `primary` had written when
    /// this was called.
    ///
    /// # Errors
    /// [`Error::Deadline`] if it has not within `deadline`.
    pub async fn wait_caught_up(&self, primary: &Self, deadline: Duration) -> Result<(), Error> {
        let what = "catching up with the primary";
        let reached = async {
            let target = primary.lsn().await?;
            while self.replay_lsn().await? < target {
                sleep(POLL).await;
            }
            Ok(())
        };
        timeout(deadline, reached).await.unwrap_or_else(|_| Err(self.deadline(what, deadline)))
    }

    async fn end(&self, signal: Signal) -> Result<(), Error> {
        if self.process().signal(signal).is_err() {
            return Ok(());
        }
        // A frozen server would not see it.
        let _ = self.process().signal_all(Signal::CONT);
        if self.process().wait_ended(CONTROL_DEADLINE).await {
            Ok(())
        } else {
            Err(self.deadline("the shutdown", CONTROL_DEADLINE))
        }
    }

    /// Waits until no process of this server is left, and frees what a killed
    /// postmaster leaves behind; a new one would refuse to start beside it.
    async fn wait_gone(&self) -> Result<(), Error> {
        if !self.process().wait_ended(CONTROL_DEADLINE).await {
            return Err(self.deadline("the end of the postmaster", CONTROL_DEADLINE));
        }
        let end = Instant::now() + CONTROL_DEADLINE;
        loop {
            let left = table::titled(&format!("{}:", self.title));
            if left.is_empty() {
                break;
            }
            for pid in left {
                table::signal(pid, Signal::KILL);
            }
            if Instant::now() >= end {
                return Err(self.deadline("the end of the backends", CONTROL_DEADLINE));
            }
            sleep(POLL).await;
        }
        let pid_file = self.data.join("postmaster.pid");
        while !shared_memory::release(&pid_file) && Instant::now() < end {
            sleep(POLL).await;
        }
        remove_if_there(&pid_file)
    }

    /// Sets it, reloads, and waits until new sessions show it: from then on the
    /// startup process, signalled at the same moment, has it too.
    async fn alter_system(&self, name: &str, value: &str) -> Result<(), Error> {
        let action = "change a setting";
        self.run(&format!("ALTER SYSTEM SET {name} = '{value}'"), action).await?;
        self.run("SELECT pg_reload_conf()", action).await?;
        self.until(
            &format!(
                "SELECT setting = CASE unit WHEN 'ms' THEN rtrim('{value}', 'ms') ELSE '{value}' END \
                 FROM pg_settings WHERE name = '{name}'"
            ),
            action,
        )
        .await
    }

    async fn major(&self) -> Result<i32, Error> {
        let sql = "SELECT current_setting('server_version_num')::int / 10000";
        self.value(sql, "read its version").await
    }

    /// Asks until the answer is true, over a new session each time.
    async fn until(&self, sql: &str, what: &'static str) -> Result<(), Error> {
        let end = Instant::now() + CONTROL_DEADLINE;
        while !self.value::<bool>(sql, what).await? {
            if Instant::now() >= end {
                return Err(self.deadline(what, CONTROL_DEADLINE));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Runs a statement of which only the success counts.
    async fn run(&self, sql: &str, action: &'static str) -> Result<(), Error> {
        let run = async {
            let client = self.client().await?;
            client.batch_execute(sql).await.map_err(|source| self.error(action, source))
        };
        timeout(CONTROL_DEADLINE, run)
            .await
            .unwrap_or_else(|_| Err(self.deadline(action, CONTROL_DEADLINE)))
    }

    /// The single value of a query.
    async fn value<T: FromSqlOwned>(&self, sql: &str, action: &'static str) -> Result<T, Error> {
        let run = async {
            let client = self.client().await?;
            let row = client.query_one(sql, &[]).await;
            row.and_then(|row| row.try_get(0)).map_err(|source| self.error(action, source))
        };
        timeout(CONTROL_DEADLINE, run)
            .await
            .unwrap_or_else(|_| Err(self.deadline(action, CONTROL_DEADLINE)))
    }
}

const START_DEADLINE: Duration = Duration::from_secs(30);
