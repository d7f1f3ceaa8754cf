//! What the person at the terminal sees: a bar for long work, a line for each
//! finished step. Bars hide by themselves when the output is not a terminal.

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// One step of the set-up: a spinner or a bar, and a line when it is done.
#[derive(Debug)]
pub struct Step {
    bar: ProgressBar,
    name: &'static str,
    start: Instant,
}

impl Step {
    /// A step of unknown length.
    pub fn spin(name: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(name);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, name, start: Instant::now() }
    }

    /// A step of `length` units.
    pub fn count(name: &'static str, length: u64, template: &str) -> Self {
        // A template that does not parse leaves the plain bar.
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bar = ProgressBar::new(length).with_style(style).with_message(name);
        Self { bar, name, start: Instant::now() }
    }

    pub fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// Ends the step with a line that stays.
    pub fn done(self, note: &str) {
        self.bar.finish_and_clear();
        say(&format!("{:<12}{note} ({:.1} s)", self.name, self.start.elapsed().as_secs_f64()));
    }
}

/// Prints text as it is. Nobody listening (`| head`) is no reason to end.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints an error and the chain of its causes.
pub fn explain(error: &dyn Error) {
    let mut out = std::io::stderr();
    let _ = writeln!(out, "error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = writeln!(out, "  because: {error}");
        cause = error.source();
    }
}
