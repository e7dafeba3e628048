//! A policy rule, not a route, prohibits the destination.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::rule::Rule;

pub(super) static CASE: Case = Case {
    id: "rule-prohibit",
    title: "a policy rule prohibits the target",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect EACCES"] },
    fault,
    ruled_out: &["route-missing"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.rule_add(&Rule::lookup(100, 0).action("prohibit")?.to("203.0.113.0/24")?)?;
    Ok(Broken::by("rule-deny", locus::rule(100)).heal(|lab| {
        lab.node("client")?.rule_del(&Rule::lookup(100, 0).action("prohibit")?.to("203.0.113.0/24")?)
    }))
}
