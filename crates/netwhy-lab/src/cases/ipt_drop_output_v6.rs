//! A legacy ip6tables rule drops what goes to the port.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::ipt::{IptRule, Target};

pub(super) static CASE: Case = Case {
    id: "ipt-drop-output-v6",
    title: "a legacy ip6tables output rule drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "[2001:db8:1::2]:8080"] },
    victim: Victim { node: "client", target: "tcp://[2001:db8:1::2]:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let node = lab.node("client")?;

    let number =
        node.ipt_insert("ip6tables", "filter", "OUTPUT", None, &IptRule::new(Target::Drop).tcp_dport(8080))?;
    Ok(Broken::by("fw-drop-outbound", locus::ipt_rule("ip6tables", "filter", "OUTPUT", number))
        .heal(move |lab| lab.node("client")?.ipt_delete("ip6tables", "filter", "OUTPUT", number as usize)))
}
