//! A number that no other living thread has, so that what is kept under it has
//! a single writer and needs no locked instruction.
//!
//! A thread takes the lowest free number when it first records and gives it
//! back when it ends. What was written under a number stays where it is and the
//! next holder goes on from there: a thread that ends leaves nothing to be
//! collected. The mutex around the free numbers orders the writes of one holder
//! before those of the next.
//!
//! A thread has no number ([`SHARED`]) if all are taken, while it makes storage
//! (a global allocator may count what it allocates), and once its thread-locals
//! are being destroyed. It then records by read-modify-write.

use std::cell::Cell;

use parking_lot::Mutex;

/// Stands for "no number": more than any number.
pub(crate) const SHARED: u32 = u32::MAX;

/// Numbers run from 1 to this.
pub(crate) const LAST: u32 = WORDS as u32 * 64;

/// The number of this thread if it has one already, without looking further.
#[inline]
pub(crate) fn peek() -> u32 {
    SLOT.with(Cell::get)
}

/// The number of this thread, taken now if it has none yet.
#[inline]
pub(crate) fn slot() -> u32 {
    match peek() {
        UNSET => lease(),
        slot => slot,
    }
}

/// Which of a few stripes this thread writes to, where stripes are shared:
/// any number, to be taken modulo their number.
#[cfg(feature = "tower")]
#[inline]
pub(crate) fn stripe() -> usize {
    slot() as usize
}

/// Stripes for this machine: the parallelism rounded up to a power of two, at
/// most 16.
#[cfg(feature = "tower")]
pub(crate) fn stripe_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(MAX_STRIPES)
}

/// Runs `make` with the thread's number put away: whatever `make` records, in an
/// allocator for instance, goes the shared way and cannot come back here.
pub(crate) fn suspended<T>(make: impl FnOnce() -> T) -> T {
    struct Restore(u32);
    impl Drop for Restore {
        fn drop(&mut self) {
            SLOT.set(self.0);
        }
    }
    let _restore = Restore(SLOT.replace(SHARED));
    make()
}

#[cold]
fn lease() -> u32 {
    // Stays so if there is no number to be had.
    SLOT.set(SHARED);
    if LEASE.try_with(|_| ()).is_err() {
        return SHARED;
    }
    let slot = take(&mut FREE.lock());
    SLOT.set(slot);
    slot
}

fn take(free: &mut [u64; WORDS]) -> u32 {
    for (at, word) in free.iter_mut().enumerate() {
        if *word != 0 {
            let bit = word.trailing_zeros();
            *word &= *word - 1;
            return at as u32 * 64 + bit + 1;
        }
    }
    SHARED
}

fn give_back(free: &mut [u64; WORDS], slot: u32) {
    if let Some(at) = slot.checked_sub(1)
        && let Some(word) = free.get_mut(at as usize / 64)
    {
        *word |= 1 << (at % 64);
    }
}

/// Gives the number back when the thread ends.
struct Lease;

impl Drop for Lease {
    fn drop(&mut self) {
        let slot = SLOT.replace(SHARED);
        if slot != SHARED {
            give_back(&mut FREE.lock(), slot);
        }
    }
}

const UNSET: u32 = u32::MAX - 1;
const WORDS: usize = 4;
#[cfg(feature = "tower")]
const MAX_STRIPES: usize = 16;

static FREE: Mutex<[u64; WORDS]> = Mutex::new([u64::MAX; WORDS]);

thread_local! {
    static SLOT: Cell<u32> = const { Cell::new(UNSET) };
    static LEASE: Lease = const { Lease };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_given_to_one_holder_only_and_the_lowest_first() {
        let mut free = [u64::MAX; WORDS];
        let all: Vec<u32> = (0..LAST).map(|_| take(&mut free)).collect();
        assert!(all.iter().copied().eq(1..=LAST));
        assert_eq!(take(&mut free), SHARED);
        give_back(&mut free, 200);
        give_back(&mut free, 7);
        assert_eq!((take(&mut free), take(&mut free), take(&mut free)), (7, 200, SHARED));
    }

    #[test]
    fn a_thread_that_ended_gives_its_number_back() {
        let mut highest = 0;
        for _ in 0..LAST * 4 {
            highest = highest.max(std::thread::spawn(slot).join().unwrap());
        }
        // The threads of other tests hold some, not nearly all.
        assert!(highest <= LAST, "numbers leak: {highest}");
    }

    #[test]
    fn what_is_recorded_while_storage_is_made_goes_the_shared_way() {
        let mine = slot();
        assert_eq!(suspended(|| (slot(), suspended(slot))), (SHARED, SHARED));
        assert_eq!(slot(), mine);
    }

    #[test]
    fn a_panic_while_storage_is_made_does_not_cost_the_thread_its_number() {
        let mine = slot();
        let panicked = std::panic::catch_unwind(|| suspended(|| panic!("no memory")));
        assert!(panicked.is_err());
        assert_eq!(slot(), mine);
    }
}
