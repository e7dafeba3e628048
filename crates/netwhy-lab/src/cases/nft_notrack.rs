//! A raw rule takes the request out of connection tracking; its answer is unknown to the stateful input chain.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-notrack",
    title: "an untracked request meets a stateful chain",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let node = lab.node("client")?;
    let notrack = Nft::new(Table::Inet, "raw")
        .base("output", Hook::Output, -300, Policy::Accept)
        .rule("output", |r| r.tcp_dport(8080).notrack())
        .commit_last(node)?;
    Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Drop)
        .rule("input", |r| r.ct_state(2 | 4).accept())
        .rule("input", |r| r.icmp6_type(135).accept())
        .rule("input", |r| r.icmp6_type(136).accept())
        .commit(node)?;
    Ok(Broken::by("notrack-beside-stateful", locus::nft_rule(Table::Inet, "raw", "output", notrack))
        .heal(move |lab| lab.node("client")?.nft_delete_rule(Table::Inet, "raw", "output", notrack)))
}
