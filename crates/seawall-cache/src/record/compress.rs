//! zstd, with a bound on what may come out.

use super::Damage;

/// `bytes` compressed, if that makes them smaller.
#[cfg(feature = "zstd")]
pub(super) fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        let compressed = compressor.as_mut()?.compress(bytes).ok()?;
        (compressed.len() < bytes.len()).then_some(compressed)
    })
}

/// What was compressed. Its size is read from the frame and compared with `max` before any of it
/// is allocated; a frame that lies about its size fails.
#[cfg(feature = "zstd")]
pub(super) fn decompress(bytes: &[u8], max: usize) -> Result<Vec<u8>, Damage> {
    let stated = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
    let size = usize::try_from(stated.ok_or(Damage::Compression)?).unwrap_or(usize::MAX);
    if size > max {
        return Err(Damage::TooLarge);
    }
    let decompressed = DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let decompressor = decompressor.as_mut().ok_or(Damage::Compression)?;
        decompressor.decompress(bytes, size).map_err(|_| Damage::Compression)
    })?;
    if decompressed.len() == size { Ok(decompressed) } else { Err(Damage::Compression) }
}

#[cfg(not(feature = "zstd"))]
pub(super) fn compress(_bytes: &[u8]) -> Option<Vec<u8>> {
    None
}

#[cfg(not(feature = "zstd"))]
pub(super) fn decompress(_bytes: &[u8], _max: usize) -> Result<Vec<u8>, Damage> {
    Err(Damage::Compression)
}

#[cfg(feature = "zstd")]
thread_local! {
    // One of each a thread: making one costs more than compressing a small value.
    static COMPRESSOR: std::cell::RefCell<Option<zstd::bulk::Compressor<'static>>> =
        std::cell::RefCell::new(zstd::bulk::Compressor::new(LEVEL).ok());
    static DECOMPRESSOR: std::cell::RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        std::cell::RefCell::new(zstd::bulk::Decompressor::new().ok());
}

/// The fastest of zstd's ordinary levels: a cache writes far more often than space is dear.
#[cfg(feature = "zstd")]
const LEVEL: i32 = 1;
