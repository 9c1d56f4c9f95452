//! A measurement as a picture for a report: for each kind of request how times grow with the rate, up to the knee.
//!
//! It stands by itself: no font, style or image is loaded from anywhere, and nothing in it runs. Both scales are logarithmic:
//! a knee is where a line that was level for a thousandfold turns upwards.

use std::fmt::Write as _;
use std::time::Duration;

use super::counted::millis;
use super::objective::Quantile;
use super::report::{Report, Run};
use crate::ground::clock::whole_micros;

/// All lengths are in user units; the picture scales.
const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
/// Where a panel's curves begin and end.
const LEFT: f64 = 96.0;
const RIGHT: f64 = 860.0;
const PLOT: f64 = 240.0;
/// Above the curves, and below them.
const ABOVE: f64 = 64.0;
const BELOW: f64 = 84.0;
const PANEL: f64 = ABOVE + PLOT + BELOW;
const HEAD: f64 = 56.0;

/// The lines, each with its colour and its dashes: what a colour says is said without it, too.
const LINES: [(Quantile, &str, &str); 4] = [
    (Quantile::P50, "#1a7f37", ""),
    (Quantile::P95, "#1f6feb", "2 3"),
    (Quantile::P99, "#8250df", "8 4"),
    (Quantile::P999, "#bc4c00", "12 4 2 4"),
];

/// Draws `report`.
pub fn draw(report: &Report) -> String {
    let height = HEAD + PANEL * report.runs.len() as f64 + MARGIN;
    let title = "How much the lab bears";
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#1f2328\">\n\
         <title>{title}</title>\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    text(&mut picture, (MARGIN, MARGIN + 14.0), "font-size=\"18\" font-weight=\"bold\"", title);
    let of = format!(
        "open loop; objective {}; network {}, {} processors",
        report.objective, report.network, report.processors
    );
    text(&mut picture, (MARGIN, MARGIN + 34.0), "fill=\"#57606a\"", &of);
    for (number, run) in report.runs.iter().enumerate() {
        panel(&mut picture, HEAD + PANEL * number as f64, run, report);
    }
    picture.push_str("</svg>\n");
    picture
}

/// Logarithmic scales, from a number of each to a place.
struct Scales {
    top: f64,
    rates: (f64, f64),
    times: (f64, f64),
}

impl Scales {
    fn x(&self, rate: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * part(rate, self.rates)
    }

    fn y(&self, micros: f64) -> f64 {
        self.top + PLOT * (1.0 - part(micros, self.times))
    }
}

/// How far `number` is between the two, from 0 to 1.
fn part(number: f64, (least, most): (f64, f64)) -> f64 {
    ((number.max(least) / least).log10() / (most / least).log10()).clamp(0.0, 1.0)
}

/// The powers of ten around numbers from `least` to `most`.
fn decades(least: f64, most: f64) -> (f64, f64) {
    let least = 10_f64.powf(least.max(1.0).log10().floor());
    (least, 10_f64.powf(most.log10().ceil()).max(least * 10.0))
}

fn panel(picture: &mut String, top: f64, run: &Run, report: &Report) {
    let curve = run.curve();
    text(picture, (MARGIN, top + 30.0), "font-size=\"15\" font-weight=\"bold\"", &run.asked);
    let verdict = match (run.sustained, run.broken) {
        (Some(good), Some(bad)) => format!("keeps the objective at {good}/s, breaks it at {bad}/s"),
        (Some(good), None) => format!("keeps the objective at {good}/s, the highest rate tried"),
        (None, Some(bad)) => format!("breaks the objective at {bad}/s, the lowest rate tried"),
        (None, None) => "nothing was measured".into(),
    };
    let full = run.full.first().map(|full| format!("; full then: {full}")).unwrap_or_default();
    let verdict = verdict + &full;
    text(picture, (MARGIN, top + 50.0), "", &verdict);
    let Some((first, last)) = curve.first().zip(curve.last()) else { return };
    let promised = report.objective.times().iter().map(|&(_, time)| whole_micros(time) as f64);
    let told = curve.iter().flat_map(|step| LINES.iter().filter_map(|line| step.time(line.0)));
    let micros: Vec<f64> = told.map(|time| whole_micros(time) as f64).chain(promised).collect();
    let ends = |ends: (f64, f64), &micros: &f64| (ends.0.min(micros), ends.1.max(micros));
    let (least, most) = micros.iter().fold((f64::MAX, 1.0), ends);
    let scales = Scales {
        top: top + ABOVE,
        rates: (f64::from(first.rate), f64::from(last.rate).max(f64::from(first.rate) * 2.0)),
        times: decades(least.min(most), most),
    };
    axes(picture, &scales, &curve.iter().map(|step| step.rate).collect::<Vec<_>>());
    for &(quantile, time) in report.objective.times() {
        let y = scales.y(whole_micros(time) as f64);
        let _ = writeln!(
            picture,
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#cf222e\" stroke-dasharray=\"4 4\"/>"
        );
        let at = (RIGHT + 6.0, y + 4.0);
        text(picture, at, "fill=\"#cf222e\" font-size=\"11\"", &format!("{} promised", quantile.as_str()));
    }
    if let Some(good) = run.sustained {
        let (x, bottom) = (scales.x(f64::from(good)), scales.top + PLOT);
        let _ = writeln!(
            picture,
            "<path d=\"M{x:.1} {:.1}V{bottom:.1}\" stroke=\"#1f2328\" stroke-width=\"2\"/>",
            scales.top
        );
        text(picture, (x - 4.0, scales.top - 4.0), "text-anchor=\"middle\"", &format!("{good}/s"));
    }
    for (number, (quantile, colour, dashes)) in LINES.iter().enumerate() {
        let points = curve.iter().filter_map(|step| {
            let micros = whole_micros(step.time(*quantile)?) as f64;
            Some(format!("{:.1},{:.1}", scales.x(f64::from(step.rate)), scales.y(micros)))
        });
        let _ = writeln!(
            picture,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>",
            points.collect::<Vec<_>>().join(" ")
        );
        let (x, y) = (LEFT + 110.0 * number as f64, scales.top + PLOT + 44.0);
        let _ = writeln!(
            picture,
            "<path d=\"M{x} {y}h28\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>"
        );
        text(picture, (x + 34.0, y + 4.0), "", quantile.as_str());
    }
}

fn axes(picture: &mut String, scales: &Scales, rates: &[u32]) {
    let (top, bottom) = (scales.top, scales.top + PLOT);
    let mut micros = scales.times.0;
    while micros <= scales.times.1 * 1.001 {
        let y = scales.y(micros);
        let _ = writeln!(picture, "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#d0d7de\"/>");
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a power of ten below 10^9"
        )]
        let label = millis(Duration::from_micros(micros.round() as u64)).replace(".00", "").replace(".0", "");
        text(picture, (LEFT - 8.0, y + 4.0), "text-anchor=\"end\"", &label);
        micros *= 10.0;
    }
    // Labels that would lie upon each other are left out; ticks never are.
    let mut free = f64::MIN;
    for &rate in rates {
        let x = scales.x(f64::from(rate));
        let _ = writeln!(picture, "<path d=\"M{x:.1} {bottom:.1}v5\" stroke=\"#57606a\"/>");
        if x >= free {
            text(picture, (x, bottom + 20.0), "text-anchor=\"middle\"", &format!("{rate}/s"));
            free = x + 60.0;
        }
    }
    let _ = writeln!(
        picture,
        "<path d=\"M{LEFT} {top:.1}V{bottom:.1}H{RIGHT}\" fill=\"none\" stroke=\"#57606a\"/>"
    );
}

fn text(picture: &mut String, (x, y): (f64, f64), style: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let words: String = words.chars().filter(|sign| !sign.is_control()).collect();
    // Writing to a String does not fail.
    let _ = writeln!(picture, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::load::report::{Ended, tests::run};
    use crate::measure::load::strain::Full;

    fn report(runs: Vec<Run>) -> Report {
        let objective = "p99=100ms,errors=1%".parse().unwrap();
        Report { version: "0".into(), network: "loopback".into(), processors: 2, objective, runs }
    }

    #[test]
    fn a_run_is_drawn_with_its_knee_and_what_was_promised() {
        let picture = draw(&report(vec![run()]));
        assert!(picture.contains("keeps the objective at 1000/s, breaks it at 1500/s"));
        assert!(picture.contains("p99 promised") && picture.contains("&lt;a&gt;&amp;"));
        assert_eq!(picture.matches("<polyline").count(), 4);
        let mut full = run();
        full.full = vec![Full::Processor { service: "web".into(), percent: 99.0 }];
        assert!(draw(&report(vec![full])).contains("; full then: the processor of web (99 %)"));
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
    }

    #[test]
    fn scales_are_logarithmic_and_bounded() {
        assert_eq!(decades(80.0, 120_000.0), (10.0, 1_000_000.0));
        assert_eq!(decades(0.0, 1.0), (1.0, 10.0));
        assert!((part(100.0, (10.0, 1_000.0)) - 0.5).abs() < 1e-9);
        assert_eq!((part(0.0, (10.0, 1_000.0)), part(1e9, (10.0, 1_000.0))), (0.0, 1.0));
    }

    #[test]
    fn nothing_is_drawn_as_nothing() {
        let empty = Run { steps: Vec::new(), sustained: None, broken: None, ended: Ended::Time, ..run() };
        assert!(draw(&report(vec![empty])).contains("nothing was measured"));
        let mut one = run();
        one.steps.truncate(1);
        assert!(!draw(&report(vec![one])).contains("NaN"));
    }
}
