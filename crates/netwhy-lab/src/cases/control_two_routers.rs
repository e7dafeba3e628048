//! Nothing is wrong; across two routers, asked on the first.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "control-two-routers",
    title: "healthy: two routers",
    topology: Topology::TwoRouters,
    ask: Ask { node: "near", args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(_: &mut Lab) -> Result<Broken> {
    Ok(Broken::healthy())
}
