//! The forward chain drops by policy; no rule names the flow. What Docker and firewalld leave behind.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-policy-forward",
    title: "the policy of the router's forward chain drops the connection",
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
    Nft::new(Table::Inet, "filter")
        .base("forward", Hook::Forward, 0, Policy::Drop)
        .rule("forward", |r| r.ct_state(2 | 4).accept())
        .rule("forward", |r| r.tcp_dport(443).accept())
        .commit(lab.node("router")?)?;
    Ok(Broken::by("forward-policy-drop", locus::nft_chain(Table::Inet, "filter", "forward"))
        .heal(|lab| lab.node("router")?.nft_policy(Table::Inet, "filter", "forward", Policy::Accept)))
}
