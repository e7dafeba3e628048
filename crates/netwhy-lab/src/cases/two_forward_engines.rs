//! An nft rule of the router drops the flow, and the policy of the legacy chain would.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-forward-engines",
    title: "two faults: forward rule and legacy policy",
    topology: Topology::ClientRouterServer,
    ask: Ask {
        node: "router",
        args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 8000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let first = (super::nft_drop_forward::CASE.fault)(lab)?;
    Ok(first.join((super::ipt_policy_forward::CASE.fault)(lab)?))
}
