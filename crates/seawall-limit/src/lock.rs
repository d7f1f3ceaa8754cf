//! The shard's lock, in one place: `tests/loom_table.rs` puts loom's here.
//!
//! A spinning lock is given back by a plain store, where one that can park
//! exchanges: a fifth of a decision's time. Under it there are some ten
//! nanoseconds of arithmetic on a few cache lines, no call that can block or
//! allocate, and no code of the user; only counting what is in use, for gauges, looks at
//! a whole shard. Whoever finds it taken spins for about as
//! long, then lets others run: the holder may have lost its processor.

use std::hint;
use std::thread;

use spinning_top::Spinlock;
pub(crate) use spinning_top::guard::SpinlockGuard as MutexGuard;

pub(crate) struct Mutex<T>(Spinlock<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Spinlock::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.try_lock() {
            Some(guard) => guard,
            None => self.wait(),
        }
    }

    #[cold]
    fn wait(&self) -> MutexGuard<'_, T> {
        loop {
            for _ in 0..SPINS {
                // Looks before it tries: looking leaves the holder its cache line.
                if !self.0.is_locked()
                    && let Some(guard) = self.0.try_lock()
                {
                    return guard;
                }
                hint::spin_loop();
            }
            thread::yield_now();
        }
    }
}

const SPINS: usize = 64;
