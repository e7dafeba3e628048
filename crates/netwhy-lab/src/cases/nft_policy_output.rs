//! The output chain accepts some ports and its policy drops the rest: no rule names the flow.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-policy-output",
    title: "the policy of the output chain drops what no rule accepts",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    Nft::new(Table::Inet, "filter")
        .base("output", Hook::Output, 0, Policy::Drop)
        .rule("output", |r| r.ct_state(2 | 4).accept())
        .rule("output", |r| r.tcp_dport(443).accept())
        .rule("output", |r| r.udp_dport(53).accept())
        .rule("output", |r| r.icmp6_type(135).accept())
        .rule("output", |r| r.icmp6_type(136).accept())
        .commit(lab.node("client")?)?;
    Ok(Broken::by("fw-drop-outbound", locus::nft_chain(Table::Inet, "filter", "output"))
        .heal(|lab| lab.node("client")?.nft_policy(Table::Inet, "filter", "output", Policy::Accept)))
}
