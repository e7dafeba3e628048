//! The router has no route to the target and says so; the client has one.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "outside-no-route",
    title: "outside: a router has no route",
    topology: Topology::TwoRouters,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ENETUNREACH"] },
    fault,
    ruled_out: &["route-missing"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("near")?.route_del(Route::to("203.0.113.0/24")?)?;
    Ok(Broken::outside("path-hop-unreachable"))
}
