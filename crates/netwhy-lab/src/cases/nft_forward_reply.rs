//! The router lets the SYN pass and drops the answers: established is not accepted.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-forward-reply",
    title: "the router's forward chain lacks the acceptance of answers",
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
        .rule("forward", |r| r.iif("eth0").oif("eth1").tcp_dport(8080).accept())
        .commit(lab.node("router")?)?;
    Ok(Broken::by("forward-policy-drop", locus::nft_chain(Table::Inet, "filter", "forward")).heal(|lab| {
        Nft::existing(Table::Inet, "filter")
            .rule("forward", |r| r.ct_state(2 | 4).accept())
            .commit(lab.node("router")?)
            .map(drop)
    }))
}
