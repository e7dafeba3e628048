//! A rule resets, and a second one behind it too.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-resets",
    title: "two faults: an nft rule and a legacy rule reset",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &[],
    budget_ms: 8000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let first = (super::nft_reject_input_reset::CASE.fault)(lab)?;
    Ok(first.join((super::ipt_reject_reset::CASE.fault)(lab)?))
}
