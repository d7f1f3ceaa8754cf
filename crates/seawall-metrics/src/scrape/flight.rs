//! One render for all that ask while it runs.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::expose::Format;
use crate::handle::Handle;

/// What a render is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) format: Format,
    pub(super) gzip: bool,
}

/// Renders in the air. Requests that ask for the same while one of them renders
/// get its answer; nothing is kept for later ones.
#[derive(Debug, Default)]
pub(super) struct Flights {
    open: Mutex<Vec<(Wanted, Weak<OnceCell<Bytes>>)>>,
}

impl Flights {
    /// Dropping the future is safe: if it was the one that rendered, another
    /// that waits renders in its stead.
    pub(super) async fn answer(self: Arc<Self>, handle: Handle, wanted: Wanted) -> Bytes {
        let flight = self.join(wanted);
        flight
            .get_or_init(|| async {
                let body = render(handle, wanted).await;
                // Whoever comes from here on wants a newer answer.
                self.close(&flight);
                body
            })
            .await
            .clone()
    }

    fn join(&self, wanted: Wanted) -> Arc<OnceCell<Bytes>> {
        let mut open = self.open.lock();
        open.retain(|(_, flight)| flight.strong_count() > 0);
        let known = open.iter().find(|(of, _)| *of == wanted).and_then(|(_, it)| it.upgrade());
        known.unwrap_or_else(|| {
            let flight = Arc::new(OnceCell::new());
            open.push((wanted, Arc::downgrade(&flight)));
            flight
        })
    }

    fn close(&self, flight: &Arc<OnceCell<Bytes>>) {
        self.open.lock().retain(|(_, other)| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(flight)));
    }
}

/// Off the threads that serve requests, if there are others.
async fn render(handle: Handle, wanted: Wanted) -> Bytes {
    let again = handle.clone();
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => match runtime.spawn_blocking(move || encode(&handle, wanted)).await {
            Ok(body) => body,
            // The runtime is shutting down.
            Err(_) => encode(&again, wanted),
        },
        Err(_) => encode(&handle, wanted),
    }
}

fn encode(handle: &Handle, wanted: Wanted) -> Bytes {
    let body = handle.render_as(wanted.format);
    #[cfg(feature = "gzip")]
    if wanted.gzip {
        return super::gzip::compress(&body);
    }
    body.into()
}

#[cfg(test)]
mod tests;
