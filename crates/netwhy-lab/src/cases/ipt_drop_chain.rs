//! The rule that drops is in a chain of its own, reached by a jump.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::ipt::{IptRule, Target};

pub(super) static CASE: Case = Case {
    id: "ipt-drop-chain",
    title: "a legacy rule in a chain of its own drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let node = lab.node("server")?;
    node.ipt_chain("iptables", "filter", "guests")?;
    let jump = IptRule::new(Target::Jump("guests".to_owned())).source("203.0.113.0/24")?;
    node.ipt_insert("iptables", "filter", "INPUT", None, &jump)?;
    node.ipt_insert("iptables", "filter", "guests", None, &IptRule::new(Target::Return).tcp_dport(22))?;
    let number =
        node.ipt_insert("iptables", "filter", "guests", None, &IptRule::new(Target::Drop).proto(6))?;
    Ok(Broken::by("fw-drop-inbound", locus::ipt_rule("iptables", "filter", "guests", number))
        .heal(move |lab| lab.node("server")?.ipt_delete("iptables", "filter", "guests", number as usize)))
}
