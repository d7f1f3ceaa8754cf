//! What does one tick of the planner cost, and one step of each forecaster with its intervals?
use std::hint::black_box;

use bench_harness::{Bench, Role, Subject};
use seawall_scale::capacity::{Planner, PlannerConfig, Service};
use seawall_scale::forecast::{
    Autoregression, Calibrated, Ensemble, Forecaster, HoltWinters, Last, Seasonal, SeasonalNaive,
};

/// Steps of a minute, after three days of them.
const DAY: usize = 1440;

fn main() -> std::io::Result<()> {
    let mut bench = Bench::new("scale_forecast");
    let mut planner = warm_planner();
    let mut tick = 4 * 5_760;
    bench.case(
        "one plan of fourteen candidates",
        vec![Subject::new("seawall-scale", Role::Ours, |times| {
            for _ in 0..times {
                black_box(planner.plan(f64::from(tick) * 15.0, load(tick / 4), 0.0, 20, 105.0));
                tick += 1;
            }
        })],
    );
    let forecasters: [Box<dyn Forecaster>; 6] = [
        Box::new(Last::default()),
        Box::new(SeasonalNaive::new(DAY)),
        Box::new(HoltWinters::new(DAY)),
        Box::new(Autoregression::default()),
        Box::new(Seasonal::new(60.0)),
        Box::new(Ensemble::new(60.0)),
    ];
    for forecaster in forecasters {
        let name = forecaster.name();
        let mut forecaster = Calibrated::new(forecaster, &[5, 15, 60]);
        let mut minute = 0;
        while minute < 3 * 1440 {
            forecaster.observe(Some(load(minute)));
            minute += 1;
        }
        bench.case(
            &format!("observe and the 95 % bounds at 5, 15 and 60 minutes: {name}"),
            vec![Subject::new("seawall-scale", Role::Ours, |times| {
                for _ in 0..times {
                    forecaster.observe(Some(load(minute)));
                    for steps in [5, 15, 60] {
                        black_box(forecaster.quantile(steps, 0.95));
                    }
                    minute += 1;
                }
            })],
        );
    }
    bench.finish()
}

/// Four days of it.
fn warm_planner() -> Planner {
    let service = Service { rate: 10.0, slots: 8, wait: 1.0 / 3.0 };
    let mut planner = Planner::new(PlannerConfig::default(), service, 15.0);
    for tick in 0..4 * 5_760 {
        planner.plan(f64::from(tick) * 15.0, load(tick / 4), 0.0, 20, 105.0);
    }
    planner
}

/// A day with a noon, and a little that does not come again.
fn load(minute: u32) -> f64 {
    let day = (f64::from(minute) / 1440.0 * std::f64::consts::TAU).cos();
    let noise = f64::from(minute.wrapping_mul(2_654_435_761) >> 24) / 256.0;
    200.0 - 150.0 * day + 20.0 * noise
}
