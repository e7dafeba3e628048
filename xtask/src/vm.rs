//! The kernel matrix: Debian's kernels in QEMU without KVM, the probe engine's tests inside, one table.
//!
//! `cargo xtask vm [KERNEL ...]` runs the tests and writes docs/kernels.md once every kernel has been run; `cargo xtask
//! vm page` does so from the last consoles; `cargo xtask vm run KERNEL SCRIPT` runs a shell script in one. The guest sees
//! the host's root read-only under a layer that is thrown away, so it needs no image and no copy; it has no network.

mod fetch;
mod guest;
mod report;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fetch::{KERNELS, Kernel};
use guest::Guest;
use report::Outcomes;

/// How long one guest may take: emulation is slow, and the host may be busy.
const LIMIT: Duration = Duration::from_secs(3600);

/// Packages whose integration tests look at the kernel's probes.
const TESTED: [&str; 2] = ["netwhy-bpf", "netwhy-trace"];
/// Those of them that look at the sources only.
const APART: [&str; 1] = ["list"];

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
        ["page"] => page(&dir),
        names => {
            let kernels = match names {
                [] => KERNELS.to_vec(),
                names => names.iter().map(|name| kernel(name)).collect::<Result<Vec<_>, _>>()?,
            };
            matrix(&kernels, &dir)
        }
    }
}

fn matrix(kernels: &[Kernel], dir: &Path) -> Result<(), Box<dyn Error>> {
    let tests = built()?;
    let script = script(&tests, dir)?;
    let path = crate::root().join("docs/kernels.md");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let mut all = Vec::new();
    let mut wrong = Vec::new();
    for kernel in kernels {
        let root = fetch::unpacked(*kernel, dir)?;
        println!("## {}", kernel.name);
        let log = dir.join(format!("{}.log", kernel.suite));
        let lines = Guest::make(&root)?.run(&script, LIMIT, |line| {
            // The whole console is in the log.
            if line.starts_with("===") || line.starts_with("@@ test") || line.contains("FAILED") {
                println!("{line}");
            }
        })?;
        std::fs::write(&log, lines.join("\n"))?;
        let outcomes = Outcomes::read(&lines);
        let name = |text: String| format!("{}: {text} (see {})", kernel.name, log.display());
        wrong.extend(outcomes.complaints().into_iter().map(name));
        wrong.extend(report::lost(&old, kernel.name, &outcomes).into_iter().map(name));
        all.push((kernel.name.to_owned(), outcomes));
    }
    println!("{}", report::page(&all));
    page(dir)?;
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Writes docs/kernels.md from each kernel's last console, once there is one of every kernel.
fn page(dir: &Path) -> Result<(), Box<dyn Error>> {
    let mut all = Vec::new();
    for kernel in KERNELS {
        let Ok(log) = std::fs::read(dir.join(format!("{}.log", kernel.suite))) else { return Ok(()) };
        let lines: Vec<String> = String::from_utf8_lossy(&log).lines().map(str::to_owned).collect();
        all.push((kernel.name.to_owned(), Outcomes::read(&lines)));
    }
    std::fs::write(crate::root().join("docs/kernels.md"), report::page(&all))?;
    Ok(())
}

/// Builds netwhy and the tests; name and file of each test binary.
fn built() -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    let root = crate::root();
    let done = Command::new("cargo")
        .args(["build", "--quiet", "--package", "netwhy"])
        .current_dir(&root)
        .status()?;
    if !done.success() {
        return Err("the build failed".into());
    }
    let mut build = Command::new("cargo");
    build.args(["test", "--no-run", "--test", "*"]).current_dir(&root);
    for package in TESTED {
        build.args(["--package", package]);
    }
    let made = build.output()?;
    let said = String::from_utf8_lossy(&made.stderr);
    if !made.status.success() {
        return Err(format!("the tests do not build:\n{said}").into());
    }
    // Executable tests/attach.rs (target/debug/deps/attach-0123456789abcdef)
    let mut all: Vec<(String, PathBuf)> = said
        .lines()
        .filter_map(|line| {
            let file = line.trim().strip_prefix("Executable ")?.split_once('(')?.1.strip_suffix(')')?;
            let name = Path::new(file).file_name()?.to_str()?.rsplit_once('-')?.0.to_owned();
            (!APART.contains(&name.as_str())).then(|| (name, root.join(file)))
        })
        .collect();
    all.sort();
    if all.is_empty() { Err("cargo named no test binary".into()) } else { Ok(all) }
}

fn script(tests: &[(String, PathBuf)], dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let netwhy = crate::root().join("target/debug/netwhy");
    let mut text = format!(
        "cd {}\nulimit -n 20000\necho '@@ info'\n{} probe --info\necho \"@@ end $?\"\n",
        crate::root().join("crates/netwhy-bpf").display(),
        netwhy.display()
    );
    for (name, file) in tests {
        text.push_str(&format!(
            "echo '@@ test {name}'\ntimeout 1500 {} --test-threads=1 --show-output\necho \"@@ end $?\"\n",
            file.display()
        ));
    }
    std::fs::create_dir_all(dir)?;
    let path = dir.join("tests.sh");
    std::fs::write(&path, text)?;
    Ok(std::fs::canonicalize(path)?)
}
