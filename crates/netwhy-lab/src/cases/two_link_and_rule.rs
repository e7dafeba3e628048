//! The device is down, and an output rule would drop.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-link-and-rule",
    title: "two faults: device down and output rule",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ENETUNREACH"] },
    fault,
    ruled_out: &[],
    budget_ms: 8000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let first = (super::link_down::CASE.fault)(lab)?;
    Ok(first.join((super::nft_drop_output::CASE.fault)(lab)?))
}
