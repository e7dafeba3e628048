//! A legacy input rule drops the SYN, and the service listens on loopback only.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-legacy-and-loopback",
    title: "two faults: legacy input rule and loopback listener",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 8000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let first = (super::ipt_drop_input::CASE.fault)(lab)?;
    Ok(first.join((super::svc_bound_loopback::CASE.fault)(lab)?))
}
