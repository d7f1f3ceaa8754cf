//! A service of so many workers, with a line in front of them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tower::{Service, service_fn};

use crate::Body;

/// How long a worker takes, on average, as exponentially distributed.
pub(crate) const WORK: Duration = Duration::from_millis(40);
pub(crate) const WORKERS: usize = 20;

type Job = oneshot::Sender<()>;

/// Its end of the line; the workers go when it does.
#[derive(Clone)]
pub(crate) struct Workers {
    line: mpsc::UnboundedSender<Job>,
    done: Arc<AtomicU64>,
}

impl Workers {
    /// As many of them work as `at_work` says.
    pub(crate) fn start(at_work: &watch::Receiver<usize>, seed: u64) -> Self {
        let (line, jobs) = mpsc::unbounded_channel();
        let (jobs, done) = (Arc::new(Mutex::new(jobs)), Arc::<AtomicU64>::default());
        for worker in 0..WORKERS {
            let random = StdRng::seed_from_u64(seed * 1_000 + worker as u64);
            tokio::spawn(work(
                worker,
                at_work.clone(),
                Arc::clone(&jobs),
                Arc::clone(&done),
                random,
            ));
        }
        Self { line, done }
    }

    /// How many requests were worked on to the end.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(crate) fn service(
        &self,
    ) -> impl Service<
        Request<Body>,
        Response = Response<Body>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static {
        let line = self.line.clone();
        service_fn(move |_: Request<Body>| {
            let (done, answer) = oneshot::channel();
            let sent = line.send(done);
            async move {
                if sent.is_ok() {
                    let _ = answer.await;
                }
                Ok(Response::new(Body::new()))
            }
        })
    }
}

async fn work(
    worker: usize,
    mut at_work: watch::Receiver<usize>,
    jobs: Arc<Mutex<mpsc::UnboundedReceiver<Job>>>,
    done: Arc<AtomicU64>,
    mut random: StdRng,
) {
    loop {
        if at_work.wait_for(|count| worker < *count).await.is_err() {
            return;
        }
        let job = jobs.lock().await.recv().await;
        let Some(job) = job else { return };
        let share = -(1.0 - random.random::<f64>()).ln();
        tokio::time::sleep(WORK.mul_f64(share)).await;
        done.fetch_add(1, Ordering::Relaxed);
        let _ = job.send(());
    }
}
