use std::io::{self, BufRead, Write};

use super::{Entry, LogSink};

/// A log as JSON, one entry a line. What cannot be written is counted, and
/// warned of once: a full disk must not stop a group from scaling.
#[derive(Debug)]
pub struct JsonLines<W> {
    writer: W,
    lost: u64,
    /// Whether a cut line may come before the next one.
    torn: bool,
}

/// Why a log cannot be read or replayed. Trying again is pointless, but for
/// [`Io`](Self::Io).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file cannot be read.
    #[error("line {line}: cannot be read")]
    Io {
        /// From 1.
        line: usize,
        /// Why.
        source: io::Error,
    },
    /// A line is no entry. The last line of a process that was killed may be
    /// cut; all before it are good.
    #[error("line {line}: is no entry of a log")]
    Line {
        /// From 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// The log was written by another version.
    #[error("entry {entry}: format {version}, must be 1 or 2")]
    Version {
        /// From 0.
        entry: usize,
        /// Its format.
        version: u32,
    },
    /// The first entry is not the beginning.
    #[error("entry 0: must be the start of a log")]
    NoStart,
}

impl LogError {
    /// Whether trying again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}

impl<W: Write> JsonLines<W> {
    /// Writes to `writer`, a line at a time: wrap a file in a
    /// [`BufWriter`](io::BufWriter) if the last lines may be lost in a crash.
    ///
    /// It begins with an empty line, so that a file that a killed process left
    /// with half a line can be gone on with.
    #[must_use]
    pub fn new(writer: W) -> Self {
        Self { writer, lost: 0, torn: true }
    }

    /// Entries that could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The writer.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        if self.torn {
            // What comes after half a line would be lost with it.
            self.writer.write_all(b"\n")?;
        }
        self.torn = true;
        self.writer.write_all(&line)?;
        self.torn = false;
        Ok(())
    }
}

impl<W: Write + Send> LogSink for JsonLines<W> {
    fn entry(&mut self, entry: Entry) {
        let Err(error) = self.write(&entry) else { return };
        if self.lost == 0 {
            tracing::warn!(%error, "the log of decisions has holes: it will not replay");
        }
        self.lost += 1;
        metrics::counter!(LOST).increment(1);
    }
}

/// The entries of a file of JSON lines; empty lines are passed over.
pub fn read(reader: impl BufRead) -> impl Iterator<Item = Result<Entry, LogError>> {
    // By bytes: a line that is cut within a letter is no text.
    let lines = reader.split(b'\n').enumerate().map(|(index, text)| (index + 1, text));
    lines.filter_map(|(line, text)| match text {
        Err(source) => Some(Err(LogError::Io { line, source })),
        Ok(text) if text.trim_ascii().is_empty() => None,
        Ok(text) => {
            let entry = serde_json::from_slice(&text);
            Some(entry.map_err(|source| LogError::Line { line, source }))
        }
    })
}

const LOST: &str = "seawall_scale_log_lost_total";
