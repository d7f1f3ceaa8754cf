//! One render for all that ask while it runs.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::alias::Aliases;
use crate::expose::Format;
use crate::handle::Handle;

/// What a render is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) format: Format,
    pub(super) gzip: bool,
}

/// Renders in the air. Requests that ask for the same while one renders get its
/// answer; nothing is kept for later ones. A render goes on when those who asked
/// for it have gone, and serves who comes next: however many ask and go away,
/// no more than one of a kind runs.
#[derive(Debug, Default)]
pub(super) struct Flights {
    pub(super) aliases: Aliases,
    open: Mutex<Vec<(Wanted, Answer)>>,
}

type Answer = watch::Receiver<Option<Bytes>>;

impl Flights {
    pub(super) fn with(aliases: Aliases) -> Self {
        Self { aliases, open: Mutex::default() }
    }

    /// Dropping the future is safe: the render goes on.
    pub(super) async fn answer(self: Arc<Self>, handle: Handle, wanted: Wanted) -> Bytes {
        let mut answer = self.join(&handle, wanted);
        if let Ok(body) = answer.wait_for(Option::is_some).await
            && let Some(body) = &*body
        {
            return body.clone();
        }
        // Nobody renders any more: the runtime is shutting down.
        self.encode(&handle, wanted)
    }

    fn join(self: &Arc<Self>, handle: &Handle, wanted: Wanted) -> Answer {
        let mut open = self.open.lock();
        if let Some((_, answer)) = open.iter().find(|(of, _)| *of == wanted) {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        open.push((wanted, answer.clone()));
        drop(open);
        let landing = Landing { flights: self.clone(), wanted };
        let handle = handle.clone();
        let render = move || {
            let body = landing.flights.encode(&handle, wanted);
            // Whoever comes from here on wants a newer answer.
            drop(landing);
            sender.send_replace(Some(body));
        };
        // Off the threads that serve requests, if there are others.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(render)),
            Err(_) => render(),
        }
        answer
    }

    fn encode(&self, handle: &Handle, wanted: Wanted) -> Bytes {
        let body = handle.render_as_with(wanted.format, &self.aliases);
        #[cfg(feature = "gzip")]
        if wanted.gzip {
            return super::gzip::compress(&body);
        }
        body.into()
    }
}

/// Lets nobody join any more, also if the render panics or is never run.
struct Landing {
    flights: Arc<Flights>,
    wanted: Wanted,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.flights.open.lock().retain(|(of, _)| *of != self.wanted);
    }
}

#[cfg(test)]
mod tests;
