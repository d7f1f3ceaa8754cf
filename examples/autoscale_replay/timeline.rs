//! What each policy did, as a page to look at.

use std::fmt::Write as _;

use crate::line::Line;
use crate::policy::Stage;

/// One policy's run.
pub(crate) struct Run {
    pub(crate) line: Line,
    /// Instances that served, by tick.
    pub(crate) ready: Vec<u32>,
}

/// A page with one picture a policy, all to the same scale: what was needed as an area, what was
/// ready as a line, and where there were too few in red.
pub(crate) fn page(title: &str, stage: &Stage, runs: &[Run]) -> Result<String, std::fmt::Error> {
    let mut html = String::new();
    write!(
        html,
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.4 sans-serif; margin: 24px auto; max-width: 1040px; color: #222; background: #fff; }}
h1 {{ font-size: 20px; }} h2 {{ font-size: 16px; margin: 22px 0 2px; }}
p {{ margin: 2px 0 6px; color: #555; }} svg {{ width: 100%; height: auto; display: block; }}
table {{ border-collapse: collapse; margin: 14px 0; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 2px 0 2px 26px; text-align: right; }} th {{ font-weight: normal; color: #555; }}
th:first-child, td:first-child {{ padding-left: 0; text-align: left; }}
i {{ display: inline-block; width: 12px; height: 12px; margin: 0 5px 0 14px; vertical-align: -1px; }} i:first-child {{ margin-left: 0; }}
</style></head><body>
<h1>{title}</h1>
<p><i style="background:{NEED}"></i>needed <i style="background:{HAVE};height:3px;vertical-align:3px"></i>ready
<i style="background:{BAD}"></i>too few</p>
<p>The busiest thousandth of the load keeps {peak:.0} instances 70 % busy; an instance serves {delay:.0} s after its start.</p>
<table><tr><th>policy</th><th>bad %</th><th>instance hours</th><th>times the least</th><th>starts a day</th></tr>
"#,
        title = escape(title),
        peak = stage.peak_instances,
        delay = stage.fleet.start_delay
    )?;
    for Run { line, .. } in runs {
        writeln!(
            html,
            "<tr><td>{}</td><td>{:.2}</td><td>{:.0}</td><td>{:.2}</td><td>{:.0}</td></tr>",
            line.policy,
            line.slo_violation_ratio * 100.0,
            line.instance_hours,
            line.vs_oracle,
            line.starts_per_day
        )?;
    }
    writeln!(html, "</table>")?;
    let need = &stage.least.sizes;
    // A policy that went far beyond is cut off at the top, so that the others can be seen.
    let most = f64::from(need.iter().copied().max().unwrap_or(1)) * 1.4;
    for run in runs {
        let line = &run.line;
        writeln!(
            html,
            "<h2>{}</h2>\n<p>{:.2} % bad at {:.2} times the least possible</p>",
            line.policy,
            line.slo_violation_ratio * 100.0,
            line.vs_oracle
        )?;
        picture(&mut html, need, &run.ready, most, stage.load.duration())?;
    }
    writeln!(html, "</body></html>")?;
    Ok(html)
}

fn picture(
    html: &mut String,
    need: &[u32],
    ready: &[u32],
    most: f64,
    seconds: f64,
) -> std::fmt::Result {
    let columns = COLUMNS.min(need.len()).max(1);
    let scale = scale_of(most);
    let x = |column: usize| LEFT + column as f64 * WIDTH / columns as f64;
    let y = |size: f64| TOP + HEIGHT * (1.0 - (size / scale).min(1.0));
    let part = |column: usize| {
        let of = |edge: usize| edge * need.len() / columns;
        of(column)..of(column + 1).max(of(column) + 1).min(need.len())
    };
    writeln!(
        html,
        r#"<svg viewBox="0 0 1000 {:.0}" font-family="sans-serif" font-size="12">"#,
        TOP + HEIGHT + 24.0
    )?;
    for share in [0.0, 0.5, 1.0] {
        let at = y(share * scale);
        writeln!(
            html,
            r##"<path d="M{LEFT} {at:.1}H{:.0}" stroke="#e4e4e4"/><text x="{:.0}" y="{:.1}" text-anchor="end" fill="#555">{:.0}</text>"##,
            LEFT + WIDTH,
            LEFT - 6.0,
            at + 4.0,
            share * scale
        )?;
    }
    let (mut area, mut line, mut bad) =
        (format!("M{LEFT} {:.1}", y(0.0)), String::new(), String::new());
    for column in 0..columns {
        let range = part(column);
        // A column stands for many ticks: the most that was needed, and the least that was ready
        // while there was too little, else the mean.
        let needed = need[range.clone()].iter().copied().max().unwrap_or(0);
        let short = range.clone().any(|tick| ready[tick] < need[tick]);
        let mean =
            range.clone().map(|tick| f64::from(ready[tick])).sum::<f64>() / range.len() as f64;
        let (from, to) = (x(column), x(column + 1));
        write!(area, "L{from:.1} {0:.1}L{to:.1} {0:.1}", y(f64::from(needed)))?;
        let letter = if column == 0 { 'M' } else { 'L' };
        write!(line, "{letter}{from:.1} {0:.1}L{to:.1} {0:.1}", y(mean))?;
        if short {
            write!(bad, "M{from:.1} {:.1}h{:.1}v6h-{:.1}z", TOP + HEIGHT, to - from, to - from)?;
        }
    }
    writeln!(
        html,
        r#"<path d="{area}L{:.1} {:.1}z" fill="{NEED}"/><path d="{bad}" fill="{BAD}"/>
<path d="{line}" fill="none" stroke="{HAVE}" stroke-width="1.4"/>"#,
        LEFT + WIDTH,
        y(0.0)
    )?;
    let (unit, name) = if seconds > 3.0 * 86_400.0 {
        (86_400.0, "days")
    } else if seconds > 3.0 * 3_600.0 {
        (3_600.0, "hours")
    } else {
        (60.0, "minutes")
    };
    let least = seconds / unit / 8.0;
    let every = MARKS.into_iter().find(|every| *every >= least).unwrap_or_else(|| scale_of(least));
    let mut mark = 0.0;
    while mark * unit <= seconds {
        let at = LEFT + mark * unit / seconds * WIDTH;
        let label = if mark == 0.0 { format!("0 {name}") } else { format!("{mark:.0}") };
        let anchor = if mark == 0.0 { "start" } else { "middle" };
        writeln!(
            html,
            r##"<text x="{at:.1}" y="{:.1}" text-anchor="{anchor}" fill="#555">{label}</text>"##,
            TOP + HEIGHT + 20.0
        )?;
        mark += every;
    }
    writeln!(html, "</svg>")
}

/// The next of 1, 2, 5, 10 and so on.
fn scale_of(value: f64) -> f64 {
    let power = 10.0_f64.powf(value.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value * 0.999);
    step.unwrap_or(10.0) * power
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Between the marks of an axis, in minutes, hours or days.
const MARKS: [f64; 10] = [1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 100.0];

const COLUMNS: usize = 940;
const LEFT: f64 = 46.0;
const WIDTH: f64 = 940.0;
const TOP: f64 = 6.0;
const HEIGHT: f64 = 130.0;
const NEED: &str = "#c9dcef";
const HAVE: &str = "#0b6e4f";
const BAD: &str = "#c0392b";
