//! The gateway's SNAT rule still names the address it had before it was renumbered: answers look for nobody.

use netwhy_change::nft::{Nft, Table};

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "snat-source-foreign",
    title: "the gateway translates the source to an address it does not have",
    topology: Topology::NatGateway,
    ask: Ask {
        node: "router",
        args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-forward", "snat-missing"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let router = lab.node("router")?;
    router.nft_flush_chain(Table::Ip, "nat", "postrouting")?;
    let handle = Nft::existing(Table::Ip, "nat")
        .rule("postrouting", |r| r.oif("eth1").snat("203.0.113.77"))
        .commit_last(router)?;
    Ok(Broken::by("snat-source-foreign", locus::nft_rule(Table::Ip, "nat", "postrouting", handle)).heal(
        |lab| {
            let router = lab.node("router")?;
            router.nft_flush_chain(Table::Ip, "nat", "postrouting")?;
            Nft::existing(Table::Ip, "nat")
                .rule("postrouting", |r| r.oif("eth1").masquerade())
                .commit(router)
                .map(drop)
        },
    ))
}
