//! The router drops by policy and for others; this flow is accepted both ways.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Refuse, Table};
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "control-decoys-transit",
    title: "healthy on a router that drops others",
    topology: Topology::ClientRouterServer,
    ask: Ask {
        node: "router",
        args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let router = lab.node("router")?;
    Nft::new(Table::Inet, "filter")
        .base("forward", Hook::Forward, 0, Policy::Drop)
        .rule("forward", |r| r.ct_state(2 | 4).accept())
        .rule("forward", |r| r.daddr("203.0.113.9").drop())
        .rule("forward", |r| r.iif("eth0").tcp_dport(8080).accept())
        .rule("forward", |r| r.counter().reject(Refuse::Icmpx(3)))
        .commit(router)?;
    router.route_add(Route::to("192.0.2.0/24")?.kind("blackhole")?)?;
    Ok(Broken::healthy())
}
