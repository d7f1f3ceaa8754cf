use super::*;

/// Minutes of a load, in ticks of 15 s; tells the plans of their ends.
fn minutes(planner: &mut Planner, from: u32, to: u32, load: impl Fn(u32) -> f64) -> Vec<Plan> {
    let plans = play(planner, from * 4, (from * 4..to * 4).map(|tick| load(tick / 4)));
    plans.chunks(4).filter_map(|minute| minute.last().copied()).collect()
}

/// Doors open at eight and close at six: a step within a minute.
fn office(minute: u32) -> f64 {
    if (480..1_080).contains(&(minute % 1_440)) { 200.0 } else { 40.0 }
}

fn trusted(planner: &Planner, name: &str) -> bool {
    planner.floors().any(|(floor, open)| floor == name && open)
}

const DAY: u32 = 1_440;

/// Case 19 of the research: the floor rises before the ramp that comes every day, and a day
/// without it turns the floor off within the hour.
#[test]
fn doors_that_open_every_day_are_waited_for_until_a_day_on_which_they_do_not() {
    let mut planner = planner(20.0);
    let plans = minutes(&mut planner, 0, 5 * DAY + 480, office);
    // What was planned in the minute before the doors open.
    let last = plans.last().expect("some");
    assert_eq!(last.floor, Some("day"), "{last:?}");
    assert!(last.target >= SERVICE.least(200.0), "{last:?}");

    // A holiday: the day after a night of the same, nobody comes.
    let plans = minutes(&mut planner, 5 * DAY + 480, 5 * DAY + 540, |_| 40.0);
    assert!(!trusted(&planner, "day"), "{plans:?}");
    let last = plans.last().expect("some");
    assert_eq!(last.floor, None, "{last:?}");
    assert!(last.target <= SERVICE.least(40.0 * 1.5), "back to what is there: {last:?}");
}

#[test]
fn a_timer_of_every_hour_is_waited_for_and_not_held_for() {
    // Ten times as much for two minutes of each hour.
    let load = |minute: u32| if minute % 60 == 30 || minute % 60 == 31 { 400.0 } else { 40.0 };
    let mut planner = planner(20.0);
    let plans = minutes(&mut planner, 0, 30 * 60, load);
    let late = &plans[28 * 60..];
    assert!(late[29].target >= SERVICE.least(400.0), "{:?}", late[29]);
    assert!(late[15].target <= SERVICE.least(80.0), "{:?}", late[15]);
}

#[test]
fn load_that_came_once_is_not_waited_for() {
    let load = |minute: u32| if (600..610).contains(&minute) { 400.0 } else { 40.0 };
    let mut planner = planner(20.0);
    let plans = minutes(&mut planner, 0, 3 * DAY, load);
    for day in 1..3 {
        let plan = plans[day * 1_440 + 599];
        assert_eq!(plan.floor, None, "{plan:?}");
    }
}

/// Case 20: the larger of what is and what is foreseen, and what it was made of.
#[test]
fn a_plan_names_how_far_it_looks_what_for_and_how_often_that_did_not_hold() {
    let mut planner = planner(20.0);
    let plans =
        play(&mut planner, 0, (0..2_000).map(|tick| if tick % 400 == 399 { 900.0 } else { 200.0 }));
    let last = plans.last().expect("some");
    assert_eq!(last.horizon, 105.0);
    assert!(last.ready_for >= 200.0 && last.expected >= 200.0, "{last:?}");
    assert!(last.missed > 0.0 && last.missed < 0.1, "{last:?}");
    assert!(!last.predictor.is_empty());
    assert!(plans.iter().zip(0..).all(|(plan, tick)| {
        let load = if tick % 400 == 399 { 900.0 } else { 200.0 };
        plan.wish >= SERVICE.least(load)
    }));
}
