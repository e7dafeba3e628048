//! A tool from its arguments to its exit code.

use std::io::{BufWriter, Write};
use std::os::fd::OwnedFd;

use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::load::LoadError;
use netwhy_bpf::record::Sink;
use netwhy_bpf::session::{self, Format, Options, RunError};
use netwhy_lang::diag::{Diagnostic, Span};
use netwhy_lang::program::ProgramSpec;
use netwhy_render::escape::escape_terminal;

use crate::header::Tool;
use crate::options::{self, Call};
use crate::select::select;
use crate::show::Show;
use crate::{manual, tools};

/// Macros every script may use: filters by options.
pub const PRELUDE: &str = include_str!("../../../probes/lib/prelude.nw");

/// Why a tool's script cannot be run here.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// A mistake in the script itself.
    #[error("{0}")]
    Script(String),
    /// It does not compile for this kernel.
    #[error("{}", .0.render(.1, .2))]
    Compile(Box<Diagnostic>, String, String),
    /// The kernel refused it.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// The script for this kernel and call: the tool's own text first, so that places in it keep their line.
pub fn script(tool: &Tool, call: &Call, kernel: &Kernel) -> Result<String, ToolError> {
    let own = select(tool.script, kernel, &call.named).map_err(ToolError::Script)?;
    let prelude = select(PRELUDE, kernel, &call.named).map_err(ToolError::Script)?;
    Ok(format!("{own}\n{prelude}"))
}

/// Compiles a tool for this kernel and call.
pub fn compile(tool: &Tool, call: &Call, kernel: &Kernel) -> Result<ProgramSpec, ToolError> {
    let text = script(tool, call, kernel)?;
    let params = vec![call.value("interval").unwrap_or("1").to_owned()];
    let options = netwhy_lang::Options { params, named: call.named.clone(), ..Default::default() };
    match netwhy_lang::compile(&text, &options, kernel, kernel, &kernel.features(false)) {
        Ok(compiled) => Ok(compiled.spec),
        Err(error) => Err(ToolError::Compile(Box::new(error), format!("{}.nw", tool.name), text)),
    }
}

/// Runs the tool of this name. The exit code is 0 when it ran, 1 when it could not, 2 for wrong arguments.
pub fn main(name: &str, args: &[String]) -> u8 {
    if tools::PACKET.contains(&name) {
        return crate::pwru::main(args);
    }
    let Some(tool) = tools::find(name) else {
        let near = tools::all().into_iter().map(|tool| tool.name);
        eprintln!(
            "netwhy trace: no tool `{}`; there are {}",
            escape_terminal(name),
            near.collect::<Vec<_>>().join(", ")
        );
        return 2;
    };
    let call = match options::parse(&tool, args) {
        Ok(call) => call,
        Err(error) => {
            eprintln!("{name}: {}", escape_terminal(&error));
            eprintln!("{}", manual::usage(&tool));
            return 2;
        }
    };
    if call.help {
        return print(&manual::text(&tool));
    }
    match with_kernel(&tool, &call) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{name}: {error}");
            1
        }
    }
}

pub(crate) fn print(text: &str) -> u8 {
    let mut out = std::io::stdout().lock();
    u8::from(out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err())
}

fn with_kernel(tool: &Tool, call: &Call) -> Result<(), String> {
    let kernel = Kernel::open().map_err(|error| error.to_string())?;
    let explained = |error: ToolError| match error {
        ToolError::Run(error) => explain(&error, tool, &script(tool, call, &kernel).unwrap_or_default()),
        other => other.to_string(),
    };
    if call.print {
        print(&script(tool, call, &kernel).map_err(explained)?);
        return Ok(());
    }
    let spec = compile(tool, call, &kernel).map_err(explained)?;
    if call.ebpf {
        print(&spec.to_string());
        return Ok(());
    }
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout());
    run(tool, call, &spec, &kernel, &mut out, || Ok(None)).map_err(|error| explained(error.into()))
}

/// Runs a compiled tool; `ready` is called once everything is attached and the headings are written. The run ends
/// when a descriptor it returns becomes readable.
pub fn run(
    tool: &Tool,
    call: &Call,
    spec: &ProgramSpec,
    kernel: &Kernel,
    out: &mut dyn Write,
    mut ready: impl FnMut() -> std::io::Result<Option<OwnedFd>>,
) -> Result<(), RunError> {
    let show = std::cell::RefCell::new(Show::new(tool, call, out));
    let mut shared = Shared(&show);
    let options = Options {
        format: Format::Text,
        quiet: true,
        dry: false,
        out: &mut std::io::sink(),
        sink: Some(&mut shared),
        ready: Box::new(|| {
            show.borrow_mut().begin(call.number("duration"))?;
            ready()
        }),
    };
    let outcome = session::run(spec, kernel, options)?;
    show.borrow_mut().end(outcome.lost, outcome.full)?;
    Ok(())
}

/// The sink is told of records by the session and of the beginning by its callback.
struct Shared<'a, 'b>(&'a std::cell::RefCell<Show<'b>>);

impl Sink for Shared<'_, '_> {
    fn record(&mut self, record: netwhy_bpf::record::Record<'_>) -> std::io::Result<()> {
        self.0.borrow_mut().record(record)
    }
    fn table(&mut self, table: netwhy_bpf::record::Table<'_>) -> std::io::Result<()> {
        self.0.borrow_mut().table(table)
    }
    fn text(&mut self, text: &str) -> std::io::Result<()> {
        self.0.borrow_mut().text(text)
    }
    fn rest(&mut self) -> std::io::Result<()> {
        self.0.borrow_mut().rest()
    }
    fn done(&self) -> bool {
        self.0.borrow().done()
    }
}

fn explain(error: &RunError, tool: &Tool, script: &str) -> String {
    match error {
        RunError::Load(LoadError::Program(refused)) => match refused.place {
            Some((start, end)) if !refused.error.errno.is_denied() => {
                let text = format!("the kernel refused {}: {}", refused.name, refused.error);
                let mut diagnostic = Diagnostic::error(Span { start, end }, text);
                if let Some(verdict) = &refused.verdict {
                    diagnostic = diagnostic.hint(format!("the verifier said: {verdict}"));
                }
                diagnostic.render(&format!("{}.nw", tool.name), script)
            }
            _ if refused.error.errno.is_denied() => denied(&refused.error),
            _ => error.to_string(),
        },
        RunError::Load(LoadError::Map { error, .. } | LoadError::Sys(error)) if error.errno.is_denied() => {
            denied(error)
        }
        other => other.to_string(),
    }
}

fn denied(error: &netwhy_sys::SysError) -> String {
    format!("{error}: tracing needs root, or CAP_BPF and CAP_PERFMON")
}

/// The lines of headings a call shows: of records, and of each table.
#[must_use]
pub fn headings(tool: &Tool, call: &Call) -> Vec<String> {
    Show::new(tool, call, &mut std::io::sink()).headings()
}

/// An error of a run that has no script to point into.
pub(crate) fn plain_error(error: &RunError) -> String {
    match error {
        RunError::Load(LoadError::Program(refused)) if refused.error.errno.is_denied() => {
            denied(&refused.error)
        }
        RunError::Load(LoadError::Map { error, .. } | LoadError::Sys(error)) if error.errno.is_denied() => {
            denied(error)
        }
        other => other.to_string(),
    }
}
