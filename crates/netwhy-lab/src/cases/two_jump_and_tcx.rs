//! A rule in a chain reached by a jump drops the SYN, and so would a BPF program at the device.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-jump-and-tcx",
    title: "two faults: a rule behind a jump and a BPF program",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 8000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let first = (super::nft_drop_jump::CASE.fault)(lab)?;
    Ok(first.join((super::tcx_drop_egress::CASE.fault)(lab)?))
}
