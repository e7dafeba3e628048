//! `netwhy capabilities`: what works here, as whom, and what is missing. Everything is tried, nothing is guessed and
//! nothing is changed: sockets are opened and closed, files read, programs listed.

use netwhy_collect::event::EventFilter;
use netwhy_facts::host::Host;
use netwhy_facts::{Facts, Reading};
use netwhy_render::catalogue::{Available, Capabilities, Capability, capabilities_text};
use netwhy_sys::SysError;
use netwhy_sys::caps::{Capability as Cap, effective};
use netwhy_sys::filter::Instruction;
use netwhy_sys::netns::NetnsRef;
use netwhy_sys::packet::{Capture, Config};
use netwhy_sys::socket::{Family, Kind, Socket};

use super::facts::{Read, SOURCES, example_flow, open};
use crate::cli::Global;

/// Tries everything and prints what came of it.
pub(crate) fn run(global: &Global) -> anyhow::Result<u8> {
    let collector = open(global)?;
    let flow = example_flow();
    let mut items = Vec::new();
    let mut host = Host::default();
    for source in SOURCES.iter().filter(|s| !matches!(s.read, Read::Question)) {
        let mut facts = Facts::new();
        source.collect(&collector, Some(&flow), &mut facts);
        if let Some(h) = facts.value::<Host>() {
            host = h.clone();
        }
        let json = facts.to_json();
        let reading = json.pointer(&format!("/{}/before", source.name)).cloned().unwrap_or_default();
        items.push(Capability::of_json(source.name, "family", source.what, &reading));
    }
    same_door(&mut items, "conntrack-entries", "nft");
    items.extend(FEATURES.iter().map(|f| Capability::of(f.name, "feature", f.what, &(f.attempt)())));
    let all = Capabilities { kernel: host.kernel, euid: host.euid, capabilities: host.capabilities, items };
    if global.json || global.jsonl {
        super::print_json(&all, global)?;
    } else {
        super::print(&capabilities_text(&all, &super::text_options(global)))?;
    }
    Ok(0)
}

/// Two things behind one door: where there was nothing to read nobody asked, so what the door said to the other counts.
fn same_door(items: &mut [Capability], name: &str, other: &str) {
    let refused = items.iter().find(|c| c.name == other && c.available == Available::No).cloned();
    if let (Some(refused), Some(item)) = (refused, items.iter_mut().find(|c| c.name == name))
        && item.available == Available::Yes
        && !refused.needs.is_empty()
    {
        (item.available, item.needs, item.why) = (refused.available, refused.needs, refused.why);
    }
}

struct Feature {
    name: &'static str,
    what: &'static str,
    attempt: fn() -> Reading<()>,
}

/// What goes beyond reading facts.
#[rustfmt::skip]
const FEATURES: &[Feature] = &[
    Feature { name: "capture", what: "headers of the flow's packets", attempt: capture },
    Feature { name: "tcp-hops", what: "hops of a TCP flow by TTL", attempt: || raw(6) },
    Feature { name: "echo", what: "ICMP echo", attempt: echo },
    Feature { name: "mark", what: "asking with the victim's socket mark", attempt: mark },
    Feature { name: "other-namespaces", what: "listeners in other network namespaces", attempt: other_namespaces },
    Feature { name: "other-processes", what: "which process holds another user's socket", attempt: other_processes },
    Feature { name: "kernel-log", what: "what the kernel wrote to its log", attempt: kernel_log },
    Feature { name: "bpf-list", what: "listing BPF programs", attempt: bpf_list },
    Feature { name: "bpf-load", what: "loading probes", attempt: bpf_load },
    Feature { name: "kernel-events", what: "packets of the flow the kernel frees, resets, retransmissions", attempt: kernel_events },
    Feature { name: "tracepoints", what: "formats of kernel events", attempt: || file("/sys/kernel/tracing/events/skb/kfree_skb/format", "root, or read access to /sys/kernel/tracing") },
    Feature { name: "btf", what: "the kernel's types and the names of its drop reasons", attempt: || file("/sys/kernel/btf/vmlinux", "read access to /sys/kernel/btf") },
    Feature { name: "kernel-config", what: "which features the kernel was built with", attempt: || file("/proc/config.gz", "read access to /proc/config.gz") },
    Feature { name: "lab", what: "private namespaces for netwhy lab", attempt: lab },
];

fn reading(door: &str, needs: &str, done: Result<(), SysError>) -> Reading<()> {
    match done {
        Ok(()) => Reading::known((), door, 0),
        Err(e) if e.errno.is_denied() => Reading::denied(needs),
        Err(e) if e.errno.is_unsupported() => Reading::unsupported(e.to_string()),
        Err(e) => Reading::failed(e),
    }
}

fn capture() -> Reading<()> {
    // A filter that accepts nothing: the try hears no packet.
    let nothing = Instruction { code: 0x06, jt: 0, jf: 0, k: 0 };
    let config = Config { filter: vec![nothing], blocks: 1, ..Config::default() };
    reading("AF_PACKET", "CAP_NET_RAW", Capture::open(&config).map(drop))
}

fn raw(protocol: u8) -> Reading<()> {
    reading("SOCK_RAW", "CAP_NET_RAW", Socket::open(Family::V4, Kind::Raw(protocol)).map(drop))
}

fn echo() -> Reading<()> {
    let needs = "a group in net.ipv4.ping_group_range, or CAP_NET_RAW";
    match Socket::open(Family::V4, Kind::Ping) {
        Ok(_) => Reading::known((), "IPPROTO_ICMP without privilege", 0),
        Err(_) => reading("SOCK_RAW", needs, Socket::open(Family::V4, Kind::Raw(1)).map(drop)),
    }
}

fn mark() -> Reading<()> {
    let done = Socket::open(Family::V4, Kind::Udp).and_then(|s| s.set_mark(1));
    reading("SO_MARK", "CAP_NET_ADMIN or CAP_NET_RAW", done)
}

fn other_namespaces() -> Reading<()> {
    use netwhy_sys::netns::{current, in_netns, list};
    let needs = "CAP_SYS_ADMIN and CAP_SYS_PTRACE";
    let (Ok(here), Ok(listing)) = (current(), list()) else {
        return Reading::failed("the namespaces could not be listed");
    };
    if listing.hidden > 0 {
        return Reading::denied(needs);
    }
    let other = listing.seen.iter().filter(|s| s.id != here).find_map(|s| s.pids.first());
    match (other, effective()) {
        (Some(pid), _) => reading("setns", needs, in_netns(&NetnsRef::Pid(*pid), || ())),
        (None, Ok(held)) if held.has(Cap::SysAdmin) => {
            Reading::known((), "CAP_SYS_ADMIN is held; there is no other namespace now", 0)
        }
        (None, Ok(_)) => Reading::denied(needs),
        (None, Err(e)) => Reading::failed(e),
    }
}

fn other_processes() -> Reading<()> {
    match std::fs::read_dir("/proc/1/fd") {
        Ok(_) => Reading::known((), "/proc/PID/fd", 0),
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => Reading::denied("CAP_SYS_PTRACE"),
        Err(e) => Reading::failed(format!("/proc/1/fd: {e}")),
    }
}

fn kernel_log() -> Reading<()> {
    reading("/dev/kmsg", "CAP_SYSLOG", netwhy_sys::kmsg::Kmsg::open().map(drop))
}

fn bpf_list() -> Reading<()> {
    let ids = netwhy_sys::bpf::ids(netwhy_sys::bpf::Object::Program);
    reading("BPF_PROG_GET_NEXT_ID", "CAP_SYS_ADMIN", ids.map(drop))
}

fn bpf_load() -> Reading<()> {
    // Loading is only worth a privilege check: a program would be work for the kernel's verifier on every run.
    match effective() {
        Ok(held) if held.may_bpf() && (held.has(Cap::Perfmon) || held.has(Cap::SysAdmin)) => {
            Reading::known((), "CAP_BPF and CAP_PERFMON are held", 0)
        }
        Ok(_) => Reading::denied("CAP_BPF and CAP_PERFMON"),
        Err(e) => Reading::failed(e),
    }
}

/// Attaches the probes of a question, for flows that do not exist, and lets them go.
fn kernel_events() -> Reading<()> {
    let collector = match netwhy_collect::Collector::here() {
        Ok(collector) => collector,
        Err(error) => return Reading::failed(error),
    };
    let seen = collector.prepare_events(6).watch(EventFilter::default()).end();
    let door = seen.value().map(|events| match events.missing.as_slice() {
        [] => format!("tracepoints: {}", events.watched.join(", ")),
        missing => format!("tracepoints: {}; missing: {}", events.watched.join(", "), missing.join("; ")),
    });
    match (seen, door) {
        (Reading::Known { at, .. }, Some(door)) => Reading::known((), door, at),
        (absent, _) => absent.map(|_| ()),
    }
}

fn file(path: &str, needs: &str) -> Reading<()> {
    match std::fs::File::open(path) {
        Ok(_) => Reading::known((), path, 0),
        Err(e) => match e.kind() {
            std::io::ErrorKind::PermissionDenied => Reading::denied(needs),
            std::io::ErrorKind::NotFound => Reading::unsupported(format!("there is no {path}")),
            _ => Reading::failed(format!("{path}: {e}")),
        },
    }
}

fn lab() -> Reading<()> {
    let number = |path: &str| std::fs::read_to_string(path).ok().and_then(|t| t.trim().parse::<u64>().ok());
    match effective() {
        Ok(held) if held.has(Cap::SysAdmin) => Reading::known((), "CAP_SYS_ADMIN is held", 0),
        Ok(_) if number("/proc/sys/user/max_user_namespaces") == Some(0) => {
            Reading::denied("root, or user.max_user_namespaces above 0")
        }
        Ok(_) if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) => {
            Reading::denied("root, or kernel.unprivileged_userns_clone = 1")
        }
        Ok(_) => Reading::failed("user namespaces are not forbidden; only making one would tell"),
        Err(e) => Reading::failed(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_has_one_of_three_outcomes_and_a_reason() {
        for f in FEATURES {
            let c = Capability::of(f.name, "feature", f.what, &(f.attempt)());
            assert!(!c.why.is_empty(), "{}", f.name);
            assert!(c.available == Available::No || c.needs.is_empty(), "{}", f.name);
        }
    }

    #[test]
    fn a_missing_file_is_no_refusal() {
        assert!(matches!(file("/nonexistent/netwhy", "x"), Reading::Unsupported { .. }));
    }
}
