use metrics::{Key, Label, counter, gauge, histogram, with_local_recorder};

use crate::{Handle, Recorder};

fn recorder() -> (Recorder, Handle) {
    Recorder::builder().max_series(100).build().unwrap()
}

fn conflicts(handle: &Handle) -> u64 {
    handle.counter_value("seawall_metrics_conflicts_total", &[]).unwrap()
}

#[test]
fn labels_in_any_order_are_one_series() {
    let (recorder, handle) = recorder();
    with_local_recorder(&recorder, || {
        counter!("x_total", "a" => "1", "b" => "2").increment(1);
        counter!("x_total", "b" => "2", "a" => "1").increment(1);
        counter!("x_total", "a" => "2", "b" => "1").increment(5);
    });
    let wanted = [("a", "1"), ("b", "2")];
    assert_eq!(handle.counter_value("x_total", &wanted), Some(2));
    let series = handle.series();
    assert_eq!(series.iter().filter(|s| s.name == "x_total").count(), 2);
}

#[test]
fn a_label_without_a_value_and_none_are_one_series_that_is_exposed_once() {
    let (recorder, handle) = recorder();
    let count = || {
        with_local_recorder(&recorder, || {
            counter!("x_total", "a" => "", "b" => "2").increment(1);
            counter!("x_total", "b" => "2").increment(1);
            histogram!("took_seconds", "a" => "").record(1.0);
            histogram!("took_seconds").record(1.0);
        });
    };
    // From the families, the index and the thread's own table.
    (0..3).for_each(|_| count());
    std::thread::scope(|scope| scope.spawn(count).join().unwrap());
    let text = handle.render();
    assert!(text.contains("x_total{b=\"2\"} 8\n"), "{text}");
    assert_eq!(text.matches("\nx_total{").count(), 1, "{text}");
    assert_eq!(text.matches("took_seconds_count 8\n").count(), 1, "{text}");
    assert_eq!(handle.counter_value("x_total", &[("a", "")]), Some(8));
}

#[test]
fn keys_spelt_differently_are_one_series_wherever_they_are_found() {
    let (recorder, handle) = recorder();
    let count = || {
        with_local_recorder(&recorder, || {
            counter!("x_total", "a.b" => "1").increment(1);
            counter!("x_total", "a_b" => "1").increment(1);
            counter!("x_total", "a_b" => "2", "a_b" => "1").increment(1);
            counter!("x_total", "a-b" => "2").increment(100);
        });
    };
    (0..3).for_each(|_| count());
    std::thread::scope(|scope| scope.spawn(count).join().unwrap());
    assert_eq!(handle.counter_value("x_total", &[("a_b", "1")]), Some(12));
    assert_eq!(handle.counter_value("x_total", &[("a_b", "2")]), Some(400));
}

#[test]
fn a_name_of_two_kinds_is_refused_and_counted_and_nothing_panics() {
    let (recorder, handle) = recorder();
    with_local_recorder(&recorder, || {
        counter!("x").increment(1);
        gauge!("x").set(7.0);
        histogram!("x", "a" => "b").record(7.0);
        counter!("x").increment(1);
    });
    assert_eq!(handle.counter_value("x", &[]), Some(2));
    assert_eq!(handle.gauge_value("x", &[]), None);
    assert_eq!(conflicts(&handle), 2);
    assert_eq!(handle.render().matches("# TYPE x ").count(), 1);
}

#[test]
fn names_that_collide_after_sanitising_keep_their_own_values() {
    let (recorder, handle) = recorder();
    with_local_recorder(&recorder, || {
        gauge!("a.b").set(1.0);
        gauge!("a_b").set(2.0);
        gauge!("a-b").set(3.0);
        gauge!("a.b").increment(10.0);
    });
    assert_eq!(handle.gauge_value("a_b", &[]), Some(11.0));
    assert_eq!(handle.gauge_value("U__a__b", &[]), Some(2.0));
    assert_eq!(handle.gauge_value("U__a_2D_b", &[]), Some(3.0));
    assert_eq!(conflicts(&handle), 2);
}

#[test]
fn a_metric_named_like_a_part_of_a_histogram_is_refused() {
    let (recorder, handle) = recorder();
    with_local_recorder(&recorder, || {
        histogram!("h").record(1.0);
        counter!("h_count").increment(9);
        counter!("k_sum").increment(9);
        histogram!("k").record(1.0);
    });
    let text = handle.render();
    assert_eq!(text.matches("\nh_count ").count(), 1, "{text}");
    assert_eq!(text.matches("\nk_sum ").count(), 1, "{text}");
    assert_eq!(conflicts(&handle), 2);
}

#[test]
fn label_sets_beyond_the_cap_share_one_series_and_no_increment_is_lost() {
    let (recorder, handle) = recorder();
    with_local_recorder(&recorder, || {
        for path in 0..4_000 {
            counter!("hits_total", "path" => format!("/{path}")).increment(1);
            histogram!("took_seconds", "path" => format!("/{path}")).record(0.1);
        }
        counter!("hits_total").increment(1);
    });
    let overflow = [("path", "_overflow")];
    let series = |name: &str| handle.series().iter().filter(|s| s.name == name).count();
    assert_eq!(handle.counter_value("hits_total", &[]), Some(4_001));
    assert_eq!(handle.counter_value("hits_total", &overflow), Some(3_900));
    // The series without labels is always let in.
    assert_eq!(series("hits_total"), 102);
    assert_eq!(series("took_seconds"), 101);
    let text = handle.render();
    assert!(text.contains("took_seconds_count{path=\"_overflow\"} 3900\n"));
    for metric in ["hits_total", "took_seconds"] {
        let folded = handle.counter_value("seawall_metrics_folded_total", &[("metric", metric)]);
        assert_eq!(folded, Some(3_900));
    }
}

#[test]
fn the_number_of_series_is_told() {
    let (recorder, handle) = recorder();
    let before = handle.gauge_value("seawall_metrics_series", &[]).unwrap();
    with_local_recorder(&recorder, || {
        counter!("a").increment(1);
        counter!("b", "x" => "1").increment(1);
        counter!("b", "x" => "1").increment(1);
    });
    let after = handle.gauge_value("seawall_metrics_series", &[]).unwrap();
    assert_eq!(after - before, 2.0);
    assert_eq!(after as usize, handle.series().len());
}

fn tick_for(handle: &Handle, start: tokio::time::Instant, seconds: std::ops::Range<u64>) {
    for second in seconds {
        handle.tick(start + std::time::Duration::from_secs(second));
    }
}

fn names(handle: &Handle, metric: &str) -> Vec<String> {
    let series = handle.series().into_iter().filter(|series| series.name == metric);
    series.filter_map(|series| series.labels.first().map(|label| label.1.clone())).collect()
}

#[test]
fn four_hundred_thousand_paths_keep_their_total_and_a_hot_one_gets_in_when_idle_ones_age_out() {
    let start = tokio::time::Instant::now();
    let (recorder, handle) = Recorder::builder().max_series(100).build().unwrap();
    let hit = |path: String| counter!("hits_total", "path" => path).increment(1);
    with_local_recorder(&recorder, || {
        (0..400_000).for_each(|path| hit(format!("/{path}")));
        assert_eq!(names(&handle, "hits_total").len(), 101);
        assert_eq!(handle.counter_value("hits_total", &[]), Some(400_000));
        let folded = [("path", "_overflow")];
        assert_eq!(handle.counter_value("hits_total", &folded), Some(399_900));
        // Ten minutes later: the old paths were seen once and go, a scan goes on.
        tick_for(&handle, start, 1..700);
        hit("/scan".to_owned());
        tick_for(&handle, start, 700..721);
        (0..1_000).for_each(|path| hit(format!("/new/{path}")));
        assert_eq!(names(&handle, "hits_total"), ["_overflow"]);
        (0..50).for_each(|_| hit("/hot".to_owned()));
    });
    assert_eq!(names(&handle, "hits_total"), ["/hot", "_overflow"]);
    assert!(handle.counter_value("hits_total", &[("path", "/hot")]).unwrap() >= 40);
    let expired = handle.counter_value("seawall_metrics_expired_total", &[]).unwrap();
    assert_eq!(expired, 100);
}

#[test]
fn a_series_whose_handle_is_kept_outlives_the_idle_timeout_and_loses_nothing() {
    let start = tokio::time::Instant::now();
    let config = crate::Config { expire_idle: true, ..crate::Config::default() };
    let (recorder, handle) = Recorder::builder().config(config).build().unwrap();
    let kept = with_local_recorder(&recorder, || {
        counter!("hits_total", "path" => "/gone").increment(1);
        let kept = counter!("hits_total", "path" => "/kept");
        kept.increment(5);
        metrics::gauge!("level", "path" => "/constant").set(1.0);
        // The thread's own table lets go of what it holds at the next look-up.
        tick_for(&handle, start, 1..700);
        counter!("other_total").increment(1);
        kept
    });
    tick_for(&handle, start, 700..800);
    assert_eq!(names(&handle, "hits_total"), ["/kept"]);
    assert_eq!(names(&handle, "level"), ["/constant"]);
    kept.increment(2);
    assert_eq!(handle.counter_value("hits_total", &[]), Some(7));
    // A series that comes back is a new one.
    with_local_recorder(&recorder, || counter!("hits_total", "path" => "/gone").increment(3));
    assert_eq!(handle.counter_value("hits_total", &[("path", "/gone")]), Some(3));
}

#[test]
fn an_idle_gauge_goes_if_asked_and_one_that_is_set_to_its_value_again_stays() {
    let start = tokio::time::Instant::now();
    let config =
        crate::Config { expire_idle: true, expire_gauges: true, ..crate::Config::default() };
    let (recorder, handle) = Recorder::builder().config(config).build().unwrap();
    with_local_recorder(&recorder, || {
        gauge!("version").set(1.0);
        gauge!("level", "shard" => "gone").set(1.0);
        for second in 1..=700 {
            if second % 100 == 1 {
                gauge!("level", "shard" => "here").set(1.0);
            }
            handle.tick(start + std::time::Duration::from_secs(second));
        }
        counter!("other_total").increment(1);
    });
    tick_for(&handle, start, 701..800);
    assert_eq!(names(&handle, "level"), ["here"]);
    // The series without labels stays.
    assert_eq!(handle.gauge_value("version", &[]), Some(1.0));
    let expired = handle.counter_value("seawall_metrics_expired_total", &[("metric", "level")]);
    assert_eq!(expired, Some(1));
}

#[test]
fn metric_names_beyond_the_cap_are_refused_and_counted_and_the_old_ones_go_on() {
    let config = crate::Config { max_metrics: Some(2), ..crate::Config::default() };
    let (recorder, handle) = Recorder::builder().config(config).build().unwrap();
    with_local_recorder(&recorder, || {
        for n in 0..50 {
            counter!(format!("made_up_{n}_total")).increment(1);
        }
        counter!("made_up_1_total").increment(1);
        histogram!("late_seconds").record(1.0);
        // What the recorder says about itself still has a place.
        (0..20_000).for_each(|n| counter!("made_up_0_total", "n" => n.to_string()).increment(1));
    });
    assert_eq!(handle.counter_value("made_up_1_total", &[]), Some(2));
    assert_eq!(handle.counter_value("made_up_2_total", &[]), None);
    assert!(!handle.render().contains("late_seconds"));
    assert_eq!(handle.counter_value("seawall_metrics_names_refused_total", &[]), Some(49));
    assert!(handle.counter_value("seawall_metrics_folded_total", &[]) > Some(0));
}

#[test]
fn a_metric_that_was_never_full_keeps_its_idle_series() {
    let start = tokio::time::Instant::now();
    let (recorder, handle) = recorder();
    with_local_recorder(&recorder, || counter!("hits_total", "path" => "/x").increment(1));
    tick_for(&handle, start, 1..2_000);
    assert_eq!(handle.counter_value("hits_total", &[("path", "/x")]), Some(1));
}

#[test]
fn all_metrics_together_have_a_cap_too() {
    let config = crate::Config { max_series_total: 50, ..crate::Config::default() };
    let (recorder, handle) = Recorder::builder().config(config).build().unwrap();
    with_local_recorder(&recorder, || {
        for metric in 0..20 {
            for path in 0..20 {
                counter!(format!("hits_{metric}_total"), "path" => path.to_string()).increment(1);
            }
        }
    });
    let all = handle.series().len();
    // Fifty, and a stand-in or two for each metric.
    assert!(all <= 50 + 2 * 20, "{all}");
    for metric in 0..20 {
        assert_eq!(handle.counter_value(&format!("hits_{metric}_total"), &[]), Some(20));
    }
}

#[test]
fn a_full_metric_folds_one_label_and_keeps_the_others() {
    let (recorder, handle) = recorder();
    with_local_recorder(&recorder, || {
        for n in 0..3_000 {
            let method = if n % 3 == 0 { "POST" } else { "GET" };
            counter!("hits_total", "method" => method, "path" => format!("/{n}")).increment(1);
        }
    });
    let count = |labels: &[(&str, &str)]| handle.counter_value("hits_total", labels).unwrap();
    assert_eq!(count(&[("method", "POST")]), 1_000);
    assert_eq!(count(&[("method", "GET")]), 2_000);
    assert!(count(&[("method", "GET"), ("path", "_overflow")]) > 1_900);
}

#[test]
fn keys_that_share_one_hash_are_counted_apart() {
    // The hash of the facade does not tell "1", "11" and "111" apart.
    let key = |n: &'static str| Key::from_parts("hits_total", vec![Label::new("n", n)]);
    assert_eq!(key("1").get_hash(), key("11").get_hash());
    assert_eq!(key("1").get_hash(), key("111").get_hash());
    let (recorder, handle) = recorder();
    let count = || {
        with_local_recorder(&recorder, || {
            for (n, by) in [("1", 1), ("11", 10), ("111", 100)] {
                counter!("hits_total", "n" => n).increment(by);
                histogram!("size", "n" => n).record(by as f64);
            }
        });
    };
    // First, from the thread's own table, and from the index that all share.
    count();
    count();
    std::thread::scope(|scope| scope.spawn(count).join().unwrap());
    for (n, by) in [("1", 1), ("11", 10), ("111", 100)] {
        assert_eq!(handle.counter_value("hits_total", &[("n", n)]), Some(3 * by));
        let window = handle.window("size", &[("n", n)], std::time::Duration::from_secs(300));
        assert_eq!((window.count, window.sum), (3, 3.0 * by as f64));
    }
}

#[test]
fn in_a_metric_that_was_full_a_seldom_one_is_not_let_in_for_want_of_a_stand_in() {
    let start = tokio::time::Instant::now();
    let (recorder, handle) = Recorder::builder().max_series(20).build().unwrap();
    let hit = |method: String, path: usize| {
        counter!("hits_total", "method" => method, "path" => path.to_string()).increment(1);
    };
    with_local_recorder(&recorder, || {
        (0..30).for_each(|path| hit("GET".to_owned(), path));
        tick_for(&handle, start, 1..700);
        hit("GET".to_owned(), 99);
        tick_for(&handle, start, 700..721);
        // Room for twenty; a scanner's methods have no stand-in of their own yet.
        (0..15).for_each(|n| hit(format!("M{n}"), n));
    });
    let let_in = handle.series().into_iter().filter(|series| {
        let stands_in = |(_, value): &(String, String)| value == "_overflow" || value == "true";
        series.name == "hits_total" && !series.labels.iter().any(stands_in)
    });
    assert_eq!(let_in.count(), 0);
    assert_eq!(handle.counter_value("hits_total", &[("overflow", "true")]), Some(15));
}

#[test]
fn metrics_of_one_list_of_bounds_share_its_cells_layout() {
    let registry = super::Registry::new(crate::Config::default(), tokio::time::Instant::now());
    for name in ["a_seconds", "b_seconds", "c_bytes"] {
        registry.histogram(&Key::from_name(name)).unwrap();
    }
    registry.counter(&Key::from_name("n_total")).unwrap();
    let layout = |name: &str| registry.find(name).unwrap().layout.clone();
    assert!(std::sync::Arc::ptr_eq(&layout("a_seconds"), &layout("b_seconds")));
    assert_eq!(layout("a_seconds").bounds(), crate::SECONDS);
    assert_eq!(layout("c_bytes").bounds(), crate::BYTES);
    assert!(layout("n_total").bounds().is_empty());
}

#[test]
fn a_metric_that_was_empty_when_all_were_full_learns_which_label_to_fold() {
    let start = tokio::time::Instant::now();
    let config = crate::Config { max_series_total: 40, ..crate::Config::default() };
    let (recorder, handle) = Recorder::builder().config(config).build().unwrap();
    let hit = |name: &'static str, path: String| counter!(name, "path" => path).increment(1);
    with_local_recorder(&recorder, || {
        (0..60).for_each(|path| hit("a_total", format!("/{path}")));
        hit("b_total", "/first".to_owned());
        assert_eq!(handle.counter_value("b_total", &[("overflow", "true")]), Some(1));
        tick_for(&handle, start, 1..700);
        hit("a_total", "/late".to_owned());
        tick_for(&handle, start, 700..721);
        // There is room again.
        (0..10).for_each(|_| hit("b_total", "/hot".to_owned()));
        assert!(handle.counter_value("b_total", &[("path", "/hot")]) > Some(0));
        tick_for(&handle, start, 721..741);
        (0..60).for_each(|n| hit("c_total", format!("/{n}")));
        hit("b_total", "/last".to_owned());
    });
    assert_eq!(handle.counter_value("b_total", &[("path", "_overflow")]), Some(1));
}

#[test]
fn names_that_clash_take_no_memory_without_end() {
    let config = crate::Config { max_metrics: Some(2), ..crate::Config::default() };
    let registry = super::Registry::new(config, tokio::time::Instant::now());
    registry.histogram(&Key::from_name("h")).unwrap();
    // All would be exposed as `h_count`.
    let odd = |n: u32| char::from_u32(0x4e00 + n).unwrap();
    for n in 0..5_000 {
        assert!(registry.counter(&Key::from_name(format!("h{}count", odd(n)))).is_none());
    }
    assert_eq!(registry.own.conflicts(), 5_000);
    assert!(registry.names.read().refused() <= 1_000);
}

#[test]
fn descriptions_of_names_beyond_the_cap_are_not_kept() {
    let config = crate::Config { max_metrics: Some(2), ..crate::Config::default() };
    let registry = super::Registry::new(config, tokio::time::Instant::now());
    let describe = |name: String| registry.describe(&name, None, "text".into());
    describe("early_total".to_owned());
    registry.counter(&Key::from_name("early_total")).unwrap();
    registry.counter(&Key::from_name("late_total")).unwrap();
    let before = registry.names.read().descriptions.len();
    (0..100).for_each(|n| describe(format!("made_up_{n}_total")));
    assert_eq!(registry.names.read().descriptions.len(), before);
    describe("late_total".to_owned());
    for name in ["early_total", "late_total"] {
        assert!(registry.description(&registry.find(name).unwrap()).is_some(), "{name}");
    }
}

#[test]
fn sweeps_over_many_metrics_do_not_run_the_births_ahead_of_the_clock() {
    let start = tokio::time::Instant::now();
    let config = crate::Config { expire_idle: true, ..crate::Config::default() };
    let registry = super::Registry::new(config, start);
    for n in 0..50 {
        registry.counter(&Key::from_name(format!("hits_{n}_total"))).unwrap();
    }
    let before = registry.births.now();
    (1..=1_000).for_each(|second| registry.tick(start + std::time::Duration::from_secs(second)));
    let (ran, took) = (registry.births.now() - before, start.elapsed().as_millis() as u64);
    // A hundred sweeps, each with a step of its own.
    assert!((100..=200 + took).contains(&ran), "{ran} ms in {took}");
}
