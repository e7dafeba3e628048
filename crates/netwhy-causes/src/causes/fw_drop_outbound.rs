//! # A firewall rule of this host drops the outgoing packet
//!
//! ## What you see
//! connect() hangs until it times out; a UDP send fails at once with EPERM. Nothing appears on the wire.
//!
//! ## What happens
//! A rule or chain policy on the output or postrouting hook (or a netdev egress hook) of this host drops the packet
//! before it reaches the device. TCP learns nothing from the drop and retransmits in vain.
//!
//! ## How netwhy knows
//! The ruleset, executed on this flow's first packet, ends in that rule; the rule's counter rose while the attempt ran
//! (where it counts), `TcpExt.TCPRetransFail` rose with the retransmissions, and no packet of the flow left a device.
//!
//! ## Look-alikes
//! A drop on the path or at the far end: the packet leaves this host and `TCPRetransFail` stays flat. A reject rule:
//! an error comes back at once.
//!
//! ## What to do
//! Accept the flow before the rule, or remove the rule.
//!
//! ## References
//! nft(8), iptables(8); net/netfilter/core.c (NF_DROP on LOCAL_OUT gives EPERM), net/ipv4/tcp_output.c (TCPRetransFail).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};
use netwhy_walk::{End, Stage};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "fw-drop-outbound",
    title: "a firewall rule of this host drops the outgoing packet",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: &["nft", "xtables", "mib", "capture", "attempts"],
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let End::Dropped { locus } = &case.forward.end else { return excluded(case) };
    let is_firewall = matches!(
        locus,
        Locus::NftRule { .. } | Locus::NftChain { .. } | Locus::IptRule { .. } | Locus::IptChain { .. }
    );
    let outgoing = matches!(
        case.forward.last().map(|s| s.stage),
        Some(Stage::Raw | Stage::Output | Stage::Postrouting | Stage::NetdevEgress | Stage::Nat)
    );
    if !is_firewall || !outgoing || case.forward.steps.iter().any(|s| s.stage == Stage::Input) {
        return Verdict::Silent;
    }
    let object = match locus {
        Locus::NftRule { family, table, chain, handle, text } => {
            format!("nft rule {family} {table} {chain} handle {handle} ({text})")
        }
        Locus::NftChain { family, table, chain, .. } => {
            format!("the drop policy of nft chain {family} {table} {chain}")
        }
        Locus::IptRule { command, table, chain, number, text } => {
            format!("{command} rule {number} of {chain} in table {table} ({text})")
        }
        Locus::IptChain { command, table, chain, .. } => {
            format!("the DROP policy of {command} chain {chain} in table {table}")
        }
        _ => return Verdict::Silent,
    };
    // What would contradict the prediction: the packet left all the same.
    if case.seen.known && case.seen.requests_out > 0 && !case.target_is_local() {
        return Verdict::ruled_out(
            "the ruleset predicts a drop, but packets of the flow left this host",
            case.ev_capture().into_iter().collect(),
        );
    }
    let counted = case.rule_counter(locus);
    let retrans_failed = case.grew("TcpExt.TCPRetransFail").is_some_and(|d| d > 0);
    let eperm = case.errno() == Some("EPERM");
    let silent = case.seen.known && case.seen.requests_out == 0;
    let observed = counted.is_some_and(|n| n > 0) || eperm || (silent && case.timed_out()) || retrans_failed;
    let nft = fix::nft_selector(case.flow, false);
    let ipt = fix::ipt_selector(case.flow, false);
    let mut finding = Finding::new(
        locus.clone(),
        format!("{object} drops the packets this host sends to {}", case.flow.target()),
    )
    .maybe(case.ev_attempt())
    .evidence(case.ev_prediction(case.forward, "outgoing"))
    .maybe(case.ev_rule_counter(locus))
    .maybe(case.ev_capture());
    if case.flow.proto == Proto::Tcp {
        finding = finding.maybe(case.ev_counter("TcpExt.TCPRetransFail"));
    }
    for f in fix::let_pass(locus, &nft, &ipt) {
        finding = finding.fix(f);
    }
    finding.verify(case.ask_again()).proven_if(observed && case.forward.is_certain())
}

fn excluded(case: &Case<'_>) -> Verdict {
    if case.timed_out() && case.seen.known && case.seen.requests_out > 0 {
        return Verdict::ruled_out(
            "packets of the flow left this host, so no rule here dropped them",
            case.ev_capture().into_iter().chain(case.ev_counter("TcpExt.TCPRetransFail")).collect(),
        );
    }
    Verdict::Silent
}
