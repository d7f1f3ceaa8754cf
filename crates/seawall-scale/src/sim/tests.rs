mod families;

use super::*;

fn steady(rate: f64) -> Trace {
    Trace::new(15.0, vec![rate; 2_000]).expect("a trace")
}

fn play(load: &Load, scaler: &mut dyn Scaler) -> Score {
    run(load, Fleet::default(), scaler).score
}

#[test]
fn a_trace_is_read_and_what_is_none_is_named() {
    let trace = Trace::parse("timestamp_s,value\n0,10\n60,20\n120,0\n").expect("reads");
    assert_eq!((trace.step(), trace.duration()), (60.0, 180.0));
    assert_eq!((trace.at(30.0, Join::Line), trace.at(30.0, Join::Held)), (15.0, 10.0));
    assert_eq!(trace.at(1e9, Join::Line), 0.0);
    for (text, error) in [
        ("", TraceError::TooShort),
        ("timestamp_s,value\n0,10\n", TraceError::TooShort),
        ("0,1\n60,x\n", TraceError::Line { line: 2 }),
        ("0,1\n60\n", TraceError::Line { line: 2 }),
        ("0,1\n60,-1\n", TraceError::Value { line: 2 }),
        ("0,1\n60,inf\n", TraceError::Value { line: 2 }),
        ("0,1\n60,1e101\n", TraceError::Value { line: 2 }),
        ("0,1\nnan,1\n", TraceError::Line { line: 2 }),
        ("0,1\n60,1\n90,1\n", uneven(3, "30", "60")),
        ("0,1\n60,1\n120,1\n240,1\n", uneven(4, "120", "60")),
        ("0,1\n0,1\n", order(2, "0", "0")),
        ("0,1\n60,1\n30,1\n", order(3, "30", "60")),
        ("0,0\n60,0\n", TraceError::Silent),
        ("nan,1\n60,1\n120,1\n", TraceError::Line { line: 1 }),
        ("inf,1\n60,1\n120,1\n", TraceError::Line { line: 1 }),
        ("midnight,10\n60,1\n120,1\n", TraceError::Line { line: 1 }),
        ("timestamp_s,value\nagain,value\n60,1\n", TraceError::Line { line: 2 }),
        ("0,1\n1e12,2\n", TraceError::TooLong { seconds: 2e12 }),
        ("0,1\n43200000,1\n86400000,1\n", TraceError::TooLong { seconds: 129_600_000.0 }),
        ("-1e308,1\n1e308,1\n", TraceError::Step),
    ] {
        assert_eq!(Trace::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn a_trace_as_spreadsheets_and_loggers_write_it_is_read() {
    let plain = Trace::parse("0,10\n60,2e1\n120,0\n");
    assert!(plain.is_ok());
    for text in [
        "\u{feff}timestamp_s,value\r\n0,10\r\n60,20\r\n120,0\r\n",
        "\u{feff}0,10\n60,20\n120,0",
        "\n\n  time , requests \n 0 , 10 \n\n 60 ,\t20 \n 120 , 0 \n\n",
        "\"timestamp_s\",\"value\"\n0,10\n6e1,2.0e1\n1.2E2,-0\n",
        "# made by hand\n0,10\n60,20\n120,0\n",
        "\"timestamp_s\",\"value\"\n\"0\",\"10\"\n\"60\", \"20\"\n\"120\",\"0\"\n",
    ] {
        assert_eq!(Trace::parse(text), plain, "{text:?}");
    }
}

#[test]
fn parts_of_a_second_on_times_since_1970_are_even() {
    let row = |index: u32| format!("{},1\n", 1_700_000_000.0 + f64::from(index) * 0.1);
    let text: String = (0..1_000).map(row).collect();
    let trace = Trace::parse(&text).expect("rounded, but even");
    assert!((trace.duration() - 100.0).abs() < 0.01);
}

#[test]
fn a_trace_with_holes_or_inexact_times_is_made_even_and_a_hole_is_no_silence() {
    let even = |text: &str| {
        let trace = Trace::parse_uneven(text).expect("a trace");
        let at = |index: u32| trace.at(f64::from(index) * trace.step(), Join::Held);
        (
            trace.step(),
            (0..(trace.duration() / trace.step()).round() as u32).map(at).collect::<Vec<_>>(),
        )
    };
    assert_eq!(even("0,10\n60,20\n120,30"), (60.0, vec![10.0, 20.0, 30.0]), "even stays as it is");
    let hole = "0,10\n60,20\n240,80\n300,70\n";
    assert_eq!(even(hole), (60.0, vec![10.0, 20.0, 40.0, 60.0, 80.0, 70.0]));
    let tenths: String = (0..100).map(|step| format!("{},1\n", f64::from(step) * 0.1)).collect();
    assert_eq!(even(&tenths).1.len(), 100, "rounding loses none");
    // Also at the beginning, where the first distance is no measure.
    assert_eq!(even("0,0\n100,10\n110,20\n120,30\n130,40\n").1.len(), 14);
    let (step, values) = even("0,10\n59,20\n121,30\n180,40\n");
    assert!((step - 59.0).abs() < 1e-9 || (step - 61.0).abs() < 3.0, "{step}");
    assert!(values.windows(2).all(|pair| pair[0] < pair[1]) && values.len() >= 3, "{values:?}");
    for (text, error) in [
        ("0,1\n60,2\n60,3\n", order(3, "60", "60")),
        ("0,1\n60,2\n30,3\n", order(3, "30", "60")),
        ("0,1\n60,-2\n", TraceError::Value { line: 2 }),
        ("0,1\n", TraceError::TooShort),
        ("", TraceError::TooShort),
        ("0,1\n1,2\n1e12,2\n", TraceError::TooLong { seconds: 1e12 }),
    ] {
        assert_eq!(Trace::parse_uneven(text), Err(error), "{text:?}");
    }
    // Steps that are fine beside a long silence do not fill the memory.
    let fine: String = (0..5).map(|step| format!("{},1\n", f64::from(step) * 1e-6)).collect();
    let trace = Trace::parse_uneven(&format!("{fine}60000000,1\n")).expect("a trace");
    assert!(trace.step() > 1.0 && trace.duration() > 5e7);
}

#[test]
fn a_trace_that_cannot_be_played_is_refused_however_it_is_made() {
    for step in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Trace::new(step, vec![1.0; 3]), Err(TraceError::Step));
    }
    for value in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Trace::new(1.0, vec![1.0, value]), Err(TraceError::Value { line: 2 }));
    }
}

#[test]
fn one_peak_in_a_silence_or_beyond_all_bounds_gives_finite_numbers() {
    for (quiet, peak) in [(0.0, 5.0), (1e-300, 1e100), (1.0, 1e30), (f64::MIN_POSITIVE, 1e100)] {
        let mut values = vec![quiet; 4_000];
        values[2_000] = peak;
        let trace = Trace::new(15.0, values).expect("a trace");
        let load = Load::new(&trace, LoadConfig::default());
        let least = bound(&load, Fleet::default());
        assert!(least.instance_seconds.is_finite() && least.sizes.iter().max() > Some(&10));
        for mut scaler in baselines::all(&load, &least, 40.0, 0.7) {
            let score = play(&load, &mut *scaler);
            assert!(
                score.requests.is_finite() && score.requests > 0.0,
                "{quiet} {peak}: {score:?}"
            );
            assert!((0.0..=1.0).contains(&score.bad_ratio()) && score.dropped.is_finite());
        }
    }
}

fn uneven(line: usize, step: &str, first: &str) -> TraceError {
    TraceError::Uneven { line, step: step.to_owned(), first: first.to_owned() }
}

fn order(line: usize, at: &str, before: &str) -> TraceError {
    TraceError::Order { line, at: at.to_owned(), before: before.to_owned() }
}

#[test]
fn huge_and_tiny_traces_are_scaled_to_the_same_load() {
    let played = |by: f64| {
        let values: Vec<f64> = (0..400).map(|step| by * (1.0 + f64::from(step % 40))).collect();
        let trace = Trace::new(15.0, values).expect("a trace");
        let load = Load::new(&trace, LoadConfig::default());
        play(&load, &mut baselines::Fresh::new(7.0)).bad_ratio()
    };
    assert!((played(1e90) - played(1.0)).abs() < 0.01);
    assert!((played(1e-90) - played(1.0)).abs() < 0.01);
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let played = |seed| {
        let load = Load::new(&steady(3.0), LoadConfig { seed, ..LoadConfig::default() });
        play(&load, &mut baselines::Fresh::new(7.0))
    };
    assert_eq!(played(1), played(1));
    assert_ne!(played(1), played(2));
}

#[test]
fn a_steady_load_is_held_by_all_who_measure_it() {
    let load = Load::new(&steady(3.0), LoadConfig::default());
    let least = bound(&load, Fleet::default());
    for mut scaler in baselines::all(&load, &least, 40.0, 0.7) {
        let score = play(&load, &mut *scaler);
        assert!(score.bad_ratio() < 0.01, "{}: {score:?}", scaler.name());
        assert!(score.instance_seconds >= 0.99 * least.instance_seconds, "{}", scaler.name());
    }
}

#[test]
fn too_few_instances_are_bad_and_their_queue_is_bounded() {
    let load = Load::new(&steady(3.0), LoadConfig::default());
    let score = play(&load, &mut baselines::Static::new(20));
    assert!(score.bad_ratio() > 0.99, "{score:?}");
    // 280 a second come and 200 are served.
    let dropped = score.dropped / score.requests;
    assert!((0.25..0.32).contains(&dropped), "{dropped}");
}

#[test]
fn an_instance_is_paid_from_its_launch_and_serves_after_its_start() {
    let values: Vec<f64> = (0..400).map(|step| if step < 100 { 1.0 } else { 4.0 }).collect();
    let trace = Trace::new(15.0, values).expect("a trace");
    let load = Load::new(&trace, LoadConfig { join: Join::Held, ..LoadConfig::default() });
    let served = |start_delay| {
        let fleet = Fleet { start_delay, ..Fleet::default() };
        run(&load, fleet, &mut baselines::Fresh::new(7.0)).score
    };
    let (slow, quick) = (served(300.0), served(0.0));
    assert!(slow.bad > 5.0 * quick.bad.max(1.0), "{slow:?} {quick:?}");
}

#[test]
fn one_who_knows_the_load_meets_the_objective_for_little_more_than_the_bound() {
    let values: Vec<f64> = (0..2_000).map(|step| 2.0 + f64::from(step / 7 % 5)).collect();
    let trace = Trace::new(60.0, values).expect("a trace");
    let load = Load::new(&trace, LoadConfig::default());
    let least = bound(&load, Fleet::default());
    let score = play(&load, &mut baselines::Oracle::new(least.clone(), load.tick()));
    assert!(score.bad_ratio() < 0.02, "{score:?}");
    assert!(score.instance_seconds < 1.5 * least.instance_seconds);
}

#[test]
fn ours_is_cheaper_than_a_fixed_target_where_the_load_is_calm_and_as_good() {
    let day = |step: u32| 3.0 + (f64::from(step) / 1440.0 * std::f64::consts::TAU).sin();
    let trace = Trace::new(60.0, (0..4 * 1440).map(day).collect()).expect("a trace");
    let load = Load::new(&trace, LoadConfig::default());
    let service = LoadConfig::default().service;
    let ours = play(&load, &mut Seawall::new(crate::capacity::PlannerConfig::default(), service));
    let fixed = play(&load, &mut baselines::Fresh::new(7.0));
    assert!(ours.bad_ratio() < 0.01, "{ours:?}");
    assert!(ours.instance_seconds < 0.9 * fixed.instance_seconds, "{ours:?} {fixed:?}");
}

fn requests(load: &Load, reality: Reality, scaler: &mut dyn Scaler) -> RequestOutcome {
    run_requests(load, Fleet::default(), reality, scaler)
}

/// A tenth of the trace is enough, for each request is played.
fn short(rate: f64) -> Load {
    Load::new(&steady(rate), LoadConfig { most_ticks: 200, ..LoadConfig::default() })
}

#[test]
fn where_capacity_is_ample_a_request_takes_its_service_time() {
    let load = short(3.0);
    let outcome = requests(&load, Reality::default(), &mut baselines::Static::new(60));
    // Exponential with a mean of 0.8 s: the 95th percentile is three of them.
    assert!((outcome.p95 / 2.4 - 1.0).abs() < 0.05, "{outcome:?}");
    assert!((outcome.p99 / (0.8 * 100.0_f64.ln()) - 1.0).abs() < 0.05, "{outcome:?}");
    assert_eq!((outcome.score.bad, outcome.score.dropped, outcome.recovery), (0.0, 0.0, 0.0));
    let constant = Reality { service_time: ServiceTime::Constant, ..Reality::default() };
    let outcome = requests(&load, constant, &mut baselines::Static::new(60));
    // Until the sixty are ready, some wait a little.
    assert!((outcome.p95 / 0.8 - 1.0).abs() < 0.03 && outcome.p99 < 1.0, "{outcome:?}");
}

#[test]
fn requests_and_the_fluid_model_agree_on_what_is_too_few() {
    for (size, bad) in [(20, true), (60, false)] {
        let load = short(3.0);
        let fluid = run(&load, Fleet::default(), &mut baselines::Static::new(size)).score;
        let each = requests(&load, Reality::default(), &mut baselines::Static::new(size)).score;
        let all = |ratio: f64| if bad { ratio > 0.95 } else { ratio < 0.005 };
        assert!(all(fluid.bad_ratio()) && all(each.bad_ratio()), "{size}: {fluid:?} {each:?}");
        assert!((fluid.dropped - each.dropped).abs() < 0.05 * fluid.requests);
        assert_eq!(fluid.requests, each.requests);
    }
}

#[test]
fn what_fails_is_lost_and_replaced_and_what_is_noisy_still_decides() {
    let load = short(3.0);
    let reality = Reality {
        start_failures: 0.2,
        life: 3_600.0,
        metric_delay: 30.0,
        metric_noise: 0.1,
        service_time: ServiceTime::LogNormal(2.0),
    };
    let outcome = requests(&load, reality, &mut baselines::Fresh::new(6.0));
    assert!(outcome.lost > 0, "{outcome:?}");
    assert!(outcome.score.starts > 20, "{outcome:?}");
    assert!(outcome.score.bad_ratio() < 0.5, "{outcome:?}");
    let again = requests(&load, reality, &mut baselines::Fresh::new(6.0));
    assert_eq!((outcome.score, outcome.lost), (again.score, again.lost), "the same seed");
}

#[test]
fn a_step_is_recovered_from_and_how_long_it_took_is_told() {
    let values: Vec<f64> = (0..200).map(|step| if step < 100 { 1.0 } else { 4.0 }).collect();
    let trace = Trace::new(15.0, values).expect("a trace");
    let load = Load::new(&trace, LoadConfig { join: Join::Held, ..LoadConfig::default() });
    let outcome = requests(&load, Reality::default(), &mut baselines::Fresh::new(7.0));
    assert!((60.0..=600.0).contains(&outcome.recovery), "{outcome:?}");
}

/// Kinds that nothing was tuned on: a day each, at the defaults of everybody.
#[test]
fn on_no_kind_of_load_is_it_much_worse_than_the_best_of_the_others() {
    for (name, trace) in families::families(7, 1_440) {
        let load = Load::new(&trace, LoadConfig::default());
        let fleet = Fleet::default();
        let least = bound(&load, fleet).instance_seconds;
        let j = |scaler: &mut dyn Scaler| {
            let score = run(&load, fleet, scaler).score;
            score.instance_seconds / least + 20.0 * score.bad_ratio()
        };
        let service = LoadConfig::default().service;
        let ours = j(&mut Seawall::new(crate::capacity::PlannerConfig::default(), service));
        let best = [
            j(&mut baselines::Hpa::new(0.7)),
            j(&mut baselines::Keda::new(7.0)),
            j(&mut baselines::TargetTracking::new(0.7)),
            j(&mut baselines::Knative::new(5.6)),
        ]
        .into_iter()
        .fold(f64::INFINITY, f64::min);
        assert!(ours <= 1.1 * best, "{name}: {ours:.2}, the best of the others {best:.2}");
    }
}
