//! Metrics as text: the Prometheus exposition format 0.0.4, which every collector reads.

use std::fmt::Write as _;

use super::family::{Family, Sample, Value};
use super::histogram::{BOUNDS_MICROS, Distribution};

/// The media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `families` as text; those without values are left out.
pub fn text(families: &[Family]) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for Family { name, help, kind, samples } in families.iter().filter(|family| !family.samples.is_empty()) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
        for Sample { labels, value } in samples {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            match value {
                Value::Count(count) => line(&mut text, name, "", &labels, count),
                Value::Amount(amount) => line(&mut text, name, "", &labels, amount),
                Value::Times(times) => histogram(&mut text, name, labels, times),
            }
        }
    }
    text
}

fn line(text: &mut String, name: &str, suffix: &str, labels: &[String], value: impl std::fmt::Display) {
    let _ = match labels {
        [] => writeln!(text, "{name}{suffix} {value}"),
        labels => writeln!(text, "{name}{suffix}{{{}}} {value}", labels.join(",")),
    };
}

/// Buckets count what is below them too; the last one counts all.
fn histogram(text: &mut String, name: &str, mut labels: Vec<String>, times: &Distribution) {
    let mut all = 0_u64;
    let bounds = BOUNDS_MICROS.iter().map(|&bound| (bound as f64 / 1e6).to_string());
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&times.counts) {
        all = all.saturating_add(*count);
        labels.push(format!("le=\"{bound}\""));
        line(text, name, "_bucket", &labels, all);
        labels.pop();
    }
    line(text, name, "_sum", &labels, times.sum_nanos as f64 / 1e9);
    line(text, name, "_count", &labels, all);
}

/// A label's value as it is written between quotation marks.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ground::metrics::Histogram;

    #[test]
    fn each_kind_is_written_as_the_format_has_it() {
        let times = Histogram::default();
        times.observe(Duration::from_micros(7), 2);
        times.observe(Duration::from_secs(60), 1);
        let families = [
            Family::counter("a_total", "A\\\nB.").with(&[("x", "\"\\\n")], 3).with(&[], u64::MAX),
            Family::gauge("none", "Nothing."),
            Family::histogram("t_seconds", "T.").with(&[("y", "z")], times.read()),
            Family::gauge("b_bytes", "B.").with(&[], 0.25),
        ];
        let text = text(&families);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "# HELP a_total A\\\\\\nB.",
                "# TYPE a_total counter",
                "a_total{x=\"\\\"\\\\\\n\"} 3",
                "a_total 18446744073709551615",
            ]
        );
        assert_eq!(
            lines[4..8],
            [
                "# HELP t_seconds T.",
                "# TYPE t_seconds histogram",
                "t_seconds_bucket{y=\"z\",le=\"0.000005\"} 0",
                "t_seconds_bucket{y=\"z\",le=\"0.00001\"} 2",
            ]
        );
        assert_eq!(
            lines[25..],
            [
                "t_seconds_bucket{y=\"z\",le=\"10\"} 2",
                "t_seconds_bucket{y=\"z\",le=\"+Inf\"} 3",
                "t_seconds_sum{y=\"z\"} 60.000014",
                "t_seconds_count{y=\"z\"} 3",
                "# HELP b_bytes B.",
                "# TYPE b_bytes gauge",
                "b_bytes 0.25",
            ]
        );
        assert!(!text.contains("none"));
    }
}
