//! Asks the product: the same program, run inside the node, its JSON read as the contract says.

use std::time::{Duration, Instant};

use netwhy_causes::Report;

use crate::case::Case;
use crate::error::{LabError, Result};
use crate::lab::Lab;

/// What netwhy said.
#[derive(Debug)]
pub struct Answer {
    /// The report.
    pub report: Report,
    /// How long the process ran.
    pub wall: Duration,
}

/// Asks a case's question where it is to be asked.
pub fn ask(case: &Case, lab: &mut Lab) -> Result<Answer> {
    let words: Vec<&str> = case.ask.args.iter().copied().chain(["--json"]).collect();
    let start = Instant::now();
    let output = lab.node(case.ask.node)?.output(&words)?;
    let wall = start.elapsed();
    let said = String::from_utf8_lossy(&output.stdout);
    let code = output.status.code();
    let report: Report = serde_json::from_str(&said).map_err(|error| {
        let grumble = String::from_utf8_lossy(&output.stderr);
        LabError::Unexpected(format!(
            "netwhy {} exited with {code:?} and gave no report ({error}): {}",
            words.join(" "),
            grumble.trim()
        ))
    })?;
    let document = serde_json::from_str(&said).unwrap_or_default();
    if let Err(problems) = netwhy_render::schema::validate(&document) {
        return Err(LabError::Unexpected(format!("the report breaks its schema: {}", problems.join("; "))));
    }
    if code != Some(i32::from(report.exit_code())) {
        return Err(LabError::Unexpected(format!(
            "netwhy exited with {code:?}, and its report says {}",
            report.exit_code()
        )));
    }
    Ok(Answer { report, wall })
}
