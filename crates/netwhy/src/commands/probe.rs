//! `netwhy probe`, also `netwhy bpftrace`: compiles a script and runs it.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};

use anyhow::Context;
use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::ladder;
use netwhy_bpf::load::LoadError;
use netwhy_bpf::session::{self, Format, Options, RunError};
use netwhy_lang::diag::{Diagnostic, Span};
use netwhy_render::escape::escape_terminal;
use netwhy_sys::process::PidFd;

use crate::cli::{Global, ProbeArgs, ProbeFormat, Usage};

/// The largest script that is read.
const SCRIPT_LIMIT: u64 = 4 << 20;

/// Runs the verb. Like bpftrace it ends with 1 for a script that is wrong or cannot run here.
pub(crate) fn run(args: &ProbeArgs, global: &Global) -> anyhow::Result<u8> {
    let kernel = Kernel::open()?;
    if args.list {
        let pattern = args.args.first().map_or("*:*", String::as_str);
        let mut lines = kernel.list(pattern).join("\n");
        if kernel.tracefs().is_none() {
            eprintln!("note: tracefs is not mounted: tracepoints are listed as rawtracepoint");
        }
        if !lines.is_empty() {
            lines.push('\n');
        }
        super::print(&lines)?;
        return Ok(0);
    }
    let (name, script, params) = script(args)?;
    let rewritten = ladder::without_tracefs(&script, &kernel);
    if !rewritten.events.is_empty() && !args.quiet {
        eprintln!(
            "note: tracefs is not mounted: as raw tracepoints, whose fields are their arguments: {}",
            rewritten.events.join(", ")
        );
    }
    let (named, params) = parameters(params);
    let options = netwhy_lang::Options { params, named, ..Default::default() };
    let features = kernel.features(args.r#unsafe);
    let compiled = match netwhy_lang::compile(&rewritten.script, &options, &kernel, &kernel, &features) {
        Ok(compiled) => compiled,
        Err(diagnostic) => {
            eprint!("{}", diagnostic.render(&name, &script));
            return Ok(1);
        }
    };
    for warning in &compiled.warnings {
        eprint!("{}", warning.render(&name, &script));
    }
    if args.dump {
        super::print(&compiled.spec.to_string())?;
        return Ok(0);
    }
    let json = args.format == ProbeFormat::Json || global.json || global.jsonl;
    let mut out: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(BufWriter::new(
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?,
        )),
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    let child = RefCell::new(None);
    let ready = || start(args, &child);
    let options = Options {
        format: if json { Format::Json } else { Format::Text },
        quiet: args.quiet,
        out: &mut *out,
        sink: None,
        ready: Box::new(ready),
    };
    let ended = session::run(&compiled.spec, &kernel, options);
    if let Some(child) = child.take() {
        end(child)?;
    }
    match ended {
        Ok(outcome) => Ok(outcome.code),
        Err(error) => {
            eprint!("{}", explain(&error, &name, &script));
            Ok(1)
        }
    }
}

/// Name, text and positional parameters.
fn script(args: &ProbeArgs) -> anyhow::Result<(String, String, &[String])> {
    if let Some(program) = &args.program {
        return Ok(("stdin".to_owned(), program.clone(), &args.args));
    }
    let Some((path, params)) = args.args.split_first() else {
        return Err(Usage("give a script with -e, or a file".to_owned()).into());
    };
    let mut text = String::new();
    let failed = || format!("cannot read {path}");
    match path.as_str() {
        "-" => std::io::stdin().take(SCRIPT_LIMIT).read_to_string(&mut text).with_context(failed)?,
        path => {
            let file = File::open(path).with_context(failed)?;
            file.take(SCRIPT_LIMIT).read_to_string(&mut text).with_context(failed)?
        }
    };
    Ok((path.clone(), text, params))
}

/// Named (`--name=value`, or `--name` alone) and positional parameters.
fn parameters(all: &[String]) -> (Vec<(String, String)>, Vec<String>) {
    let mut named = Vec::new();
    let mut rest = Vec::new();
    for text in all {
        match text.strip_prefix("--") {
            Some(option) if !option.is_empty() => {
                let (name, value) = option.split_once('=').unwrap_or((option, "true"));
                named.push((name.to_owned(), value.to_owned()));
            }
            _ => rest.push(text.clone()),
        }
    }
    (named, rest)
}

/// Starts the command, or finds the process, the run ends with.
fn start(args: &ProbeArgs, child: &RefCell<Option<Child>>) -> std::io::Result<Option<OwnedFd>> {
    let pid = match (&args.command, args.pid) {
        (Some(command), _) => {
            let mut words = command.split_whitespace();
            let program = words.next().ok_or_else(|| std::io::Error::other("-c: an empty command"))?;
            let started = Command::new(program).args(words).spawn()?;
            let pid = started.id();
            *child.borrow_mut() = Some(started);
            pid
        }
        (None, Some(pid)) => pid,
        (None, None) => return Ok(None),
    };
    let process = PidFd::open(pid).map_err(std::io::Error::other)?;
    process.as_fd().try_clone_to_owned().map(Some)
}

/// A command does not outlive the run it was started for.
fn end(mut child: Child) -> std::io::Result<()> {
    if child.try_wait()?.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

fn explain(error: &RunError, name: &str, script: &str) -> String {
    if let RunError::Load(LoadError::Program(refused)) = error
        && let Some((start, end)) = refused.place
    {
        let text = format!("the kernel refused {}: {}", refused.name, refused.error);
        let mut diagnostic = Diagnostic::error(Span { start, end }, text);
        if let Some(verdict) = &refused.verdict {
            diagnostic = diagnostic.hint(format!("the verifier said: {verdict}"));
        }
        return diagnostic.render(name, script);
    }
    format!("ERROR: {}\n", escape_terminal(&error.to_string()))
}
