use std::time::Duration;

use seawall_metrics::{Error, Recorder};

/// The only test here that touches the global recorder.
#[tokio::test(start_paused = true)]
async fn an_installed_recorder_hears_the_macros_and_ticks_by_itself() {
    let handle = Recorder::builder().install().unwrap();
    let second = Recorder::builder().install();
    assert!(matches!(second, Err(Error::AlreadyInstalled)));
    metrics::histogram!("took_seconds").record(0.25);
    tokio::time::sleep(Duration::from_secs(5)).await;
    metrics::histogram!("took_seconds").record(0.5);
    // Far enough for the first value only to have left, if the task ticked.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let window = handle.window("took_seconds", &[], Duration::from_secs(10));
    assert_eq!((window.count, window.max), (1, 0.5));
    assert!(handle.render().contains("took_seconds_count 2\n"));
}
