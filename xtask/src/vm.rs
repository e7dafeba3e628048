//! The kernel matrix: Debian's kernels in QEMU without KVM, the probe engine's tests inside, one table.
//!
//! `cargo xtask vm [KERNEL ...]` runs the tests; `cargo xtask vm run KERNEL SCRIPT` runs a shell script in one.

mod fetch;
mod guest;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use fetch::{KERNELS, Kernel};
use guest::Guest;

/// How long one guest may take: emulation is slow, and the host may be busy.
const LIMIT: Duration = Duration::from_secs(1500);

fn kernel(name: &str) -> Result<Kernel, Box<dyn Error>> {
    let known: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
    let found = KERNELS.iter().find(|kernel| kernel.name == name || kernel.suite == name);
    found.copied().ok_or_else(|| format!("{name:?} is none of {}", known.join(", ")).into())
}

/// Runs the chore.
pub(crate) fn run(args: &[&str]) -> Result<(), Box<dyn Error>> {
    let dir = crate::root().join("target/vm");
    match args {
        ["run", name, script] => {
            let root = fetch::unpacked(kernel(name)?, &dir)?;
            let script = std::fs::canonicalize(Path::new(script))?;
            Guest::make(&root)?.run(&script, LIMIT, |line| println!("{line}"))?;
            Ok(())
        }
        _ => Err("vm run KERNEL SCRIPT".into()),
    }
}
