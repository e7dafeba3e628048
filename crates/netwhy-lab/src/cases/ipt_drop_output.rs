//! A legacy iptables rule drops what goes to the port; nft knows nothing of it.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::ipt::{IptRule, Target};

pub(super) static CASE: Case = Case {
    id: "ipt-drop-output",
    title: "a legacy iptables output rule drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let node = lab.node("client")?;
    node.ipt_insert("iptables", "filter", "OUTPUT", None, &IptRule::new(Target::Accept).udp_dport(53))?;
    let number =
        node.ipt_insert("iptables", "filter", "OUTPUT", None, &IptRule::new(Target::Drop).tcp_dport(8080))?;
    Ok(Broken::by("fw-drop-outbound", locus::ipt_rule("iptables", "filter", "OUTPUT", number))
        .heal(move |lab| lab.node("client")?.ipt_delete("iptables", "filter", "OUTPUT", number as usize)))
}
