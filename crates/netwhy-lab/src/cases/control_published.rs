//! A port of the router is published to the server, and it works.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Table};

pub(super) static CASE: Case = Case {
    id: "control-published",
    title: "healthy: a published port",
    topology: Topology::ClientRouterServer,
    ask: Ask {
        node: "router",
        args: &["connect", "198.51.100.1:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim { node: "client", target: "tcp://198.51.100.1:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    Nft::new(Table::Ip, "nat")
        .nat("prerouting", Hook::Prerouting, -100)
        .rule("prerouting", |r| r.iif("eth0").tcp_dport(8080).dnat("203.0.113.2", Some(8080)))
        .commit(lab.node("router")?)?;
    Ok(Broken::healthy())
}
