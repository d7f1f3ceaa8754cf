use metrics::{counter, gauge, histogram, with_local_recorder};

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
    let overflow = [("overflow", "true")];
    let series = |name: &str| handle.series().iter().filter(|s| s.name == name).count();
    assert_eq!(handle.counter_value("hits_total", &[]), Some(4_001));
    assert_eq!(handle.counter_value("hits_total", &overflow), Some(3_900));
    // The series without labels is always let in.
    assert_eq!(series("hits_total"), 102);
    assert_eq!(series("took_seconds"), 101);
    let text = handle.render();
    assert!(text.contains("took_seconds_count{overflow=\"true\"} 3900\n"));
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
