//! `netwhy probe`, also `netwhy bpftrace`: compiles a script and runs it.

mod info;
mod output;

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};

use anyhow::Context;
use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::ladder;
use netwhy_bpf::load::LoadError;
use netwhy_bpf::session::{self, Format, Options, RunError};
use netwhy_lang::diag::{Diagnostic, Span};
use netwhy_lang::program::Config;
use netwhy_render::escape::escape_terminal;
use netwhy_sys::child::Held;
use netwhy_sys::process::{PidFd, exists};

use crate::cli::{Global, ProbeArgs, ProbeDump, ProbeFormat, ProbeStage, Usage};

/// The largest script that is read.
const SCRIPT_LIMIT: u64 = 4 << 20;

/// Runs the verb. Like bpftrace it ends with 1 for a script that is wrong or cannot run here.
pub(crate) fn run(args: &ProbeArgs, global: &Global) -> anyhow::Result<u8> {
    let args = &with_file(args);
    let kernel = Kernel::open()?;
    if args.info {
        super::print(&info::text(&kernel))?;
        return Ok(0);
    }
    let pid = match args.pid.as_deref().map(process).transpose() {
        Ok(pid) => pid,
        Err(wrong) => {
            eprintln!("ERROR: {}", escape_terminal(&wrong));
            return Ok(1);
        }
    };
    kernel.set_target(pid);
    // Scripts look at `comm`: who asks for bpftrace by name is called so while its BEGIN and END run.
    if std::env::args_os().nth(1).is_some_and(|word| word == "bpftrace") {
        let _ = std::fs::write("/proc/self/comm", "bpftrace");
    }
    if args.list {
        return list(args, global, &kernel);
    }
    let (name, script, params) = match script(args) {
        Ok(found) => found,
        Err(error) if error.is::<std::io::Error>() => {
            eprintln!("ERROR: {}", escape_terminal(&format!("{error:#}")));
            return Ok(1);
        }
        Err(error) => return Err(error),
    };
    let rewritten = ladder::without_tracefs(&script, &kernel);
    if !rewritten.events.is_empty() && !args.quiet {
        eprintln!(
            "note: tracefs cannot be opened: as raw tracepoints, whose fields are their arguments: {}",
            rewritten.events.join(", ")
        );
    }
    let (named, params) = parameters(params);
    let config = match environment() {
        Ok(config) => config,
        Err(wrong) => {
            eprintln!("ERROR: {wrong}");
            return Ok(1);
        }
    };
    if args.dump == Some(ProbeDump::Stage(ProbeStage::Ast)) {
        return tree(&name, &script);
    }
    let held = RefCell::new(held(args, &kernel)?);
    let child = held.borrow().as_ref().map(Held::pid);
    let options = netwhy_lang::Options { params, named, config, name: name.clone(), child };
    let features = kernel.features(args.r#unsafe);
    let compiled = match netwhy_lang::compile(&rewritten.script, &options, &kernel, &kernel, &features) {
        Ok(compiled) => compiled,
        Err(diagnostic) => {
            for note in kernel.take_notes() {
                eprintln!("note: {}", escape_terminal(&note));
            }
            eprint!("{}", diagnostic.render(&name, &script));
            return Ok(1);
        }
    };
    if let [_, ..] = compiled.unread.as_slice() {
        let all: Vec<String> =
            compiled.unread.iter().map(|name| escape_terminal(name).into_owned()).collect();
        eprintln!("ERROR: unexpected program command line options: --{}", all.join(", --"));
        return Ok(1);
    }
    if !args.no_warnings {
        for warning in &compiled.warnings {
            eprint!("{}", warning.render(&name, &script));
        }
        if args.warnings {
            eprintln!("note: -k: reads that fail give 0; this version does not warn of each");
        }
    }
    if args.dump.is_some() {
        super::print(&compiled.spec.to_string())?;
        return Ok(0);
    }
    let json = args.format == ProbeFormat::Json || global.json || global.jsonl;
    let mut out = output::open(args.output.as_deref(), args.buffer)?;
    let child = RefCell::new(None);
    let options = Options {
        format: if json { Format::Json } else { Format::Text },
        quiet: args.quiet,
        dry: args.dry_run,
        out: &mut *out,
        sink: None,
        ready: Box::new(|| start(args, pid, held.borrow_mut().take(), &child)),
    };
    let ended = session::run(&compiled.spec, &kernel, options);
    if let Some(child) = child.take() {
        end(child)?;
    }
    match ended {
        Ok(outcome) => Ok(outcome.code),
        Err(error) => {
            for note in kernel.take_notes() {
                eprintln!("note: {}", escape_terminal(&note));
            }
            eprint!("{}", explain(&error, &name, &script));
            Ok(1)
        }
    }
}

/// The largest number the kernel gives a process.
const PID_MAX: u32 = 4_194_304;

/// A running process's number.
fn process(text: &str) -> Result<u32, String> {
    let pid: u64 = text.parse().map_err(|_| format!("Failed to parse pid: invalid integer: {text}"))?;
    let pid = u32::try_from(pid).ok().filter(|pid| (1..=PID_MAX).contains(pid));
    let pid = pid.ok_or_else(|| format!("Pid out of range: {text}"))?;
    if exists(pid) { Ok(pid) } else { Err(format!("Failed to attach to pid: there is no process {pid}")) }
}

/// Settings of the environment (`BPFTRACE_MAX_STRLEN` and so on).
fn environment() -> Result<Config, String> {
    let mut config = Config::default();
    for (name, value) in std::env::vars() {
        // Those that no script can set are bpftrace's own business.
        if name.starts_with("BPFTRACE_")
            && let Err(wrong) = netwhy_lang::set(&mut config, &name, &value)
            && !wrong.starts_with("unknown")
        {
            return Err(wrong);
        }
    }
    Ok(config)
}

fn list(args: &ProbeArgs, global: &Global, kernel: &Kernel) -> anyhow::Result<u8> {
    let file = args.args.first().filter(|first| std::path::Path::new(first.as_str()).is_file());
    let lines = if args.program.is_some() || file.is_some() {
        let (name, script, _) = script(args)?;
        match netwhy_lang::parser::parse(&script) {
            Ok(tree) => {
                let points = tree.probes.iter().flat_map(|probe| &probe.points);
                points.flat_map(|point| kernel.listed(&point.text, global.verbose > 0)).collect()
            }
            Err(diagnostic) => {
                eprint!("{}", diagnostic.render(&name, &script));
                return Ok(1);
            }
        }
    } else {
        kernel.listed(args.args.first().map_or("*", String::as_str), global.verbose > 0)
    };
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    super::print(&text)?;
    Ok(0)
}

fn tree(name: &str, script: &str) -> anyhow::Result<u8> {
    match netwhy_lang::parser::parse(script) {
        Ok(tree) => {
            super::print(&format!("{tree:#?}\n"))?;
            Ok(0)
        }
        Err(diagnostic) => {
            eprint!("{}", diagnostic.render(name, script));
            Ok(1)
        }
    }
}

/// The arguments with the file of `-d FILE` in its place.
fn with_file(args: &ProbeArgs) -> ProbeArgs {
    let mut args = args.clone();
    if let Some(ProbeDump::Script(file)) = &args.dump {
        args.args.insert(0, file.clone());
        args.dump = Some(ProbeDump::Stage(ProbeStage::All));
    }
    args
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
    let failed = || format!("failed to open file '{path}'");
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

/// The command of `-c`, which has its number before anything is attached and runs after.
fn held(args: &ProbeArgs, kernel: &Kernel) -> anyhow::Result<Option<Held>> {
    let Some(text) = &args.command else { return Ok(None) };
    let mut words = text.split_whitespace();
    let program = words.next().ok_or_else(|| Usage("-c: an empty command".to_owned()))?;
    let mut command = Command::new(program);
    command.args(words);
    let held = Held::start(command)?;
    kernel.set_target(Some(held.pid()));
    Ok(Some(held))
}

/// Lets the command run, or finds the process, the run ends with.
fn start(
    args: &ProbeArgs,
    pid: Option<u32>,
    held: Option<Held>,
    child: &RefCell<Option<Child>>,
) -> std::io::Result<Option<OwnedFd>> {
    let pid = match (held, pid) {
        (Some(held), _) => {
            let started = held.release().map_err(|error| {
                let command = args.command.as_deref().unwrap_or_default();
                std::io::Error::new(error.kind(), format!("-c {command}: {error}"))
            })?;
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
