//! A published port is translated to a backend that nobody is. Asked on the router.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Table};

pub(super) static CASE: Case = Case {
    id: "dnat-dead-backend",
    title: "destination NAT points at a dead backend",
    topology: Topology::ClientRouterServer,
    ask: Ask {
        node: "router",
        args: &["connect", "198.51.100.1:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim {
        node: "client",
        target: "tcp://198.51.100.1:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Ip, "nat")
        .nat("prerouting", Hook::Prerouting, -100)
        .rule("prerouting", |r| r.iif("eth0").tcp_dport(8080).dnat("203.0.113.66", Some(8080)))
        .commit_last(lab.node("router")?)?;
    Ok(Broken::by("dnat-dead-backend", locus::nft_rule(Table::Ip, "nat", "prerouting", handle)).heal(
        move |lab| {
            let router = lab.node("router")?;
            router.nft_delete_rule(Table::Ip, "nat", "prerouting", handle)?;
            Nft::existing(Table::Ip, "nat")
                .rule("prerouting", |r| r.iif("eth0").tcp_dport(8080).dnat("203.0.113.2", Some(8080)))
                .commit(router)
                .map(drop)
        },
    ))
}
