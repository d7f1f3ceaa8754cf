//! The cheaper of two by chance (Mitzenmacher 2001), by the cost of `cost.rs`.

use super::cost::Cost;
use super::{Ask, Choose};
use crate::hash::{below, random};

#[derive(Debug)]
pub(crate) struct PeakEwma;

impl Choose for PeakEwma {
    #[inline]
    fn choose<N>(&self, ask: &Ask<'_, N>) -> Option<usize> {
        let count = ask.view.open.len();
        if count == 1 {
            let only = ask.view.open[0] as usize;
            return ask.fits(only).then_some(only);
        }
        let ticket = ask.random.next();
        let mut draws = Draws { ticket, made: 0 };
        let Some(first) = draws.next(ask, |_| true) else { return scan(ask) };
        let Some(second) = draws.next(ask, |_| true) else { return scan(ask) };
        if first != second {
            let cheaper = ask.cost(first).within(&ask.cost(second), 1.0);
            let (best, other) = if cheaper { (first, second) } else { (second, first) };
            return draws.started(ask, best, other);
        }
        // Drawn twice: at even weights a matter of chance, at uneven ones what the
        // weights are about. So another one must be clearly cheaper to have it.
        let Some(other) = draws.other(ask, first) else { return Some(first) };
        let margin = if ask.view.alias.is_some() { CLEARLY } else { 1.0 };
        let stays = ask.cost(first).within(&ask.cost(other), margin);
        let (best, other) = if stays { (first, other) } else { (other, first) };
        draws.started(ask, best, other)
    }
}

/// Open nodes by chance, each as likely as its weight.
struct Draws {
    ticket: u64,
    made: u64,
}

impl Draws {
    #[inline]
    fn next<N>(&mut self, ask: &Ask<'_, N>, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        for _ in 0..TRIES {
            let (index, _) = self.draw(ask);
            if wanted(index) && ask.fits(index) {
                return Some(index);
            }
        }
        None
    }

    fn other<N>(&mut self, ask: &Ask<'_, N>, than: usize) -> Option<usize> {
        // One of a few, and the others rare: any that will do.
        self.next(ask, |index| index != than).or_else(|| {
            let others = ask.view.open.iter().map(|index| *index as usize);
            others.take(FEW).find(|index| *index != than && ask.fits(*index))
        })
    }

    /// The better of the two if it takes the request: a node that is starting takes
    /// its share of what would be its own, however cheap it looks.
    #[inline]
    fn started<N>(&mut self, ask: &Ask<'_, N>, best: usize, other: usize) -> Option<usize> {
        if !ask.view.ramping {
            return Some(best);
        }
        let (_, number) = self.draw(ask);
        if ask.takes(best, number) {
            return Some(best);
        }
        if ask.takes(other, number) {
            return Some(other);
        }
        let mut rest = ask.view.open.iter().map(|index| *index as usize);
        // Of those furthest on, one takes everything.
        rest.find(|index| ask.fits(*index) && ask.takes(*index, number)).or(Some(best))
    }

    #[inline]
    fn draw<N>(&mut self, ask: &Ask<'_, N>) -> (usize, u64) {
        let number = random(self.ticket, self.made);
        self.made += 1;
        let position = match &ask.view.alias {
            Some(alias) => alias.sample(number),
            None => below((number >> 32) as u32, ask.view.open.len()),
        };
        (ask.view.open[position] as usize, number)
    }
}

/// The cheapest of all that fit, for when chance finds none.
#[cold]
fn scan<N>(ask: &Ask<'_, N>) -> Option<usize> {
    let mut best: Option<(usize, Cost)> = None;
    for index in ask.view.open.iter().map(|index| *index as usize) {
        if ask.fits(index) {
            let cost = ask.cost(index);
            if best.is_none_or(|(_, least)| !least.within(&cost, 1.0)) {
                best = Some((index, cost));
            }
        }
    }
    best.map(|(index, _)| index)
}

/// Draws for one candidate.
const TRIES: usize = 4;
const FEW: usize = 16;
const CLEARLY: f32 = 2.0;
