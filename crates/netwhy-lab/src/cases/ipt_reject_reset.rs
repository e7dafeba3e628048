//! A legacy REJECT answers with a reset although the service listens.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::ipt::{IptRule, Target};

pub(super) static CASE: Case = Case {
    id: "ipt-reject-reset",
    title: "a legacy iptables input rule resets the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let node = lab.node("server")?;

    let number = node.ipt_insert(
        "iptables",
        "filter",
        "INPUT",
        None,
        &IptRule::new(Target::Reject(7)).tcp_dport(8080),
    )?;
    Ok(Broken::by("fw-reject", locus::ipt_rule("iptables", "filter", "INPUT", number))
        .heal(move |lab| lab.node("server")?.ipt_delete("iptables", "filter", "INPUT", number as usize)))
}
