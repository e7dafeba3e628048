//! A policy rule prohibits the target, and so does a route.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-rule-and-route",
    title: "two faults: a policy rule and a route prohibit",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect EACCES"] },
    fault,
    ruled_out: &[],
    budget_ms: 8000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let first = (super::rule_prohibit::CASE.fault)(lab)?;
    Ok(first.join((super::route_prohibit::CASE.fault)(lab)?))
}
