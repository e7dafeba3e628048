//! # The service listens, but not where the clients come
//!
//! ## What you see
//! connect() fails with ECONNREFUSED although the service runs.
//!
//! ## What happens
//! A socket listens on the port, but on another address (often loopback), only for the other family (v6only), bound to
//! another device, or in another network namespace. For the packet's destination there is no socket, so the stack
//! answers with RST.
//!
//! ## How netwhy knows
//! sock_diag lists the listener with the address, family, device or namespace that excludes this flow, and the refusal
//! was observed.
//!
//! ## Look-alikes
//! svc-not-listening: no such socket anywhere. A firewall that rejects: an ICMP error, or a reset without `Tcp.OutRsts`.
//!
//! ## What to do
//! Bind the service to the wildcard address or to the address the clients use; for a namespace, publish the port.
//!
//! ## References
//! ip(7), ipv6(7) IPV6_V6ONLY, socket(7) SO_BINDTODEVICE; net/ipv4/inet_hashtables.c (compute_score).

use netwhy_facts::question::Scenario;
use netwhy_facts::socket::{ForeignSockets, Socket, Sockets};
use netwhy_facts::{Family, Locus, Proto, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "svc-bound-elsewhere",
    title: "the service listens, but not where the clients come",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Socket,
    scope: Scope::FailedFlow,
    needs: &["sockets", "foreign-sockets", "mib", "capture", "attempts", "addresses", "links"],
    explains: &["svc-not-listening"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if !matches!(case.forward.end, End::NoSocket { .. }) {
        return Verdict::Silent;
    }
    let wanted = if case.flow.proto == Proto::Udp { "UNCONN" } else { "LISTEN" };
    let fits = |s: &&Socket| s.proto == case.flow.proto && s.lport == case.flow.dport && s.state == wanted;
    let here = case.facts.latest::<Sockets>().value().and_then(|s| s.sockets.iter().find(fits));
    let foreign = case.facts.value::<ForeignSockets>().and_then(|s| s.0.iter().find(fits));
    let Some(socket) = here.or(foreign) else { return Verdict::Silent };
    let why = if here.is_none() {
        format!("in another network namespace (net:[{}])", socket.netns)
    } else if socket.family == Family::Inet6
        && case.flow.family() == Family::Inet
        && socket.v6only == Some(true)
    {
        "only for IPv6 (IPV6_V6ONLY)".to_string()
    } else if socket.family != case.flow.family() && !socket.is_wildcard() {
        format!("only on {}", socket.local)
    } else if socket.family == Family::Inet && case.flow.family() == Family::Inet6 {
        "only for IPv4".to_string()
    } else if socket.ifindex != 0 {
        format!("only on device {}", case.dev_name(socket.ifindex))
    } else if !socket.is_wildcard() && socket.local != case.flow.dst {
        format!("only on {}", socket.local)
    } else {
        return Verdict::Silent;
    };
    let owner = socket.owners.value().and_then(|o| o.first());
    let process =
        owner.map(|o| format!("{} (pid {})", o.comm, o.pid)).unwrap_or_else(|| "its process".into());
    let refused =
        case.errno() == Some("ECONNREFUSED") || case.seen.resets_out > 0 || !case.seen.icmp_out.is_empty();
    let letter = if case.flow.proto == Proto::Udp { 'u' } else { 't' };
    Finding::new(
        Locus::Socket {
            proto: case.flow.proto,
            local: socket.local_text(),
            remote: None,
            inode: socket.inode,
            pid: owner.map(|o| o.pid),
            process: owner.map(|o| o.comm.clone()),
        },
        format!(
            "{process} listens on {} {why}, so nothing accepts on {}",
            socket.local_text(),
            case.flow.target()
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "listener",
            format!("the listener is bound to {} {why}", socket.local_text()),
            "sock_diag",
        )
        .value(socket.local_text())
        .command(format!("ss -{letter}lnpe 'sport = :{}'", case.flow.dport)),
    )
    .maybe(case.ev_counter("Tcp.OutRsts"))
    .maybe(case.ev_capture())
    .fix(Fix::act(format!(
        "make {process} listen on {} or on the wildcard address",
        std::net::SocketAddr::new(case.flow.dst, case.flow.dport)
    )))
    .verify(case.ask_again())
    .proven_if(refused)
}
