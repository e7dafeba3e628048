//! Running a compiled script: begin, attach, read records and act on them, end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use netwhy_lang::program::{Action, Attach, Kind, Part, ProgramSpec, RECORD_HEADER, Role, Stream};
use netwhy_sys::bpf::{Link, LinkTarget, Map, RingReader};
use netwhy_sys::poll::{Interest, poll};
use netwhy_sys::signal::{Signal, SignalFd};

use crate::attach::Attached;
use crate::kernel::Kernel;
use crate::load::{LoadError, Objects};
use crate::printf;
use crate::record::{Sink, Table};
use crate::table::{self, Print};
use crate::value::{self, Reader, quote, u32_at, u64_at};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As bpftrace's text.
    Text,
    /// As bpftrace's JSON: one object a line.
    Json,
}

/// What a run is told.
pub struct Options<'a> {
    /// Text or JSON.
    pub format: Format,
    /// No line about how many probes there are.
    pub quiet: bool,
    /// End once everything is attached.
    pub dry: bool,
    /// Where results go.
    pub out: &'a mut dyn Write,
    /// Who takes records, tables and text instead.
    pub sink: Option<&'a mut dyn Sink>,
    /// Called once everything is attached; a descriptor it returns ends the run when it becomes readable, such
    /// as that of a process.
    #[allow(clippy::type_complexity, reason = "one callback")]
    pub ready: Box<dyn FnMut() -> std::io::Result<Option<std::os::fd::OwnedFd>> + 'a>,
}

/// What a run brought besides its output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What the script asked to exit with.
    pub code: u8,
    /// Records that found no room.
    pub lost: u64,
    /// Updates of full maps.
    pub full: u64,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It never started.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A call failed.
    #[error(transparent)]
    Sys(#[from] netwhy_sys::SysError),
    /// What it should have waited for could not be started.
    #[error("{0}")]
    Ready(std::io::Error),
    /// The output cannot be written.
    #[error("write: {0}")]
    Output(#[from] std::io::Error),
}

/// How old what is known of a process's mappings may be.
const LOOK: Duration = Duration::from_millis(200);
/// Asks a running script for its maps.
const PRINT: Signal = Signal::new(10);
/// Records that come within so long of the last are read together.
const NAP: Duration = Duration::from_millis(10);
/// How many records are taken before signals are looked at again.
const BATCH: usize = 4096;
/// The same where records run commands, which take their time.
const COMMANDS: usize = 16;
/// Arguments a raw tracepoint can have; a program that is run by hand gets so many zeroes.
const RAW_ARGUMENTS: [u64; 12] = [0; 12];

struct Session<'a> {
    spec: &'a ProgramSpec,
    kernel: &'a Kernel,
    /// In the order of the spec; the ring's place is taken by the reader.
    maps: &'a [Map],
    json: bool,
    out: &'a mut dyn Write,
    sink: Option<&'a mut dyn Sink>,
    exit: Option<u8>,
    /// Somebody wants this to end: commands still asked for are not run any more.
    interrupted: bool,
    /// The first failure while acting on records.
    failed: Option<RunError>,
}

/// Runs a script until it exits, is interrupted or what it waits for has ended.
pub fn run(spec: &ProgramSpec, kernel: &Kernel, options: Options<'_>) -> Result<Outcome, RunError> {
    let Options { format, quiet, dry, out, sink, mut ready } = options;
    // Before anything is attached, so that an interrupt never finds maps that nobody prints.
    let own = own_signals(spec)?;
    let mut caught = vec![Signal::INT, Signal::TERM, PRINT];
    caught.extend(own.iter().map(|(signal, _)| *signal));
    let signals = SignalFd::new(&caught)?;
    let objects = Objects::load(spec, kernel)?;
    let ring = spec.maps.iter().zip(&objects.maps).find(|(map, _)| map.role == Role::Ring);
    let mut ring = match ring {
        Some((map, made)) => Some(RingReader::new(made.duplicate()?, map.max_entries)?),
        None => None,
    };
    let json = format == Format::Json;
    // Inside of an option a borrow is not shortened by itself.
    let sink = sink.map(|sink| sink as &mut dyn Sink);
    let mut session = Session {
        spec,
        kernel,
        maps: &objects.maps,
        json,
        out,
        sink,
        exit: None,
        interrupted: false,
        failed: None,
    };
    run_once(spec, &objects, &Attach::Begin)?;
    let attached = Attached::attach(spec, &objects, kernel)?;
    let run = spec.programs.iter().flat_map(|program| &program.attach);
    let places = attached.places + run.filter(|place| crate::attach::is_run(place)).count();
    if !quiet {
        if json {
            let data = format!("\"count\": {places}, \"data\": {{\"probes\": {places}}}");
            writeln!(session.out, "{{\"type\": \"attached_probes\", {data}}}")?;
            session.out.flush()?;
        } else {
            eprintln!("Attached {places} probe{}", if places == 1 { "" } else { "s" });
        }
    }
    for note in kernel.take_notes().iter().filter(|_| !quiet) {
        eprintln!("note: {}", value::clean(note.as_bytes()));
    }
    // What bpftrace's own tests wait for.
    if std::env::var_os("__BPFTRACE_NOTIFY_PROBES_ATTACHED").is_some() {
        eprintln!("__BPFTRACE_NOTIFY_PROBES_ATTACHED");
    }
    if dry {
        return Ok(Outcome::default());
    }
    let waited_for = ready().map_err(RunError::Ready)?;
    session.drain(&mut ring)?;
    let done = session.iterate(&objects, &mut ring)? && attached.places == 0;
    // A script of iterators, or of what runs once, has done its work.
    let done = done || (attached.places == 0 && once_only(spec));
    if session.exit.is_none() && (!done || waited_for.is_some()) {
        let until = Until { signals: &signals, process: waited_for.as_ref().map(AsFd::as_fd), own: &own };
        session.wait(&mut ring, &until, &objects)?;
    }
    drop(attached);
    drop(waited_for);
    // From here on an interrupt ends the process at once: the one before asked for the end of the script.
    drop(signals);
    let code = session.exit.take();
    run_once(spec, &objects, &Attach::End)?;
    session.drain(&mut ring)?;
    session.finish(code)
}

/// What ends or interrupts waiting.
struct Until<'a> {
    signals: &'a SignalFd,
    process: Option<BorrowedFd<'a>>,
    /// Signals the script has probes for.
    own: &'a [(Signal, Attach)],
}

/// Signals to this process that the script has probes for.
fn own_signals(spec: &ProgramSpec) -> Result<Vec<(Signal, Attach)>, LoadError> {
    let mut all = Vec::new();
    for place in spec.programs.iter().flat_map(|program| &program.attach) {
        if let Attach::SelfSignal(name) = place {
            let number = (1..32).map(Signal::new).find(|signal| {
                let known = signal.name();
                known == name || known.strip_prefix("SIG") == Some(name)
            });
            let signal = number.ok_or_else(|| crate::attach::failed(place, "no such signal"))?;
            all.push((signal, place.clone()));
        }
    }
    Ok(all)
}

/// Runs the programs of `BEGIN` or `END` in this process.
pub(crate) fn run_once(spec: &ProgramSpec, objects: &Objects, when: &Attach) -> Result<(), RunError> {
    for (compiled, loaded) in spec.programs.iter().zip(&objects.programs) {
        if compiled.kind == Kind::Once && compiled.attach.contains(when) {
            for instance in &loaded.instances {
                instance.program.run_raw(&RAW_ARGUMENTS)?;
            }
        }
    }
    Ok(())
}

/// Whether nothing of a script waits for an event.
fn once_only(spec: &ProgramSpec) -> bool {
    let waits = |place: &Attach| !matches!(place, Attach::Begin | Attach::End);
    !spec.programs.iter().any(|program| program.attach.iter().any(waits))
}

/// The sum of a counter of each program over all CPUs.
pub(crate) fn counted(spec: &ProgramSpec, maps: &[Map], role: Role) -> Result<u64, RunError> {
    Ok(counts(spec, maps, role)?.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count)))
}

/// A counter of each program that is not 0, over all CPUs, with the program's index.
fn counts(spec: &ProgramSpec, maps: &[Map], role: Role) -> Result<Vec<(u32, u64)>, RunError> {
    let mut all = Vec::new();
    for (map, made) in spec.maps.iter().zip(maps).filter(|(map, _)| map.role == role) {
        // One entry for each program; the map may have more.
        for key in 0..map.max_entries.min(u32::try_from(spec.programs.len()).unwrap_or(u32::MAX)) {
            let bytes = made.lookup(&key.to_ne_bytes())?.unwrap_or_default();
            let count = bytes.chunks(8).fold(0_u64, |sum, b| sum.saturating_add(u64_at(b, 0)));
            if count > 0 {
                all.push((key, count));
            }
        }
    }
    Ok(all)
}

/// A counter's sum, and each probe's part when there are several.
fn said(spec: &ProgramSpec, counts: &[(u32, u64)]) -> (u64, String) {
    let sum = counts.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    if spec.programs.len() < 2 {
        return (sum, String::new());
    }
    let name = |index: u32| {
        let program = spec.programs.iter().find(|program| program.index == index);
        program.and_then(|program| program.attach.first()).map(crate::attach::show).unwrap_or_default()
    };
    let parts: Vec<String> =
        counts.iter().map(|(index, count)| format!("{} {count}", name(*index))).collect();
    (sum, format!(" ({})", parts.join(", ")))
}

impl Session<'_> {
    /// Runs iterators over what they iterate, acting on their records meanwhile; whether there were any.
    fn iterate(&mut self, objects: &Objects, ring: &mut Option<RingReader>) -> Result<bool, RunError> {
        let mut any = false;
        for (compiled, loaded) in self.spec.programs.iter().zip(&objects.programs) {
            if compiled.kind != Kind::Iter {
                continue;
            }
            for instance in &loaded.instances {
                let link = Link::create(&instance.program, LinkTarget::Iter { map: None })?;
                let mut file = link.iterate()?;
                any = true;
                // One read may run over thousands of objects, more than the ring holds.
                std::thread::scope(|scope| {
                    let reading = scope.spawn(move || std::io::copy(&mut file, &mut std::io::sink()));
                    while !reading.is_finished() {
                        self.drain(ring)?;
                        let watched: Vec<_> =
                            ring.iter().map(|ring| (ring.as_fd(), Interest::READ)).collect();
                        poll(&watched, Some(Instant::now() + Duration::from_millis(1)))?;
                    }
                    match reading.join() {
                        Ok(read) => read.map(drop).map_err(RunError::from),
                        Err(_) => Err(std::io::Error::other("the reading thread panicked").into()),
                    }
                })?;
                self.drain(ring)?;
            }
        }
        Ok(any)
    }

    fn wait(
        &mut self,
        ring: &mut Option<RingReader>,
        until: &Until<'_>,
        objects: &Objects,
    ) -> Result<(), RunError> {
        let Until { signals, process, own } = *until;
        // Reading record by record would wake this process for each of many: it naps while they come thick.
        let mut last = Instant::now();
        let mut looked: Option<Instant> = None;
        while self.exit.is_none() && !self.sink.as_ref().is_some_and(|sink| sink.done()) {
            if last.elapsed() < NAP {
                let mut watched = vec![(signals.as_fd(), Interest::READ)];
                watched.extend(process.map(|fd| (fd, Interest::READ)));
                poll(&watched, Some(Instant::now() + NAP))?;
            }
            let mut watched = vec![(signals.as_fd(), Interest::READ)];
            watched.extend(process.map(|fd| (fd, Interest::READ)));
            // A ring's descriptor wakes up for records that came while nobody waited, too.
            watched.extend(ring.as_ref().map(|ring| (ring.as_fd(), Interest::READ)));
            // Addresses of the process this is about are named when it may be gone: what it maps is noted while it runs.
            if let Some(pid) = self.kernel.target()
                && looked.is_none_or(|at| at.elapsed() > LOOK)
            {
                self.kernel.users().remember(pid);
                looked = Some(Instant::now());
            }
            // Some records are submitted without waking anybody: look now and then.
            let ready = poll(&watched, Some(Instant::now() + Duration::from_millis(500)))?;
            let runs = |action: &Action| matches!(action, Action::System { .. });
            let taken = if self.spec.actions.iter().any(runs) {
                // Commands take their time: signals are looked at in between.
                self.drain_some(ring, COMMANDS, 1)?
            } else {
                self.drain(ring)?
            };
            if taken > 0 {
                last = Instant::now();
            }
            if let Some(signal) = signals.take()? {
                match own.iter().find(|(known, _)| *known == signal) {
                    Some((_, place)) => run_once(self.spec, objects, place)?,
                    None if signal == PRINT => {
                        self.print_maps()?;
                        self.out.flush()?;
                    }
                    None => {
                        self.interrupted = true;
                        break;
                    }
                }
            }
            if process.is_some() && ready.get(1).is_some_and(|process| process.any()) {
                break;
            }
        }
        Ok(())
    }

    /// Acts on the records that are there. Ends when the ring is empty or the script exits.
    fn drain(&mut self, ring: &mut Option<RingReader>) -> Result<usize, RunError> {
        self.drain_some(ring, BATCH, 64)
    }

    fn drain_some(
        &mut self,
        ring: &mut Option<RingReader>,
        batch: usize,
        rounds: u32,
    ) -> Result<usize, RunError> {
        let Some(ring) = ring else { return Ok(0) };
        let mut all = 0;
        // As many rounds as a full ring of the smallest records takes, so that an endless stream lets go.
        for _ in 0..rounds {
            let taken = ring.drain(batch, |record| self.act(record));
            if let Some(failed) = self.failed.take() {
                return Err(failed);
            }
            all += taken;
            if taken < batch || self.exit.is_some() {
                break;
            }
        }
        if let Some(sink) = &mut self.sink {
            sink.rest()?;
        }
        self.out.flush()?;
        Ok(all)
    }

    fn act(&mut self, record: &[u8]) {
        // What follows an exit is not shown: the script had ended.
        if self.exit.is_some() || self.failed.is_some() {
            return;
        }
        let Some(action) = self.spec.actions.get(u32_at(record, 0) as usize) else { return };
        let args = record.get(RECORD_HEADER as usize..).unwrap_or_default();
        if let Err(error) = self.perform(action, args) {
            self.failed = Some(error);
        }
    }

    fn reader(&self) -> Reader<'_> {
        let stacks = self.spec.maps.iter().zip(self.maps).find(|(map, _)| map.role == Role::Stacks);
        let config = &self.spec.config;
        let trailer = config.other.iter().rev().find(|(name, _)| name == "str_trunc_trailer");
        Reader {
            symbols: self.kernel.symbols(),
            users: self.kernel.users(),
            stacks: stacks.map(|(_, made)| made),
            strlen: config.max_strlen,
            trailer: trailer.map_or("..", |(_, text)| text.as_str()),
        }
    }

    fn print(&mut self, kind: &str, text: &str) -> Result<(), RunError> {
        if let Some(sink) = &mut self.sink {
            sink.text(text)?;
        } else if self.json {
            writeln!(self.out, "{{\"type\": \"{kind}\", \"data\": {}}}", quote(text))?;
        } else {
            self.out.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    fn perform(&mut self, action: &Action, args: &[u8]) -> Result<(), RunError> {
        match action {
            Action::Printf { format, args: parts, to } => {
                let text = printf::format(&self.reader(), format, parts, args);
                match to {
                    Stream::Out => self.print("printf", &text)?,
                    Stream::Warn | Stream::Error => eprint!("{text}"),
                }
            }
            Action::PrintMap { map } => {
                let how = Print { top: u64_at(args, 0), divisor: u64_at(args, 8), json: self.json };
                self.print_map(*map, how)?;
            }
            Action::PrintValue { map, key, value } => {
                self.print_value(*map, key.as_ref(), value.as_ref(), args)?
            }
            Action::Clear { map } | Action::Zero { map } => {
                if let Some((spec, made)) = self.map(*map) {
                    table::clear(spec, made, matches!(action, Action::Zero { .. }))?;
                }
            }
            Action::DeleteHist { map, key } => {
                if let Some((spec, made)) = self.map(*map) {
                    table::delete_histogram(spec, made, value::part(args, key))?;
                }
            }
            Action::Exit => self.exit = Some(u8::try_from(u64_at(args, 0) & 0xff).unwrap_or(0)),
            Action::Time { format } => {
                let now = i128::try_from(netwhy_sys::clock::realtime().as_nanos()).unwrap_or(0);
                let text = value::wall(now, format);
                self.print("time", &text)?;
            }
            Action::Cat { format, args: parts } => {
                let path = printf::format(&self.reader(), format, parts, args);
                let given = self.spec.config.other.iter().rev().find(|(name, _)| name == "max_cat_bytes");
                let limit = given.and_then(|(_, n)| n.parse().ok()).unwrap_or(10_240);
                let mut bytes = Vec::new();
                let read = File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
                match read {
                    Ok(_) => {
                        let text = value::clean(&bytes);
                        self.print("cat", &text)?;
                    }
                    Err(error) => {
                        let why = error.to_string();
                        let why = why.split(" (os error").next().unwrap_or_default();
                        eprintln!("ERROR: failed to open file '{}' ({why})", value::clean(path.as_bytes()));
                    }
                }
            }
            // Only compiled where the user allowed it (`--unsafe`).
            Action::System { .. } if self.interrupted => {}
            Action::System { format, args: parts } => {
                let text = printf::format(&self.reader(), format, parts, args);
                self.out.flush()?;
                let made = std::process::Command::new("/bin/sh").arg("-c").arg(&text).output()?;
                eprint!("{}", value::clean(&made.stderr));
                self.print("syscall", &String::from_utf8_lossy(&made.stdout))?;
            }
            Action::Join { delimiter, slots, slot_size } => {
                let count = u64_at(args, 0).min(u64::from(*slots)) as usize;
                let texts = args.get(8..).unwrap_or_default().chunks((*slot_size).max(1) as usize);
                let all: Vec<String> = texts
                    .take(count)
                    .map(|text| value::clean(text.split(|&b| b == 0).next().unwrap_or_default()))
                    .collect();
                let end = if self.json { "" } else { "\n" };
                self.print("join", &format!("{}{end}", all.join(delimiter)))?;
            }
            Action::Emit { name, fields } if self.sink.is_some() => {
                let record = self.reader().record(name, fields, args);
                if let Some(sink) = &mut self.sink {
                    sink.record(record)?;
                }
            }
            Action::Emit { name, fields } => {
                let reader = self.reader();
                let all: Vec<String> = fields
                    .iter()
                    .map(|p| format!("{}: {}", quote(&p.name), reader.json(&p.shape, value::part(args, p))))
                    .collect();
                let line = format!("{{\"type\": {}, \"data\": {{{}}}}}", quote(name), all.join(", "));
                writeln!(self.out, "{line}")?;
            }
        }
        Ok(())
    }

    fn map(&self, index: u32) -> Option<(&netwhy_lang::program::MapSpec, &Map)> {
        self.spec.maps.get(index as usize).zip(self.maps.get(index as usize))
    }

    fn print_map(&mut self, index: u32, how: Print) -> Result<(), RunError> {
        let Some((spec, made)) = self.map(index) else { return Ok(()) };
        if self.sink.is_some() {
            let rows = table::values(&self.reader(), spec, made, how.top)?;
            // Borrowed from the script, not from the session.
            let name = self.spec.maps.get(index as usize).map_or("", |map| map.name.trim_start_matches('@'));
            if let Some(sink) = &mut self.sink {
                sink.table(Table { name, rows })?;
            }
            return Ok(());
        }
        let text = table::print(&self.reader(), spec, made, how)?;
        self.out.write_all(text.as_bytes())?;
        Ok(())
    }

    fn print_value(
        &mut self,
        map: Option<u32>,
        key: Option<&Part>,
        given: Option<&Part>,
        args: &[u8],
    ) -> Result<(), RunError> {
        let reader = self.reader();
        let found = map.and_then(|map| self.map(map));
        let raw_key = key.map(|part| value::part(args, part));
        let text = match (given, found) {
            (Some(part), _) if self.json => reader.json(&part.shape, value::part(args, part)),
            (Some(part), _) => reader.text(&part.shape, value::part(args, part)),
            (None, Some((spec, made))) if table::holds_histograms(spec) => {
                let text = table::histogram(spec, made, raw_key, self.json)?;
                if self.json { text } else { format!("\n{text}") }
            }
            (None, Some((spec, made))) => table::value(&reader, spec, made, raw_key, self.json)?,
            (None, None) => String::new(),
        };
        let line = if self.json { format!("{{\"type\": \"value\", \"data\": {text}}}") } else { text };
        if let Some(sink) = &mut self.sink {
            sink.text(&format!("{line}\n"))?;
        } else {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    /// Every map of the script, by name.
    fn print_maps(&mut self) -> Result<(), RunError> {
        let mut script: Vec<u32> =
            (0..).zip(&self.spec.maps).filter(|(_, map)| map.role == Role::Script).map(|(n, _)| n).collect();
        script.sort_by_key(|at| self.spec.maps.get(*at as usize).map(|map| map.name.clone()));
        for map in script {
            self.print_map(map, Print { json: self.json, ..Print::default() })?;
        }
        Ok(())
    }

    fn finish(mut self, code: Option<u8>) -> Result<Outcome, RunError> {
        if !self.json && self.sink.is_none() {
            self.out.write_all(b"\n\n")?;
        }
        if self.spec.config.print_maps_on_exit {
            self.print_maps()?;
        }
        let (lost, by) = said(self.spec, &counts(self.spec, self.maps, Role::Lost)?);
        if lost > 0 && self.sink.is_none() {
            if self.json {
                writeln!(self.out, "{{\"type\": \"lost_events\", \"data\": {{\"events\": {lost}}}}}")?;
            } else {
                eprintln!("Lost {lost} events{by}");
            }
        }
        let (full, by) = said(self.spec, &counts(self.spec, self.maps, Role::Full)?);
        if full > 0 && self.sink.is_none() {
            eprintln!("WARNING: {full} updates of maps failed: they were full{by}");
        }
        self.out.flush()?;
        Ok(Outcome { code: code.unwrap_or(0), lost, full })
    }
}
