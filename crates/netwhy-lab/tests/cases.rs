//! Every case must show its symptom when broken and work again when healed, whatever netwhy says; and what
//! the lab builds must read in the classical tools as it was meant.
//!
//! A harness of its own, because the lab runs this very program again for the processes of a node.

mod oracles;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use netwhy_lab::case::{Case, Expect};
use netwhy_lab::{Lab, LabError, cases, hidden_main};

/// A test: its name, and what it found, for the one who watches.
type Test = (String, Box<dyn Fn() -> Result<String, LabError> + Send + Sync>);

fn breaks_and_heals(case: &Case) -> Result<String, LabError> {
    let start = Instant::now();
    let mut running = case.start(Lab::of_this_program()?)?;
    let ready = start.elapsed();
    let seen = case.symptom(&mut running.lab)?;
    if running.broken.heal.is_none() && matches!(running.broken.expect, Expect::Causes(_)) {
        return Err(LabError::Unexpected("nothing says how a person would repair it".to_owned()));
    }
    if let Some(heal) = &running.broken.heal {
        heal(&mut running.lab)?;
        let after = case.attempt(&mut running.lab)?;
        if !after.is_ok() {
            return Err(LabError::Unexpected(format!("healed, and yet: {after}")));
        }
    }
    Ok(format!("set up in {} ms, then {seen}", ready.as_millis()))
}

fn every_case_breaks_and_heals() -> impl Iterator<Item = Test> {
    cases::ALL.iter().map(|case| {
        let run: Box<dyn Fn() -> _ + Send + Sync> = Box::new(|| breaks_and_heals(case));
        (case.id.to_owned(), run)
    })
}

/// What killed laboratories leave behind is swept, and what lives is not.
fn leaves_nothing() -> Result<String, LabError> {
    let io = |error| LabError::Unexpected(format!("temporary directory: {error}"));
    let stale = std::env::temp_dir().join("netwhy-lab-0-test");
    std::fs::create_dir_all(&stale).map_err(io)?;
    std::fs::write(stale.join("lock"), "").map_err(io)?;
    let exe = std::env::current_exe().map_err(io)?;
    let output = std::process::Command::new(exe).arg("nft-drop-output-v6").output().map_err(io)?;
    if !output.status.success() || stale.exists() {
        return Err(LabError::Unexpected("a stale directory was not swept".to_owned()));
    }
    Ok("a stale directory was swept".to_owned())
}

fn main() -> ExitCode {
    let raw: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if let Some(code) = hidden_main(&raw) {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    match netwhy_lab::rootless() {
        Ok(None) => {}
        Ok(Some(code)) => return ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            println!("skipped: {error}");
            return ExitCode::SUCCESS;
        }
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filter = arguments.iter().find(|word| !word.starts_with('-'));
    let chosen: Vec<Test> = every_case_breaks_and_heals()
        .chain(oracles::all())
        .chain([("leaves-nothing".to_owned(), Box::new(leaves_nothing) as _)])
        .filter(|(name, _)| filter.is_none_or(|word| name.contains(word.as_str())))
        .collect();
    let (next, failed, print) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, test)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = test();
                    let _one_at_a_time = print.lock();
                    match result {
                        Ok(text) => println!("{name}: {text}"),
                        Err(error) if error.is_unsupported() => println!("{name}: skipped: {error}"),
                        Err(error) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            println!("{name}: FAILED: {error}");
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("{} tests, {failed} failed", chosen.len());
    ExitCode::from(u8::from(failed > 0))
}
