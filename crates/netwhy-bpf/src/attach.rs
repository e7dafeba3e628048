//! Attaching: everything is a link or a perf event of this process, gone with it however it ends.

use std::os::fd::AsFd;

use netwhy_lang::program::{Attach, Kind, ProgramSpec};
use netwhy_sys::bpf::{AttachType, Link, LinkTarget, Program};
use netwhy_sys::perf::{Event, Source, online_cpus};
use netwhy_sys::{Errno, SysError};

use crate::kernel::{Kernel, SOFTWARE};
use crate::load::{LoadError, Objects, as_raw};

/// What holds a probe in place.
#[derive(Debug)]
#[allow(dead_code, reason = "held for what their end does")]
enum Hold {
    Link(Link),
    /// The link, if the kernel has them for perf events, and the event.
    Event(Option<Link>, Event),
}

/// All probes of a script but `BEGIN`, `END` and iterators, which are run.
#[derive(Debug, Default)]
pub struct Attached {
    holds: Vec<Hold>,
    /// Places that are attached.
    pub places: usize,
}

impl Attached {
    /// Attaches every place.
    pub fn attach(spec: &ProgramSpec, objects: &Objects, kernel: &Kernel) -> Result<Self, LoadError> {
        let mut all = Attached::default();
        for (compiled, loaded) in spec.programs.iter().zip(&objects.programs) {
            let raw = as_raw(compiled, kernel);
            for (program, places) in &loaded.instances {
                for place in places {
                    let cookie = compiled
                        .wants_cookie
                        .then(|| compiled.attach.iter().position(|p| p == place))
                        .flatten()
                        .unwrap_or(0);
                    if matches!(
                        place,
                        Attach::Begin | Attach::End | Attach::Iter { .. } | Attach::SelfSignal(_)
                    ) {
                        continue;
                    }
                    all.one(program, place, compiled.kind, raw, cookie as u64, kernel)?;
                    all.places += 1;
                }
            }
        }
        Ok(all)
    }

    fn one(
        &mut self,
        program: &Program,
        place: &Attach,
        kind: Kind,
        raw: bool,
        cookie: u64,
        kernel: &Kernel,
    ) -> Result<(), LoadError> {
        let failed = |reason: String| LoadError::Attach { place: show(place), reason };
        let sys = |error: SysError| failed(error.to_string());
        match (kind, place) {
            (Kind::BtfTracepoint, _) => self.link(Link::raw_tracepoint(program, None).map_err(sys)?),
            (_, Attach::RawTracepoint { event }) => {
                self.link(Link::raw_tracepoint(program, Some(event)).map_err(sys)?);
            }
            (_, Attach::Tracepoint { event, .. }) if raw => {
                self.link(Link::raw_tracepoint(program, Some(event)).map_err(sys)?);
            }
            (Kind::Fentry, _) => {
                self.link(tracing(program, AttachType::TRACE_FENTRY, cookie).map_err(sys)?);
            }
            (Kind::Fexit, _) => {
                self.link(tracing(program, AttachType::TRACE_FEXIT, cookie).map_err(sys)?);
            }
            (_, Attach::Tracepoint { category, event }) => {
                let Some(tracefs) = kernel.tracefs() else {
                    // The events of single system calls are made by tracefs out of two that all share.
                    let raw = match (category.as_str(), event.as_str()) {
                        ("syscalls", name) if name.starts_with("sys_enter_") => "sys_enter",
                        ("syscalls", _) => "sys_exit",
                        (_, name) => name,
                    };
                    let known = kernel.events().binary_search_by(|name| name.as_str().cmp(raw)).is_ok();
                    let hint =
                        if known { format!("; rawtracepoint:{raw} needs none") } else { String::new() };
                    return Err(failed(format!("tracefs is not mounted, and netwhy mounts nothing{hint}")));
                };
                let id = tracefs.id(category, event).ok_or_else(|| failed("no such event".to_owned()))?;
                // One CPU is enough: the program of a tracepoint runs for all.
                let event = Event::open(Source::Tracepoint(id), 1, None, Some(0)).map_err(sys)?;
                self.event(program, event, cookie).map_err(sys)?;
            }
            (_, Attach::Interval { ns }) => {
                let first = online_cpus().map_err(sys)?.first().copied();
                let event = Event::open(Source::Software(0), *ns, None, first).map_err(sys)?;
                self.event(program, event, cookie).map_err(sys)?;
            }
            (_, Attach::Profile { ns }) => {
                self.everywhere(program, Source::Software(0), *ns, cookie).map_err(sys)?
            }
            (_, Attach::Software { event, period }) => {
                let Some((_, number)) = SOFTWARE.iter().find(|(name, _)| name == event) else {
                    let known: Vec<&str> = SOFTWARE.iter().map(|(name, _)| *name).collect();
                    return Err(failed(format!("no such event; there are {}", known.join(", "))));
                };
                // A clock counts nanoseconds, the others occurrences.
                let default = if *number <= 1 { 1_000_000 } else { 1 };
                let period = if *period == 0 { default } else { *period };
                self.everywhere(program, Source::Software(*number), period, cookie).map_err(sys)?;
            }
            (_, Attach::Kprobe { function, .. } | Attach::Kretprobe { function }) => {
                let events = kernel.events();
                let near = crate::ladder::instead_of(function)
                    .filter(|(event, _)| events.binary_search_by(|known| known.as_str().cmp(event)).is_ok());
                let hint = near.map_or(String::new(), |(event, lost)| {
                    format!("; rawtracepoint:{event} sees the same here ({lost})")
                });
                return Err(failed(format!("kprobes are not attached by this version{hint}")));
            }
            _ => return Err(failed("this kind of probe is not attached by this version".to_owned())),
        }
        Ok(())
    }

    fn link(&mut self, link: Link) {
        self.holds.push(Hold::Link(link));
    }

    fn everywhere(
        &mut self,
        program: &Program,
        source: Source,
        period: u64,
        cookie: u64,
    ) -> netwhy_sys::Result<()> {
        for cpu in online_cpus()? {
            self.event(program, Event::open(source, period, None, Some(cpu))?, cookie)?;
        }
        Ok(())
    }

    fn event(&mut self, program: &Program, event: Event, cookie: u64) -> netwhy_sys::Result<()> {
        let target = LinkTarget::PerfEvent { event: event.as_fd(), cookie };
        let link = match Link::create(program, target) {
            Ok(link) => Some(link),
            // Before 5.15 there are no such links; the event then holds the program itself.
            Err(error) if error.errno == Errno::EINVAL => {
                event.set_program(program.as_fd())?;
                None
            }
            Err(error) => return Err(error),
        };
        self.holds.push(Hold::Event(link, event));
        Ok(())
    }
}

fn tracing(program: &Program, attach: AttachType, cookie: u64) -> netwhy_sys::Result<Link> {
    // Links of this sort are made through the older call, which every kernel with trampolines has.
    match cookie {
        0 => Link::raw_tracepoint(program, None),
        _ => Link::create(program, LinkTarget::Tracing { attach, cookie }),
    }
}

/// A place as a script writes it.
#[must_use]
pub fn show(place: &Attach) -> String {
    match place {
        Attach::Begin => "BEGIN".to_owned(),
        Attach::End => "END".to_owned(),
        Attach::SelfSignal(signal) => format!("self:signal:{signal}"),
        Attach::Interval { ns } => format!("interval:us:{}", ns / 1000),
        Attach::Profile { ns } => format!("profile:us:{}", ns / 1000),
        Attach::Tracepoint { category, event } => format!("tracepoint:{category}:{event}"),
        Attach::RawTracepoint { event } => format!("rawtracepoint:{event}"),
        Attach::Kprobe { function, .. } => format!("kprobe:{function}"),
        Attach::Kretprobe { function } => format!("kretprobe:{function}"),
        Attach::Fentry { function, .. } => format!("fentry:{function}"),
        Attach::Fexit { function, .. } => format!("fexit:{function}"),
        Attach::Uprobe { path, symbol, .. } => format!("uprobe:{path}:{symbol}"),
        Attach::Uretprobe { path, symbol } => format!("uretprobe:{path}:{symbol}"),
        Attach::Usdt { path, provider, name } => format!("usdt:{path}:{provider}:{name}"),
        Attach::Software { event, period } => format!("software:{event}:{period}"),
        Attach::Hardware { event, period } => format!("hardware:{event}:{period}"),
        Attach::Iter { target } => format!("iter:{target}"),
    }
}
