//! The score: every case asked, every answer compared, in the measures of published fault benchmarks.

use std::time::Duration;

use netwhy_causes::report::{CauseOut, Confidence, Overall};
use serde::Serialize;

use crate::answer::{self, Answer};
use crate::apply;
use crate::case::{Case, Expect, Expected, locus_fits};
use crate::error::Result;
use crate::lab::Lab;

/// How often a case is asked: two faults in a row need two answers, and one more to hear that all is well.
const ROUNDS: usize = 4;

/// One case's result.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The case.
    pub case: String,
    /// What had to be said: causes with their loci, or a verdict.
    pub expected: Vec<String>,
    /// What was said.
    pub got: Vec<String>,
    /// Causes named rightly, with the right locus.
    pub right: usize,
    /// Causes named wrongly.
    pub wrong: usize,
    /// Causes not named.
    pub missed: usize,
    /// It is a control: nothing here is to be accused.
    pub control: bool,
    /// The verdict was the expected one.
    pub verdict_right: bool,
    /// No cause was named although there was one.
    pub abstained: bool,
    /// Look-alikes the case asks about.
    pub look_alikes: usize,
    /// Those of them that were neither ruled out nor explained as part of the answer.
    pub not_ruled_out: Vec<String>,
    /// The victim sees nothing but silence, so that the answer takes its time.
    pub silent: bool,
    /// Seconds of the first answer.
    pub seconds: f64,
    /// Processor seconds of the first answer.
    pub cpu_seconds: f64,
    /// Resident memory of the first answer, in MiB.
    pub rss_mib: f64,
    /// Packets sent for the first answer.
    pub packets: u64,
    /// What repaired it: `netwhy`, `person`, `nobody`; empty for a control.
    pub repaired_by: String,
    /// Everything that was not as it should be.
    pub complaints: Vec<String>,
}

impl Row {
    /// Right in everything that is counted.
    #[must_use]
    pub fn perfect(&self) -> bool {
        self.wrong == 0 && self.missed == 0 && self.verdict_right && self.complaints.is_empty()
    }
}

/// Totals over all cases.
#[derive(Debug, Clone, Serialize)]
pub struct Totals {
    /// Cases asked.
    pub cases: usize,
    /// Cases with nothing to complain about.
    pub perfect: usize,
    /// Right of all named.
    pub precision: f64,
    /// Right of all there were.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// Mean over fault cases: 0 if any cause was missed, else the precision of the list.
    pub all_or_precision: f64,
    /// Controls in which something of the host was accused, of all controls.
    pub false_accusations: (usize, usize),
    /// Look-alikes ruled out by name and fact, of all asked about.
    pub look_alikes_ruled_out: (usize, usize),
    /// Fault cases without any cause named.
    pub abstentions: usize,
    /// Fault cases whose printed fix made the victim's attempt succeed, of those repaired at all.
    pub fixed_by_netwhy: (usize, usize),
    /// Median seconds where the failure is immediate.
    pub median_seconds_immediate: f64,
    /// Median seconds where it is silence.
    pub median_seconds_silent: f64,
    /// Median processor seconds.
    pub median_cpu_seconds: f64,
    /// Largest resident memory, in MiB.
    pub max_rss_mib: f64,
    /// Median of packets sent.
    pub median_packets: f64,
}

fn describe(expected: &Expected) -> String {
    format!("{} @ {}", expected.cause, brief(&expected.locus))
}

/// A locus in a few words: its fields without their names.
fn brief(locus: &serde_json::Value) -> String {
    let Some(fields) = locus.as_object() else { return String::new() };
    let word = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    };
    let kind = fields.get("kind").map(word).unwrap_or_default();
    let rest: Vec<String> = fields
        .iter()
        .filter(|(name, _)| *name != "kind" && *name != "text")
        .map(|(_, value)| word(value))
        .filter(|text| !text.is_empty())
        .collect();
    format!("{kind} {}", rest.join(" "))
}

/// A cause netwhy named, in a few words.
#[must_use]
pub fn said(cause: &CauseOut) -> String {
    let locus = serde_json::to_value(&cause.locus).unwrap_or_default();
    let sure = if cause.confidence == Confidence::Proven { "" } else { "?" };
    let place = if cause.outside { " (outside)" } else { "" };
    format!("{}{sure} @ {}{place}", cause.id, brief(&locus))
}

fn same_cause(expected: &Expected, cause: &CauseOut) -> bool {
    let locus = serde_json::to_value(&cause.locus).unwrap_or_default();
    expected.cause == cause.id && locus_fits(&expected.locus, &locus)
}

/// Runs one case from the fault to the last answer. `patience_of` says which failures are silence.
pub fn run(case: &Case, lab: Lab) -> Result<Row> {
    let mut running = case.start(lab)?;
    let seen = case.symptom(&mut running.lab)?;
    if case.needs_traffic() {
        running.lab.keep_trying(case.victim.node, case.victim.target)?;
    }
    let first = answer::ask(case, &mut running.lab)?;
    let mut row = Row {
        case: case.id.to_owned(),
        expected: Vec::new(),
        got: first.report.causes.iter().map(said).collect(),
        right: 0,
        wrong: 0,
        missed: 0,
        control: false,
        verdict_right: false,
        abstained: false,
        look_alikes: case.ruled_out.len(),
        not_ruled_out: not_ruled_out(case, &first),
        silent: seen.failure.as_ref().is_some_and(|failure| failure.ends_with("timeout")),
        seconds: first.wall.as_secs_f64(),
        cpu_seconds: Duration::from_micros(first.report.cost.cpu_us).as_secs_f64(),
        rss_mib: mib(first.report.cost.rss_bytes),
        packets: first.report.cost.packets_sent,
        repaired_by: String::new(),
        complaints: Vec::new(),
    };
    if first.wall > Duration::from_millis(case.budget_ms) {
        row.complaints.push(format!("took {:.1} s of {} ms", row.seconds, case.budget_ms));
    }
    match running.broken.expect.clone() {
        Expect::Healthy => control(&mut row, &first, Overall::Healthy),
        Expect::Undetermined => control(&mut row, &first, Overall::Undetermined),
        Expect::Outside(shows_as) => {
            control(&mut row, &first, Overall::Outside);
            row.expected.push(shows_as.to_owned());
            if !first.report.causes.iter().any(|cause| cause.id == shows_as) {
                row.complaints.push(format!("not said: {shows_as}"));
            }
        }
        Expect::Causes(expected) => {
            row.expected = expected.iter().map(describe).collect();
            row.verdict_right = first.report.verdict == Overall::Problem;
            row.abstained = first.report.causes.is_empty();
            let heard = repair(case, &mut running, first, &expected, &mut row)?;
            row.right =
                expected.iter().filter(|one| heard.iter().any(|cause| same_cause(one, cause))).count();
            row.missed = expected.len() - row.right;
            let aftermath = |cause: &CauseOut| running.broken.steps.iter().any(|(id, _)| *id == cause.id);
            let known = |cause: &CauseOut| expected.iter().any(|one| same_cause(one, cause));
            row.wrong = heard.iter().filter(|cause| !known(cause) && !aftermath(cause)).count();
        }
    }
    Ok(row)
}

fn mib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) / 1024.0
}

fn not_ruled_out(case: &Case, answer: &Answer) -> Vec<String> {
    // A look-alike may also be folded into the cause that brings it about.
    let missing = |id: &&&str| {
        !answer.report.ruled_out.iter().any(|one| one.id == **id)
            && !answer.report.causes.iter().any(|one| one.explains.iter().any(|other| other == **id))
    };
    case.ruled_out.iter().filter(missing).map(|id| (*id).to_owned()).collect()
}

fn control(row: &mut Row, answer: &Answer, verdict: Overall) {
    row.control = true;
    row.expected = vec![format!("{verdict:?}").to_lowercase()];
    row.verdict_right = answer.report.verdict == verdict;
    row.wrong = answer.report.causes.iter().filter(|cause| !cause.outside).count();
    if !row.verdict_right {
        row.complaints.push(format!("verdict {:?}", answer.report.verdict));
    }
}

/// Applies what was printed, asks again, until all is well or nothing more helps. Returns all causes heard.
fn repair(
    case: &Case,
    running: &mut crate::case::Running,
    first: Answer,
    expected: &[Expected],
    row: &mut Row,
) -> Result<Vec<CauseOut>> {
    let mut heard: Vec<CauseOut> = Vec::new();
    let mut answer = first;
    let mut by_command = true;
    let mut acted = false;
    for _ in 0..ROUNDS {
        let fresh: Vec<CauseOut> = std::mem::take(&mut answer.report.causes)
            .into_iter()
            .filter(|cause| !heard.iter().any(|old| old.id == cause.id && old.locus == cause.locus))
            .collect();
        if fresh.is_empty() {
            break;
        }
        let mut applied = 0;
        for cause in &fresh {
            match apply::fix(cause, running.lab.node(case.ask.node)?) {
                Ok(Some(_)) => applied += 1,
                Ok(None) => {
                    let step = running.broken.steps.iter().find(|(id, _)| *id == cause.id);
                    if let Some((_, step)) = step {
                        step(&mut running.lab)?;
                        (by_command, applied) = (false, applied + 1);
                    }
                }
                Err(error) => row.complaints.push(format!("fix of {}: {error}", cause.id)),
            }
        }
        heard.extend(fresh);
        if applied == 0 {
            break;
        }
        acted = true;
        answer = answer::ask(case, &mut running.lab)?;
        row.got.extend(answer.report.causes.iter().map(|cause| format!("then {}", said(cause))));
        if answer.report.verdict == Overall::Healthy {
            break;
        }
    }
    let mut well = acted && case.attempt_again(&mut running.lab)?.is_ok();
    if !well {
        by_command = false;
        let all_named = expected.iter().all(|one| heard.iter().any(|cause| same_cause(one, cause)));
        if let (Some(heal), true) = (&running.broken.heal, all_named) {
            heal(&mut running.lab)?;
            well = case.attempt_again(&mut running.lab)?.is_ok();
            answer = answer::ask(case, &mut running.lab)?;
        }
    }
    row.repaired_by = match (well, by_command) {
        (false, _) => "nobody",
        (true, true) => "netwhy",
        (true, false) => "person",
    }
    .to_owned();
    if well && answer.report.verdict != Overall::Healthy {
        let still: Vec<String> = answer.report.causes.iter().map(said).collect();
        let verdict = answer.report.verdict;
        row.complaints.push(format!("repaired, and yet the verdict is {verdict:?}: {}", still.join("; ")));
    }
    Ok(heard)
}

fn ratio(part: usize, whole: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if whole == 0 { 1.0 } else { number(part) / number(whole) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Sums up.
#[must_use]
pub fn totals(rows: &[Row]) -> Totals {
    let sum = |field: fn(&Row) -> usize| rows.iter().map(field).sum::<usize>();
    let (right, wrong, missed) = (sum(|row| row.right), sum(|row| row.wrong), sum(|row| row.missed));
    let (precision, recall) = (ratio(right, right + wrong), ratio(right, right + missed));
    let faults: Vec<&Row> = rows.iter().filter(|row| !row.control).collect();
    let controls = rows.len() - faults.len();
    let accused = rows.iter().filter(|row| row.control && row.wrong > 0).count();
    let all_or: f64 = faults
        .iter()
        .map(|row| if row.missed > 0 { 0.0 } else { ratio(row.right, row.right + row.wrong) })
        .sum();
    let repaired = faults.iter().filter(|row| row.repaired_by != "nobody").count();
    let by_netwhy = faults.iter().filter(|row| row.repaired_by == "netwhy").count();
    let seconds = |silent: bool| {
        median(faults.iter().filter(|row| row.silent == silent).map(|row| row.seconds).collect())
    };
    Totals {
        cases: rows.len(),
        perfect: rows.iter().filter(|row| row.perfect()).count(),
        precision,
        recall,
        f1: if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 },
        all_or_precision: if faults.is_empty() { 1.0 } else { all_or / ratio(faults.len(), 1) },
        false_accusations: (accused, controls),
        look_alikes_ruled_out: {
            let all = sum(|row| row.look_alikes);
            (all - sum(|row| row.not_ruled_out.len()), all)
        },
        abstentions: faults.iter().filter(|row| row.abstained).count(),
        fixed_by_netwhy: (by_netwhy, repaired),
        median_seconds_immediate: seconds(false),
        median_seconds_silent: seconds(true),
        median_cpu_seconds: median(rows.iter().map(|row| row.cpu_seconds).collect()),
        max_rss_mib: rows.iter().map(|row| row.rss_mib).fold(0.0, f64::max),
        median_packets: median(
            rows.iter().map(|row| ratio(usize::try_from(row.packets).unwrap_or(0), 1)).collect(),
        ),
    }
}
