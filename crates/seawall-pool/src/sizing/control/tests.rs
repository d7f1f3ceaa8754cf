use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{State, decide};
use crate::sizing::config::SizingConfig;
use crate::sizing::meter::Load;

fn config() -> SizingConfig {
    SizingConfig { auto: true, min: 2, max: 40, ..SizingConfig::default() }
}

/// So many callers a second, each of whom has a connection for so many milliseconds.
fn load(arrivals: f64, millis: f64, waiting: f64) -> Load {
    Load {
        span: Duration::from_secs(5),
        arrivals,
        served: arrivals,
        in_use: arrivals * millis / 1e3,
        waiting,
        service_time: Some(Duration::from_secs_f64(millis / 1e3)),
        ..Load::default()
    }
}

/// Sizes window by window.
fn run(
    state: &mut State,
    size: usize,
    from: usize,
    loads: impl IntoIterator<Item = Load>,
) -> Vec<usize> {
    let start = start();
    let mut size = size;
    let mut sizes = Vec::new();
    for (at, load) in (from..).zip(loads) {
        let now = start + Duration::from_secs(5) * u32::try_from(at).unwrap();
        size = decide(&config(), state, size, &load, now).unwrap_or(size);
        sizes.push(size);
    }
    sizes
}

fn start() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now)
}

fn changes(size: usize, sizes: &[usize]) -> usize {
    std::iter::once(&size).chain(sizes).zip(sizes).filter(|(one, other)| one != other).count()
}

#[test]
fn it_has_as_many_as_are_busy_and_twice_their_square_root() {
    // 900 a second for 10 ms each are 9 busy: 9 + 2 * 3.
    assert_eq!(run(&mut State::default(), 5, 0, [load(900.0, 10.0, 0.0)]), [15]);
    // Those that wait are wanted on top, without a window to lose.
    assert_eq!(run(&mut State::default(), 9, 0, [load(900.0, 10.0, 7.0)]), [24]);
}

#[test]
fn it_grows_at_once_and_shrinks_when_the_load_has_been_low_for_long() {
    let mut state = State::default();
    assert_eq!(run(&mut state, 5, 0, [load(900.0, 10.0, 0.0)]), [15]);
    let sizes = run(&mut state, 15, 1, vec![load(100.0, 10.0, 0.0); 30]);
    let shrunk = sizes.iter().position(|size| *size < 15).unwrap();
    assert_eq!(shrunk, 12, "the minute after the peak");
    assert_eq!(sizes[shrunk], 3);
    assert_eq!(changes(15, &sizes), 1);
}

#[test]
fn a_dip_shorter_than_the_shrink_window_changes_nothing() {
    let loads =
        (0..60).map(|at| if at % 6 == 0 { load(900.0, 10.0, 0.0) } else { load(50.0, 10.0, 0.0) });
    let sizes = run(&mut State::default(), 15, 0, loads);
    assert_eq!(changes(15, &sizes), 0, "{sizes:?}");
}

#[test]
fn a_server_that_is_short_itself_is_not_given_more_connections() {
    let mut state = State::default();
    run(&mut state, 15, 0, vec![load(900.0, 10.0, 0.0); 5]);
    let sizes = run(&mut state, 15, 5, vec![load(900.0, 25.0, 10.0); 5]);
    assert_eq!(sizes, [15; 5]);
    // Slow by nature, it is what there is after some minutes.
    let sizes = run(&mut state, 15, 10, vec![load(900.0, 25.0, 10.0); 60]);
    assert!(sizes.ends_with(&[40]), "{sizes:?}");
}

#[test]
fn a_size_out_of_bounds_is_brought_within() {
    let idle = Load { service_time: None, ..load(0.0, 0.0, 0.0) };
    assert_eq!(run(&mut State::default(), 100, 0, [idle]), [40]);
    assert_eq!(run(&mut State::default(), 1, 0, [idle]), [2]);
}

fn loads() -> impl Strategy<Value = Load> {
    (0.0..5e4, 0.0..2e3, 0.0..1e3, prop::bool::ANY).prop_map(
        |(arrivals, millis, waiting, known)| Load {
            service_time: known.then(|| Duration::from_secs_f64(millis / 1e3)),
            ..load(arrivals, millis, waiting)
        },
    )
}

proptest! {
    #[test]
    fn it_never_leaves_its_bounds(size in 1..200usize, loads in prop::collection::vec(loads(), 1..60)) {
        let sizes = run(&mut State::default(), size, 0, loads);
        prop_assert!(sizes.iter().all(|size| (2..=40).contains(size)), "{:?}", sizes);
    }

    #[test]
    fn more_load_never_means_fewer(
        size in 2..40usize,
        before in prop::collection::vec(loads(), 0..30),
        load in loads(),
        arrivals in 1.0..3.0f64,
        waiting in 0.0..20.0f64,
    ) {
        let mut state = State::default();
        let size = run(&mut state, size, 0, before.clone()).last().copied().unwrap_or(size);
        let more = Load {
            arrivals: load.arrivals * arrivals,
            served: load.served * arrivals,
            in_use: load.in_use * arrivals,
            waiting: load.waiting + waiting,
            ..load
        };
        // What few callers do tells nothing of how long service takes, so the two must both tell.
        prop_assume!(load.served * 5.0 >= 20.0 || load.service_time.is_none());
        let next = |load| run(&mut state.clone(), size, before.len(), [load])[0];
        prop_assert!(next(more) >= next(load), "{} and {}", next(load), next(more));
    }

    #[test]
    fn under_steady_load_it_changes_once_at_most(size in 2..40usize, load in loads()) {
        let sizes = run(&mut State::default(), size, 0, vec![load; 100]);
        prop_assert!(changes(size, &sizes) <= 1, "{:?}", sizes);
    }

    #[test]
    fn noise_does_not_make_it_swing(
        busy in 1.0..20.0f64, noise in prop::collection::vec(0.9..1.1f64, 200),
    ) {
        let loads = noise.into_iter().map(|noise| load(busy * 100.0 * noise, 10.0, 0.0));
        let sizes = run(&mut State::default(), 2, 0, loads);
        // Up to the top of the noise, and then no more.
        prop_assert!(changes(2, &sizes[..]) <= 6, "{:?}", sizes);
        prop_assert!(sizes[20..].iter().zip(&sizes[21..]).all(|(one, next)| next >= one), "{:?}", sizes);
    }
}
