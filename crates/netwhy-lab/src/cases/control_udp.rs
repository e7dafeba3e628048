//! Nothing is wrong; a UDP service that answers.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "control-udp",
    title: "healthy: UDP",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "udp://203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "udp://203.0.113.2:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(_: &mut Lab) -> Result<Broken> {
    Ok(Broken::healthy())
}
