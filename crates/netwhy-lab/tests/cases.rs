//! Every case must show its symptom when broken and work again when healed, whatever netwhy says.
//!
//! A harness of its own, because the lab runs this very program again for the processes of a node.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use netwhy_lab::case::Case;
use netwhy_lab::{Lab, LabError, cases, hidden_main};

fn breaks_and_heals(case: &Case) -> Result<String, LabError> {
    let start = Instant::now();
    let mut running = case.start(Lab::of_this_program()?)?;
    let ready = start.elapsed();
    let seen = case.symptom(&mut running.lab)?;
    if let Some(heal) = &running.broken.heal {
        heal(&mut running.lab)?;
        let after = case.attempt(&mut running.lab)?;
        if !after.is_ok() {
            return Err(LabError::Unexpected(format!("healed, and yet: {after}")));
        }
    }
    Ok(format!("set up in {} ms, then {seen}", ready.as_millis()))
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
    let chosen: Vec<&&Case> =
        cases::ALL.iter().filter(|case| filter.is_none_or(|word| case.id.contains(word.as_str()))).collect();
    let (next, failed, print) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = breaks_and_heals(case);
                    let _one_at_a_time = print.lock();
                    match result {
                        Ok(text) => println!("{}: {text}", case.id),
                        Err(error) if error.is_unsupported() => println!("{}: skipped: {error}", case.id),
                        Err(error) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            println!("{}: FAILED: {error}", case.id);
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("{} cases, {failed} failed", chosen.len());
    ExitCode::from(u8::from(failed > 0))
}
