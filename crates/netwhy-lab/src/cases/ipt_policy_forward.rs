//! The policy of the legacy FORWARD chain is DROP, as Docker leaves it; nft tables beside it accept.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::ipt::{IptRule, Target};
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "ipt-policy-forward",
    title: "the policy of the legacy FORWARD chain drops the connection",
    topology: Topology::ClientRouterServer,
    ask: Ask {
        node: "router",
        args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["forwarding-off"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let router = lab.node("router")?;
    Nft::new(Table::Inet, "open").base("forward", Hook::Forward, 0, Policy::Accept).commit(router)?;
    router.ipt_insert("iptables", "filter", "FORWARD", None, &IptRule::new(Target::Accept).state(2 | 4))?;
    router.ipt_policy("iptables", "filter", "FORWARD", false)?;
    Ok(Broken::by("forward-policy-drop", locus::ipt_chain("iptables", "filter", "FORWARD"))
        .heal(|lab| lab.node("router")?.ipt_policy("iptables", "filter", "FORWARD", true)))
}
