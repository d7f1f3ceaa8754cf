use metrics::{counter, gauge, histogram, with_local_recorder};

use super::*;
use crate::Recorder;

fn text(aliases: &Aliases, record: impl FnOnce()) -> String {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    with_local_recorder(&recorder, record);
    let mut text = String::new();
    aliases.render_into(&handle.snapshot(), &mut text);
    text
}

fn request(method: &'static str, status: &'static str, error: &'static str, seconds: f64) {
    histogram!(
        "http_server_request_duration_seconds",
        "http_request_method" => method,
        "http_route" => "/x/{id}",
        "http_response_status_code" => status,
        "error_type" => error
    )
    .record(seconds);
}

#[test]
fn the_required_names_are_fed_by_the_same_cells_in_their_own_unit() {
    let seen = text(&Aliases::required(), || {
        request("GET", "200", "", 0.0075);
        request("GET", "200", "", 0.15);
        // Told apart by a label that the alias does not have.
        request("GET", "200", "aborted", 20.0);
        request("PUT", "204", "", 0.5);
        counter!("seawall_cache_requests_total", "cache" => "items", "layer" => "l1", "result" => "hit").increment(3);
        counter!("seawall_cache_requests_total", "cache" => "items", "layer" => "l1", "result" => "absent").increment(2);
        counter!("seawall_cache_requests_total", "cache" => "items", "layer" => "l2", "result" => "miss").increment(9);
        // A read that the loader ended is what a hit is not.
        counter!("seawall_cache_requests_total", "cache" => "items", "layer" => "loader", "result" => "hit").increment(9);
        counter!("seawall_cache_requests_total", "cache" => "items", "layer" => "loader", "result" => "absent").increment(9);
    });
    let expected = r#"# HELP cache_hits_total Alias of seawall_cache_requests_total.
# TYPE cache_hits_total counter
cache_hits_total{key_type="items",level="l1"} 5
# HELP http_request_duration_ms Alias of http_server_request_duration_seconds.
# TYPE http_request_duration_ms histogram
http_request_duration_ms_bucket{method="GET",route="/x/{id}",status_code="200",le="10.0"} 1
http_request_duration_ms_bucket{method="GET",route="/x/{id}",status_code="200",le="50.0"} 1
http_request_duration_ms_bucket{method="GET",route="/x/{id}",status_code="200",le="100.0"} 1
http_request_duration_ms_bucket{method="GET",route="/x/{id}",status_code="200",le="200.0"} 2
http_request_duration_ms_bucket{method="GET",route="/x/{id}",status_code="200",le="500.0"} 2
http_request_duration_ms_bucket{method="GET",route="/x/{id}",status_code="200",le="1000.0"} 2
http_request_duration_ms_bucket{method="GET",route="/x/{id}",status_code="200",le="2000.0"} 2
http_request_duration_ms_bucket{method="GET",route="/x/{id}",status_code="200",le="5000.0"} 2
http_request_duration_ms_bucket{method="GET",route="/x/{id}",status_code="200",le="+Inf"} 3
"#;
    assert!(seen.starts_with(expected), "{seen}");
    let sum = |labels: &str| {
        let line = format!("http_request_duration_ms_sum{{{labels}}} ");
        let rest = seen.split(&line).nth(1).unwrap();
        rest.lines().next().unwrap().parse::<f64>().unwrap()
    };
    let get = sum(r#"method="GET",route="/x/{id}",status_code="200""#);
    assert!((get - 20_157.5).abs() < 1e-6, "{get}");
    assert!(seen.contains(
        r#"http_request_duration_ms_count{method="PUT",route="/x/{id}",status_code="204"} 1"#
    ));
}

#[test]
fn an_alias_never_takes_the_name_of_a_metric_nor_speaks_of_one_that_is_not_there() {
    let aliases = Aliases::new()
        .with(Alias::new("taken_total", "source_total"))
        .with(Alias::new("other_total", "nobody_total"))
        .with(Alias::new("free_total", "source_total"))
        .with(Alias::new("free_total", "taken_total"))
        .with(Alias::new("none_total", "source_total").only("result", &["x"]));
    let seen = text(&aliases, || {
        counter!("source_total").increment(1);
        counter!("taken_total").increment(2);
    });
    assert_eq!(
        seen,
        "# HELP free_total Alias of source_total.\n# TYPE free_total counter\nfree_total 1\n"
    );
}

#[test]
fn bounds_that_the_metric_does_not_have_are_left_out_and_scaling_adds_no_noise() {
    let of = |alias: Alias| {
        let seen = text(&Aliases::new().with(alias), || histogram!("x_seconds").record(0.07));
        let bounds: Vec<String> = seen
            .split("le=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect();
        bounds.join(" ")
    };
    assert_eq!(
        of(Alias::new("x_ms", "x_seconds").scale(1e3).bounds(&[3.0, 10.0, 200.0])),
        "10.0 200.0 +Inf"
    );
    assert_eq!(
        of(Alias::new("x_us", "x_seconds").scale(1e6)),
        "5000.0 10000.0 25000.0 50000.0 75000.0 100000.0 200000.0 250000.0 500000.0 750000.0 1e+06 \
         2e+06 2.5e+06 5e+06 7.5e+06 1e+07 +Inf"
    );
}

#[test]
fn gauges_are_scaled_and_label_values_escaped() {
    let seen =
        text(&Aliases::new().with(Alias::new("x.ms", "x").scale(1e3).label("a", "b")), || {
            gauge!("x", "a" => "say \"\\\n").set(0.25);
        });
    assert!(seen.ends_with("# TYPE x_ms gauge\nx_ms{b=\"say \\\"\\\\\\n\"} 250\n"), "{seen}");
}

#[test]
fn no_alias_writes_a_line_that_prometheus_refuses() {
    let aliases = Aliases::new()
        .with(Alias::new("a_total", "x_total").label("a", "my label").label("b", "my-label"))
        .with(Alias::new("b_seconds", "x_seconds").label("a", "le").label("b", "__b"))
        .with(Alias::new("c", "no_limit").label("a", ""));
    let seen = text(&aliases, || {
        counter!("x_total", "a" => "1", "b" => "2").increment(1);
        histogram!("x_seconds", "a" => "1", "b" => "2").record(0.5);
        gauge!("no_limit", "a" => "1").set(f64::INFINITY);
    });
    // Of two labels of one name the later one counts, as with the recorder.
    assert!(seen.contains("a_total{my_label=\"2\"} 1\n"), "{seen}");
    let labels = "exported__b=\"2\",exported_le=\"1\"";
    assert!(seen.contains(&format!("b_seconds_bucket{{{labels},le=\"+Inf\"}} 1\n")), "{seen}");
    assert!(seen.contains(&format!("b_seconds_count{{{labels}}} 1\n")), "{seen}");
    assert!(seen.contains("c{_=\"1\"} +Inf\n"), "{seen}");
}

#[test]
fn a_scale_that_would_turn_buckets_about_leaves_the_alias_out() {
    for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let aliases = Aliases::new().with(Alias::new("y", "x_seconds").scale(factor));
        assert_eq!(text(&aliases, || histogram!("x_seconds").record(0.5)), "", "{factor}");
    }
}

#[test]
fn an_alias_cannot_make_the_exposition_unreadable() {
    let aliases = Aliases::new()
        .with(Alias::new("took_count", "x"))
        .with(Alias::new("other", "took"))
        .with(Alias::new("turned", "took").scale(-1.0))
        .with(Alias::new("none", "took").scale(f64::NAN))
        .with(Alias::new("y", "x").label("a", "a.b").label("c", "a_b").label("c", "le"));
    let seen = text(&aliases, || {
        histogram!("took").record(1.0);
        counter!("other_sum").increment(1);
        gauge!("x", "a" => "1", "c" => "2").set(f64::INFINITY);
    });
    assert_eq!(seen, "# HELP y Alias of x.\n# TYPE y gauge\ny{a_b=\"2\",exported_le=\"2\"} +Inf\n");
}
