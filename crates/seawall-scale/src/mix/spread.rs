//! Kinds so that they lie in several zones.
//!
//! A choice that lies in `zones` zones has at least one instance in each of some `zones`: so the
//! best is the best, over the ways to put one there, of these and the cheapest for the rest.

use super::{EXACT, split, tables};
use crate::Kind;

/// How many of each kind.
pub(super) fn choose(
    kinds: &[Kind],
    usable: &[bool],
    need: u32,
    spot_most: u32,
    zones: u32,
) -> Vec<u32> {
    let free = super::choose(kinds, usable, need, spot_most);
    if zones < 2 || need == 0 || zones_of(kinds, &free) >= zones as usize {
        return free;
    }
    // As many zones as may be; fewer where so many cannot carry it, for want of spot.
    let mut best: Option<Choice> = None;
    for zones in (2..=zones.min(u32::try_from(kinds.len()).unwrap_or(u32::MAX))).rev() {
        if let Some(choice) = cheapest(kinds, usable, need, spot_most, zones as usize)
            && best.as_ref().is_none_or(|best| choice.short < best.short)
        {
            best = Some(choice);
        }
        if best.as_ref().is_some_and(|best| best.short == 0) {
            break;
        }
    }
    let short = need.saturating_sub(carried(kinds, &free));
    match best {
        Some(best) if best.short <= short => best.counts,
        _ => free,
    }
}

/// How many of each kind.
struct Choice {
    /// Units that it does not carry.
    short: u32,
    cost: f64,
    counts: Vec<u32>,
}

/// The cheapest choice in `zones` zones of those that leave the least uncarried.
fn cheapest(
    kinds: &[Kind],
    usable: &[bool],
    need: u32,
    spot_most: u32,
    zones: usize,
) -> Option<Choice> {
    let ways = ways(kinds, usable, zones, spot_most);
    let mut bounded: Vec<(f64, &Vec<usize>)> = {
        let units = need.min(EXACT);
        let [firm, spot] = tables(kinds, usable, units, units.min(spot_most));
        let bound = |way: &Vec<usize>| {
            let (left, room, cost) = rest(kinds, way, need, spot_most);
            // Of more the rest cannot be told from a table.
            let rest = if need > EXACT { 0.0 } else { split(&firm, &spot, left, room).1 };
            // Where there is not enough of them it costs what there is.
            cost + if rest.is_finite() { rest } else { 0.0 }
        };
        ways.iter().map(|way| (bound(way), way)).collect()
    };
    bounded.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut best: Option<Choice> = None;
    for (bound, way) in bounded {
        if best.as_ref().is_some_and(|best| best.short == 0 && bound >= best.cost - 1e-9) {
            break;
        }
        let counts = around(kinds, usable, need, spot_most, way);
        let cost = kinds.iter().zip(&counts).map(|(kind, count)| f64::from(*count) * kind.cost);
        let (short, cost) = (need.saturating_sub(carried(kinds, &counts)), cost.sum::<f64>());
        let better = best.as_ref().is_none_or(|best| {
            short < best.short || short == best.short && cost < best.cost - 1e-9
        });
        if better {
            best = Some(Choice { short, cost, counts });
        }
    }
    best
}

fn carried(kinds: &[Kind], counts: &[u32]) -> u32 {
    kinds
        .iter()
        .zip(counts)
        .fold(0_u32, |sum, (kind, count)| sum.saturating_add(count.saturating_mul(kind.capacity)))
}

/// One instance of each kind of a way, and the cheapest for the rest.
fn around(kinds: &[Kind], usable: &[bool], need: u32, spot_most: u32, way: &[usize]) -> Vec<u32> {
    let mut left_over = kinds.to_vec();
    for &index in way {
        let kind = &mut left_over[index];
        kind.most = kind.most.map(|most| most.saturating_sub(1));
    }
    let (left, room, _) = rest(kinds, way, need, spot_most);
    let mut counts = super::choose(&left_over, usable, left, room);
    for &index in way {
        counts[index] += 1;
    }
    counts
}

/// Units that a way leaves to carry, units that may still be on spot, and what the way costs.
fn rest(kinds: &[Kind], way: &[usize], need: u32, spot_most: u32) -> (u32, u32, f64) {
    let (mut left, mut room, mut cost) = (need, spot_most, 0.0);
    for &index in way {
        let kind = &kinds[index];
        left = left.saturating_sub(kind.capacity.max(1));
        if kind.spot {
            room = room.saturating_sub(kind.capacity.max(1));
        }
        cost += kind.cost;
    }
    (left, room, cost)
}

/// The ways to put one instance in each of `zones` zones; none if there are not so many.
fn ways(kinds: &[Kind], usable: &[bool], zones: usize, spot_most: u32) -> Vec<Vec<usize>> {
    let may = |index: &usize| {
        let kind = &kinds[*index];
        let room = !kind.spot || kind.capacity <= spot_most;
        usable[*index] && kind.most != Some(0) && room
    };
    let mut by_zone: Vec<Vec<usize>> = Vec::new();
    for index in (0..kinds.len()).filter(may) {
        let zone = zone(kinds, index);
        match by_zone.iter_mut().find(|all| self::zone(kinds, all[0]) == zone) {
            Some(all) => all.push(index),
            None => by_zone.push(vec![index]),
        }
    }
    for all in &mut by_zone {
        all.sort_by(|&a, &b| kinds[a].cost.total_cmp(&kinds[b].cost));
    }
    by_zone.sort_by(|a, b| kinds[a[0]].cost.total_cmp(&kinds[b[0]].cost));
    if count(&by_zone, zones) > MOST_WAYS {
        by_zone.iter_mut().for_each(|all| all.truncate(1));
    }
    if count(&by_zone, zones) > MOST_WAYS {
        by_zone.truncate(zones);
    }
    let mut ways = Vec::new();
    extend(&by_zone, zones, &mut Vec::new(), &mut ways);
    ways.retain(|way| {
        let on_spot = way.iter().filter(|index| kinds[**index].spot);
        on_spot.map(|index| u64::from(kinds[*index].capacity)).sum::<u64>() <= u64::from(spot_most)
    });
    ways
}

fn extend(by_zone: &[Vec<usize>], zones: usize, way: &mut Vec<usize>, ways: &mut Vec<Vec<usize>>) {
    if zones == 0 {
        return ways.push(way.clone());
    }
    if by_zone.len() < zones {
        return;
    }
    let Some((first, others)) = by_zone.split_first() else { return };
    for index in first {
        way.push(*index);
        extend(others, zones - 1, way, ways);
        way.pop();
    }
    extend(others, zones, way, ways);
}

/// How many ways there are: the elementary symmetric sum of the numbers of kinds.
fn count(by_zone: &[Vec<usize>], zones: usize) -> u64 {
    let mut sums = vec![0_u64; zones + 1];
    sums[0] = 1;
    for all in by_zone {
        for taken in (1..=zones).rev() {
            let more = sums[taken - 1].saturating_mul(all.len() as u64);
            sums[taken] = sums[taken].saturating_add(more);
        }
    }
    sums[zones]
}

fn zones_of(kinds: &[Kind], counts: &[u32]) -> usize {
    let used = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let mut zones: Vec<_> = used.map(|(index, _)| zone(kinds, index)).collect();
    zones.sort_unstable();
    zones.dedup();
    zones.len()
}

/// A kind without a zone is one of its own.
fn zone(kinds: &[Kind], index: usize) -> (Option<&str>, usize) {
    match &kinds[index].zone {
        Some(zone) => (Some(zone), 0),
        None => (None, index),
    }
}

/// More are not tried.
const MOST_WAYS: u64 = 4096;
