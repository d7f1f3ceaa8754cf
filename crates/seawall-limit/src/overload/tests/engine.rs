use super::super::engine::{Core, Outcome};
use super::super::queue::{Ticket, Verdict, Wake};
use super::super::slots::Entry;
use super::super::{Criticality, OverloadConfig, Priority, Reason};

struct Bell;

impl Wake for Bell {
    fn wake(self) {}
}

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// A guard of two slots that was offered ten times what they can do for ten seconds, until now.
fn overrun() -> (Core<Bell>, u64) {
    let config = OverloadConfig { min_limit: 2, max_limit: 2, ..OverloadConfig::default() };
    let core = Core::new(&config, 0);
    let (mut running, mut waiting): (Vec<u64>, Vec<Ticket>) = (Vec::new(), Vec::new());
    let priority = Priority::new(Criticality::Sheddable);
    let mut now = SECOND;
    while now < 11 * SECOND {
        now += 5 * MS;
        while running.first().is_some_and(|started| now - started >= 20 * MS) {
            core.record(now, running.remove(0), Outcome::Success);
            core.leave(now, false);
        }
        waiting.retain(|ticket| match core.poll(&priority, ticket, || Bell) {
            Some(Verdict::Admitted { .. }) => {
                running.push(now);
                false
            }
            Some(_) => false,
            None => true,
        });
        for _ in 0..5 {
            match core.arrive(now, &priority, u64::MAX, Some(|| Bell)) {
                Entry::Admitted => running.push(now),
                Entry::Queued(ticket) => waiting.push(ticket),
                Entry::Rejected(_) => {}
            }
        }
    }
    // Clients hang up all at once; what runs ends.
    for ticket in &waiting {
        if let Some(Verdict::Admitted { .. }) = core.abandon(now, &priority, ticket, None) {
            core.leave(now, false);
        }
    }
    for _ in running {
        core.leave(now, false);
    }
    assert!(core.status().shed_ratio > 0.5, "{:?}", core.status());
    assert_eq!(core.status().inflight, 0);
    (core, now)
}

fn arrives(core: &Core<Bell>, now: u64, deadline: u64) -> Entry {
    core.arrive(now, &Priority::new(Criticality::Sheddable), deadline, Some(|| Bell))
}

#[test]
fn after_a_silence_nothing_is_shed_for_a_load_that_is_gone() {
    for silence in [5 * SECOND, 60 * SECOND, 7_200 * SECOND] {
        let (core, end) = overrun();
        for turn in 0..20 {
            let now = end + silence + turn * SECOND;
            assert!(matches!(arrives(&core, now, u64::MAX), Entry::Admitted), "{silence} {turn}");
            core.record(now + 20 * MS, now, Outcome::Success);
            core.leave(now + 20 * MS, false);
        }
    }
}

#[test]
fn one_request_each_two_seconds_does_not_pay_long_for_a_load_that_is_gone() {
    let (core, end) = overrun();
    let mut turned_away = 0;
    for turn in 1..=10 {
        let now = end + turn * 2 * SECOND;
        match arrives(&core, now, u64::MAX) {
            Entry::Admitted => core.leave(now + 20 * MS, false),
            _ => turned_away += 1,
        }
    }
    assert!(turned_away <= 1, "{turned_away}");
}

#[test]
fn a_deadline_that_has_passed_is_not_begun_though_slots_are_free() {
    let core: Core<Bell> = Core::new(&OverloadConfig::default(), 0);
    for deadline in [SECOND - 1, SECOND] {
        let entry = arrives(&core, SECOND, deadline);
        assert!(matches!(entry, Entry::Rejected(Reason::Deadline)), "{entry:?}");
    }
    assert!(matches!(arrives(&core, SECOND, SECOND + 1), Entry::Admitted));
    assert_eq!(core.status().inflight, 1);
}

#[cfg(feature = "tower")]
#[test]
fn a_rejection_for_a_quota_further_in_says_nothing_of_the_service() {
    use http::StatusCode;

    use super::super::answer::outcome;

    assert_eq!(outcome(StatusCode::TOO_MANY_REQUESTS), Outcome::Failure);
    assert_eq!(outcome(StatusCode::NOT_FOUND), Outcome::Success);
    assert_eq!(outcome(StatusCode::SERVICE_UNAVAILABLE), Outcome::Overloaded);
}
