//! The gateway masquerades to four ports and four connections to the same service use them.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Nft, Table};

pub(super) static CASE: Case = Case {
    id: "snat-exhausted",
    title: "the gateway has no port left for the source NAT",
    topology: Topology::NatGateway,
    ask: Ask {
        node: "router",
        args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["conntrack-full", "fw-drop-forward"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let router = lab.node("router")?;
    router.nft_flush_chain(Table::Ip, "nat", "postrouting")?;
    let handle = Nft::existing(Table::Ip, "nat")
        .rule("postrouting", |r| r.oif("eth1").tcp().masquerade_ports(50000, 50003))
        .commit_last(router)?;
    lab.serve("client", "crowd", "hold-open", &["8", "203.0.113.2:8080"])?;
    Ok(Broken::by("snat-port-exhausted", locus::nft_rule(Table::Ip, "nat", "postrouting", handle)).heal(
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
