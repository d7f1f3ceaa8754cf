use std::collections::VecDeque;

use super::{Autoregression, Forecaster, HoltWinters, Last, Mean, Seasonal, SeasonalNaive, sound};

/// Many forecasters, weighted by how far each was off lately, at each distance by itself.
///
/// One that is twice as far off as the best counts almost nothing, so one that has gone wrong
/// (a level shift, a period that ended) is out within hours, and back when it is right.
///
/// Cost: that of its members, which is constant for a step.
#[derive(Debug)]
pub struct Ensemble {
    members: Vec<Box<dyn Forecaster>>,
    boards: Vec<Board>,
    kept: f64,
}

/// What the members said for one distance, and how far off they were.
#[derive(Clone, Debug)]
struct Board {
    steps: u32,
    said: VecDeque<Vec<Option<f64>>>,
    off: Vec<f64>,
}

impl Ensemble {
    /// All forecasters of this module, for steps of so many seconds and a season of a day where
    /// one has to be told.
    #[must_use]
    pub fn new(step: f64) -> Self {
        let step = if step.is_finite() { step.clamp(0.01, DAY) } else { 60.0 };
        let day = (DAY / step).round() as usize;
        let quarter = (900.0 / step).round() as usize;
        Self::of(
            vec![
                Box::new(Last::default()),
                Box::new(Mean::new(quarter.clamp(2, 15))),
                Box::new(Autoregression::default()),
                Box::new(Seasonal::new(step)),
                Box::new(SeasonalNaive::new(day)),
                Box::new(HoltWinters::new(day)),
            ],
            DAY / 2.0 / step,
        )
    }

    /// Of these members; what is `memory` steps old counts a third.
    #[must_use]
    pub fn of(members: Vec<Box<dyn Forecaster>>, memory: f64) -> Self {
        let board = |steps: &u32| Board {
            steps: *steps,
            said: VecDeque::new(),
            off: vec![0.0; members.len()],
        };
        let boards = DISTANCES.iter().map(board).collect();
        Self { members, boards, kept: 1.0 - 1.0 / memory.max(2.0) }
    }

    /// How much each member counts `steps` ahead, by name; they sum to 1.
    #[must_use]
    pub fn weights(&self, steps: u32) -> Vec<(&'static str, f64)> {
        let weights = self.board(steps).map_or_else(Vec::new, Board::weights);
        let sum: f64 = weights.iter().sum();
        let names = self.members.iter().map(Forecaster::name);
        names.zip(weights.into_iter().map(|weight| weight / sum)).collect()
    }

    /// The nearest distance by ratio.
    fn board(&self, steps: u32) -> Option<&Board> {
        let far = |board: &Board| (f64::from(board.steps) / f64::from(steps.max(1))).ln().abs();
        self.boards.iter().min_by(|a, b| far(a).total_cmp(&far(b)))
    }
}

impl Forecaster for Ensemble {
    fn name(&self) -> &'static str {
        "ensemble"
    }

    fn observe(&mut self, value: Option<f64>) {
        let value = sound(value);
        for board in &mut self.boards {
            if board.said.len() >= board.steps as usize
                && let Some(said) = board.said.pop_front()
                && let Some(value) = value
            {
                board.score(&said, value, self.kept);
            }
        }
        self.members.iter_mut().for_each(|member| member.observe(value));
        for board in &mut self.boards {
            let said = self.members.iter().map(|member| member.forecast(board.steps));
            board.said.push_back(said.collect());
        }
    }

    fn forecast(&self, steps: u32) -> Option<f64> {
        let weights = self.board(steps)?.weights();
        let (mut sum, mut total) = (0.0, 0.0);
        for (member, weight) in self.members.iter().zip(weights) {
            if let Some(said) = member.forecast(steps) {
                sum += weight * said;
                total += weight;
            }
        }
        (total > 0.0).then(|| sum / total)
    }
}

impl Board {
    fn score(&mut self, said: &[Option<f64>], value: f64, kept: f64) {
        let errors = || said.iter().flatten().map(|said| (said - value).abs());
        // Who says nothing yet is taken for as wrong as the worst.
        let worst = errors().fold(0.0, f64::max);
        for (off, said) in self.off.iter_mut().zip(said) {
            let error = said.map_or(worst, |said| (said - value).abs());
            *off = *off * kept + error;
        }
    }

    fn weights(&self) -> Vec<f64> {
        let least = self.off.iter().copied().fold(f64::INFINITY, f64::min);
        let weight = |off: &f64| {
            if *off > 0.0 { (-SHARP * (off / least.max(1e-12) - 1.0)).exp().max(1e-9) } else { 1.0 }
        };
        self.off.iter().map(weight).collect()
    }
}

const DISTANCES: [u32; 5] = [1, 4, 15, 60, 240];
const DAY: f64 = 86_400.0;
/// One that is a tenth further off counts about an eighth as much.
const SHARP: f64 = 20.0;
