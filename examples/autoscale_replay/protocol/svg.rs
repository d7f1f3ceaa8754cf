//! The frontier as a plot.

use std::fmt::Write as _;

use super::frontier::{Point, curve};
use super::runs::{Cell, MEASURING};
use crate::policy::Kind;

/// Bad requests (logarithmic) by cost, a line for each policy.
pub(crate) fn frontier(cells: &[Cell], delay: f64) -> Result<String, std::fmt::Error> {
    let kinds = [Kind::Seawall].into_iter().chain(MEASURING).chain([Kind::Fresh]);
    let curves: Vec<(Kind, Vec<Point>)> =
        kinds.map(|kind| (kind, curve(cells, kind, delay))).collect();
    let all = || curves.iter().flat_map(|(_, points)| points);
    let (mut bad_least, mut bad_most) = (f64::INFINITY, 0.0_f64);
    for point in all() {
        bad_least = bad_least.min(point.bad.max(0.05));
        bad_most = bad_most.max(point.bad);
    }
    let (low, high) = (bad_least.ln() - 0.1, bad_most.max(bad_least + 1.0).ln() + 0.1);
    let (left, right) = (1.0, 3.5);
    let x = |cost: f64| 70.0 + (cost - left) / (right - left) * 590.0;
    let y = |bad: f64| 390.0 - (bad.max(0.05).ln() - low) / (high - low) * 340.0;

    let mut svg = String::new();
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 840 450" font-family="sans-serif" font-size="13">
<rect width="840" height="450" fill="white"/>
<text x="70" y="28" font-size="16">Bad requests by cost, instances ready after {delay} s</text>"#
    )?;
    for mark in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0] {
        if (low..=high).contains(&f64::ln(mark)) {
            let at = y(mark);
            writeln!(
                svg,
                r##"<path d="M70 {at:.1}H660" stroke="#e4e4e4"/><text x="62" y="{:.1}" text-anchor="end">{mark} %</text>"##,
                at + 4.0
            )?;
        }
    }
    for mark in [1.0, 1.5, 2.0, 2.5, 3.0, 3.5] {
        let at = x(mark);
        writeln!(
            svg,
            r##"<path d="M{at:.1} 50V390" stroke="#e4e4e4"/><text x="{at:.1}" y="408" text-anchor="middle">{mark}</text>"##
        )?;
    }
    writeln!(
        svg,
        r#"<text x="365" y="434" text-anchor="middle">instance time beside the least that is possible, mean over the traces</text>"#
    )?;
    let colours = ["#0b6e4f", "#c0392b", "#2e6fb7", "#8e5aa8", "#c77d0a", "#666666"];
    for (index, ((kind, points), colour)) in curves.iter().zip(colours).enumerate() {
        let inside: Vec<&Point> =
            points.iter().filter(|point| (left..=right).contains(&point.cost)).collect();
        let width = if *kind == Kind::Seawall { 3 } else { 1 };
        let mut path = String::new();
        for (order, point) in inside.iter().enumerate() {
            let letter = if order == 0 { 'M' } else { 'L' };
            write!(path, "{letter}{:.1} {:.1}", x(point.cost), y(point.bad))?;
            writeln!(
                svg,
                r#"<circle cx="{:.1}" cy="{:.1}" r="3" fill="{colour}"><title>{} {}: {:.2} % bad, cost {:.2}</title></circle>"#,
                x(point.cost),
                y(point.bad),
                kind.name(),
                point.knob,
                point.bad,
                point.cost
            )?;
        }
        let label = 70 + index * 22;
        writeln!(
            svg,
            r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>
<path d="M676 {label}h22" stroke="{colour}" stroke-width="{width}"/><text x="704" y="{}">{}</text>"#,
            label + 4,
            kind.name()
        )?;
    }
    writeln!(svg, "</svg>")?;
    Ok(svg)
}
