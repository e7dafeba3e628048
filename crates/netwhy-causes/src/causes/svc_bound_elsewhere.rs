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
use netwhy_facts::socket::{ForeignSockets, Socket};
use netwhy_facts::{Absence, Family, Proto, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::service;

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
    if !matches!(case.forward.end, End::NoSocket { .. }) || case.flow.proto == Proto::Icmp {
        return Verdict::Silent;
    }
    let Ok(sockets) = case.sockets() else { return Verdict::Silent };
    let (dst, port) = case.served_end();
    let waits = |s: &&Socket| {
        s.proto == case.flow.proto
            && s.lport == port
            && s.state == service::waiting_state(s.proto)
            && s.rport == 0
    };
    // Of several the one that fits best: a wildcard on another device or family before an address.
    let here = sockets.sockets.iter().filter(waits).max_by_key(|s| s.is_wildcard());
    if let Some(socket) = here {
        return match why_not(case, socket, dst) {
            Some(why) => found(case, socket, why, dst),
            None => Verdict::Silent,
        };
    }
    let foreign = case.facts.get::<ForeignSockets>();
    match (foreign.value(), foreign.absence()) {
        (Some(_), _) => match case.listener_in_another_namespace() {
            Some(s) => found(case, s, format!("in another network namespace (net:[{}])", s.netns), dst),
            None => {
                let others = case.listeners_in_other_namespaces().len();
                let because = match others {
                    0 => format!(
                        "no socket of any address, device or namespace that can be seen waits on port {port} for other hosts"
                    ),
                    n => format!(
                        "no socket of this namespace waits on port {port}, and {n} of other namespaces do: nothing tells that one of them is meant"
                    ),
                };
                Verdict::ruled_out(
                    because,
                    vec![
                        Evidence::new("no-listener", format!("no socket waits on port {port}"), "sock_diag")
                            .value(others)
                            .command(service::ss_command(case.flow.proto, port)),
                    ],
                )
            }
        },
        (None, Some(a @ Absence::Denied(_))) => {
            Verdict::unknown(format!("listeners on port {port} in other network namespaces"), a)
        }
        _ => Verdict::Silent,
    }
}

/// Why a waiting socket does not take packets to `dst`; `None` when no reason is seen.
fn why_not(case: &Case<'_>, s: &Socket, dst: std::net::IpAddr) -> Option<String> {
    let family = Family::of(&dst);
    if !s.is_wildcard() {
        return (service::plain(s.local) != dst).then(|| format!("only on {}", s.local));
    }
    match (s.family, family) {
        (Family::Inet6, Family::Inet) if s.v6only == Some(true) => {
            return Some("only for IPv6 (IPV6_V6ONLY)".into());
        }
        (Family::Inet, Family::Inet6) => return Some("only for IPv4".into()),
        _ => {}
    }
    (s.ifindex != 0).then(|| format!("only on device {}", case.dev_name(s.ifindex)))
}

fn found(case: &Case<'_>, socket: &Socket, why: String, dst: std::net::IpAddr) -> Verdict {
    let process = service::owner_text(socket);
    let port = socket.lport;
    let finding = Finding::new(
        service::locus(socket),
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
        .command(match service::owner(socket) {
            // Only inside that namespace it is seen.
            Some(owner) if socket.netns != 0 => {
                format!("nsenter -t {} -n {}", owner.pid, service::ss_command(socket.proto, port))
            }
            _ => service::ss_command(socket.proto, port),
        }),
    )
    .maybe(case.ev_counter(if socket.proto == Proto::Tcp { "Tcp.OutRsts" } else { "Udp.NoPorts" }))
    .maybe(case.ev_capture())
    .fix(if socket.netns != 0 {
        Fix::act(format!("publish port {port} of that namespace, or run {process} in this one"))
    } else {
        let wanted = std::net::SocketAddr::new(dst, port);
        Fix::act(format!("make {process} listen on {wanted} or on the wildcard address"))
    })
    .verify(case.ask_again());
    finding.proven_if(case.refused())
}

#[cfg(test)]
mod tests {
    use netwhy_facts::Locus;
    use netwhy_facts::socket::Sockets;
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn server(sockets: Vec<Socket>) -> Scene {
        let locus = Locus::MissingListener { proto: Proto::Tcp, address: ip("203.0.113.2"), port: 80 };
        Scene::inbound("203.0.113.2", 80)
            .forward(&[Stage::Input, Stage::SocketLookup], End::NoSocket { locus })
            .sockets(sockets)
            .request_in()
            .reset_out()
    }

    #[test]
    fn each_way_of_being_elsewhere_is_told() {
        let told = |s: Socket| proven(server(vec![s]).judge(&CAUSE)).summary;
        assert!(told(listener("127.0.0.1", 80, 0, 128)).contains("only on 127.0.0.1"));
        let mut v6 = listener("::", 80, 0, 128);
        v6.v6only = Some(true);
        assert!(told(v6).contains("IPV6_V6ONLY"));
        let mut dev = listener("0.0.0.0", 80, 0, 128);
        dev.ifindex = 3;
        assert!(told(dev).contains("only on device eth1"));
    }

    #[test]
    fn a_listener_of_another_namespace_is_named() {
        let mut far = listener("0.0.0.0", 80, 0, 128);
        far.netns = 4026532000;
        let f = proven(server(vec![]).with(ForeignSockets(vec![far])).judge(&CAUSE));
        assert!(f.summary.contains("net:[4026532000]"), "{}", f.summary);
    }

    #[test]
    fn what_other_namespaces_keep_to_themselves_or_have_several_of_is_not_accused() {
        let far = |local: &str, netns| {
            let mut s = listener(local, 80, 0, 128);
            s.netns = netns;
            s
        };
        let with = |all| server(vec![]).with(ForeignSockets(all)).judge(&CAUSE);
        ruled_out(with(vec![far("127.0.0.1", 7)]));
        let several = with(vec![far("0.0.0.0", 7), far("0.0.0.0", 8)]);
        assert!(ruled_out(several).contains("2 of other namespaces"));
        proven(with(vec![far("0.0.0.0", 7), far("::", 7)]));
    }

    #[test]
    fn without_a_refusal_it_is_consistent() {
        let locus = Locus::MissingListener { proto: Proto::Tcp, address: ip("203.0.113.2"), port: 80 };
        let scene = Scene::inbound("203.0.113.2", 80)
            .forward(&[Stage::SocketLookup], End::NoSocket { locus })
            .sockets(vec![listener("127.0.0.1", 80, 0, 128)])
            .captured();
        consistent(scene.judge(&CAUSE));
    }

    #[test]
    fn no_socket_anywhere_rules_it_out() {
        ruled_out(server(vec![]).with(ForeignSockets(vec![])).judge(&CAUSE));
    }

    #[test]
    fn namespaces_that_may_not_be_entered_are_unknown() {
        unknown(server(vec![]).denied::<ForeignSockets>("CAP_SYS_PTRACE").judge(&CAUSE));
    }

    #[test]
    fn a_socket_on_another_port_or_one_that_serves_is_innocent() {
        silent(
            Scene::inbound("203.0.113.2", 80)
                .sockets(vec![listener("127.0.0.1", 81, 0, 128), listener("0.0.0.0", 80, 0, 128)])
                .request_in()
                .judge(&CAUSE),
        );
        silent(server(vec![]).denied::<Sockets>("CAP_NET_ADMIN").judge(&CAUSE));
    }
}
