//! The release artefact: one static binary. musl when its standard library is installed, else static glibc.

use std::error::Error;
use std::process::Command;

/// Size a release may have, in bytes.
const BUDGET: u64 = 20 << 20;

/// Builds and measures it.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let targets = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", "x86_64-unknown-linux-musl"])
        .output()?;
    let musl = std::path::Path::new(String::from_utf8_lossy(&targets.stdout).trim()).is_dir();
    let target = if musl { "x86_64-unknown-linux-musl" } else { "x86_64-unknown-linux-gnu" };
    let mut build = Command::new("cargo");
    build
        .args(["build", "--profile", "dist", "--package", "netwhy", "--target", target])
        .current_dir(crate::root());
    if !musl {
        // With an explicit target the flag does not reach build scripts and proc macros.
        build.env("RUSTFLAGS", "-C target-feature=+crt-static");
    }
    if !build.status()?.success() {
        return Err("the build failed".into());
    }
    let dir = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::root().join("target"), Into::into);
    let binary = dir.join(target).join("dist/netwhy");
    let size = std::fs::metadata(&binary)?.len();
    println!("{} {:.1} MB", binary.display(), size as f64 / 1e6);
    if size > BUDGET {
        return Err(format!("{size} bytes is over the budget of {BUDGET}").into());
    }
    Ok(())
}
