//! Histories written by hand: good ones pass, and each rule has a bad one that only it finds.

use std::time::Duration;

use seawall_pool::Lsn;

use super::{Checked, Rule, check};
use crate::history::{Act, History, Key, Op, Outcome, Promotion};

const LIST: Key = Key::List(0);
const REGISTER: Key = Key::Register(0);

/// Calls one after the other, two numbers of the clock each.
#[derive(Default)]
struct Script(History);

impl Script {
    fn op(mut self, session: usize, act: Act, outcome: Outcome) -> Self {
        let began = 2 * self.0.ops.len() as u64;
        let at = (Duration::ZERO, Duration::ZERO);
        let remark = String::new();
        self.0.ops.push(Op { session, act, began, ended: began + 1, outcome, at, remark });
        self
    }

    fn write_as(self, session: usize, key: Key, value: i64, outcome: Outcome) -> Self {
        self.op(session, Act::Write { key, value }, outcome)
    }

    fn write(self, session: usize, key: Key, value: i64) -> Self {
        self.write_as(session, key, value, on(1, 10))
    }

    fn saw(self, session: usize, key: Key, values: &[i64], standby: bool) -> Self {
        self.op(
            session,
            Act::Read { key },
            Outcome::Saw { values: values.into(), standby, port: 1 },
        )
    }

    fn read(self, session: usize, key: Key, values: &[i64]) -> Self {
        self.saw(session, key, values, true)
    }

    fn take(self, session: usize, from: usize, until: u64) -> Self {
        self.op(session, Act::Take { from, until }, Outcome::Taken)
    }

    /// The last call ends so much later, and so overlaps those behind it.
    fn lasting(mut self, longer: u64) -> Self {
        self.0.ops.last_mut().unwrap().ended += longer;
        self
    }

    fn promoted(mut self, lossless: bool) -> Self {
        let began = 2 * self.0.ops.len() as u64;
        self.0.promotion = Some(Promotion { began, switch: Lsn(50), timeline: 2, lossless });
        self
    }

    fn last(mut self, key: Key, values: &[i64]) -> Self {
        self.0.last.insert(key, values.into());
        self
    }

    fn checked(self) -> Checked {
        check(&self.0).unwrap_or_else(|violation| panic!("{violation:?}"))
    }

    fn broken(self) -> Rule {
        check(&self.0).map_or_else(|violation| violation.rule, |checked| panic!("{checked:?}"))
    }
}

/// Done on this timeline, at this position.
fn on(timeline: u32, lsn: u64) -> Outcome {
    Outcome::Written { timeline, lsn: Some(Lsn(lsn)), port: 1 }
}

fn script() -> Script {
    Script::default()
}

#[test]
fn a_quiet_history_passes_and_is_counted() {
    let checked = script()
        .write(0, LIST, 1)
        .write(1, LIST, 2)
        .read(0, LIST, &[1])
        .read(1, LIST, &[1, 2])
        .write(0, REGISTER, 3)
        .read(0, REGISTER, &[3])
        .last(LIST, &[1, 2])
        .last(REGISTER, &[3])
        .checked();
    assert_eq!((checked.reads, checked.writes, checked.failed), (3, 3, 0));
}

#[test]
fn a_session_that_misses_its_own_write_is_found() {
    let list = script().write(0, LIST, 1).read(0, LIST, &[]).last(LIST, &[1]);
    assert_eq!(list.broken(), Rule::ReadYourWrites);
    let register = script()
        .write(0, REGISTER, 1)
        .write(0, REGISTER, 2)
        .read(0, REGISTER, &[1])
        .last(REGISTER, &[2]);
    assert_eq!(register.broken(), Rule::ReadYourWrites);
}

#[test]
fn a_session_that_misses_what_it_saw_is_found() {
    let list = script().write(0, LIST, 1).read(1, LIST, &[1]).read(1, LIST, &[]).last(LIST, &[1]);
    assert_eq!(list.broken(), Rule::MonotonicReads);
    let register = script()
        .write(0, REGISTER, 1)
        .write(0, REGISTER, 2)
        .read(1, REGISTER, &[2])
        .read(1, REGISTER, &[1])
        .last(REGISTER, &[2]);
    assert_eq!(register.broken(), Rule::MonotonicReads);
}

#[test]
fn sessions_owe_each_other_nothing_unless_a_token_was_handed_over() {
    let apart = || script().write(0, LIST, 1).last(LIST, &[1]);
    apart().read(1, LIST, &[]).checked();
    assert_eq!(apart().take(1, 0, 1).read(1, LIST, &[]).broken(), Rule::ReadYourWrites);
    // The token was made before the write.
    apart().take(1, 0, 0).read(1, LIST, &[]).checked();
}

#[test]
fn a_read_that_began_before_a_write_ended_may_miss_it() {
    let overlapping = script().write(0, LIST, 1).lasting(2).read(0, LIST, &[]).last(LIST, &[1]);
    overlapping.checked();
}

#[test]
fn a_write_done_twice_is_found_in_a_read_and_in_the_end() {
    let write = || script().write_as(0, LIST, 1, Outcome::Unknown);
    assert_eq!(write().last(LIST, &[1, 1]).broken(), Rule::Duplicate);
    assert_eq!(write().read(1, LIST, &[1, 1]).last(LIST, &[1]).broken(), Rule::Duplicate);
}

#[test]
fn a_register_that_an_old_write_sets_back_is_found() {
    let script = script()
        .write(0, REGISTER, 1)
        .write(0, REGISTER, 2)
        .read(1, REGISTER, &[2])
        .last(REGISTER, &[1]);
    assert_eq!(script.broken(), Rule::LostWrite);
}

#[test]
fn an_acknowledged_write_that_is_gone_is_found() {
    assert_eq!(script().write(0, LIST, 1).last(LIST, &[]).broken(), Rule::LostWrite);
}

#[test]
fn what_was_seen_and_is_gone_is_found_even_if_nobody_knows_of_its_end() {
    let seen = script().write_as(0, LIST, 1, Outcome::Unknown).read(1, LIST, &[1]);
    assert_eq!(seen.last(LIST, &[]).broken(), Rule::LostWrite);
}

#[test]
fn an_unknown_write_may_be_there_or_not_or_come_late() {
    let write = || script().write_as(0, LIST, 1, Outcome::Unknown);
    write().last(LIST, &[]).checked();
    write().last(LIST, &[1]).checked();
    write().read(0, LIST, &[]).read(0, LIST, &[1]).last(LIST, &[1]).checked();
}

#[test]
fn a_failure_that_had_an_effect_is_found() {
    for outcome in [Outcome::NotSent, Outcome::NoEffect] {
        let write = || script().write_as(0, LIST, 1, outcome.clone());
        write().last(LIST, &[]).checked();
        assert_eq!(write().last(LIST, &[1]).broken(), Rule::EffectOfAFailure);
        let seen = write().read(1, LIST, &[1]).last(LIST, &[]);
        assert_eq!(seen.broken(), Rule::EffectOfAFailure);
    }
}

#[test]
fn what_nobody_wrote_there_or_not_yet_is_found() {
    assert_eq!(script().last(LIST, &[7]).broken(), Rule::FromNowhere);
    let elsewhere = script().write(0, LIST, 1).last(LIST, &[1]).last(Key::List(1), &[1]);
    assert_eq!(elsewhere.broken(), Rule::FromNowhere);
    let early = script().read(1, LIST, &[1]).write(0, LIST, 1).last(LIST, &[1]);
    assert_eq!(early.broken(), Rule::FromNowhere);
}

#[test]
fn elements_in_another_order_or_with_gaps_are_found() {
    let writes = || script().write(0, LIST, 1).write(1, LIST, 2).last(LIST, &[1, 2]);
    assert_eq!(writes().read(2, LIST, &[2, 1]).broken(), Rule::Order);
    assert_eq!(writes().read(2, LIST, &[2]).broken(), Rule::Order);
}

#[test]
fn a_promotion_may_lose_what_lies_behind_the_switch_and_nothing_else() {
    let write = |lsn| script().write_as(0, LIST, 1, on(1, lsn));
    assert_eq!(write(60).promoted(false).last(LIST, &[]).checked().lost, 1);
    assert_eq!(write(50).promoted(false).last(LIST, &[]).broken(), Rule::LostWrite);
    assert_eq!(write(60).promoted(true).last(LIST, &[]).broken(), Rule::LostWrite);
    let newer = script().promoted(false).write_as(0, LIST, 1, on(2, 60)).last(LIST, &[]);
    assert_eq!(newer.broken(), Rule::LostWrite);
}

#[test]
fn what_a_promotion_loses_is_owed_until_it_begins() {
    let write = || script().write_as(0, LIST, 1, on(1, 60));
    write().promoted(false).read(0, LIST, &[]).last(LIST, &[]).checked();
    let before = write().read(0, LIST, &[]).promoted(false).last(LIST, &[]);
    assert_eq!(before.broken(), Rule::ReadYourWrites);
}

#[test]
fn what_a_promotion_keeps_is_owed_all_the_time() {
    let kept = script()
        .write_as(0, LIST, 1, on(1, 60))
        .promoted(false)
        .read(0, LIST, &[])
        .last(LIST, &[1]);
    assert_eq!(kept.broken(), Rule::ReadYourWrites);
}

#[test]
fn a_write_to_a_register_that_a_promotion_lost_is_not_owed_for_one_that_came_after_it() {
    let then = |lost, later| {
        let write = script().write_as(0, REGISTER, 1, on(1, lost)).promoted(false);
        write.read(0, REGISTER, &[0]).write_as(0, REGISTER, 2, later).last(REGISTER, &[2])
    };
    then(60, on(2, 70)).checked();
    assert_eq!(then(50, on(2, 70)).broken(), Rule::ReadYourWrites, "it was not lost");
    // What followed it on its own timeline was kept, so it was, too.
    assert_eq!(then(60, on(1, 65)).broken(), Rule::ReadYourWrites);
}

#[test]
fn an_unacknowledged_write_that_was_seen_may_go_with_a_promotion() {
    let seen = |lossless| {
        let write = script().write_as(0, LIST, 1, Outcome::Unknown).read(1, LIST, &[1]);
        write.promoted(lossless).read(1, LIST, &[]).last(LIST, &[])
    };
    seen(false).checked();
    // The replica that was not waited for may have had more than the one that was.
    seen(true).checked();
}

#[test]
fn a_write_on_the_old_primary_after_one_on_the_new_is_found() {
    let script = script()
        .promoted(false)
        .write_as(0, LIST, 1, on(2, 60))
        .write_as(1, LIST, 2, on(1, 70))
        .last(LIST, &[1]);
    assert_eq!(script.broken(), Rule::Fence);
}

#[test]
fn a_commit_that_a_standby_shows_first_is_excused_on_the_primary_only() {
    let seen = |standby| {
        let write = script().write(0, LIST, 1).lasting(9).saw(1, LIST, &[1], true);
        write.saw(1, LIST, &[], standby).last(LIST, &[1])
    };
    assert_eq!(seen(false).checked().early, 1);
    assert_eq!(seen(true).broken(), Rule::MonotonicReads);
    // Shown by the primary once, it is there.
    let shown = script().write(0, LIST, 1).lasting(9).saw(1, LIST, &[1], true);
    let shown = shown.saw(1, LIST, &[1], false).saw(1, LIST, &[], false).last(LIST, &[1]);
    assert_eq!(shown.broken(), Rule::MonotonicReads);
    // Acknowledged before the read began, it is too.
    let done = script().write(0, LIST, 1).saw(1, LIST, &[1], true).saw(1, LIST, &[], false);
    assert_eq!(done.last(LIST, &[1]).broken(), Rule::MonotonicReads);
}
