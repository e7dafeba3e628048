//! A unreachable route covers the target; a better default route exists.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "route-unreachable",
    title: "a unreachable route covers the target",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect EHOSTUNREACH"] },
    fault,
    ruled_out: &["route-missing"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.route_add(Route::to("203.0.113.0/24")?.kind("unreachable")?)?;
    Ok(Broken::by("route-type-deny", locus::route("203.0.113.0", 24, "unreachable"))
        .heal(|lab| lab.node("client")?.route_del(Route::to("203.0.113.0/24")?.kind("unreachable")?)))
}
