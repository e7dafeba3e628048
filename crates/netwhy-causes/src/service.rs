//! What the causes about services of this host share: the sockets a flow is for, and the processes that hold them.

use std::net::IpAddr;

use netwhy_facts::process::{Process, Processes};
use netwhy_facts::socket::{ForeignSockets, Owner, Socket, Sockets};
use netwhy_facts::{Absence, Family, Flow, Locus, Proto, Role};

use crate::case::Case;
use crate::evidence::Evidence;
use crate::fix::Fix;

/// Facts the helpers read, for the causes' `needs`.
pub const NEEDS: &[&str] = &["sockets", "processes", "mib", "capture", "attempts", "addresses"];

/// The IPv4 address inside a mapped one (RFC 4291 section 2.5.5.2).
pub fn plain(a: IpAddr) -> IpAddr {
    match a {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(a, IpAddr::V4),
        v4 => v4,
    }
}

/// Whether a socket's own address lets it take packets to `dst` (net/ipv4/inet_hashtables.c, compute_score).
pub fn takes(s: &Socket, dst: IpAddr) -> bool {
    let local = plain(s.local);
    if !local.is_unspecified() {
        return local == plain(dst);
    }
    match (s.family, Family::of(&dst)) {
        (Family::Inet, v) => v == Family::Inet,
        (Family::Inet6, Family::Inet6) => true,
        (Family::Inet6, Family::Inet) => s.v6only != Some(true),
    }
}

/// The state word of a socket that waits for peers.
pub fn waiting_state(proto: Proto) -> &'static str {
    if proto == Proto::Udp { "UNCONN" } else { "LISTEN" }
}

/// `ss` for the waiting sockets of a port.
pub fn ss_command(proto: Proto, port: u16) -> String {
    let letter = if proto == Proto::Udp { 'u' } else { 't' };
    format!("ss -{letter}lnpe 'sport = :{port}'")
}

/// The first process that holds a socket, in words: `nginx (pid 812)`.
pub fn owner_text(s: &Socket) -> String {
    match owner(s) {
        Some(o) => format!("{} (pid {})", o.comm, o.pid),
        None => "its process".into(),
    }
}

/// The first process that holds a socket.
pub fn owner(s: &Socket) -> Option<&Owner> {
    s.owners.value().and_then(|o| o.first())
}

/// The socket as the object of a finding.
pub fn locus(s: &Socket) -> Locus {
    Locus::Socket {
        proto: s.proto,
        local: s.local_text(),
        remote: None,
        inode: s.inode,
        pid: owner(s).map(|o| o.pid),
        process: owner(s).map(|o| o.comm.clone()),
    }
}

/// Whether a listener's queue holds more than its limit. `None`: the limit is not told (`/proc/net/tcp`).
pub fn overflows(s: &Socket) -> Option<bool> {
    (s.wqueue != u32::MAX).then_some(s.rqueue > s.wqueue)
}

/// Evidence: the accept queue of a listener.
pub fn ev_queue(s: &Socket) -> Evidence {
    let limit = if s.wqueue == u32::MAX { "not told".to_string() } else { s.wqueue.to_string() };
    Evidence::new(
        "accept-queue",
        format!("{} connections wait for accept() on {}, the limit is {limit}", s.rqueue, s.local_text()),
        "sock_diag idiag_rqueue/idiag_wqueue",
    )
    .value(serde_json::json!({"waiting": s.rqueue, "limit": s.wqueue}))
    .command(format!("ss -ltnp 'sport = :{}'", s.lport))
}

/// Evidence: what a process does.
pub fn ev_process(p: &Process) -> Evidence {
    let sleeps = p.wchan.value().filter(|w| !matches!(w.as_str(), "" | "0"));
    let place = sleeps.map(|w| format!(", in {w}")).unwrap_or_default();
    Evidence::new(
        "process-state",
        format!("{} (pid {}) is {}{place}", p.comm, p.pid, state_words(p.state)),
        "/proc/PID/stat, /proc/PID/wchan",
    )
    .value(p.state.to_string())
    .command(format!("ps -o pid,stat,wchan:30,comm -p {}", p.pid))
}

/// Whether the process waits in the freezer of its control group: cgroup.freeze (do_freezer_trap), or freezer.state of
/// the older hierarchy (__refrigerator).
pub fn frozen(p: &Process) -> bool {
    p.wchan.value().is_some_and(|place| matches!(place.as_str(), "do_freezer_trap" | "__refrigerator"))
}

/// A state letter of proc(5) in words.
pub fn state_words(state: char) -> &'static str {
    match state {
        'R' => "running",
        'S' => "asleep",
        'D' => "in uninterruptible sleep",
        'T' => "stopped by a signal",
        't' => "stopped by a tracer",
        'Z' => "dead and not yet reaped",
        'I' => "idle",
        _ => "in an unusual state",
    }
}

/// Fix: ask on the server's own host.
pub fn ask_there(flow: &Flow) -> Fix {
    let src = flow.src.map(|s| s.to_string()).unwrap_or_else(|| "CLIENT".into());
    let scheme = if flow.proto == Proto::Udp { "udp://" } else { "" };
    Fix::act(format!("on {}: netwhy connect {scheme}{} --inbound --from {src}", flow.dst, flow.target()))
}

impl<'a> Case<'a> {
    /// Whether the service is on this host, so that its sockets can be seen.
    pub fn serves_here(&self) -> bool {
        match self.question.role {
            Role::Inbound => true,
            Role::Client => self.target_is_local(),
            Role::Transit => false,
        }
    }

    /// Where the flow's packets arrive here, after translation.
    pub fn served_end(&self) -> (IpAddr, u16) {
        if self.forward.passes() && self.forward.finally.dst != self.flow.dst {
            (self.forward.finally.dst, self.forward.finally.dport)
        } else {
            (self.flow.dst, self.flow.dport)
        }
    }

    /// The sockets as they were last read; for a service elsewhere `NotAsked`.
    pub fn sockets(&self) -> Result<&'a Sockets, Absence> {
        let reading = self.facts.latest::<Sockets>();
        reading.value().ok_or_else(|| reading.absence().unwrap_or(Absence::NotAsked))
    }

    /// Sockets of this namespace that would take the flow's packets, without regard of firewalls: listeners for
    /// Sockets of other namespaces that wait on the flow's port and would take connections from outside; what waits on
    /// loopback there serves nobody but its own namespace.
    pub fn listeners_in_other_namespaces(&self) -> Vec<&'a Socket> {
        let (_, port) = self.served_end();
        let all = self.facts.value::<ForeignSockets>().map(|f| f.0.as_slice()).unwrap_or_default();
        all.iter()
            .filter(|s| s.proto == self.flow.proto && s.lport == port && s.rport == 0)
            .filter(|s| s.state == waiting_state(s.proto) && !plain(s.local).is_loopback())
            .collect()
    }

    /// The one of them, if they are all in one namespace: then it is the service that is meant, and else nobody can
    /// tell which of them is.
    pub fn listener_in_another_namespace(&self) -> Option<&'a Socket> {
        let all = self.listeners_in_other_namespaces();
        let first = all.first()?;
        all.iter().all(|s| s.netns == first.netns).then_some(first)
    }

    /// TCP, unconnected sockets for UDP. More than one shares the port (SO_REUSEPORT).
    pub fn listeners(&self) -> Vec<&'a Socket> {
        self.listeners_in(self.facts.latest::<Sockets>().value())
    }

    /// As `listeners`, when the window began.
    pub fn listeners_before(&self) -> Vec<&'a Socket> {
        self.listeners_in(self.facts.get::<Sockets>().value())
    }

    fn listeners_in(&self, sockets: Option<&'a Sockets>) -> Vec<&'a Socket> {
        let (dst, port) = self.served_end();
        let proto = self.flow.proto;
        let delivered = match &self.forward.end {
            netwhy_walk::End::Delivered { locus: Locus::Socket { inode, .. } } => Some(*inode),
            _ => None,
        };
        let all: Vec<&Socket> = sockets
            .map(|s| s.sockets.as_slice())
            .unwrap_or_default()
            .iter()
            .filter(|s| {
                s.proto == proto
                    && s.lport == port
                    && s.state == waiting_state(proto)
                    && s.rport == 0
                    && takes(s, dst)
            })
            .collect();
        // Of several the kernel takes the one bound most exactly; those bound alike share.
        match all.iter().find(|s| delivered == Some(s.inode)) {
            Some(first) => {
                let (local, dev) = (first.local, first.ifindex);
                all.into_iter().filter(|s| s.local == local && s.ifindex == dev).collect()
            }
            None if matches!(self.forward.end, netwhy_walk::End::NoSocket { .. }) => Vec::new(),
            None => all,
        }
    }

    /// The processes that hold a socket, as far as they were read; or what is missing.
    pub fn processes_of(&self, s: &Socket) -> Result<Vec<&'a Process>, Absence> {
        let owners = s.owners.value().ok_or_else(|| s.owners.absence().unwrap_or(Absence::NotAsked))?;
        let reading = self.facts.latest::<Processes>();
        let all = reading.value().ok_or_else(|| reading.absence().unwrap_or(Absence::NotAsked))?;
        let mut found: Vec<&Process> = owners.iter().filter_map(|o| all.find(o.pid)).collect();
        found.dedup_by_key(|p| p.pid);
        Ok(found)
    }

    /// Whether the stack of this host, or the far one as seen from here, refused the flow in the window.
    pub fn refused(&self) -> bool {
        self.errno() == Some("ECONNREFUSED") || self.seen.resets_out > 0 || !self.seen.icmp_out.is_empty()
    }
}
