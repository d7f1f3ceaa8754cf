//! What the clones of a balancer share: the view that picks read, and the
//! control behind a lock that makes it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config::BalanceConfig;
use crate::control::{Control, Entry};
use crate::error::{Error, Nodes};
use crate::node::{Common, Node};
use crate::pick::{Pick, PickOptions};
use crate::policy::{Ask, Random};
use crate::state::Shut;
use crate::view::View;

pub(crate) struct Shared<N> {
    pub(crate) config: BalanceConfig,
    pub(crate) common: Arc<Common>,
    pub(crate) random: Random,
    pub(crate) view: ArcSwap<View<N>>,
    /// When the control has something to do next; read by every pick, written seldom.
    pub(crate) due: AtomicU64,
    pub(crate) control: Mutex<Control<N>>,
    /// The set or a probe changed, which may change when the next probe is due.
    pub(crate) changed: Notify,
}

impl<N: fmt::Debug> Shared<N> {
    #[inline]
    pub(crate) fn pick(&self, options: &PickOptions<'_, N>, now: u64) -> Result<Pick<N>, Error> {
        let view = self.current(now);
        let ask = self.ask(&view, options, now);
        found(&ask).ok_or_else(|| self.refuse(&ask))
    }

    #[inline]
    pub(crate) fn try_pick(&self, options: &PickOptions<'_, N>, now: u64) -> Option<Pick<N>> {
        let view = self.current(now);
        found(&self.ask(&view, options, now))
    }

    #[inline]
    fn current(&self, now: u64) -> Guard<Arc<View<N>>> {
        if now >= self.due.load(Ordering::Relaxed) {
            self.tick(now);
        }
        self.view.load()
    }

    /// Of those that rest and fit, the one with the least to do for its weight.
    pub(crate) fn pick_resting(&self, options: &PickOptions<'_, N>, now: u64) -> Option<Pick<N>> {
        let view = self.current(now);
        let ask = self.ask(&view, options, now);
        let load = |index: &usize| {
            let weight = f64::from(view.members.weights[*index].max(1));
            f64::from(ask.node(*index).outstanding.count()) / weight
        };
        let fits =
            view.resting.iter().map(|index| *index as usize).filter(|index| ask.fits(*index));
        let index = fits.min_by(|a, b| load(a).total_cmp(&load(b)))?;
        Some(Pick::begin(&view.members.nodes[index], now))
    }

    /// Whether some open node fits.
    pub(crate) fn can_pick(&self, options: &PickOptions<'_, N>, now: u64) -> bool {
        let view = self.current(now);
        let ask = self.ask(&view, options, now);
        view.open.iter().any(|index| ask.fits(*index as usize))
    }

    /// Lets what is over be over. If another thread is at it, it is done without us.
    pub(crate) fn tick(&self, now: u64) {
        if let Some(mut control) = self.control.try_lock() {
            control.tick(self, now);
        }
    }

    /// A node failed so many times in a row that it may have to go.
    #[cold]
    pub(crate) fn struck(&self, node: &Arc<Node<N>>, now: u64) {
        self.control.lock().struck(self, node, now);
    }

    #[cold]
    pub(crate) fn saturated(&self, node: &Arc<Node<N>>, pause: Option<Duration>, now: u64) {
        let pause = pause.unwrap_or(self.config.saturated_for).min(LONGEST_PAUSE);
        self.control.lock().saturated(self, node, pause, now);
    }

    #[inline]
    fn ask<'a>(&'a self, view: &'a View<N>, options: &PickOptions<'a, N>, now: u64) -> Ask<'a, N> {
        Ask {
            view,
            settings: &self.common.settings,
            random: &self.random,
            key: options.key,
            filter: options.filter,
            now,
        }
    }

    /// Why there is none. Takes the lock, to name every node's standing.
    #[cold]
    fn refuse(&self, ask: &Ask<'_, N>) -> Error {
        let view = ask.view;
        let limit = ask.settings.max_outstanding;
        let full = |index: &u32| ask.node(*index as usize).outstanding.count() >= limit;
        let control = self.control.lock();
        let nodes = || {
            let name = |entry: &Entry<N>| format!("{:?}", entry.node.id).into();
            Nodes::new(control.entries().map(|entry| (name(entry), entry.standing(limit))))
        };
        let error = match view.shut {
            Some(Shut::NoNodes) => Error::NoNodes,
            Some(Shut::Draining) => Error::AllDraining(nodes()),
            Some(Shut::Failed) => Error::AllFailed(nodes()),
            Some(Shut::Lagging) => Error::AllLagging(nodes()),
            Some(Shut::Saturated) => Error::AllSaturated(nodes()),
            None if view.open.iter().all(full) => Error::AllSaturated(nodes()),
            None => Error::Filtered(nodes()),
        };
        self.common.stats.refused(&error);
        error
    }
}

#[inline]
fn found<N: fmt::Debug>(ask: &Ask<'_, N>) -> Option<Pick<N>> {
    let view = ask.view;
    let index = if view.shut.is_none() { view.members.picker.choose(ask) } else { None };
    index.map(|index| Pick::begin(&view.members.nodes[index], ask.now))
}

/// A node that asks for more may ask again.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
