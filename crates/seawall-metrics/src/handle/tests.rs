use metrics::{Counter, Histogram, Key, Level, Metadata, Recorder as _};
use tokio::time::advance;

use super::*;
use crate::Recorder;

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);

fn recorder() -> (Recorder, Handle) {
    Recorder::builder().build().unwrap()
}

fn histogram(recorder: &Recorder, name: &'static str, route: &'static str) -> Histogram {
    let key = Key::from_parts(name, vec![metrics::Label::from_static_parts("route", route)]);
    recorder.register_histogram(&key, &METADATA)
}

fn counter(recorder: &Recorder, name: &'static str) -> Counter {
    recorder.register_counter(&Key::from_static_name(name), &METADATA)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn count_quantiles_and_maximum_leave_the_window_together() {
    let (recorder, handle) = recorder();
    tokio::spawn(handle.clone().run());
    tokio::task::yield_now().await;
    histogram(&recorder, "took_seconds", "/x").record(2.0);
    for passed in 0..=12 {
        let window = handle.window("took_seconds", &[], secs(10));
        // Recorded at 0 s, it is inside until 10 s, and gone a second later.
        let inside = passed <= 10;
        assert_eq!(window.count, u64::from(inside), "after {passed} s");
        assert_eq!(window.max.is_nan(), !inside, "after {passed} s");
        assert_eq!(window.p50.is_nan(), !inside, "after {passed} s");
        advance(secs(1)).await;
    }
    for (over, count) in [(secs(60), 1), (secs(300), 1), (secs(10), 0)] {
        assert_eq!(handle.window("took_seconds", &[], over).count, count);
    }
}

#[tokio::test(start_paused = true)]
async fn the_maximum_falls_when_the_largest_value_has_left() {
    let (recorder, handle) = recorder();
    let hist = histogram(&recorder, "took_seconds", "/x");
    for (value, max) in [(7.0, 7.0), (3.3, 7.0), (3.1, 3.3)] {
        hist.record(value);
        assert_eq!(handle.window("took_seconds", &[], secs(10)).max, max);
        for _ in 0..6 {
            advance(secs(1)).await;
            handle.tick(Instant::now());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_without_a_ticking_task_advances_when_it_is_read() {
    let (recorder, handle) = recorder();
    let hist = histogram(&recorder, "took_seconds", "/x");
    hist.record(1.0);
    assert_eq!(handle.window("took_seconds", &[], secs(10)).count, 1);
    advance(secs(1)).await;
    assert_eq!(handle.window("took_seconds", &[], secs(10)).count, 1);
    advance(secs(11)).await;
    hist.record(1.0);
    let window = handle.window("took_seconds", &[], secs(10));
    assert_eq!(window.count, 1);
    assert_eq!(window.span, secs(11));
}

#[tokio::test(start_paused = true)]
async fn a_clock_jump_of_many_windows_empties_them_and_keeps_the_totals() {
    let (recorder, handle) = recorder();
    let hist = histogram(&recorder, "took_seconds", "/x");
    for _ in 0..30 {
        hist.record(1.0);
        advance(secs(1)).await;
        handle.tick(Instant::now());
    }
    advance(secs(3_000)).await;
    for over in [10, 60, 300] {
        assert!(handle.window("took_seconds", &[], secs(over)).is_empty());
    }
    assert!(handle.render().contains("took_seconds_count{route=\"/x\"} 30\n"));
    hist.record(1.0);
    assert_eq!(handle.window("took_seconds", &[], secs(10)).count, 1);
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_that_of_the_time_really_covered() {
    let (recorder, handle) = recorder();
    let hits = counter(&recorder, "hits_total");
    for second in 1..=200_u64 {
        hits.increment(50);
        advance(secs(1)).await;
        handle.tick(Instant::now());
        for over in [10, 60, 300] {
            let window = handle.window("hits_total", &[], secs(over));
            assert_eq!(window.rate, 50.0, "{over} s window after {second} s");
            assert!(window.span >= secs(over.min(second)));
            assert!(window.span <= secs(over + 5));
        }
    }
    let window = handle.window("hits_total", &[], secs(60));
    assert!(window.p99.is_nan() && window.mean.is_nan());
}

#[tokio::test(start_paused = true)]
async fn series_are_merged_by_cells_and_never_by_averaging_percentiles() {
    let (recorder, handle) = recorder();
    let fast = histogram(&recorder, "took_seconds", "/fast");
    let slow = histogram(&recorder, "took_seconds", "/slow");
    (0..99).for_each(|_| fast.record(0.001));
    slow.record(10.0);
    let all = handle.window("took_seconds", &[], secs(10));
    assert_eq!(all.count, 100);
    assert!(all.p99 < 0.0011, "{}", all.p99);
    assert_eq!(all.max, 10.0);
    let slow = handle.window("took_seconds", &[("route", "/slow")], secs(10));
    assert_eq!((slow.count, slow.max), (1, 10.0));
    assert!(handle.window("took_seconds", &[("route", "/no")], secs(10)).is_empty());
    assert!(handle.window("nothing", &[], secs(10)).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_empty_window_keeps_the_lifetime_values_in_the_exposition() {
    let (recorder, handle) = recorder();
    histogram(&recorder, "took_seconds", "/x").record(0.5);
    for _ in 0..400 {
        advance(secs(1)).await;
        handle.tick(Instant::now());
    }
    assert!(handle.window("took_seconds", &[], secs(300)).p50.is_nan());
    let text = handle.render();
    assert!(text.contains("took_seconds_sum{route=\"/x\"} 0.5\n"), "{text}");
    assert!(text.contains("took_seconds_count{route=\"/x\"} 1\n"));
}

#[tokio::test(start_paused = true)]
async fn the_ticking_task_ends_with_its_recorder() {
    let (recorder, handle) = recorder();
    let task = tokio::spawn(handle.clone().run());
    advance(secs(3)).await;
    assert!(!task.is_finished());
    drop((recorder, handle));
    tokio::time::timeout(secs(5), task).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_late_tick_does_not_make_new_values_old() {
    let (recorder, handle) = recorder();
    tokio::spawn(handle.clone().run());
    tokio::task::yield_now().await;
    let hits = counter(&recorder, "hits_total");
    // A runtime that is blocked: the tick due at 1 s comes at 20 s.
    advance(secs(20)).await;
    hits.increment(1);
    for _ in 0..2 {
        tokio::task::yield_now().await;
        advance(secs(1)).await;
    }
    assert_eq!(handle.window("hits_total", &[], secs(10)).count, 1);
}

#[test]
fn a_histogram_without_values_has_a_sum_of_plain_zero() {
    let (recorder, handle) = recorder();
    let _unused = histogram(&recorder, "took_seconds", "/x");
    let text = handle.render();
    assert!(text.contains("took_seconds_sum{route=\"/x\"} 0\n"), "{text}");
}

#[test]
fn a_look_up_in_a_full_metric_does_not_wait_for_a_scrape() {
    let (recorder, handle) = Recorder::builder().max_series(1).build().unwrap();
    for route in ["/a", "/b"] {
        histogram(&recorder, "took_seconds", route).record(0.1);
    }
    let family = handle.registry.find("took_seconds").unwrap();
    let scrape = family.series.read();
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        histogram(&recorder, "took_seconds", "/c").record(0.1);
        done.send(()).unwrap();
    });
    wait.recv_timeout(secs(30)).unwrap();
    drop(scrape);
    let overflow = [("overflow", "true")];
    assert_eq!(handle.window("took_seconds", &overflow, secs(10)).count, 2);
}

#[test]
fn an_absolute_counter_never_goes_down() {
    let (recorder, handle) = recorder();
    let total = counter(&recorder, "x_total");
    total.absolute(100);
    total.increment(5);
    total.absolute(50);
    assert_eq!(handle.counter_value("x_total", &[]), Some(105));
    total.absolute(200);
    assert_eq!(handle.counter_value("x_total", &[]), Some(200));
}

#[test]
fn a_snapshot_has_what_the_text_has() {
    let (recorder, handle) = recorder();
    let hist = histogram(&recorder, "took_seconds", "/x");
    (1..=1000).for_each(|ms| hist.record(f64::from(ms) / 1000.0));
    let snapshot = handle.snapshot();
    let took = snapshot.metrics.iter().find(|m| m.name == "took_seconds").unwrap();
    let snapshot::Value::Histogram(histogram) = &took.series[0].value else {
        panic!("{took:?}");
    };
    assert_eq!(histogram.count, 1000);
    assert_eq!(histogram.buckets.last(), Some(&(f64::INFINITY, 1000)));
    assert!(histogram.buckets.contains(&(0.5, 500)));
    assert!((histogram.quantile(0.99) / 0.99 - 1.0).abs() < 1.0 / 64.0);
    assert_eq!(took.series[0].labels, [("route".to_owned(), "/x".to_owned())]);
}

#[test]
fn what_is_not_known_of_a_gauge_is_left_out_of_its_sum() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        for (at, value) in [("a", f64::NAN), ("b", 2.0), ("c", f64::NAN), ("d", 3.0)] {
            metrics::gauge!("x", "at" => at).set(value);
        }
    });
    assert_eq!(handle.gauge_value("x", &[]), Some(5.0));
    assert!(handle.gauge_value("x", &[("at", "a")]).unwrap().is_nan());
    assert_eq!(handle.gauge_value("x", &[("at", "e")]), None);
}
