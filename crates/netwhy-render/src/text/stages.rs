//! Every stage of the path: what was predicted beside what was seen.

use netwhy_causes::report::{Disagreement, StageOut};

use super::page::{Page, Style};

/// Column of the stage's text: the longest stage name and its margins.
const STAGE: usize = 18;

/// Writes the stages of every flow and direction. A stage where both contradict each other says so in words.
pub(super) fn write(page: &mut Page, stages: &[StageOut]) {
    let mut now = (String::new(), String::new());
    for stage in stages {
        let here = (stage.flow.clone(), stage.direction.clone());
        if here != now {
            page.gap();
            page.entry("path", &format!("{}, {}", stage.flow, stage.direction));
            now = here;
        }
        page.column(STAGE, &format!("  {}", stage.stage), Style::Faint, &stage.predicted, Style::Plain);
        if !stage.observed.is_empty() {
            let (word, style) =
                if stage.disagrees { ("DISAGREES, observed", Style::Bad) } else { ("observed", Style::Good) };
            page.column(STAGE, "", Style::Plain, &format!("{word}: {}", stage.observed), style);
        } else if stage.disagrees {
            page.column(STAGE, "", Style::Plain, "DISAGREES with what was observed", Style::Bad);
        }
    }
}

/// Where prediction and observation contradict each other. Those that a cause explains are told in a long answer.
pub(super) fn write_disagreements(page: &mut Page, all: &[Disagreement], long: bool) {
    let told: Vec<&Disagreement> = all.iter().filter(|d| long || d.explained_by.is_empty()).collect();
    if !told.is_empty() {
        page.gap();
    }
    for (i, d) in told.iter().enumerate() {
        let label = if i == 0 { "disagree" } else { "" };
        let because = match d.explained_by.as_str() {
            "" => String::new(),
            id => format!(" (see {id})"),
        };
        page.entry(
            label,
            &format!(
                "{} path of {}, predicted: {}; observed: {}{because}",
                d.direction, d.flow, d.predicted, d.observed
            ),
        );
    }
}

/// Where each path ends, for an answer that names no cause: the last stage of each flow and direction.
pub(super) fn write_ends(page: &mut Page, stages: &[StageOut]) {
    const MOST: usize = 4;
    let last = |i: usize, s: &StageOut| {
        stages.get(i + 1).is_none_or(|next| (&next.flow, &next.direction) != (&s.flow, &s.direction))
    };
    let ends: Vec<&StageOut> =
        stages.iter().enumerate().filter(|(i, s)| last(*i, s)).map(|(_, s)| s).collect();
    for (i, stage) in ends.iter().take(MOST).enumerate() {
        let seen = match (stage.disagrees, stage.observed.is_empty()) {
            (_, true) => String::new(),
            (true, _) => format!("; observed, and this DISAGREES: {}", stage.observed),
            (false, _) => format!("; observed: {}", stage.observed),
        };
        let label = if i == 0 { "paths" } else { "" };
        page.entry(label, &format!("{} of {}: {}{seen}", stage.direction, stage.flow, stage.predicted));
    }
}
