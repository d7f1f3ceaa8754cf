//! Of which kinds of instances to make a capacity.

mod spread;

use std::time::Duration;

use crate::Kind;

/// A choice of instances, and what was not chosen.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Mix {
    /// How many of each kind, in the order of the kinds; none of 0.
    pub shares: Vec<Share>,
    /// Units they carry; less than was needed only if no choice carries it.
    pub capacity: u32,
    /// What they cost an hour.
    pub cost: f64,
    /// Each kind that alone was no better, and why.
    pub rejected: Vec<Rejected>,
}

/// So many of a kind.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "a name and a number")]
pub struct Share {
    /// The kind's name.
    pub kind: String,
    /// How many.
    pub count: u32,
}

/// A kind alone.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Rejected {
    /// The kind's name.
    pub kind: String,
    /// How many of it would be needed.
    pub count: u32,
    /// What they would cost an hour.
    pub cost: f64,
    /// Why not.
    pub why: Why,
}

/// Why a kind alone was not chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Why {
    /// It is not ready in time.
    Late,
    /// There may not be so many of it, or not so much spot.
    TooFew,
    /// It costs more.
    Dearer,
    /// It lies in too few zones.
    Spread,
}

impl Mix {
    /// The cheapest instances of `kinds` that carry `need` units and are ready
    /// within `within`, of them at most the share `max_spot` on spot. Of equally
    /// cheap ones the first kinds. If no kind is ready in time, the deadline
    /// does not count: late is better than never.
    ///
    /// Exact up to 1 024 units; above, the bulk is of the kind that is cheapest
    /// for a unit.
    ///
    /// Cost: about `need` steps for each kind, `need * most` for one with a bound
    /// that binds.
    #[must_use]
    pub fn cheapest(kinds: &[Kind], need: u32, within: Option<Duration>, max_spot: f64) -> Self {
        Self::spread(kinds, need, within, max_spot, 1)
    }

    /// Like [`cheapest`](Self::cheapest), but in at least `zones` zones, or in as
    /// many as usable kinds can carry it in. A kind without a
    /// [zone](Kind::zone) is one of its own.
    ///
    /// Exact up to 1 024 units and 4 096 ways to put one instance in each of
    /// `zones` zones; of more, only those with the cheapest kind of each zone,
    /// or of the cheapest zones, are looked at.
    ///
    /// Cost: with more than one zone up to 4 096 sums more, and one choice as of
    /// [`cheapest`](Self::cheapest) for each of them that could be the best:
    /// seldom more than a few.
    #[must_use]
    pub fn spread(
        kinds: &[Kind],
        need: u32,
        within: Option<Duration>,
        max_spot: f64,
        zones: u32,
    ) -> Self {
        let usable = usable(kinds, within);
        let spot_most = spot_most(need, max_spot);

        let counts = spread::choose(kinds, &usable, need, spot_most, zones);
        let single = counts.iter().filter(|count| **count > 0).count() < 2;
        let mut mix = Self::default();
        for (kind, &count) in kinds.iter().zip(&counts) {
            if count > 0 {
                mix.shares.push(Share { kind: kind.name.clone(), count });
            }
            mix.capacity = mix.capacity.saturating_add(count.saturating_mul(kind.capacity));
            mix.cost += f64::from(count) * kind.cost;
        }
        for ((kind, usable), chosen) in kinds.iter().zip(usable).zip(&counts) {
            let count = need.div_ceil(kind.capacity.max(1));
            if *chosen == count && single {
                continue;
            }
            let most = most_of(kind, spot_most);
            let cost = f64::from(count) * kind.cost;
            let why = if !usable {
                Why::Late
            } else if count > most {
                Why::TooFew
            } else if zones > 1 && cost < mix.cost - 1e-9 {
                Why::Spread
            } else {
                Why::Dearer
            };
            mix.rejected.push(Rejected { kind: kind.name.clone(), count, cost, why });
        }
        mix
    }
}

/// What a unit costs an hour at least, with as much spot as there may be.
/// `None` without kinds.
pub(crate) fn unit_cost(kinds: &[Kind], max_spot: f64) -> Option<f64> {
    let cheapest = |spot: bool| {
        let each = |kind: &Kind| kind.cost / f64::from(kind.capacity.max(1));
        kinds.iter().filter(|kind| kind.spot == spot).map(each).min_by(f64::total_cmp)
    };
    let share = max_spot.clamp(0.0, 1.0);
    match (cheapest(false), cheapest(true)) {
        (Some(firm), Some(spot)) => Some(firm.min(firm * (1.0 - share) + spot * share)),
        (firm, spot) => firm.or(spot),
    }
}

/// The largest size from `current` to `wish` whose cheapest mix costs at most
/// `money`; `current` if none does.
///
/// A larger size can be cheaper than a smaller one, since it may have more on
/// spot: so up to [`EXACT`] each size is looked at. Above, by halves, which may
/// find a size that is smaller by about the capacity of one instance.
///
/// With more than one of `zones` by halves always.
///
/// Cost: up to [`EXACT`] one table, as for [`Mix::cheapest`], and as many steps
/// as there may be units on spot for each size that is too dear, of which the
/// bound by [`unit_cost`] leaves few; above, that of some ten to thirty mixes.
pub(crate) fn largest_paid(
    kinds: &[Kind],
    current: u32,
    wish: u32,
    within: Option<Duration>,
    (max_spot, zones): (f64, u32),
    money: f64,
) -> u32 {
    let whole = |size: u32| Mix::spread(kinds, size, within, max_spot, zones).cost;
    if wish <= EXACT && zones < 2 {
        let usable = usable(kinds, within);
        let [firm, spot] = tables(kinds, &usable, wish, spot_most(wish, max_spot).min(wish));
        let paid = |size: &u32| {
            let (_, cost) = split(&firm, &spot, *size, spot_most(*size, max_spot));
            // Where there is not enough of them it costs what there is.
            (if cost.is_finite() { cost } else { whole(*size) }) <= money
        };
        return (current..=wish).rev().find(paid).unwrap_or(current);
    }
    if whole(wish) <= money {
        return wish;
    }
    let (mut pays, mut dear) = (current, wish);
    while dear - pays > 1 {
        let middle = pays + (dear - pays) / 2;
        if whole(middle) <= money {
            pays = middle;
        } else {
            dear = middle;
        }
    }
    pays
}

/// Which kinds are ready in time; all, if none is.
fn usable(kinds: &[Kind], within: Option<Duration>) -> Vec<bool> {
    let in_time = |kind: &Kind| within.is_none_or(|within| kind.start <= within);
    let any = kinds.iter().any(in_time);
    kinds.iter().map(|kind| !any || in_time(kind)).collect()
}

/// Units that may be on spot.
fn spot_most(need: u32, max_spot: f64) -> u32 {
    (f64::from(need) * max_spot.clamp(0.0, 1.0) + 1e-9) as u32
}

/// Most of a kind, by its own bound and by the bound on spot.
fn most_of(kind: &Kind, spot_most: u32) -> u32 {
    let most = kind.most.unwrap_or(u32::MAX);
    if kind.spot { most.min(spot_most / kind.capacity.max(1)) } else { most }
}

/// How many of each kind.
fn choose(kinds: &[Kind], usable: &[bool], need: u32, spot_most: u32) -> Vec<u32> {
    let mut counts = vec![0; kinds.len()];
    let units = bulk(kinds, usable, need, &mut counts);
    let [firm, spot] = tables(kinds, usable, units, spot_most.min(units.max(EXACT)));
    let (best, cost) = split(&firm, &spot, units, spot_most);
    if cost.is_finite() {
        firm.take(units.saturating_sub(best), &mut counts);
        spot.take(best, &mut counts);
    } else {
        // There is not enough of them: all there may be, in order.
        let (mut left, mut room) = (units, spot_most);
        for (index, kind) in kinds.iter().enumerate().filter(|(index, _)| usable[*index]) {
            let capacity = kind.capacity.max(1);
            let most = most_of(kind, room);
            let count = left.div_ceil(capacity).min(most);
            counts[index] = counts[index].saturating_add(count);
            let carried = count.saturating_mul(capacity);
            left = left.saturating_sub(carried);
            if kind.spot {
                room = room.saturating_sub(carried);
            }
        }
    }
    counts
}

/// The costs of firm kinds and of spot, for up to so many units of each.
fn tables<'a>(kinds: &'a [Kind], usable: &[bool], units: u32, on_spot: u32) -> [Table<'a>; 2] {
    let mine = |spot: bool| -> Vec<usize> {
        (0..kinds.len()).filter(|&index| usable[index] && kinds[index].spot == spot).collect()
    };
    [Table::new(kinds, mine(false), units, false), Table::new(kinds, mine(true), on_spot, true)]
}

/// How much of `units` is best left to spot, the least for a tie; and the cost. It may be more
/// than `units` where there is room, for spot too comes in whole instances.
fn split(firm: &Table<'_>, spot: &Table<'_>, units: u32, spot_most: u32) -> (u32, f64) {
    let cost = |of: u32| firm.cost(units.saturating_sub(of)) + spot.cost(of);
    let all = 0..=spot_most.min(units.max(EXACT));
    let best = all.min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or_default();
    (best, cost(best))
}

/// Takes what is beyond [`EXACT`] from the kind that is cheapest for a unit;
/// answers what is left.
fn bulk(kinds: &[Kind], usable: &[bool], need: u32, counts: &mut [u32]) -> u32 {
    let over = need.saturating_sub(EXACT);
    let each = |index: usize| kinds[index].cost / f64::from(kinds[index].capacity.max(1));
    let cheapest = (0..kinds.len())
        .filter(|&index| usable[index] && !kinds[index].spot && kinds[index].most.is_none())
        .min_by(|&a, &b| each(a).total_cmp(&each(b)));
    let (true, Some(index)) = (over > 0, cheapest) else { return need.min(EXACT) };
    let capacity = kinds[index].capacity.max(1);
    counts[index] = over / capacity;
    need - counts[index] * capacity
}

/// The cheapest cover of every number of units by some kinds: the bounded
/// knapsack, one layer for each kind.
struct Table<'a> {
    kinds: &'a [Kind],
    mine: Vec<usize>,
    /// For each layer and each number of units: the cost, and how many of the
    /// layer's kind.
    layers: Vec<Vec<(f64, u32)>>,
}

impl<'a> Table<'a> {
    /// `exact`: carry as many units as are asked for and not more.
    fn new(kinds: &'a [Kind], mine: Vec<usize>, units: u32, exact: bool) -> Self {
        let mut table = Self { kinds, mine: Vec::with_capacity(mine.len()), layers: Vec::new() };
        for index in mine {
            let kind = &kinds[index];
            let capacity = kind.capacity.max(1);
            let most = kind.most.unwrap_or(u32::MAX);
            let mut layer: Vec<(f64, u32)> = Vec::with_capacity(units as usize + 1);
            for units in 0..=units {
                let without = (table.cost(units), 0);
                let one_more = |of: u32| {
                    let (cost, count) = layer.get(of as usize).copied()?;
                    Some((cost + kind.cost, count + 1))
                };
                let with = match units.checked_sub(capacity) {
                    Some(left) => one_more(left),
                    None if units > 0 && !exact => Some((kind.cost, 1)),
                    None => None,
                };
                let best = with.filter(|with| with.0 < without.0 - 1e-9).unwrap_or(without);
                let best =
                    if best.1 > most { table.bounded(units, kind, most, exact) } else { best };
                layer.push(best);
            }
            table.layers.push(layer);
            table.mine.push(index);
        }
        table
    }

    /// The best of at most `most` of a kind above the layers so far.
    fn bounded(&self, units: u32, kind: &Kind, most: u32, exact: bool) -> (f64, u32) {
        let capacity = kind.capacity.max(1);
        let useful = if exact { units / capacity } else { units.div_ceil(capacity) };
        let options = (0..=useful.min(most)).map(|count| {
            let left = units.saturating_sub(count.saturating_mul(capacity));
            (self.cost(left) + f64::from(count) * kind.cost, count)
        });
        options.fold(
            (f64::INFINITY, 0),
            |best, option| {
                if option.0 < best.0 - 1e-9 { option } else { best }
            },
        )
    }

    fn cost(&self, units: u32) -> f64 {
        match self.layers.last() {
            Some(layer) => layer.get(units as usize).map_or(f64::INFINITY, |best| best.0),
            None if units == 0 => 0.0,
            None => f64::INFINITY,
        }
    }

    /// Adds the cheapest cover of `units`.
    fn take(&self, mut units: u32, counts: &mut [u32]) {
        for (&index, layer) in self.mine.iter().zip(&self.layers).rev() {
            let count = layer.get(units as usize).map_or(0, |best| best.1);
            counts[index] = counts[index].saturating_add(count);
            units = units.saturating_sub(count.saturating_mul(self.kinds[index].capacity.max(1)));
        }
    }
}

/// Units up to which the choice is exact.
const EXACT: u32 = 1024;

#[cfg(test)]
mod tests;
