//! The client has no default route.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "route-missing",
    title: "no route to the target",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ENETUNREACH"] },
    fault,
    ruled_out: &["link-down", "route-type-deny"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.route_del(Route::to("0.0.0.0/0")?)?;
    Ok(Broken::by("route-missing", locus::missing_route("203.0.113.2"))
        .heal(|lab| lab.node("client")?.route_add(Route::to("0.0.0.0/0")?.via("198.51.100.1")?)))
}
