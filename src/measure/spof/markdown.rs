//! The matrix as a table in Markdown (GFM), for a report.

use std::fmt::Write as _;

use super::{Matrix, shown, shown_or_none};

/// Writes it.
pub fn write(matrix: &Matrix) -> String {
    let mut text = format!("## Single points of failure of {}\n\n| part | down |", cell(&matrix.site));
    for check in &matrix.checks {
        let _ = write!(text, " {} |", check.heading().to_lowercase());
    }
    text.push_str(" symptom | noticed | recovered | single point of failure |\n|---|---|");
    text.push_str(&"---|".repeat(matrix.checks.len()));
    text.push_str("---|--:|--:|---|\n");
    for component in &matrix.components {
        for trial in &component.trials {
            let _ = write!(text, "| {} | {} |", cell(&component.name), trial.how);
            for check in &matrix.checks {
                let _ = write!(text, " {} |", trial.works.get(check).map_or("?", |works| works.word()));
            }
            let symptoms = cell(&trial.symptoms.join(", "));
            let (noticed, recovered) = (trial.noticed_seconds, trial.recovered_seconds);
            let _ = writeln!(
                text,
                " {symptoms} | {} | {} | {} |",
                shown_or_none(noticed),
                shown_or_none(recovered),
                trial.verdict()
            );
        }
    }
    let _ = write!(
        text,
        "\n{} Measured in {} on network `{}` with wwwlab {}. *warm*: works only for whose resolver remembers the name.\n",
        cell(&matrix.sentence()),
        shown(matrix.seconds),
        cell(&matrix.network),
        env!("CARGO_PKG_VERSION")
    );
    text
}

/// What may not end a cell, begin a tag or a line.
fn cell(text: &str) -> String {
    let plain = text.replace(['\n', '\r'], " ");
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('|', "\\|")
}
