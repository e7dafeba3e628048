//! Running a script on the running kernel.
#![allow(dead_code, reason = "not every test uses all of it")]

use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::ladder;
use netwhy_bpf::session::{Format, Options, run};
use netwhy_sys::caps::{self, Capability};

/// The running kernel. `None`, said aloud, where it cannot be looked at.
pub(crate) fn kernel() -> Option<Kernel> {
    if !caps::effective().unwrap().has(Capability::SysAdmin) {
        println!("skipped: needs CAP_SYS_ADMIN");
        return None;
    }
    match Kernel::open() {
        Ok(kernel) => Some(kernel),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// What a script brought.
pub(crate) struct Ran {
    /// Standard output.
    pub(crate) text: String,
    /// The code it exits with.
    pub(crate) code: u8,
}

/// Compiles and runs a script, `work` being done once it is attached; or why it cannot.
pub(crate) fn go(
    kernel: &Kernel,
    script: &str,
    options: &netwhy_lang::Options,
    format: Format,
    mut work: impl FnMut(),
) -> Result<Ran, String> {
    let script = ladder::without_tracefs(script, kernel).script;
    let features = kernel.features(false);
    let compiled = netwhy_lang::compile(&script, options, kernel, kernel, &features);
    let compiled = compiled.map_err(|error| error.render("stdin", &script))?;
    let mut out = Vec::new();
    let ready = Box::new(|| {
        work();
        Ok(None)
    });
    let options = Options { format, quiet: true, dry: false, out: &mut out, sink: None, ready };
    let outcome = run(&compiled.spec, kernel, options).map_err(|error| error.to_string())?;
    Ok(Ran { text: String::from_utf8_lossy(&out).into_owned(), code: outcome.code })
}
