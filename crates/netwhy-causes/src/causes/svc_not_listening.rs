//! # Nothing listens on the port
//!
//! ## What you see
//! connect() fails with ECONNREFUSED after one round trip. A UDP sender gets ICMP port unreachable.
//!
//! ## What happens
//! The target host is reached, has no socket for the port, and its stack answers with RST (UDP: ICMP 3/3, ICMPv6 1/4).
//!
//! ## How netwhy knows
//! On the server: no socket of any address and namespace it can see listens on the port, and the stack's refusal was
//! seen (`Tcp.OutRsts`, `Udp.NoPorts`). From the client: the RST arrived from the target itself; what listens there
//! cannot be seen, so the answer is "outside this host".
//!
//! ## Look-alikes
//! A listener on another address or in another namespace (svc-bound-elsewhere). A rule that rejects with a reset: from
//! the client it looks the same; on the server `Tcp.OutRsts` stays flat. A firewall's ICMP rejection: an ICMP error
//! arrives instead of a RST. A closed UDP port seen from the client: udp-port-closed.
//!
//! ## What to do
//! Start the service, or correct the port.
//!
//! ## References
//! RFC 9293 section 3.5.2; net/ipv4/tcp_ipv4.c (no_tcp_socket), net/ipv4/udp.c (port unreachable).

use netwhy_facts::question::Scenario;
use netwhy_facts::socket::ForeignSockets;
use netwhy_facts::{Locus, Proto, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "svc-not-listening",
    title: "nothing listens on the port",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Socket,
    scope: Scope::FailedFlow,
    needs: &["sockets", "foreign-sockets", "mib", "capture", "attempts", "addresses"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto == Proto::Icmp {
        return Verdict::Silent;
    }
    if case.serves_here() { on_the_server(case) } else { from_the_client(case) }
}

fn on_the_server(case: &Case<'_>) -> Verdict {
    let (dst, port) = case.served_end();
    let sockets = match case.sockets() {
        Ok(sockets) => sockets,
        Err(a) => return Verdict::unknown(format!("sockets on port {port}"), a),
    };
    let proto = case.flow.proto;
    let name = proto.name();
    if let Some(s) = case.listeners().first() {
        return Verdict::ruled_out(
            format!("{} listens on {}", service::owner_text(s), s.local_text()),
            vec![
                Evidence::new("listener", format!("{name} socket {} waits", s.local_text()), "sock_diag")
                    .value(s.local_text())
                    .command(service::ss_command(proto, port)),
            ],
        );
    }
    let End::NoSocket { .. } = &case.forward.end else { return Verdict::Silent };
    let others = case.facts.value::<ForeignSockets>();
    let waits = |s: &&netwhy_facts::socket::Socket| {
        s.lport == port && s.proto == proto && s.state == service::waiting_state(proto) && s.rport == 0
    };
    if sockets.sockets.iter().any(|s| waits(&s)) || case.listener_in_another_namespace().is_some() {
        return Verdict::Silent; // svc-bound-elsewhere names that socket.
    }
    let counter = if proto == Proto::Tcp { "Tcp.OutRsts" } else { udp_no_ports(case) };
    // ICMP errors are rate-limited; the counter of datagrams without a socket is not.
    let counted =
        proto == Proto::Udp && case.seen.requests_in > 0 && case.grew(counter).is_some_and(|d| d > 0);
    let locus = Locus::MissingListener { proto, address: dst, port };
    // Without a look into the other namespaces nothing is said of them.
    let foreign = case.listeners_in_other_namespaces();
    let reach = if others.is_some() && foreign.is_empty() { "this host" } else { "this network namespace" };
    let elsewhere = (!foreign.is_empty()).then(|| {
        let list: Vec<String> =
            foreign.iter().take(4).map(|s| format!("{} in net:[{}]", s.local_text(), s.netns)).collect();
        let text = format!("{} listeners of other namespaces: {}", foreign.len(), list.join(", "));
        Evidence::new("other-namespaces", text, "sock_diag").value(list)
    });
    Finding::new(locus, format!("no {name} socket of {reach} accepts on {}", case.flow.target()))
        .maybe(case.ev_attempt())
        .evidence(
            Evidence::new("no-listener", format!("no {name} socket is bound to port {port}"), "sock_diag")
                .value(0)
                .command(service::ss_command(proto, port)),
        )
        .maybe(case.ev_counter(counter))
        .maybe(case.ev_capture())
        .maybe(elsewhere)
        .fix(Fix::act(format!(
            "start the service that should listen on {name} port {port}, or correct the port"
        )))
        .verify(case.ask_again())
        .proven_if(case.refused() || counted)
}

fn udp_no_ports(case: &Case<'_>) -> &'static str {
    if case.flow.dst.is_ipv4() { "Udp.NoPorts" } else { "Udp6NoPorts" }
}

fn from_the_client(case: &Case<'_>) -> Verdict {
    if case.errno() != Some("ECONNREFUSED") || case.flow.proto != Proto::Tcp {
        return Verdict::Silent;
    }
    let attempt_icmp = case.attempt().is_some_and(|a| !a.icmp.is_empty());
    if attempt_icmp {
        return Verdict::ruled_out(
            "the refusal came as an ICMP error, not as a RST of the target",
            case.ev_counter("Icmp.InDestUnreachs").into_iter().chain(case.ev_capture()).collect(),
        );
    }
    if case.seen.known && case.seen.requests_out == 0 {
        return Verdict::ruled_out(
            "no request left this host, so it was not the target that refused",
            case.ev_capture().into_iter().collect(),
        );
    }
    if case.seen.known && case.seen.resets_in == 0 {
        return Verdict::Silent;
    }
    let locus =
        Locus::RemoteEndpoint { address: case.flow.dst, port: case.flow.dport, proto: case.flow.proto };
    Finding::new(
        locus,
        format!(
            "{} answered with RST: the host is reached, and nothing accepts on the port there (or a rule there resets as the stack does)",
            case.flow.target()
        ),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture())
    .fix(service::ask_there(case.flow))
    .verify(case.ask_again())
    .outside()
    // From here a rule there that rejects with a reset looks exactly the same.
    .consistent()
}

#[cfg(test)]
mod tests {
    use netwhy_facts::socket::{ForeignSockets, Sockets};
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    const IN: &[Stage] = &[Stage::Input, Stage::SocketLookup];

    fn nobody() -> End {
        let address = ip("203.0.113.2");
        End::NoSocket { locus: Locus::MissingListener { proto: Proto::Tcp, address, port: 80 } }
    }
    fn server() -> Scene {
        Scene::inbound("203.0.113.2", 80).forward(IN, nobody()).sockets(vec![]).request_in()
    }

    #[test]
    fn on_the_server_a_reset_without_a_socket_proves_it() {
        let f = proven(server().reset_out().rose("Tcp.OutRsts", 1).judge(&CAUSE));
        assert!(matches!(f.locus, Locus::MissingListener { port: 80, .. }));
        assert!(!f.outside);
    }

    #[test]
    fn of_other_namespaces_nothing_is_said_unless_all_were_read() {
        let reset = || server().reset_out().rose("Tcp.OutRsts", 1);
        let f = proven(reset().with(ForeignSockets::default()).judge(&CAUSE));
        assert!(f.summary.contains("of this host"), "{}", f.summary);
        let f = proven(reset().denied::<ForeignSockets>("CAP_SYS_PTRACE").judge(&CAUSE));
        assert!(f.summary.contains("of this network namespace"), "{}", f.summary);
    }

    #[test]
    fn from_afar_the_reset_of_the_target_is_outside() {
        let scene = Scene::client("203.0.113.2", 80).errno("ECONNREFUSED", 1).request_out().reset_in();
        assert!(consistent(scene.judge(&CAUSE)).outside);
    }

    #[test]
    fn without_traffic_the_missing_socket_is_consistent() {
        let quiet = Scene::inbound("203.0.113.2", 80).forward(IN, nobody()).sockets(vec![]).captured();
        consistent(quiet.judge(&CAUSE));
    }

    #[test]
    fn a_listener_rules_it_out() {
        let scene =
            Scene::inbound("203.0.113.2", 80).sockets(vec![listener("203.0.113.2", 80, 0, 128)]).request_in();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("service (pid 100)"));
    }

    #[test]
    fn a_listener_elsewhere_is_another_cause() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .forward(IN, nobody())
            .sockets(vec![listener("127.0.0.1", 80, 0, 128)])
            .request_in()
            .reset_out();
        silent(scene.judge(&CAUSE));
        let mut far = listener("0.0.0.0", 80, 0, 128);
        far.netns = 7;
        silent(server().with(ForeignSockets(vec![far])).reset_out().judge(&CAUSE));
    }

    #[test]
    fn a_refusal_made_here_rules_it_out() {
        let scene = Scene::client("203.0.113.2", 80).errno("ECONNREFUSED", 0).captured();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("no request left"));
        let scene = Scene::client("203.0.113.2", 80).icmp_error("ECONNREFUSED", "198.51.100.1", 3, 3);
        assert!(ruled_out(scene.judge(&CAUSE)).contains("ICMP"));
    }

    #[test]
    fn sockets_that_may_not_be_read_are_unknown() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .forward(IN, nobody())
            .denied::<Sockets>("CAP_NET_ADMIN")
            .request_in();
        unknown(scene.judge(&CAUSE));
    }
}
