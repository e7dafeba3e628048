//! A legacy iptables rule in the server's input chain drops the SYN.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::ipt::{IptRule, Target};

pub(super) static CASE: Case = Case {
    id: "ipt-drop-input",
    title: "a legacy iptables input rule drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let node = lab.node("server")?;
    node.ipt_insert("iptables", "filter", "INPUT", None, &IptRule::new(Target::Accept).state(2 | 4))?;
    let number = node.ipt_insert(
        "iptables",
        "filter",
        "INPUT",
        None,
        &IptRule::new(Target::Drop).source("203.0.113.0/24")?.tcp_dport(8080),
    )?;
    Ok(Broken::by("fw-drop-inbound", locus::ipt_rule("iptables", "filter", "INPUT", number))
        .heal(move |lab| lab.node("server")?.ipt_delete("iptables", "filter", "INPUT", number as usize)))
}
