//! The default route names a gateway that does not exist.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "route-dead-gateway",
    title: "the gateway does not answer ARP",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.2:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.route_replace(Route::to("0.0.0.0/0")?.via("198.51.100.77")?)?;
    Ok(Broken::by("neigh-unresolved", locus::neighbour("eth0", "198.51.100.77"))
        .heal(|lab| lab.node("client")?.route_replace(Route::to("0.0.0.0/0")?.via("198.51.100.1")?)))
}
