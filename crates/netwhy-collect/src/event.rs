//! Kernel events on the flows of a question: scripts of `probes/` run beside the attempt, filtered in the kernel.

mod decode;
mod script;

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use netwhy_bpf::background::Background;
use netwhy_bpf::kernel::{Kernel, KernelError};
use netwhy_bpf::load::LoadError;
use netwhy_bpf::namer::Namer;
use netwhy_bpf::record::Record;
use netwhy_bpf::session::RunError;
use netwhy_facts::Reading;
use netwhy_facts::event::{KernelEvent, KernelEvents};
use netwhy_lang::program::{Attach, ProgramSpec};
use netwhy_sys::poll::{Interest, poll};
use netwhy_sys::procfs::Tree;
use netwhy_sys::waker::Waker;
use netwhy_sys::{SysError, caps, clock};

use crate::Collector;
use script::Piece;

/// What loading needs.
const NEEDS: &str = "CAP_BPF and CAP_PERFMON";
/// Events that are kept; what comes later is counted as lost.
const MOST: usize = 10_000;
/// Where a reading of events says it comes from.
const SOURCE: &str = "tracepoints";

/// Which packets count, both ways.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventFlow {
    /// IP protocol.
    pub protocol: u8,
    /// The target's address, as packets have it at some place of their way.
    pub target: IpAddr,
    /// Its port; 0 for protocols without ports.
    pub port: u16,
    /// The other end; any when absent.
    pub other: Option<IpAddr>,
}

/// What counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The flows, as they are and as they are translated.
    pub flows: Vec<EventFlow>,
    /// Next hops: events of their neighbour entries, ARP and neighbour discovery about them.
    pub next_hops: Vec<IpAddr>,
}

/// The thread that attaches the probes and takes what they tell. Making them takes longer than a question can wait, so
/// it is begun before the flows are known: until [`EventThread::watch`] fills their filter they tell nothing.
#[derive(Debug)]
pub struct EventThread {
    state: Result<Handles, Reading<KernelEvents>>,
}

#[derive(Debug)]
struct Handles {
    orders: Sender<EventFilter>,
    attached: Receiver<()>,
    ended: JoinHandle<Reading<KernelEvents>>,
    stop: Arc<Waker>,
}

/// Probes that are attached, or why there are none.
#[derive(Debug)]
pub struct EventWatch {
    state: Result<Handles, Reading<KernelEvents>>,
}

struct Running<'a> {
    run: Background<'a>,
    kernel: &'a Kernel,
    watched: Vec<String>,
    missing: Vec<String>,
}

impl Collector {
    /// Begins to attach probes for flows of an IP protocol in the collector's namespace.
    #[must_use]
    pub fn prepare_events(&self, protocol: u8) -> EventThread {
        EventThread { state: spawn(self.netns_id().inode, protocol) }
    }
}

impl EventThread {
    /// Lets the probes tell of these flows. They are attached when this returns, and end with the watch.
    #[must_use]
    pub fn watch(self, filter: EventFilter) -> EventWatch {
        let state = self.state.and_then(|handles| {
            // A thread that is gone has left its reason.
            if handles.orders.send(filter).is_err() || handles.attached.recv().is_err() {
                return Err(handles.end());
            }
            Ok(handles)
        });
        EventWatch { state }
    }
}

impl EventWatch {
    /// Detaches, and tells what was seen.
    #[must_use]
    pub fn end(self) -> Reading<KernelEvents> {
        match self.state {
            Ok(handles) => handles.end(),
            Err(absence) => absence,
        }
    }

    /// Why there are no events; `None` while they are watched for.
    #[must_use]
    pub fn absence(&self) -> Option<&Reading<KernelEvents>> {
        self.state.as_ref().err()
    }
}

impl Handles {
    fn end(self) -> Reading<KernelEvents> {
        self.stop.wake();
        drop(self.orders);
        self.ended.join().unwrap_or_else(|_| Reading::failed("the thread of the kernel's events panicked"))
    }
}

fn spawn(netns: u64, protocol: u8) -> Result<Handles, Reading<KernelEvents>> {
    let stop = Waker::new().map(Arc::new).map_err(Reading::failed)?;
    may_load()?;
    let (orders, ordered) = channel::<EventFilter>();
    let (ready, attached) = channel();
    let stopped = Arc::clone(&stop);
    let work = move || {
        let kernel = match Kernel::open() {
            Ok(kernel) => kernel,
            Err(error) => return without_types(error),
        };
        let running = match begin(&kernel, netns, protocol) {
            Ok(running) => running,
            Err(absence) => return absence,
        };
        // Nobody asked after all.
        let Ok(filter) = ordered.recv() else { return Reading::NotAsked };
        if let Err(error) = running.fill(&filter) {
            return absence(&error);
        }
        // Whoever does not wait for it will not end it either: then nothing is left to do.
        if ready.send(()).is_err() {
            return Reading::NotAsked;
        }
        running.read_until(&stopped)
    };
    let ended = std::thread::Builder::new().name("events".to_owned()).spawn(work).map_err(Reading::failed)?;
    Ok(Handles { orders, attached, ended, stop })
}

/// A refusal that is known before anything is tried.
fn may_load() -> Result<(), Reading<KernelEvents>> {
    use caps::Capability::{Perfmon, SysAdmin};
    match caps::effective() {
        Ok(held) if held.may_bpf() && (held.has(Perfmon) || held.has(SysAdmin)) => Ok(()),
        Ok(_) => Err(Reading::denied(NEEDS)),
        Err(error) => Err(Reading::failed(error)),
    }
}

impl Running<'_> {
    /// From now on what concerns these flows is told.
    fn fill(&self, filter: &EventFilter) -> Result<(), RunError> {
        for flow in &filter.flows {
            let (target, other) = (script::words(flow.target), flow.other.map_or((0, 0), script::words));
            let ends = [target.0, target.1, other.0, other.1];
            let key: Vec<u64> = [flow.protocol.into(), flow.port.into()].into_iter().chain(ends).collect();
            self.run.put("flow", &key, 1)?;
        }
        for hop in &filter.next_hops {
            let (a, b) = script::words(*hop);
            self.run.put("hop", &[a, b], 1)?;
        }
        Ok(())
    }

    /// Takes events as they come, so that the ring has room and names are looked up beside the attempt.
    fn read_until(self, stopped: &Waker) -> Reading<KernelEvents> {
        let Running { mut run, kernel, watched, missing } = self;
        let mut events: Vec<KernelEvent> = Vec::new();
        let mut beyond = 0;
        let names = Namer::new(kernel.symbols());
        let mut take = |record: Record<'_>| match decode::event(&record, &names) {
            Some(event) if events.len() < MOST => events.push(event),
            _ => beyond += 1,
        };
        loop {
            let mut watched = vec![(stopped.as_fd(), Interest::READ)];
            watched.extend(run.waits_on().map(|fd| (fd, Interest::READ)));
            match poll(&watched, None) {
                Ok(ready) if ready.first().is_some_and(|stop| stop.any()) => break,
                Ok(_) => run.poll(MOST, &mut take),
                Err(error) => return Reading::failed(error),
            };
        }
        match run.end(&mut take) {
            Ok(ended) => {
                let lost = ended.lost + beyond;
                Reading::known(KernelEvents { events, lost, watched, missing }, SOURCE, clock::monotonic())
            }
            Err(error) => Reading::failed(error),
        }
    }
}

fn begin<'a>(kernel: &'a Kernel, netns: u64, protocol: u8) -> Result<Running<'a>, Reading<KernelEvents>> {
    let (mut pieces, mut missing) = script::choose(kernel, protocol);
    // What this kernel's verifier or tracepoints refuse is left out and said; the rest still tells what it can.
    loop {
        if pieces.is_empty() {
            let why = missing.join("; ");
            return Err(Reading::unsupported(format!("no event can be watched here: {why}")));
        }
        let spec = compile(kernel, netns, &mut pieces, &mut missing)?;
        let names = events_of(&spec);
        match Background::begin(spec, kernel) {
            Ok(run) => {
                let watched = pieces.iter().map(|p| p.event.to_owned()).collect();
                return Ok(Running { run, kernel, watched, missing });
            }
            Err(error) => {
                let at = refused(&error, &names).and_then(|e| pieces.iter().position(|p| p.reads(&e)));
                let Some(at) = at else { return Err(absence(&error)) };
                let piece = pieces.remove(at);
                missing.push(format!("{}: {}", piece.event, first_line(&error)));
            }
        }
    }
}

/// Compiles the chosen pieces; those that do not compile here are left out and said.
fn compile(
    kernel: &Kernel,
    netns: u64,
    pieces: &mut Vec<&'static Piece>,
    missing: &mut Vec<String>,
) -> Result<ProgramSpec, Reading<KernelEvents>> {
    let options = netwhy_lang::Options { params: vec![netns.to_string()], ..Default::default() };
    // Plain raw tracepoints: the scripts read by numbers, may be handed null pointers, and the kernel's verifier takes
    // a millisecond for each chain of typed pointers.
    let features = netwhy_lang::features::Features { tp_btf: false, ..kernel.features(false) };
    let make = |pieces: &[&'static Piece]| {
        let text = script::assemble(pieces);
        netwhy_lang::compile(&text, &options, kernel, kernel, &features).map(|made| made.spec)
    };
    match make(pieces) {
        Ok(spec) => Ok(spec),
        Err(_) => {
            pieces.retain(|piece| match make(&[piece]) {
                Ok(_) => true,
                Err(error) => {
                    missing.push(format!("{}: {}", piece.event, error.message));
                    false
                }
            });
            make(pieces).map_err(|error| Reading::failed(format!("probe script: {}", error.message)))
        }
    }
}

/// Programs by name, and the tracepoint of each.
fn events_of(spec: &ProgramSpec) -> Vec<(String, String)> {
    let event = |attach: &[Attach]| match attach {
        [Attach::RawTracepoint { event }, ..] => event.clone(),
        _ => String::new(),
    };
    spec.programs.iter().map(|program| (program.name.clone(), event(&program.attach))).collect()
}

/// The tracepoint an error is about, if it is about one alone.
fn refused(error: &RunError, names: &[(String, String)]) -> Option<String> {
    let RunError::Load(error) = error else { return None };
    match error {
        // A refusal without a word of the verifier is about privilege, and so about all of them.
        LoadError::Program(refused) if refused.verdict.is_some() => {
            names.iter().find(|(name, _)| *name == refused.name).map(|(_, event)| event.clone())
        }
        LoadError::Attach { place, .. } => place.rsplit(':').next().map(str::to_owned),
        LoadError::NoTarget(what) => what.rsplit(' ').next().map(str::to_owned),
        _ => None,
    }
}

fn first_line(error: &RunError) -> String {
    let text = error.to_string();
    text.lines().take(2).collect::<Vec<_>>().join("; ")
}

fn without_types(error: KernelError) -> Reading<KernelEvents> {
    match &error {
        KernelError::Read(sys) if sys.errno.is_denied() => Reading::denied("read access to /sys/kernel/btf"),
        KernelError::Read(_) => Reading::unsupported(error.to_string()),
        KernelError::Parse(_) => Reading::failed(error),
    }
}

/// What a refusal as a whole means: want of privilege, a locked-down kernel, or something else.
fn absence(error: &RunError) -> Reading<KernelEvents> {
    let sys: Option<&SysError> = match error {
        RunError::Load(LoadError::Map { error, .. } | LoadError::Sys(error)) | RunError::Sys(error) => {
            Some(error)
        }
        RunError::Load(LoadError::Program(refused)) => Some(&refused.error),
        _ => None,
    };
    match sys {
        Some(sys) if sys.errno.is_denied() => match lockdown() {
            Some(level) => Reading::unsupported(format!("the kernel is locked down ({level}): {sys}")),
            None => Reading::denied(format!("{NEEDS} in the first user namespace")),
        },
        Some(sys) if sys.errno.is_unsupported() => Reading::unsupported(sys.to_string()),
        _ => Reading::failed(first_line(error)),
    }
}

/// The level of lockdown that keeps programs from reading the kernel's memory
/// (Documentation/admin-guide/LSM, kernel_lockdown(7)), if it is in force.
fn lockdown() -> Option<String> {
    let text = Tree::sys().read("kernel/security/lockdown").ok()?;
    let level = text.split('[').nth(1)?.split(']').next()?;
    (level == "confidentiality").then(|| level.to_owned())
}

#[cfg(test)]
mod tests;
