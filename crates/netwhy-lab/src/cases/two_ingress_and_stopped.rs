//! An ingress rule drops the SYN, and the service is stopped.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-ingress-and-stopped",
    title: "two faults: ingress rule and stopped service",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 8000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    // The queue is filled before the rule keeps everybody out.
    let second = (super::svc_stopped::CASE.fault)(lab)?;
    Ok((super::nft_drop_netdev_ingress::CASE.fault)(lab)?.join(second))
}
