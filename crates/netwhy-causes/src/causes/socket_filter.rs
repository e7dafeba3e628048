//! # The socket's own filter refuses the packets
//!
//! ## What you see
//! Clients time out, although the service listens, the queue has room and no rule concerns them. Packets arrive and nothing
//! goes back.
//!
//! ## What happens
//! The program attached a filter to its socket (SO_ATTACH_FILTER, SO_ATTACH_BPF), and the filter keeps no byte of these
//! packets. The kernel frees them after it found the socket, without an answer.
//!
//! ## How netwhy knows
//! The requests arrived, a socket of this host serves the port, and the kernel freed packets of this flow with the reason
//! SOCKET_FILTER. It is proven when no BPF program of a control group can stand at the same place.
//!
//! ## Look-alikes
//! A BPF program of the control group on arrival (bpf-drop): it drops at the same place with the same reason.
//!
//! ## What to do
//! Correct the filter in the program that owns the socket; SO_DETACH_FILTER takes it off.
//!
//! ## References
//! socket(7) SO_ATTACH_FILTER; net/core/filter.c (sk_filter_trim_cap), net/ipv4/tcp_ipv4.c (tcp_filter).

use netwhy_facts::bpf::{BpfGaps, BpfPrograms};
use netwhy_facts::event::EventWay;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Reading, Role};

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "socket-filter",
    title: "the socket's own filter refuses the packets",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Socket,
    scope: Scope::FailedFlow,
    needs: &["kernel-events", "sockets", "bpf", "bpf-gaps", "capture", "attempts", "addresses", "links"],
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.fate() == Fate::Works || !case.serves_here() {
        return Verdict::Silent;
    }
    let Some(socket) = case.listeners().first().copied() else { return Verdict::Silent };
    let Some(freed) = case.drop_event(|f| f.reason == "SOCKET_FILTER" && f.way == EventWay::Forward) else {
        return Verdict::Silent;
    };
    let others = match case.facts.get::<BpfPrograms>() {
        Reading::Known { value, .. } => value.0.iter().any(|p| p.hook == "cgroup-ingress"),
        // What may stand there cannot be excluded.
        _ => true,
    };
    let unseen = case.facts.value::<BpfGaps>().is_some_and(|gaps| {
        gaps.0.iter().any(|(hooks, _)| hooks.contains("control group") || hooks.contains("cgroup"))
    });
    let locus = service::locus(socket);
    let owner = match &locus {
        Locus::Socket { process: Some(process), .. } => format!(" of {process}"),
        _ => String::new(),
    };
    Finding::new(
        locus,
        format!("a filter on the socket{owner} that serves {} refuses its packets", case.flow.target()),
    )
    .maybe(case.ev_attempt())
    .evidence(case.ev_freed(&freed))
    .maybe(case.ev_capture())
    .fix(Fix::act("correct the filter (SO_ATTACH_FILTER, SO_ATTACH_BPF) in the program that owns the socket"))
    .verify(case.ask_again())
    .proven_if(!others && !unseen)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::bpf::BpfAttached;

    use super::*;
    use crate::testing::*;

    const REFUSED: &[(EventWay, &str, &str)] = &[(EventWay::Forward, "SOCKET_FILTER", "sk_filter_trim_cap")];

    fn server() -> Scene {
        Scene::inbound("203.0.113.2", 80)
            .sockets(vec![listener("203.0.113.2", 80, 0, 128)])
            .with(BpfPrograms::default())
            .request_in()
    }

    #[test]
    fn packets_freed_by_the_socket_filter_prove_it() {
        let f = proven(server().freed(REFUSED).judge(&CAUSE));
        assert!(matches!(f.locus, Locus::Socket { .. }), "{:?}", f.locus);
        assert!(f.evidence.iter().any(|e| e.id == "drop-event"));
    }

    #[test]
    fn a_program_of_a_control_group_at_the_same_place_leaves_it_open() {
        let program = BpfAttached {
            hook: "cgroup-ingress".into(),
            ifindex: None,
            cgroup: Some("/".into()),
            netfilter: None,
            position: 0,
            prog_id: 7,
            name: "guard".into(),
            tag: "00".into(),
            link_id: None,
            run_cnt: Reading::NotAsked,
            holders: Reading::NotAsked,
        };
        consistent(server().with(BpfPrograms(vec![program])).freed(REFUSED).judge(&CAUSE));
        let gaps = BpfGaps(vec![("control groups".into(), "denied".into())]);
        consistent(server().with(gaps).freed(REFUSED).judge(&CAUSE));
    }

    #[test]
    fn another_reason_or_none_is_another_matter() {
        silent(server().freed(&[(EventWay::Forward, "NETFILTER_DROP", "nft_do_chain")]).judge(&CAUSE));
        silent(server().freed(&[(EventWay::Reply, "SOCKET_FILTER", "sk_filter_trim_cap")]).judge(&CAUSE));
        silent(server().judge(&CAUSE));
    }
}
