//! Who stands out among all nodes of an interval (Envoy's success-rate and
//! failure-percentage outlier detection).

use crate::config::OutlierConfig;
use crate::node::Window;

/// What a node was ejected for; a label of `seawall_balance_ejections_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Consecutive,
    SuccessRate,
    FailureShare,
}

impl Cause {
    pub(crate) const ALL: [Self; 3] = [Self::Consecutive, Self::SuccessRate, Self::FailureShare];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive_failures",
            Self::SuccessRate => "success_rate",
            Self::FailureShare => "failure_share",
        }
    }
}

/// Indices into `windows` of who should go, the worst first.
pub(crate) fn detect(windows: &[Window], config: &OutlierConfig) -> Vec<(usize, Cause)> {
    let mut found: Vec<(usize, Cause)> = Vec::new();
    if config.failure_share > 0.0 {
        let judged = comparable(windows, config.failure_share_requests);
        if judged.len() >= config.failure_share_nodes as usize {
            let least = 1.0 - config.failure_share;
            let bad = judged.iter().filter(|(_, rate)| *rate <= least + ROUNDING);
            found.extend(bad.map(|(index, _)| (*index, Cause::FailureShare)));
        }
    }
    if config.success_rate_deviations > 0.0 {
        let judged = comparable(windows, config.success_rate_requests);
        if judged.len() >= config.success_rate_nodes as usize {
            let count = judged.len() as f64;
            let mean = judged.iter().map(|(_, rate)| rate).sum::<f64>() / count;
            let variance =
                judged.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
            let least = mean - config.success_rate_deviations * variance.sqrt();
            for (index, rate) in judged {
                // Where all are alike, rounding must not make an outlier.
                let known = found.iter().any(|(other, _)| *other == index);
                if rate < least - ROUNDING && !known {
                    found.push((index, Cause::SuccessRate));
                }
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| rate(windows[*a]).total_cmp(&rate(windows[*b])));
    found
}

/// Success rates of nodes with enough requests.
fn comparable(windows: &[Window], requests: u32) -> Vec<(usize, f64)> {
    let enough = |window: &Window| window.successes.saturating_add(window.failures) >= requests;
    let judged = windows.iter().enumerate().filter(|(_, window)| enough(window));
    judged.map(|(index, window)| (index, rate(*window))).collect()
}

fn rate(window: Window) -> f64 {
    let total = f64::from(window.successes) + f64::from(window.failures);
    f64::from(window.successes) / total.max(1.0)
}

const ROUNDING: f64 = 1e-9;

#[cfg(test)]
mod tests;
