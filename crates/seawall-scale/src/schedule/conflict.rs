use jiff::civil::{Date, date};

use super::{Schedule, days};
use crate::PolicyError;

/// Refuses two schedules of which one asks for more than the other allows while both are open.
///
/// Windows that recur are compared over one leap year, event days around their dates: what
/// overlaps only in another year, by another date of the clock change, is not found. Then the
/// larger size counts.
pub(crate) fn check(schedules: &[Schedule]) -> Result<(), PolicyError> {
    for low in schedules {
        for high in schedules {
            let (Some(min), Some(max)) = (low.min, high.max) else { continue };
            if min > max && overlap(low, high) {
                return Err(PolicyError::SchedulesConflict {
                    low: low.name.clone(),
                    high: high.name.clone(),
                    min,
                    max,
                });
            }
        }
    }
    Ok(())
}

fn overlap(a: &Schedule, b: &Schedule) -> bool {
    let mut spans = vec![(date(2028, 1, 1), 0, 366)];
    for event in a.dates.iter().chain(&b.dates) {
        spans.push((*event, -9, 9));
    }
    spans.iter().any(|&(day, from, to)| {
        let (first, second) = (windows(a, day, from, to), windows(b, day, from, to));
        crosses(&first, &second)
    })
}

fn windows(schedule: &Schedule, day: Date, from: i64, to: i64) -> Vec<(i128, i128)> {
    let from = from - days(schedule.longest());
    (from..=to).filter_map(|offset| schedule.window(day, offset)).collect()
}

/// Whether any of two lists of windows, each in order of their openings, overlap.
fn crosses(first: &[(i128, i128)], second: &[(i128, i128)]) -> bool {
    let mut rest = second;
    for (opens, ends) in first {
        // A window that was over before this one opened is over for the later ones too, as long
        // as none outlasts its successor: all of a schedule are equally long, but for the hour of
        // a clock change.
        while let Some((_, over)) = rest.first()
            && over <= opens
        {
            rest = rest.get(1..).unwrap_or_default();
        }
        if rest.first().is_some_and(|(next, _)| next < ends) {
            return true;
        }
    }
    false
}
