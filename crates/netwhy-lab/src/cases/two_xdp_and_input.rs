//! An XDP program drops the SYN, and an input rule would.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-xdp-and-input",
    title: "two faults: XDP program and input rule",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 8000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let first = (super::xdp_drop::CASE.fault)(lab)?;
    Ok(first.join((super::nft_drop_input::CASE.fault)(lab)?))
}
