//! Attaching: everything is a link or a perf event of this process, gone with it however it ends.

mod function;
mod user;

use std::os::fd::AsFd;

use netwhy_lang::program::{Attach, Kind, Program as Compiled, ProgramSpec};
use netwhy_sys::bpf::{AttachType, Link, LinkTarget, Program};
use netwhy_sys::perf::{Event, Source, online_cpus};
use netwhy_sys::{Errno, SysError};

use crate::kernel::{HARDWARE, Kernel, SOFTWARE};
use crate::load::{Instance, LoadError, Objects, Way};

/// What holds a probe in place.
#[derive(Debug)]
#[allow(dead_code, reason = "held for what their end does")]
enum Hold {
    Link(Link),
    /// The link, if the kernel has them for perf events, and the event.
    Event(Option<Link>, Event),
}

/// All probes of a script but `BEGIN`, `END`, signals and iterators, which are run.
#[derive(Debug, Default)]
pub struct Attached {
    holds: Vec<Hold>,
    /// Places that are attached.
    pub places: usize,
}

/// A place that could not be attached to, and why.
pub(crate) fn failed(place: &Attach, reason: impl Into<String>) -> LoadError {
    LoadError::Attach { place: show(place), reason: reason.into() }
}

impl Attached {
    /// Attaches every place. Those a wildcard found and the kernel refuses are left out and noted.
    pub fn attach(spec: &ProgramSpec, objects: &Objects, kernel: &Kernel) -> Result<Self, LoadError> {
        let mut all = Attached::default();
        // Probes at one place run in the order of the script: the kernel puts some in front of those that are there
        // already, which are therefore attached from the last to the first.
        let pairs = || spec.programs.iter().zip(&objects.programs);
        let in_order = pairs().filter(|(compiled, _)| !in_front(compiled));
        let reverse = pairs().rev().filter(|(compiled, _)| in_front(compiled));
        for (compiled, loaded) in in_order.chain(reverse) {
            for instance in &loaded.instances {
                let places: Vec<&Attach> = instance.places.iter().filter(|place| !is_run(place)).collect();
                if places.is_empty() {
                    continue;
                }
                match &instance.way {
                    Way::Multi => all.many(instance, kernel)?,
                    Way::Folded(event) => {
                        let link = Link::raw_tracepoint(&instance.program, Some(event));
                        all.link(link.map_err(|error| {
                            let place = format!("rawtracepoint:{event}");
                            LoadError::Attach { place, reason: error.to_string() }
                        })?);
                    }
                    Way::Each | Way::Raw => {
                        all.each(compiled, instance, kernel)?;
                        continue;
                    }
                }
                all.places += places.len();
            }
        }
        Ok(all)
    }

    /// Each place by itself.
    fn each(&mut self, compiled: &Compiled, instance: &Instance, kernel: &Kernel) -> Result<(), LoadError> {
        let places: Vec<&Attach> = instance.places.iter().filter(|place| !is_run(place)).collect();
        // Without any kprobes all would fail for the same reason.
        let kprobes = matches!(places.first(), Some(Attach::Kprobe { .. } | Attach::Kretprobe { .. }));
        let many = places.len() > 1 && (!kprobes || kernel.probing().kprobe().yes());
        let (mut done, mut first) = (0, None);
        for place in places {
            let index = compiled.attach.iter().position(|p| p == place).unwrap_or(0);
            let cookie = if compiled.wants_cookie { index as u64 } else { 0 };
            match self.one(instance, place, compiled.kind, cookie, kernel) {
                Ok(()) => done += 1,
                Err(error) if many => {
                    kernel.note(error.to_string());
                    first = first.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        if let (0, Some(error)) = (done, first) {
            return Err(error);
        }
        self.places += done;
        Ok(())
    }

    fn many(&mut self, instance: &Instance, kernel: &Kernel) -> Result<(), LoadError> {
        let link = match instance.places.first() {
            Some(Attach::Kprobe { .. } | Attach::Kretprobe { .. }) => function::many(instance, kernel)?,
            _ => user::many(instance, kernel)?,
        };
        self.holds.push(Hold::Link(link));
        Ok(())
    }

    fn one(
        &mut self,
        instance: &Instance,
        place: &Attach,
        kind: Kind,
        cookie: u64,
        kernel: &Kernel,
    ) -> Result<(), LoadError> {
        let program = &instance.program;
        let sys = |error: SysError| failed(place, error.to_string());
        match (kind, place) {
            (Kind::BtfTracepoint, _) => self.link(Link::raw_tracepoint(program, None).map_err(sys)?),
            (_, Attach::RawTracepoint { event }) => {
                self.link(Link::raw_tracepoint(program, Some(event)).map_err(sys)?);
            }
            (_, Attach::Tracepoint { event, .. }) if instance.way == Way::Raw => {
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
                    return Err(failed(place, without_tracefs(category, event, kernel)));
                };
                let id = tracefs.id(category, event).ok_or_else(|| failed(place, "no such event"))?;
                // One CPU is enough: the program of a tracepoint runs for all.
                let event = Event::open(Source::Tracepoint(id), 1, None, Some(0)).map_err(sys)?;
                self.event(program, event, cookie).map_err(sys)?;
            }
            (_, Attach::Interval { ns, .. }) => {
                let first = online_cpus().map_err(sys)?.first().copied();
                let event = Event::open(Source::Software(0), *ns, None, first).map_err(sys)?;
                self.event(program, event, cookie).map_err(sys)?;
            }
            (_, Attach::Profile { ns, .. }) => {
                self.everywhere(program, Source::Software(0), *ns, cookie, kernel).map_err(sys)?;
            }
            (_, Attach::Software { event, period }) => {
                let number = number(&SOFTWARE, event).map_err(|reason| failed(place, reason))?;
                // A clock counts nanoseconds, the others occurrences.
                let default = if number <= 1 { 1_000_000 } else { 1 };
                let period = if *period == 0 { default } else { *period };
                self.everywhere(program, Source::Software(number), period, cookie, kernel).map_err(sys)?;
            }
            (_, Attach::Hardware { event, period }) => {
                let number = number(&HARDWARE, event).map_err(|reason| failed(place, reason))?;
                let period = if *period == 0 { 1_000_000 } else { *period };
                let made = self.everywhere(program, Source::Hardware(number), period, cookie, kernel);
                made.map_err(|error| match error.errno {
                    Errno::ENOENT | Errno::EOPNOTSUPP => {
                        failed(place, "this machine has no counter for it; `software:cpu-clock` is a clock")
                    }
                    _ => sys(error),
                })?;
            }
            (_, Attach::Watchpoint { address, length, mode }) => {
                let letter = |c: char, bit: u32| if mode.contains(c) { bit } else { 0 };
                let access = letter('r', 1) | letter('w', 2) | letter('x', 4);
                let source = Source::Breakpoint { address: *address, length: *length, access };
                self.everywhere(program, source, 1, cookie, kernel).map_err(sys)?;
            }
            (_, Attach::Kprobe { .. } | Attach::Kretprobe { .. }) => {
                let event = function::one(place, kernel)?;
                self.event(program, event, cookie).map_err(sys)?;
            }
            (_, Attach::Uprobe { .. } | Attach::Uretprobe { .. } | Attach::Usdt { .. }) => {
                let event = user::one(place, kernel)?;
                self.event(program, event, cookie).map_err(sys)?;
            }
            _ => return Err(failed(place, "the compiler made a program of another kind for it")),
        }
        Ok(())
    }

    fn link(&mut self, link: Link) {
        self.holds.push(Hold::Link(link));
    }

    /// On every CPU; in the process the run is about only, when there is one.
    fn everywhere(
        &mut self,
        program: &Program,
        source: Source,
        period: u64,
        cookie: u64,
        kernel: &Kernel,
    ) -> netwhy_sys::Result<()> {
        if let Some(pid) = kernel.target() {
            return self.event(program, Event::open(source, period, Some(pid), None)?, cookie);
        }
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

/// Whether the kernel puts a new program in front of those that wait at the same place.
fn in_front(compiled: &Compiled) -> bool {
    compiled.kind == Kind::Fentry
        || compiled.attach.iter().any(|place| {
            matches!(
                place,
                Attach::Kprobe { .. }
                    | Attach::Uprobe { .. }
                    | Attach::Uretprobe { .. }
                    | Attach::Usdt { .. }
                    | Attach::Software { .. }
            )
        })
}

/// Places that nothing is attached for.
pub(crate) fn is_run(place: &Attach) -> bool {
    matches!(place, Attach::Begin | Attach::End | Attach::Iter { .. } | Attach::SelfSignal(_))
}

fn number(known: &[(&str, u64)], event: &str) -> Result<u64, String> {
    known.iter().find(|(name, _)| *name == event).map(|(_, number)| *number).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("no such event; there are {}", names.join(", "))
    })
}

fn without_tracefs(category: &str, event: &str, kernel: &Kernel) -> String {
    // The events of single system calls are made by tracefs out of two that all share.
    let raw = match (category, event) {
        ("syscalls", name) if name.starts_with("sys_enter_") => "sys_enter",
        ("syscalls", _) => "sys_exit",
        (_, name) => name,
    };
    let known = kernel.events().binary_search_by(|name| name.as_str().cmp(raw)).is_ok();
    let hint = if known { format!("; rawtracepoint:{raw} needs none") } else { String::new() };
    format!("tracefs cannot be opened{hint}")
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
    netwhy_lang::passes::points::name(place)
}
