use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use metrics::{Key, Label, Level, Metadata, Recorder as _};
use seawall_metrics::{Handle, MAX_WINDOW, Recorder};
use tokio::time::Instant;

use crate::parser::parse;

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);
const THREADS: u64 = 8;
const RECORDS: u64 = 100_000;

fn values(n: u64) -> f64 {
    (n % 1_000 + 1) as f64 / 1_000.0
}

#[test]
fn concurrent_records_are_all_counted_across_scrapes_and_ticks() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let counter = recorder.register_counter(&Key::from_static_name("hits_total"), &METADATA);
    let histogram = recorder.register_histogram(&Key::from_static_name("took_seconds"), &METADATA);
    let done = AtomicBool::new(false);
    let start = Instant::now();
    let now = thread::scope(|scope| {
        let scraper = scope.spawn(|| scrape_until(&handle, &done));
        let ticker = scope.spawn(|| tick_until(&handle, &done, start));
        let writers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    for n in 0..RECORDS {
                        histogram.record(values(n));
                        counter.increment(1);
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, SeqCst);
        scraper.join().unwrap();
        ticker.join().unwrap()
    });
    let total = THREADS * RECORDS;
    assert_eq!(handle.counter_value("hits_total", &[]), Some(total));
    // The ticker stayed within the longest window, so it holds everything.
    let window = handle.window_at("took_seconds", &[], MAX_WINDOW, now);
    assert_eq!(window.count, total);
    assert_eq!(window.max, 1.0);
    let sum = (THREADS * RECORDS / 1_000) as f64 * 500.5;
    assert!((window.sum - sum).abs() < 1e-6 * sum, "{}", window.sum);
    assert!((window.p50 / 0.5 - 1.0).abs() <= window.relative_error);
    assert_eq!(handle.window_at("hits_total", &[], MAX_WINDOW, now).count, total);
    let parsed = parse(&handle.render());
    let count = parsed.samples[&("took_seconds_count".into(), [].into())];
    assert_eq!(count, total as f64);
    let half = [("le".to_owned(), "0.5".to_owned())].into();
    let below = parsed.samples[&("took_seconds_bucket".into(), half)];
    assert_eq!(below, total as f64 / 2.0);
}

/// Every scrape by itself must add up, and no count may fall.
fn scrape_until(handle: &Handle, done: &AtomicBool) {
    let mut before = 0.0;
    loop {
        let last = done.load(SeqCst);
        let parsed = parse(&handle.render());
        let sample = |name: &str, labels: &[(&str, &str)]| {
            let labels = labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            parsed.samples[&(name.to_owned(), labels)]
        };
        let count = sample("took_seconds_count", &[]);
        assert_eq!(count, sample("took_seconds_bucket", &[("le", "+Inf")]));
        assert!(sample("took_seconds_bucket", &[("le", "0.1")]) <= count);
        assert!(count >= before, "{count} after {before}");
        before = count;
        if last {
            return;
        }
    }
}

fn tick_until(handle: &Handle, done: &AtomicBool, start: Instant) -> Instant {
    let mut now = start;
    while !done.load(SeqCst) {
        if now < start + Duration::from_secs(290) {
            now += Duration::from_secs(1);
        }
        handle.tick(now);
        let window = handle.window_at("took_seconds", &[], Duration::from_secs(10), now);
        assert!(window.count <= THREADS * RECORDS);
        thread::yield_now();
    }
    now
}

#[test]
fn threads_that_register_at_once_share_their_series() {
    let (recorder, handle) = Recorder::builder().max_series(50).build().unwrap();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for n in 0..1_000 {
                    let label = Label::new("n", (n % 100).to_string());
                    let key = Key::from_parts("hits_total", vec![label]);
                    recorder.register_counter(&key, &METADATA).increment(1);
                }
            });
        }
    });
    assert_eq!(handle.counter_value("hits_total", &[]), Some(THREADS * 1_000));
    let series = handle.series();
    assert_eq!(series.iter().filter(|s| s.name == "hits_total").count(), 51);
}

#[test]
fn more_threads_than_there_are_parts_for_lose_nothing() {
    // 256 threads have a part of their own, the others share one.
    let threads = 300;
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let counter = recorder.register_counter(&Key::from_static_name("hits_total"), &METADATA);
    let histogram = recorder.register_histogram(&Key::from_static_name("took_seconds"), &METADATA);
    let all_alive = Barrier::new(threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..2 {
                    (0..200).for_each(|_| counter.increment(1));
                    (0..50).for_each(|_| histogram.record(0.5));
                    // Nobody ends before everybody has begun.
                    all_alive.wait();
                }
            });
        }
    });
    assert_eq!(handle.counter_value("hits_total", &[]), Some(threads as u64 * 400));
    let parsed = parse(&handle.render());
    let read = |name: &str| parsed.samples[&(name.to_owned(), [].into())];
    assert_eq!(read("took_seconds_count"), threads as f64 * 100.0);
    assert_eq!(read("took_seconds_sum"), threads as f64 * 50.0);
}

#[test]
fn ten_thousand_short_threads_lose_nothing_they_recorded() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let counter = recorder.register_counter(&Key::from_static_name("hits_total"), &METADATA);
    let histogram = recorder.register_histogram(&Key::from_static_name("took_seconds"), &METADATA);
    for _ in 0..1_000 {
        thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    counter.increment(1);
                    histogram.record(0.5);
                });
            }
        });
    }
    assert_eq!(handle.counter_value("hits_total", &[]), Some(10_000));
    let parsed = parse(&handle.render());
    assert_eq!(parsed.samples[&("took_seconds_count".into(), [].into())], 10_000.0);
}

#[test]
fn a_task_that_moves_from_thread_to_thread_keeps_its_count() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let counter = recorder.register_counter(&Key::from_static_name("hits_total"), &METADATA);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let counter = counter.clone();
                tokio::spawn(async move {
                    for _ in 0..200 {
                        counter.increment(1);
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(handle.counter_value("hits_total", &[]), Some(10_000));
}
