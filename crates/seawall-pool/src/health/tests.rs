use std::time::Duration;

use super::{Evidence, Health, Step, Verdict};

const INTERVAL: Duration = Duration::from_millis(250);

fn steps(evidence: &[Evidence]) -> Vec<Step> {
    let mut health = Health::new(INTERVAL);
    evidence.iter().map(|&seen| health.step(seen)).collect()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn one_silent_probe_is_suspect_and_repeated_at_once() {
    let step = steps(&[Evidence::Answered, Evidence::Silent])[1];
    assert_eq!(step, Step { verdict: Some(Verdict::Suspect), wait: Duration::ZERO });
}

#[test]
fn two_silent_probes_in_a_row_are_down() {
    let seen = steps(&[Evidence::Silent, Evidence::Silent]);
    assert_eq!(seen[1].verdict, Some(Verdict::Down));
    let seen = steps(&[Evidence::Silent, Evidence::Answered, Evidence::Silent]);
    assert_eq!(
        seen[2].verdict,
        Some(Verdict::Suspect),
        "an answer in between starts the count afresh"
    );
}

#[test]
fn a_lost_connection_is_suspect_and_checked_at_once() {
    let step = steps(&[Evidence::Lost])[0];
    assert_eq!(step, Step { verdict: Some(Verdict::Suspect), wait: Duration::ZERO });
}

#[test]
fn a_lost_connection_that_cannot_be_made_again_is_down() {
    for second in [Evidence::Refused, Evidence::Silent, Evidence::Lost] {
        assert_eq!(steps(&[Evidence::Lost, second])[1].verdict, Some(Verdict::Down), "{second:?}");
    }
}

#[test]
fn a_full_server_is_neither_up_nor_down() {
    let step = steps(&[Evidence::Full])[0];
    assert_eq!(step, Step { verdict: None, wait: INTERVAL });
}

#[test]
fn probes_of_a_dead_node_back_off_to_a_second_and_recover_at_once() {
    let mut evidence = vec![Evidence::Refused; 8];
    evidence.extend([Evidence::Answered, Evidence::Refused]);
    let waits: Vec<_> = steps(&evidence).into_iter().map(|step| step.wait).collect();
    let expected = [100, 200, 400, 800, 1000, 1000, 1000, 1000, 250, 100].map(ms);
    assert_eq!(waits, expected);
}
