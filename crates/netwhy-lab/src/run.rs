//! What `netwhy lab` does: list, try, shell, score. Text goes to the writer given.

use std::io::Write;

use netwhy_causes::report::Overall;

use crate::answer;
use crate::apply;
use crate::case::{Case, Running};
use crate::cases;
use crate::error::{LabError, Result};
use crate::lab::Lab;
use crate::rootless::rootless;
use crate::score::{self, Row, Totals};

/// Finds a case by name.
pub fn find(id: &str) -> Result<&'static Case> {
    cases::ALL.iter().copied().find(|case| case.id == id).ok_or_else(|| {
        let near: Vec<&str> =
            cases::ALL.iter().map(|case| case.id).filter(|name| name.contains(id)).collect();
        let hint = if near.is_empty() { "see netwhy lab list".to_owned() } else { near.join(", ") };
        LabError::Usage(format!("no case is called {id} ({hint})"))
    })
}

fn wrote(result: std::io::Result<()>) -> Result<()> {
    result.map_err(LabError::io("print"))
}

/// `lab list`: the cases.
pub fn list(out: &mut dyn Write) -> Result<i32> {
    let width = cases::ALL.iter().map(|case| case.id.len()).max().unwrap_or(0);
    for case in cases::ALL {
        wrote(writeln!(out, "{:width$}  {} ({})", case.id, case.title, case.topology.name()))?;
    }
    Ok(0)
}

fn start(case: &Case) -> Result<Running> {
    case.start(Lab::of_this_program()?)
}

fn typed(case: &Case) -> String {
    format!("netwhy {}", case.ask.args.join(" "))
}

/// `lab try CASE`: breaks, asks, answers, fixes, verifies. 0 if all went as it should.
pub fn attempt(
    id: &str,
    out: &mut dyn Write,
    print: &dyn Fn(&netwhy_causes::Report) -> String,
) -> Result<i32> {
    let case = find(id)?;
    if let Some(code) = rootless()? {
        return Ok(code);
    }
    let mut running = start(case)?;
    wrote(writeln!(out, "case      {}: {}", case.id, case.title))?;
    wrote(writeln!(out, "network   {}, in private namespaces", case.topology.name()))?;
    let seen = case.symptom(&mut running.lab)?;
    wrote(writeln!(out, "symptom   {} to {}: {seen}", case.victim.node, case.victim.target))?;
    if case.needs_traffic() {
        running.lab.keep_trying(case.victim.node, case.victim.target)?;
    }
    wrote(writeln!(out, "\n{}$ {}", case.ask.node, typed(case)))?;
    wrote(out.flush())?;
    let answer = answer::ask(case, &mut running.lab)?;
    wrote(writeln!(out, "{}", print(&answer.report).trim_end()))?;
    wrote(writeln!(out))?;
    let mut acted = false;
    for cause in &answer.report.causes {
        match apply::fix(cause, running.lab.node(case.ask.node)?) {
            Ok(Some(command)) => {
                acted = true;
                wrote(writeln!(out, "{}$ {command}", case.ask.node))?;
            }
            Ok(None) => wrote(writeln!(out, "fix       {}: a person's to do", cause.id))?,
            Err(error) => wrote(writeln!(out, "fix       {}: not applied: {error}", cause.id))?,
        }
    }
    if !case.attempt_again(&mut running.lab)?.is_ok()
        && let Some(heal) = &running.broken.heal
    {
        heal(&mut running.lab)?;
        wrote(writeln!(
            out,
            "repaired  by hand, as a person would{}",
            if acted { " (the fix was not enough)" } else { "" }
        ))?;
    }
    let after = case.attempt_again(&mut running.lab)?;
    wrote(writeln!(out, "victim    {} to {}: {after}", case.victim.node, case.victim.target))?;
    let again = answer::ask(case, &mut running.lab)?;
    wrote(writeln!(out, "verify    {}: {}", typed(case), again.report.headline))?;
    let control = running.broken.heal.is_none();
    let well = after.is_ok() && again.report.verdict == Overall::Healthy;
    Ok(i32::from(!control && !well))
}

/// `lab shell CASE`: an interactive shell where the question is to be asked.
pub fn shell(id: &str, out: &mut dyn Write) -> Result<i32> {
    let case = find(id)?;
    if let Some(code) = rootless()? {
        return Ok(code);
    }
    let mut running = start(case)?;
    let seen = case.symptom(&mut running.lab)?;
    if case.needs_traffic() {
        running.lab.keep_trying(case.victim.node, case.victim.target)?;
    }
    wrote(writeln!(out, "{}: {}", case.id, case.title))?;
    wrote(writeln!(out, "{} sees at {}: {seen}", case.victim.node, case.victim.target))?;
    wrote(writeln!(out, "This shell is on {}. Type: {}", case.ask.node, typed(case)))?;
    wrote(writeln!(out, "Leave it with exit; everything is gone then."))?;
    wrote(out.flush())?;
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    let mut child = running.lab.node(case.ask.node)?.spawn_any(&[&shell], |command| {
        command.env("PS1", format!("{}$ ", case.ask.node));
        // So that what is to be typed is found, wherever this program lies.
        if let Some(directory) = std::env::current_exe().ok().as_deref().and_then(std::path::Path::parent) {
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", directory.display()));
        }
    })?;
    let status = child.wait().map_err(LabError::io(format!("wait for {shell}")))?;
    Ok(status.code().unwrap_or(1))
}

/// `lab score`: every case whose name contains `only`. 0 if all were perfect.
pub fn score(only: Option<&str>, json: bool, out: &mut dyn Write, progress: &mut dyn Write) -> Result<i32> {
    if let Some(code) = rootless()? {
        return Ok(code);
    }
    let chosen = cases::ALL.iter().filter(|case| only.is_none_or(|word| case.id.contains(word)));
    let (mut rows, mut skipped) = (Vec::new(), Vec::new());
    for case in chosen {
        // One at a time: another case's load would be in this one's seconds.
        match Lab::of_this_program().and_then(|lab| score::run(case, lab)) {
            Ok(row) => {
                let mark = if row.perfect() { "ok" } else { "WRONG" };
                wrote(writeln!(progress, "{mark:5} {} ({:.2} s)", case.id, row.seconds))?;
                rows.push(row);
            }
            Err(error) => {
                wrote(writeln!(progress, "skip  {}: {error}", case.id))?;
                skipped.push((case.id, error.to_string(), error.is_unsupported()));
            }
        }
    }
    let totals = score::totals(&rows);
    if json {
        let failures: Vec<_> = skipped
            .iter()
            .map(|(id, why, unsupported)| serde_json::json!({"case": id, "because": why, "unsupported": unsupported}))
            .collect();
        let text = serde_json::json!({"rows": rows, "totals": totals, "not_run": failures});
        wrote(writeln!(out, "{text:#}"))?;
    } else {
        table(out, &rows, &totals)?;
        for (id, why, _) in &skipped {
            wrote(writeln!(out, "not run: {id}: {why}"))?;
        }
    }
    let broke = skipped.iter().any(|(_, _, unsupported)| !unsupported);
    Ok(i32::from(broke || totals.perfect < totals.cases))
}

fn table(out: &mut dyn Write, rows: &[Row], totals: &Totals) -> Result<()> {
    for row in rows {
        let mark = if row.perfect() { "ok   " } else { "WRONG" };
        wrote(writeln!(
            out,
            "{mark} {:34} {:6.2} s {:6.3} cpu {:5.1} MiB {:4} packets  {}",
            row.case, row.seconds, row.cpu_seconds, row.rss_mib, row.packets, row.repaired_by
        ))?;
        if !row.perfect() {
            wrote(writeln!(out, "      expected {}", row.expected.join("; ")))?;
            wrote(writeln!(out, "      got      {}", row.got.join("; ")))?;
            for complaint in &row.complaints {
                wrote(writeln!(out, "      {complaint}"))?;
            }
        }
        if !row.not_ruled_out.is_empty() {
            wrote(writeln!(out, "      not ruled out: {}", row.not_ruled_out.join(", ")))?;
        }
    }
    let t = totals;
    wrote(writeln!(
        out,
        "\n{} of {} cases perfect\n(cause, locus): precision {:.3}, recall {:.3}, F1 {:.3}; all-or-precision {:.3}",
        t.perfect, t.cases, t.precision, t.recall, t.f1, t.all_or_precision
    ))?;
    wrote(writeln!(
        out,
        "false accusations {} of {} controls; abstentions {}; look-alikes ruled out {} of {}; repaired by the printed fix {} of {}",
        t.false_accusations.0,
        t.false_accusations.1,
        t.abstentions,
        t.look_alikes_ruled_out.0,
        t.look_alikes_ruled_out.1,
        t.fixed_by_netwhy.0,
        t.fixed_by_netwhy.1
    ))?;
    wrote(writeln!(
        out,
        "median {:.2} s when the failure is immediate, {:.2} s when it is silence; {:.3} cpu seconds; {:.1} MiB at most; {} packets",
        t.median_seconds_immediate,
        t.median_seconds_silent,
        t.median_cpu_seconds,
        t.max_rss_mib,
        t.median_packets
    ))
}
