//! Records the facts of each case, for the replay matrix: `recordings/CASE/KERNEL.json`.
//!
//! Only right answers are recorded: what a recording says must be found was expected by the case beforehand.

use std::io::Write;
use std::path::Path;

use netwhy_causes::Report;

use crate::case::{Case, Expect};
use crate::cases;
use crate::error::{LabError, Result};
use crate::lab::Lab;
use crate::rootless::rootless;

/// `lab record DIR`: every case whose name contains `only`. 0 if all were recorded.
pub fn record(dir: &Path, only: Option<&str>, progress: &mut dyn Write) -> Result<i32> {
    if let Some(code) = rootless()? {
        return Ok(code);
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_err(LabError::io("read the kernel release"))?;
    // The recording names the kernel by version; what a distributor appends does not change the facts.
    let kernel: String = release.trim().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let mut failed = 0;
    for case in cases::ALL.iter().filter(|case| only.is_none_or(|word| case.id.contains(word))) {
        let file = dir.join(case.id).join(format!("{kernel}.json"));
        let line = match one(case, &file)
            .and_then(|ids| neutral(&file, release.trim(), &kernel).map(|()| ids))
        {
            Ok(ids) => format!("recorded {}: {}", case.id, if ids.is_empty() { "no cause" } else { &ids }),
            Err(error) => {
                failed += 1;
                format!("not recorded {}: {error}", case.id)
            }
        };
        writeln!(progress, "{line}").map_err(LabError::io("print"))?;
    }
    Ok(i32::from(failed > 0))
}

/// Leaves the version of the kernel and takes away what its builder appended.
fn neutral(file: &Path, release: &str, kernel: &str) -> Result<()> {
    let text = std::fs::read_to_string(file).map_err(LabError::io(format!("read {}", file.display())))?;
    let text = text.replace(release, kernel);
    std::fs::write(file, text).map_err(LabError::io(format!("write {}", file.display())))
}

fn one(case: &Case, file: &Path) -> Result<String> {
    let mut running = case.start(Lab::of_this_program()?)?;
    case.symptom(&mut running.lab)?;
    if case.needs_traffic() {
        running.lab.keep_trying(case.victim.node, case.victim.target)?;
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(LabError::io(format!("make {}", folder.display())))?;
    let path = std::path::absolute(file).map_err(LabError::io("make the path absolute"))?;
    let path = path.display().to_string();
    let words: Vec<&str> = case.ask.args.iter().copied().chain(["--json", "--record", &path]).collect();
    let output = running.lab.node(case.ask.node)?.output(&words)?;
    let report: Report = serde_json::from_slice(&output.stdout)
        .map_err(|error| LabError::Unexpected(format!("netwhy gave no report: {error}")))?;
    let right = match &running.broken.expect {
        Expect::Causes(wanted) => {
            !report.causes.is_empty()
                && report.causes.iter().all(|got| wanted.iter().any(|one| one.cause == got.id))
        }
        Expect::Healthy | Expect::Outside(_) | Expect::Undetermined => {
            report.causes.iter().all(|got| got.outside)
        }
    };
    let ids = report.causes.iter().map(|cause| cause.id.as_str()).collect::<Vec<_>>().join(", ");
    if right {
        return Ok(ids);
    }
    std::fs::remove_file(file).map_err(LabError::io(format!("remove {}", file.display())))?;
    // Empty unless another kernel's recording is there.
    let _ = std::fs::remove_dir(folder);
    Err(LabError::Unexpected(format!("the answer is not the expected one: {ids}")))
}
