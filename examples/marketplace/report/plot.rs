//! A line chart over the seconds of the run, as inline SVG.

use std::fmt::Write as _;

/// One line of a chart.
#[derive(Debug)]
pub struct Line<'a> {
    pub name: &'a str,
    /// CSS class of the line, which gives it its colour: `c1` to `c5`.
    pub class: &'a str,
    /// One value a second; NaN leaves a gap.
    pub values: Vec<f64>,
}

/// How a chart is drawn.
#[derive(Debug)]
pub struct Chart<'a> {
    pub title: &'a str,
    pub unit: &'a str,
    /// Values are drawn on a logarithmic axis.
    pub log: bool,
    /// A bound to draw across, with its name.
    pub bound: Option<(f64, &'a str)>,
    pub lines: Vec<Line<'a>>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;

impl Chart<'_> {
    /// A `<figure>` with its title, its legend and the drawing.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let axis = Axis::over(self);
        write!(
            out,
            "<figure><figcaption><b>{}</b> <span class=unit>{}</span><span class=legend>",
            self.title, self.unit
        )?;
        for line in &self.lines {
            write!(out, "<span class={}>{}</span>", line.class, line.name)?;
        }
        write!(
            out,
            "</span></figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{}\">",
            self.title
        )?;
        for tick in axis.ticks() {
            let y = axis.y(tick);
            write!(
                out,
                "<line class=grid x1={LEFT} x2={} y1={y:.1} y2={y:.1} /><text class=tick x={} y={:.1} text-anchor=end>{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 3.5,
                short(tick)
            )?;
        }
        let step = (axis.seconds / 6.0).ceil().max(1.0);
        let mut second = 0.0;
        while second <= axis.seconds {
            write!(
                out,
                "<text class=tick x={:.1} y={} text-anchor=middle>{second:.0} s</text>",
                axis.x(second),
                HEIGHT - 8.0
            )?;
            second += step;
        }
        if let Some((value, name)) = self.bound {
            let y = axis.y(value);
            write!(
                out,
                "<line class=bound x1={LEFT} x2={} y1={y:.1} y2={y:.1} /><text class=boundname x={} y={:.1} text-anchor=end>{name}</text>",
                WIDTH - RIGHT,
                WIDTH - RIGHT - 4.0,
                if y < TOP + 12.0 { y + 13.0 } else { y - 5.0 }
            )?;
        }
        for line in &self.lines {
            write!(out, "<path class={} d=\"{}\" />", line.class, axis.path(&line.values))?;
        }
        write!(out, "</svg></figure>")
    }
}

struct Axis {
    low: f64,
    high: f64,
    log: bool,
    seconds: f64,
}

impl Axis {
    fn over(chart: &Chart<'_>) -> Self {
        let values = chart.lines.iter().flat_map(|line| &line.values).copied();
        let values = values.chain(chart.bound.map(|(value, _)| value));
        let known = values.filter(|value| value.is_finite() && (!chart.log || *value > 0.0));
        let (least, most) =
            known.fold((f64::INFINITY, 0.0_f64), |(l, m), value| (l.min(value), m.max(value)));
        let seconds = chart.lines.iter().map(|line| line.values.len()).max().unwrap_or(0);
        let seconds = seconds.saturating_sub(1).max(1) as f64;
        let log = chart.log && least.is_finite();
        let (low, high) = if log {
            (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil()))
        } else {
            (0.0, nice(most))
        };
        Self { low, high: if high > low { high } else { low + 1.0 }, log, seconds }
    }

    fn x(&self, second: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * second / self.seconds
    }

    fn y(&self, value: f64) -> f64 {
        let part = if self.log {
            (value.max(self.low) / self.low).log10() / (self.high / self.low).log10()
        } else {
            value / self.high
        };
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let decades = (self.high / self.low).log10().round() as i32;
            return (0..=decades).map(|power| self.low * 10_f64.powi(power)).collect();
        }
        (0..=4).map(|quarter| self.high * f64::from(quarter) / 4.0).collect()
    }

    fn path(&self, values: &[f64]) -> String {
        let (mut path, mut pen_down) = (String::new(), false);
        for (second, value) in values.iter().enumerate() {
            if !value.is_finite() {
                pen_down = false;
                continue;
            }
            let command = if pen_down { 'L' } else { 'M' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.x(second as f64), self.y(*value));
            pen_down = true;
        }
        path
    }
}

/// The next of 1, 2, 4, 6, 8 times a power of ten: its quarters print short.
fn nice(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    power * steps.into_iter().find(|step| step * power >= value).unwrap_or(10.0)
}

fn short(value: f64) -> String {
    match value {
        v if v >= 10_000.0 => format!("{:.0}k", v / 1_000.0),
        v if v >= 1_000.0 => format!("{:.1}k", v / 1_000.0),
        v if v >= 10.0 || v == v.trunc() => format!("{v:.0}"),
        v if v >= 0.1 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_in_the_values_breaks_the_line() {
        let axis = Axis { low: 0.0, high: 10.0, log: false, seconds: 3.0 };
        let path = axis.path(&[1.0, f64::NAN, 2.0, 3.0]);
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1));
    }

    #[test]
    fn an_empty_chart_still_draws() {
        let chart = Chart { title: "t", unit: "", log: true, bound: None, lines: Vec::new() };
        assert!(chart.render().contains("</svg>"));
        assert!(!chart.render().contains("NaN"));
    }
}
