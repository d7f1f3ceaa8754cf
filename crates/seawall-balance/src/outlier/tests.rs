use super::*;

fn windows(rates: &[(u32, u32)]) -> Vec<Window> {
    let window =
        |(successes, failures): &(u32, u32)| Window { successes: *successes, failures: *failures };
    rates.iter().map(window).collect()
}

#[test]
fn a_node_far_below_the_mean_is_found() {
    let config = OutlierConfig::default();
    let seen = windows(&[(1_000, 0), (990, 10), (1_000, 1), (995, 5), (800, 200), (998, 2)]);
    assert_eq!(detect(&seen, &config), [(4, Cause::SuccessRate)]);
}

#[test]
fn nodes_that_all_fail_alike_are_no_outliers() {
    let config = OutlierConfig::default();
    assert_eq!(detect(&windows(&[(500, 500); 10]), &config), []);
    // Rounding of the mean does not make one.
    assert_eq!(
        detect(&windows(&[(333, 333), (100, 100), (999, 999), (77, 77), (51, 51)]), &config),
        []
    );
}

#[test]
fn too_few_nodes_or_requests_say_nothing() {
    let config = OutlierConfig::default();
    assert_eq!(detect(&windows(&[(1_000, 0), (1_000, 0), (1_000, 0), (0, 1_000)]), &config), []);
    let idle = windows(&[(1_000, 0), (1_000, 0), (1_000, 0), (1_000, 0), (0, 49)]);
    assert_eq!(detect(&idle, &config), []);
    assert_eq!(detect(&[], &config), []);
}

#[test]
fn nearly_all_failed_is_enough_whatever_the_others_do() {
    let config = OutlierConfig { success_rate_deviations: 0.0, ..OutlierConfig::default() };
    let seen = windows(&[(9, 51), (10, 50), (5, 55), (60, 0), (60, 0)]);
    // 0.85, 0.83 and 0.92 failed; the worst goes first.
    assert_eq!(detect(&seen, &config), [(2, Cause::FailureShare), (0, Cause::FailureShare)]);
    let off = OutlierConfig { failure_share: 0.0, ..config };
    assert_eq!(detect(&seen, &off), []);
}
