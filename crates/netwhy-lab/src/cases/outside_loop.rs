//! Two routers send the flow to each other until its TTL ends; asked on the client.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "outside-loop",
    title: "outside: a routing loop",
    topology: Topology::TwoRouters,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect EHOSTUNREACH"] },
    fault,
    ruled_out: &["neigh-unresolved"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("far")?.addr_del("eth1", "203.0.113.1/24")?;
    lab.node("far")?.route_add(Route::to("203.0.113.0/24")?.via("192.0.2.1")?)?;
    Ok(Broken::outside("ttl-or-loop"))
}
