//! # Nothing listens on the port
//!
//! ## What you see
//! connect() fails with ECONNREFUSED after one round trip. A UDP sender gets ICMP port unreachable.
//!
//! ## What happens
//! The target host is reached, has no socket for the port, and its stack answers with RST (UDP: ICMP 3/3, ICMPv6 1/4).
//!
//! ## How netwhy knows
//! On the server: no socket of any address and namespace it can see listens on the port, and a RST for this flow left it
//! (`Tcp.OutRsts`). From the client: the RST arrived from the target itself; what listens there cannot be seen, so the
//! answer is "outside this host".
//!
//! ## Look-alikes
//! A listener on another address or in another namespace (svc-bound-elsewhere). A rule that rejects with a reset: from
//! the client it looks the same; on the server `Tcp.OutRsts` stays flat. A firewall's ICMP rejection: an ICMP error
//! arrives instead of a RST.
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
    let here = case.question.role == Role::Inbound || case.target_is_local();
    if here { on_the_server(case) } else { from_the_client(case) }
}

fn on_the_server(case: &Case<'_>) -> Verdict {
    let End::NoSocket { .. } = &case.forward.end else { return Verdict::Silent };
    let port = case.flow.dport;
    let sockets = match case.facts.latest::<netwhy_facts::socket::Sockets>() {
        netwhy_facts::Reading::Known { value, .. } => value,
        absent => {
            return match absent.absence() {
                Some(a) => Verdict::unknown(format!("sockets on port {port}"), a),
                None => Verdict::Silent,
            };
        }
    };
    let elsewhere = sockets
        .sockets
        .iter()
        .chain(case.facts.value::<ForeignSockets>().map(|f| f.0.as_slice()).unwrap_or_default())
        .any(|s| {
            s.lport == port && s.proto == case.flow.proto && (s.state == "LISTEN" || s.state == "UNCONN")
        });
    if elsewhere {
        return Verdict::Silent; // svc-bound-elsewhere names that socket.
    }
    let name = case.flow.proto.name();
    let locus = Locus::MissingListener { proto: case.flow.proto, address: case.flow.dst, port };
    let refused =
        case.errno() == Some("ECONNREFUSED") || case.seen.resets_out > 0 || !case.seen.icmp_out.is_empty();
    let letter = if case.flow.proto == Proto::Udp { 'u' } else { 't' };
    Finding::new(locus, format!("no {name} socket of this host accepts on {}", case.flow.target()))
        .maybe(case.ev_attempt())
        .evidence(
            Evidence::new("no-listener", format!("no {name} socket is bound to port {port}"), "sock_diag")
                .value(0)
                .command(format!("ss -{letter}lnp 'sport = :{port}'")),
        )
        .maybe(if case.flow.proto == Proto::Tcp {
            case.ev_counter("Tcp.OutRsts")
        } else {
            case.ev_counter("Udp.NoPorts")
        })
        .maybe(case.ev_capture())
        .fix(Fix::act(format!(
            "start the service that should listen on {name} port {port}, or correct the port"
        )))
        .verify(case.ask_again())
        .proven_if(refused)
}

fn from_the_client(case: &Case<'_>) -> Verdict {
    if case.errno() != Some("ECONNREFUSED") {
        return Verdict::Silent;
    }
    let remote_icmp = case.icmp_remote();
    let by_reset = case.flow.proto == Proto::Tcp && remote_icmp.is_empty();
    let by_target = remote_icmp.iter().any(|e| e.from == Some(case.flow.dst));
    if case.flow.proto == Proto::Tcp && !by_reset {
        return Verdict::ruled_out(
            "the refusal came as an ICMP error, not as a RST",
            case.ev_counter("Icmp.InDestUnreachs").into_iter().collect(),
        );
    }
    if case.flow.proto == Proto::Udp && !by_target {
        return Verdict::Silent;
    }
    if case.seen.known && case.flow.proto == Proto::Tcp && case.seen.resets_in == 0 {
        return Verdict::Silent;
    }
    let locus =
        Locus::RemoteEndpoint { address: case.flow.dst, port: case.flow.dport, proto: case.flow.proto };
    let how = if by_reset { "answered with RST" } else { "answered with ICMP port unreachable" };
    Finding::new(
        locus,
        format!(
            "{} {how}: the host is reached, and nothing accepts on the port there (or a rule there rejects like the stack does)",
            case.flow.target()
        ),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture())
    .fix(Fix::act(format!(
        "on {}: netwhy connect :{} --inbound --from {}",
        case.flow.dst,
        case.flow.dport,
        case.flow.src.map(|s| s.to_string()).unwrap_or_else(|| "CLIENT".into())
    )))
    .verify(case.ask_again())
    .outside()
    .proven()
}
