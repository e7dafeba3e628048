//! A static neighbour entry is wrong, and an output rule drops before it matters.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-neigh-and-rule",
    title: "two faults: output rule and static neighbour",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 8000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let first = (super::nft_drop_output::CASE.fault)(lab)?;
    Ok(first.join((super::neigh_static_wrong::CASE.fault)(lab)?))
}
