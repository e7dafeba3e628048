//! The published port is translated for packets of another device only; for this client nothing takes it.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Table};

pub(super) static CASE: Case = Case {
    id: "dnat-missing",
    title: "the rule that publishes the port does not match this client",
    topology: Topology::ClientRouterServer,
    ask: Ask {
        node: "router",
        args: &["connect", "198.51.100.1:8080", "--inbound", "--from", "198.51.100.2"],
    },
    victim: Victim { node: "client", target: "tcp://198.51.100.1:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Ip, "nat")
        .nat("prerouting", Hook::Prerouting, -100)
        .rule("prerouting", |r| r.iif("eth7").tcp_dport(8080).dnat("203.0.113.2", Some(8080)))
        .commit_last(lab.node("router")?)?;
    Ok(Broken::by("dnat-missing", locus::nft_rule(Table::Ip, "nat", "prerouting", handle)).heal(|lab| {
        Nft::existing(Table::Ip, "nat")
            .rule("prerouting", |r| r.iif("eth0").tcp_dport(8080).dnat("203.0.113.2", Some(8080)))
            .commit(lab.node("router")?)
            .map(drop)
    }))
}
