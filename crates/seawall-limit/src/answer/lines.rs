//! Field values that were made before.

use std::sync::OnceLock;

use http::HeaderValue;

/// A value for each number up to a limit, made when it is first asked for and
/// shared from then on: an admitted request's field depends on what is left, and
/// the time that goes with it as a rule on that, so in the long run none is made
/// anew.
///
/// Takes 8 bytes for each 64 numbers and, for those 64 of which one was asked
/// for, 3.5 KiB; at most 1.5 MB or so a policy, texts included.
pub(crate) struct Lines {
    chunks: Box<[OnceLock<Box<Chunk>>]>,
}

/// The seconds that a value names, and the value.
type Chunk = [OnceLock<(u64, HeaderValue)>; CHUNK];

impl Lines {
    pub(crate) fn new(limit: u32) -> Self {
        let chunks = limit.min(MOST) as usize / CHUNK + 1;
        Self { chunks: (0..chunks).map(|_| OnceLock::new()).collect() }
    }

    /// The value for a number and the seconds that go with it. If others went
    /// with it the first time, it is made anew.
    pub(crate) fn get(
        &self,
        number: u32,
        seconds: u64,
        make: impl FnOnce() -> Option<HeaderValue>,
    ) -> Option<HeaderValue> {
        let number = number as usize;
        let Some(chunk) = self.chunks.get(number / CHUNK) else { return make() };
        let chunk = chunk.get_or_init(|| Box::new([const { OnceLock::new() }; CHUNK]));
        let line = chunk.get(number % CHUNK)?;
        match line.get() {
            Some((kept, value)) if *kept == seconds => return Some(value.clone()),
            Some(_) => return make(),
            None => {}
        }
        // Two at once make the same; one of them is kept.
        let value = make()?;
        let _ = line.set((seconds, value.clone()));
        Some(value)
    }
}

const CHUNK: usize = 64;
/// Numbers above are rare and made anew.
const MOST: u32 = 16_384;

#[cfg(test)]
mod tests;
