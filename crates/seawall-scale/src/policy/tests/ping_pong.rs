use seawall_signal::{Unit, Units};

use crate::{Bands, Policy, Rule, Step, Target};

fn pair(up: &str, down: &str) -> Policy {
    let rules = vec![Rule::scale_up(up).expect("parses"), Rule::scale_down(down).expect("parses")];
    Policy { rules, max: 50, ..Policy::default() }
}

fn sizes(policy: &Policy) -> Vec<(u32, u32)> {
    let found = policy.ping_pongs(&Units::default());
    found.iter().map(|pair| (pair.from, pair.to)).collect()
}

#[test]
fn a_pair_that_plays_ping_pong_is_found_when_the_policy_is_read() {
    // Case 9 of the research: 50 % of two is 100 % of one.
    let policy = pair("cpu > 70", "cpu < 50");
    let found = policy.ping_pongs(&Units::default());
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "rules[1] takes 3 instances to 2 when cpu is 50 %: the same load is 75 % there, and \
         rules[0] grows the group again; so at 2 to 3 instances it will not shrink"
    );
}

#[test]
fn thresholds_that_are_far_enough_apart_are_left_alone() {
    // 35 of two are 70 of one, which is not above 70.
    assert_eq!(sizes(&pair("cpu > 70%", "cpu < 35%")), []);
    assert_eq!(sizes(&pair("cpu > 70%", "cpu <= 35%")), []);
    assert_eq!(sizes(&pair("cpu >= 70%", "cpu <= 35%")), [(2, 2)]);
    // With a minimum the sizes where it would happen do not come.
    assert_eq!(sizes(&Policy { min: 3, ..pair("cpu > 70", "cpu < 50") }), []);
}

#[test]
fn a_share_plays_ping_pong_at_every_size() {
    let mut policy = pair("cpu > 70%", "cpu < 50%");
    policy.rules[1] = policy.rules[1].clone().by(Step::Percent(50.0));
    assert_eq!(sizes(&policy)[0].0, 2);
    assert!(sizes(&policy)[0].1 >= 40);
}

#[test]
fn targets_and_bands_are_looked_at_too() {
    let mut policy = pair("cpu > 90%", "cpu < 60%");
    policy.rules.remove(0);
    policy.targets = vec![Target::utilisation("cpu", 0.7)];
    assert_eq!(sizes(&policy), [(2, 4)]);
    let band = |from, to, change: &str| {
        let change = change.parse().expect("parses");
        crate::Band { from, to, change }
    };
    let bands = vec![
        band(None, Some(0.5), "-1"),
        band(Some(0.5), Some(0.7), "0"),
        band(Some(0.7), None, "+1"),
    ];
    let bands = vec![Bands { signal: "cpu".into(), bands, cooldown: None }];
    assert_eq!(sizes(&Policy { bands, max: 50, ..Policy::default() }), [(2, 3)]);
}

#[test]
fn a_total_is_the_same_for_any_size() {
    assert_eq!(sizes(&pair("queue > 70", "queue < 50")), []);
    assert_eq!(sizes(&pair("p95(cpu_seconds) > 70ms", "p95(cpu_seconds) < 50ms")), []);
    assert_eq!(sizes(&pair("cpu > 70", "ram < 50")), []);
    // A table of units says what a name does not.
    let units: Units = [("queue".to_owned(), Unit::Ratio)].into_iter().collect();
    assert_eq!(pair("queue > 70", "queue < 50").ping_pongs(&units).len(), 1);
}

#[test]
fn conditions_are_read_as_a_whole() {
    assert_eq!(sizes(&pair("not (cpu < 70%)", "cpu < 50% and cpu > 40%")), [(2, 3)]);
    assert_eq!(sizes(&pair("cpu > 70% and cpu < 72%", "cpu < 20%")), []);
}

#[test]
fn presets_play_no_ping_pong() {
    use crate::presets;
    for policy in [
        presets::auction_launch(),
        presets::interview_practice(),
        presets::wedding_platform(),
        presets::ticket_desk(),
        presets::queue_workers(10.0),
    ] {
        assert_eq!(policy.ping_pongs(&Units::default()), [], "{}", policy.group);
    }
}
