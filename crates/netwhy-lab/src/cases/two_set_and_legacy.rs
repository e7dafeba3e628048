//! A set of addresses and ports drops the SYN, and so does a legacy rule.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-set-and-legacy",
    title: "two faults: a set and a legacy rule",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 8000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let first = (super::nft_drop_output_set::CASE.fault)(lab)?;
    Ok(first.join((super::ipt_drop_output::CASE.fault)(lab)?))
}
