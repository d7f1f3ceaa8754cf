//! One way of one connection: read, hold for as long as the faults say, write.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::Counters;
use super::faults::{Faults, Way};

/// Both sides of the connection are to be reset.
#[derive(Debug)]
pub(super) struct Reset;

/// When one way of a proxy, which all connections share, is free to send again.
#[derive(Debug, Default)]
pub(super) struct Lane(Mutex<Option<Instant>>);

#[derive(Debug)]
pub(super) struct Pump {
    way: Way,
    number: u64,
    faults: watch::Receiver<Faults>,
    lane: Arc<Lane>,
    counters: Arc<Counters>,
}

/// What was read, and when.
struct Arrival {
    at: Instant,
    /// This chunk's share of the jitter, from 0 to 1.
    jitter: f64,
    what: What,
}

enum What {
    Bytes(Vec<u8>),
    End,
    Reset,
}

impl Pump {
    pub(super) fn new(
        way: Way,
        number: u64,
        faults: watch::Receiver<Faults>,
        lane: Arc<Lane>,
        counters: Arc<Counters>,
    ) -> Self {
        Self { way, number, faults, lane, counters }
    }

    /// Runs until the end of the stream has been passed on.
    pub(super) async fn run(mut self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), Reset> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let seed = Seeded::new(self.number, self.way);
        let reading = read(from, sender, seed, self.faults.clone());
        let writing = self.write(receiver, to);
        tokio::pin!(writing);
        tokio::select! {
            // Whoever writes in vain need not wait for more to read.
            result = &mut writing => result,
            () = reading => writing.await,
        }
    }

    async fn write(
        &mut self,
        mut arrivals: mpsc::Receiver<Arrival>,
        mut to: WriteHalf<'_>,
    ) -> Result<(), Reset> {
        while let Some(arrival) = arrivals.recv().await {
            self.wait_due(arrival.at, arrival.jitter).await;
            self.wait_open(self.way).await;
            match arrival.what {
                What::Bytes(bytes) => {
                    if self.deliver(&bytes, &mut to).await.is_err() {
                        // The news travels back, if anything does.
                        self.wait_open(self.way.back()).await;
                        return Err(Reset);
                    }
                }
                What::End => return to.shutdown().await.map_err(|_| Reset),
                What::Reset => return Err(Reset),
            }
        }
        Ok(())
    }

    async fn deliver(&mut self, bytes: &[u8], to: &mut WriteHalf<'_>) -> std::io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let slice = self.wait_turn(rest.len()).await;
            self.wait_open(self.way).await;
            let (now, later) = rest.split_at(slice);
            to.write_all(now).await?;
            self.counters.delivered(self.way).fetch_add(slice as u64, Ordering::Relaxed);
            rest = later;
        }
        Ok(())
    }

    /// Waits out the latency and the jitter, by the faults as they are meanwhile.
    async fn wait_due(&mut self, at: Instant, jitter: f64) {
        loop {
            let faults = *self.faults.borrow_and_update();
            let jitter = faults.jitter.as_secs_f64() * jitter;
            let jitter = Duration::try_from_secs_f64(jitter).unwrap_or(Duration::MAX);
            let due = at.checked_add(faults.latency.saturating_add(jitter));
            tokio::select! {
                () = reached(due) => return,
                () = changed(&mut self.faults) => {}
            }
        }
    }

    /// Waits while nothing may pass that way.
    async fn wait_open(&mut self, way: Way) {
        while self.faults.borrow_and_update().closes(way) {
            changed(&mut self.faults).await;
        }
    }

    /// Waits for the lane to have sent at most that many bytes; says how many.
    async fn wait_turn(&mut self, length: usize) -> usize {
        loop {
            let faults = *self.faults.borrow_and_update();
            let Some(bandwidth) = faults.bandwidth_bytes_per_s else {
                return length;
            };
            // Small slices, so that connections take turns.
            let most = usize::try_from(bandwidth / SLICES_PER_S).unwrap_or(usize::MAX);
            let slice = most.clamp(1, length);
            let sent = self.lane.occupy(slice, bandwidth.max(1));
            tokio::select! {
                () = sleep_until(sent) => return slice,
                () = changed(&mut self.faults) => {}
            }
        }
    }
}

impl Lane {
    /// Forgets what is still being sent, as for a new bandwidth.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// When that many bytes will have been sent after all those before them.
    fn occupy(&self, bytes: usize, bandwidth: u64) -> Instant {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let took = Duration::from_secs_f64(bytes as f64 / bandwidth as f64);
        let sent = free.map_or(now, |free| free.max(now)) + took;
        *free = Some(sent);
        sent
    }
}

async fn read(
    mut from: ReadHalf<'_>,
    arrivals: mpsc::Sender<Arrival>,
    mut seeded: Seeded,
    faults: watch::Receiver<Faults>,
) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let what = match from.read(&mut buffer).await {
            Ok(0) => What::End,
            Ok(length) => What::Bytes(buffer[..length].to_vec()),
            Err(_) => What::Reset,
        };
        let last = !matches!(what, What::Bytes(_));
        let now = *faults.borrow();
        // Chunks without jitter leave the sequence where it is.
        let jitter = if now.jitter.is_zero() { 0.0 } else { seeded.next(now.seed) };
        let arrival = Arrival { at: Instant::now(), jitter, what };
        if arrivals.send(arrival).await.is_err() || last {
            return;
        }
    }
}

/// A generator that starts over when its seed changes.
struct Seeded {
    stream: u64,
    seed: u64,
    generator: StdRng,
}

impl Seeded {
    fn new(number: u64, way: Way) -> Self {
        let stream = number * 2 + way as u64;
        Self { stream, seed: 0, generator: Self::generator(0, stream) }
    }

    fn next(&mut self, seed: u64) -> f64 {
        if seed != self.seed {
            self.seed = seed;
            self.generator = Self::generator(seed, self.stream);
        }
        self.generator.random()
    }

    fn generator(seed: u64, stream: u64) -> StdRng {
        // An odd factor spreads neighbouring streams over the seeds.
        StdRng::seed_from_u64(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// Resolves at that time; never for a time past the end of the clock.
async fn reached(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Resolves at the next change; never after the proxy is gone, which ends the
/// connection by itself.
async fn changed(faults: &mut watch::Receiver<Faults>) {
    if faults.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

const CHUNK: usize = 16 * 1024;
/// Chunks held: 4 MiB.
const QUEUE: usize = 256;
const SLICES_PER_S: u64 = 100;
