//! Sockets that concern a flow: sock_diag (INET_DIAG), `/proc/net` where its module is not loaded, and
//! `/proc/PID/fd` for the owners. No privilege is needed but for marks (CAP_NET_ADMIN), other users'
//! descriptors (CAP_SYS_PTRACE) and other namespaces (CAP_SYS_ADMIN).
//!
//! The kernel does the choosing: listeners are asked for by port, connections by a filter it runs. Listing
//! the listeners costs the same however many connections there are; counting connections to a target takes
//! one pass over the machine's table for each family (some 0.1 us a connection). `examples/flow_query_cost`
//! measures both.

mod cgroups;
mod decode;
mod events;
mod holders;
mod local;
mod owners;
mod procfs;

use std::net::IpAddr;
use std::ops::ControlFlow;

use netwhy_facts::question::Role;
use netwhy_facts::socket::{ForeignSockets, Socket, Sockets};
use netwhy_facts::{Family, Flow, Proto, Reading};
use netwhy_sys::SysError;
use netwhy_sys::netlink::{NetlinkError, Protocol, Socket as Netlink};
use netwhy_sys::netns::{self, NetnsRef};
use netwhy_wire::inet_diag::{
    Compare, End, Filter, Request, SOCK_DIAG_BY_FAMILY, SocketId, TCPDIAG_GETSOCK, extension, state,
};

pub use self::cgroups::Cgroups;
pub(crate) use self::decode::state_word;
pub use self::decode::{from_answer, mem, socket};
pub use self::holders::{Hold, Holders, Task};
pub use self::local::{netlink, netlink_line, packet, packet_line, unix, unix_line, vsock};
pub use self::procfs::line as proc_line;

use crate::collector::{Collector, read_text};
use crate::error::CollectError;
use crate::kernel::{MPTCP_DIAG, Part, RAW_DIAG, SCTP_DIAG, TCP_DIAG, UDP_DIAG};

/// Connections described one by one; all are counted.
const MAX_CONNECTIONS: usize = 16;
/// Listeners and UDP sockets of one port.
const MAX_BOUND: usize = 256;
/// Other namespaces looked into.
const MAX_NAMESPACES: usize = 64;
const EXTENSIONS: u8 =
    extension::INFO | extension::CONG | extension::TCLASS | extension::SKMEMINFO | extension::SHUTDOWN;

impl Collector {
    /// The sockets of a flow, and a count of connections by state.
    ///
    /// Always: listeners (UDP: bound sockets) of the destination port; if there are none, TCP sockets bound to
    /// it that do not listen (`UNCONN`; listed since Linux 6.8).
    /// As client: connections to the destination, counted. Inbound: connections of that port, from the
    /// source if it is known, counted. In transit: only listeners, for what redirects to this host.
    pub fn sockets(&self, flow: &Flow, role: Role) -> Reading<Sockets> {
        let source = match flow.proto {
            Proto::Icmp => "/proc/net/{icmp,raw}*",
            _ if self.require(diag_of(flow.proto)).is_ok() => "SOCK_DIAG_BY_FAMILY",
            _ => "/proc/net",
        };
        Self::reading(source, "CAP_NET_ADMIN", || {
            let mut found = if source == "SOCK_DIAG_BY_FAMILY" {
                self.netlink(Protocol::SockDiag, |diag| by_diag(diag, flow, role))?
            } else {
                self.inside(|| self.by_procfs(flow, role))??
            };
            self.fill_owners(&mut found.sockets);
            Ok(found)
        })
    }

    /// One socket by its ends, as the kernel itself looks it up: the connection if there is one, else the
    /// listener (UDP: the bound socket) that a packet from `remote` to `local` would reach. `None`: none.
    pub fn socket_for(
        &self,
        proto: Proto,
        local: (IpAddr, u16),
        remote: (IpAddr, u16),
        ifindex: u32,
    ) -> Reading<Option<Socket>> {
        Self::reading("SOCK_DIAG_BY_FAMILY", "CAP_NET_ADMIN", || {
            self.require(diag_of(proto))?;
            let mut found = self.netlink(Protocol::SockDiag, |diag| {
                let id = SocketId {
                    sport: local.1,
                    dport: remote.1,
                    src: Some(local.0),
                    dst: Some(remote.0),
                    ifindex,
                    cookie: None,
                };
                exact(diag, proto, Family::of(&local.0), id)
            })?;
            if let Some(socket) = &mut found {
                self.fill_owners(std::slice::from_mut(socket));
            }
            Ok(found)
        })
    }

    /// Streams the answers to a listing of IP sockets; [`socket`] decodes them. `Missing` where that would make
    /// the kernel load the protocol's module: then `/proc/net` tells ([`Self::socket_lines`]).
    pub fn socket_listing(
        &self,
        request: &Request,
        each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), CollectError> {
        match request.protocol {
            17 | 136 => self.require(UDP_DIAG)?,
            255 => self.require(RAW_DIAG)?,
            262 => self.require(MPTCP_DIAG)?,
            132 => self.require(SCTP_DIAG)?,
            _ => self.require(TCP_DIAG)?,
        }
        self.netlink(Protocol::SockDiag, |diag| listing(diag, request, each))
    }

    /// As [`Self::socket_listing`], for TCP sockets of both families at once: the kernel walks its tables once.
    /// The request's family is not looked at, and IPv4 and IPv6 come mixed.
    pub fn tcp_listing(
        &self,
        request: &Request,
        mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), CollectError> {
        self.require(TCP_DIAG)?;
        let payload =
            request.both_families().map_err(|error| CollectError::malformed("socket question", error))?;
        self.netlink(Protocol::SockDiag, |diag| {
            match diag.dump(TCPDIAG_GETSOCK, 0, &payload, |_, payload| each(payload)) {
                // Sockets come and go while they are listed.
                Ok(()) | Err(NetlinkError::Interrupted { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Streams the sockets in a file of `/proc/net` that is laid out like `tcp`: poorer and slower than
    /// [`Self::socket_listing`].
    pub fn socket_lines(
        &self,
        file: &str,
        proto: Proto,
        family: Family,
        mut each: impl FnMut(Socket) -> ControlFlow<()>,
    ) -> Result<(), CollectError> {
        let text = self.inside(|| read_text(&self.proc_net(file)))??;
        for one in text.lines().skip(1).filter_map(|line| procfs::line(proto, family, line)) {
            if each(one).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Listeners (UDP: bound sockets) of the flow's destination port in the machine's other namespaces, at
    /// most 64 of them. What was found is known even if not every namespace could be entered; that there is
    /// none is known only if none was hidden or refused, and denied otherwise.
    pub fn foreign_sockets(&self, flow: &Flow) -> Reading<ForeignSockets> {
        let source = "SOCK_DIAG_BY_FAMILY in other namespaces";
        let (mut unseen, mut too_many) = (None, false);
        let reading = Self::reading(source, "CAP_SYS_ADMIN", || {
            self.require(diag_of(flow.proto))?;
            let netns::Listing { seen: mut others, hidden } = netns::list()?;
            others.retain(|seen| seen.id != self.netns_id());
            let (mut found, mut entered, mut refused) = (Vec::new(), 0, None);
            for seen in others.iter().take(MAX_NAMESPACES) {
                let way = match (seen.names.first(), seen.pids.first()) {
                    (_, Some(pid)) => NetnsRef::Pid(*pid),
                    (Some(name), None) => NetnsRef::Name(name.clone()),
                    (None, None) => continue,
                };
                match netns::in_netns(&way, || {
                    // Between listing and entering the process may have ended and its number been reused.
                    if netns::current()? != seen.id {
                        return Ok(Vec::new());
                    }
                    bound(&mut Netlink::open(Protocol::SockDiag)?, flow)
                }) {
                    Ok(sockets) => {
                        entered += 1;
                        found.extend(sockets?.into_iter().map(|one| Socket { netns: seen.id.inode, ..one }));
                    }
                    Err(error) => refused = Some(error),
                }
            }
            if found.is_empty() {
                too_many = others.len() > MAX_NAMESPACES;
                // Which namespace a process is in tells CAP_SYS_PTRACE, what is in it CAP_SYS_ADMIN.
                let refused = refused.filter(SysError::is_denied);
                unseen = match (hidden, &refused) {
                    (0, _) => None,
                    (_, None) if entered > 0 => Some("CAP_SYS_PTRACE"),
                    _ => Some("CAP_SYS_ADMIN and CAP_SYS_PTRACE"),
                };
                if let Some(error) = refused {
                    return Err(error.into());
                }
            }
            self.fill_owners(&mut found);
            Ok(ForeignSockets(found))
        });
        match unseen {
            Some(needs) => Reading::denied(needs),
            None if too_many => Reading::failed(format!(
                "none in {MAX_NAMESPACES} network namespaces; the others were not read"
            )),
            None => reading,
        }
    }

    fn by_procfs(&self, flow: &Flow, role: Role) -> Result<Sockets, CollectError> {
        let mut found = Sockets::default();
        let mut connections = 0;
        for family in families(flow) {
            for file in procfs::files(flow.proto, family) {
                let text = match read_text(&self.proc_net(file)) {
                    Ok(text) => text,
                    // Without IPv6 its files are not there.
                    Err(_) if family == Family::Inet6 && flow.family() == Family::Inet => continue,
                    Err(error) => return Err(error),
                };
                let lines = text.lines().skip(1).filter_map(|line| procfs::line(flow.proto, family, line));
                for one in lines {
                    if is_bound_to(&one, flow, file) {
                        found.sockets.push(one);
                    } else if concerns(&one, flow, role) {
                        if counts(&one, flow, role) {
                            *found.to_target.entry(one.state.clone()).or_default() += 1;
                        }
                        connections += 1;
                        if connections <= MAX_CONNECTIONS {
                            found.sockets.push(one);
                        }
                    }
                }
            }
        }
        Ok(found)
    }
}

fn diag_of(proto: Proto) -> Part {
    if proto == Proto::Udp { UDP_DIAG } else { TCP_DIAG }
}

/// Whether a line of `/proc/net` is a listener or a bound socket of the flow's port; any ping socket, and any
/// raw one of the protocol, which stands where others have their port.
fn is_bound_to(one: &Socket, flow: &Flow, file: &str) -> bool {
    match flow.proto {
        Proto::Icmp if file.starts_with("raw") => one.lport == u16::from(flow.proto_number()),
        Proto::Icmp => true,
        Proto::Tcp => one.state == "LISTEN" && one.lport == flow.dport,
        Proto::Udp => one.state == "UNCONN" && one.lport == flow.dport,
    }
}

/// Families whose sockets may serve the flow: an IPv6 socket may speak IPv4.
fn families(flow: &Flow) -> Vec<Family> {
    match flow.family() {
        Family::Inet => vec![Family::Inet, Family::Inet6],
        Family::Inet6 => vec![Family::Inet6],
    }
}

/// Whether a connection belongs to the flow: what [`connections_filter`] says, for lines of `/proc/net`.
fn concerns(one: &Socket, flow: &Flow, role: Role) -> bool {
    let from_source = flow.src.is_none_or(|source| same(&one.remote, &source));
    match role {
        Role::Client => counts(one, flow, role) || (one.lport == flow.dport && same(&one.local, &flow.dst)),
        Role::Inbound => one.lport == flow.dport && from_source,
        Role::Transit => false,
    }
}

/// Whether a connection that concerns the flow is counted: for a client those it makes, not the other end of
/// the same ones when the destination is this host.
fn counts(one: &Socket, flow: &Flow, role: Role) -> bool {
    role != Role::Client || (one.rport == flow.dport && same(&one.remote, &flow.dst))
}

/// The same address, whichever family its socket is of.
fn same(a: &IpAddr, b: &IpAddr) -> bool {
    a.to_canonical() == b.to_canonical()
}

fn request(proto: Proto, family: Family) -> Request {
    Request {
        family: if family == Family::Inet { 2 } else { 10 },
        protocol: proto.number(family).into(),
        extensions: 0,
        states: u32::MAX,
        id: SocketId::ANY,
        filter: None,
    }
}

fn listing(
    diag: &mut Netlink,
    request: &Request,
    mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), CollectError> {
    let payload = request.payload().map_err(|error| CollectError::malformed("socket question", error))?;
    // Sockets come and go while they are listed; that is no reason to start over.
    match diag.dump(SOCK_DIAG_BY_FAMILY, 0, &payload, |_, payload| each(payload)) {
        Ok(()) | Err(NetlinkError::Interrupted { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn by_diag(diag: &mut Netlink, flow: &Flow, role: Role) -> Result<Sockets, CollectError> {
    let mut found = Sockets { sockets: bound(diag, flow)?, ..Sockets::default() };
    // Those bound and not listening stand in a table with every connection: a pass that is worth its time
    // only when nobody listens.
    if found.sockets.is_empty() && flow.proto == Proto::Tcp {
        found.sockets = bound_in(diag, flow, state::BOUND_INACTIVE)?;
    }
    if role == Role::Transit {
        return Ok(found);
    }
    let mut kept: Vec<Socket> = Vec::new();
    for family in families(flow) {
        let request = Request {
            states: state::CONNECTED,
            filter: Some(connections_filter(flow, role)),
            ..request(flow.proto, family)
        };
        listing(diag, &request, |payload| {
            if let Some(one) = socket(flow.proto, payload) {
                if counts(&one, flow, role) {
                    *found.to_target.entry(one.state.clone()).or_default() += 1;
                }
                keep(&mut kept, one, flow);
            }
            ControlFlow::Continue(())
        })?;
    }
    for one in kept {
        let id = SocketId {
            sport: one.lport,
            dport: one.rport,
            src: Some(one.local),
            dst: Some(one.remote),
            ifindex: one.ifindex,
            cookie: Some(one.cookie),
        };
        // Closed meanwhile: what the listing said of it stays.
        let full = exact(diag, flow.proto, one.family, id)?;
        found.sockets.push(full.unwrap_or(one));
    }
    Ok(found)
}

/// Listeners; for UDP every socket of the port.
fn bound(diag: &mut Netlink, flow: &Flow) -> Result<Vec<Socket>, CollectError> {
    bound_in(
        diag,
        flow,
        if flow.proto == Proto::Udp { state::CLOSE | state::ESTABLISHED } else { state::LISTEN },
    )
}

fn bound_in(diag: &mut Netlink, flow: &Flow, states: u32) -> Result<Vec<Socket>, CollectError> {
    let mut found = Vec::new();
    for family in families(flow) {
        let request = Request {
            states,
            extensions: EXTENSIONS,
            id: SocketId { sport: flow.dport, ..SocketId::ANY },
            filter: Some(Filter::Port(End::Local, Compare::Eq, flow.dport)),
            ..request(flow.proto, family)
        };
        listing(diag, &request, |payload| {
            found.extend(socket(flow.proto, payload));
            // No `Break`: the rest of a listing given up is read at the next question anyway.
            found.truncate(MAX_BOUND);
            ControlFlow::Continue(())
        })?;
    }
    Ok(found)
}

fn connections_filter(flow: &Flow, role: Role) -> Filter {
    let port = |end| Filter::Port(end, Compare::Eq, flow.dport);
    let address = |end, net: IpAddr| Filter::Address { end, net, len: Family::of(&net).bits() };
    match role {
        Role::Inbound => {
            let mut all = vec![port(End::Local)];
            all.extend(flow.src.map(|source| address(End::Remote, source)));
            Filter::All(all)
        }
        // The other half is there for a destination of this host: its own end of the same connections.
        _ => Filter::Any(vec![
            Filter::All(vec![port(End::Remote), address(End::Remote, flow.dst)]),
            Filter::All(vec![port(End::Local), address(End::Local, flow.dst)]),
        ]),
    }
}

/// Keeps the connections that say most: the flow's own, then live ones before those in TIME-WAIT.
fn keep(kept: &mut Vec<Socket>, one: Socket, flow: &Flow) {
    let rank = |one: &Socket| {
        let own = flow.sport.is_some_and(|sport| one.lport == sport || one.rport == sport);
        (!own, one.state == "TIME-WAIT")
    };
    kept.push(one);
    if kept.len() > MAX_CONNECTIONS {
        kept.sort_by_key(rank);
        kept.pop();
    }
}

/// One socket, or `None` if there is none.
fn exact(
    diag: &mut Netlink,
    proto: Proto,
    family: Family,
    id: SocketId,
) -> Result<Option<Socket>, CollectError> {
    // For UDP the kernel takes the question from the packet's side: its source is the remote end.
    let id = match proto {
        Proto::Udp => SocketId { sport: id.dport, dport: id.sport, src: id.dst, dst: id.src, ..id },
        _ => id,
    };
    let request = Request { extensions: EXTENSIONS, id, ..request(proto, family) };
    let payload = request.payload().map_err(|error| CollectError::malformed("socket question", error))?;
    match diag.request(SOCK_DIAG_BY_FAMILY, 0, &payload) {
        Ok(replies) => Ok(replies.first().and_then(|reply| socket(proto, &reply.payload))),
        Err(error) if error.errno().is_some_and(|errno| matches!(errno.name(), "ENOENT" | "ESTALE")) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;
    use crate::testing::{damage, recorded};

    const RECORDED: &str = include_str!("../fixtures/inet_diag.txt");

    fn proto(word: &str) -> Proto {
        if word == "udp" { Proto::Udp } else { Proto::Tcp }
    }

    #[test]
    fn recorded_answers_decode() {
        let all = recorded(RECORDED);
        let sockets: Vec<Socket> =
            all.iter().map(|(word, bytes)| socket(proto(word), bytes).unwrap()).collect();
        let states: std::collections::BTreeSet<&str> = sockets.iter().map(|one| one.state.as_str()).collect();
        for state in ["LISTEN", "ESTAB", "TIME-WAIT", "CLOSE-WAIT", "SYN-SENT", "UNCONN"] {
            assert!(states.contains(state), "{state} in {states:?}");
        }
        assert!(
            sockets
                .iter()
                .filter(|one| one.state == "ESTAB" && one.proto == Proto::Tcp)
                .all(|one| one.tcp.is_some())
        );
        assert!(sockets.iter().any(|one| one.v6only == Some(true)));
        let syn = sockets.iter().find(|one| one.state == "SYN-SENT").unwrap();
        assert_eq!((syn.remote.to_string().as_str(), syn.rport), ("198.51.100.77", 9));
    }

    #[test]
    fn damaged_answers_end_without_panic() {
        for (word, bytes) in recorded(RECORDED) {
            damage(&bytes, 500, |broken| _ = socket(proto(&word), broken));
            damage(&bytes, 100, |broken| _ = netwhy_facts::socket::TcpInfo::from_kernel(broken));
        }
    }

    /// Without its module sock_diag is not asked; what matters is the same either way.
    #[test]
    fn both_doors_tell_the_same() {
        let collector = Collector::here().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = server.local_addr().unwrap();
        let client = TcpStream::connect(target).unwrap();
        let mut flow = Flow {
            proto: Proto::Tcp,
            src: Some(target.ip()),
            sport: None,
            dst: target.ip(),
            dport: target.port(),
            mark: 0,
            uid: None,
            dev: None,
        };
        let sorted = |mut found: Sockets| {
            let mut short: Vec<_> = found
                .sockets
                .drain(..)
                .map(|one| {
                    (one.local, one.lport, one.remote, one.rport, one.state, one.rqueue, one.uid, one.inode)
                })
                .collect();
            short.sort();
            (short, found.to_target)
        };
        for role in [Role::Client, Role::Inbound, Role::Transit] {
            let diag = collector.netlink(Protocol::SockDiag, |diag| by_diag(diag, &flow, role)).unwrap();
            let procfs = collector.by_procfs(&flow, role).unwrap();
            assert_eq!(sorted(diag), sorted(procfs), "{role:?}");
        }
        drop(client);
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        flow = Flow { proto: Proto::Udp, dport: server.local_addr().unwrap().port(), ..flow };
        let diag = collector.netlink(Protocol::SockDiag, |diag| by_diag(diag, &flow, Role::Client)).unwrap();
        let procfs = collector.by_procfs(&flow, Role::Client).unwrap();
        assert_eq!(diag.sockets.len(), 1);
        assert_eq!(sorted(diag), sorted(procfs));
    }
}
