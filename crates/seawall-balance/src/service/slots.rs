//! The services behind the nodes, and which of them are ready.
//!
//! Each service is polled with a waker of its own, so that a wake-up costs a poll
//! of the service it came from, not of all. A ready service is kept ready (tower's
//! contract: once ready it says so until it is called) and looked at again only if it wakes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use foldhash::fast::RandomState;
use futures_util::task::AtomicWaker;
use tower_service::Service;

pub(super) struct Slots<N, S> {
    slots: Vec<Slot<N, S>>,
    /// Of ids into `slots`.
    index: HashMap<N, usize, RandomState>,
    /// Slots that were called since the last poll.
    called: Vec<usize>,
    task: Arc<Task>,
}

struct Slot<N, S> {
    id: N,
    service: S,
    ready: bool,
    flag: Arc<Flag>,
    waker: Waker,
}

/// The task that polls the balancing service.
#[derive(Default)]
struct Task {
    woken: AtomicBool,
    waker: AtomicWaker,
}

/// Which service woke it.
struct Flag {
    woken: AtomicBool,
    task: Arc<Task>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.task.woken.store(true, Ordering::Release);
        self.task.waker.wake();
    }
}

impl<N: Clone + Eq + Hash, S> Slots<N, S> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            index: HashMap::default(),
            called: Vec::new(),
            task: Arc::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn is_ready(&self, id: &N) -> bool {
        self.index.get(id).is_some_and(|position| self.slots[*position].ready)
    }

    /// Adds a service, or takes it in place of the one of the same id.
    pub(super) fn insert(&mut self, id: N, service: S) {
        // Woken from the start: nobody has asked it yet.
        let flag = Arc::new(Flag { woken: AtomicBool::new(true), task: Arc::clone(&self.task) });
        let waker = Waker::from(Arc::clone(&flag));
        let slot = Slot { id: id.clone(), service, ready: false, flag, waker };
        self.task.woken.store(true, Ordering::Release);
        match self.index.get(&id) {
            Some(position) => self.slots[*position] = slot,
            None => {
                self.index.insert(id, self.slots.len());
                self.slots.push(slot);
            }
        }
    }

    pub(super) fn remove(&mut self, id: &N) -> bool {
        let Some(position) = self.index.remove(id) else { return false };
        self.slots.swap_remove(position);
        if let Some(moved) = self.slots.get(position) {
            self.index.insert(moved.id.clone(), position);
        }
        // Positions have changed: let the flags tell who was called.
        self.called.clear();
        self.task.woken.store(true, Ordering::Release);
        true
    }

    /// Polls the services that woke or were called; gives the ids of those that
    /// failed, with their errors, for the caller to remove.
    pub(super) fn poll<R>(&mut self, cx: &Context<'_>) -> Vec<(N, S::Error)>
    where
        S: Service<R>,
    {
        self.task.waker.register(cx.waker());
        let mut failed = Vec::new();
        let mut look = |slot: &mut Slot<N, S>| {
            if slot.flag.woken.swap(false, Ordering::AcqRel) {
                match slot.service.poll_ready(&mut Context::from_waker(&slot.waker)) {
                    Poll::Ready(Ok(())) => slot.ready = true,
                    Poll::Pending => slot.ready = false,
                    Poll::Ready(Err(error)) => {
                        slot.ready = false;
                        failed.push((slot.id.clone(), error));
                    }
                }
            }
        };
        for position in self.called.drain(..) {
            if let Some(slot) = self.slots.get_mut(position) {
                look(slot);
            }
        }
        if self.task.woken.swap(false, Ordering::AcqRel) {
            self.slots.iter_mut().for_each(look);
        }
        failed
    }

    /// Calls a service that is ready.
    pub(super) fn call<R>(&mut self, id: &N, request: R) -> Option<S::Future>
    where
        S: Service<R>,
    {
        let position = *self.index.get(id)?;
        let slot = self.slots.get_mut(position).filter(|slot| slot.ready)?;
        slot.ready = false;
        slot.flag.woken.store(true, Ordering::Release);
        self.called.push(position);
        Some(slot.service.call(request))
    }
}
