//! Nothing is wrong; IPv6 across a router.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "control-v6",
    title: "healthy: IPv6 across a router",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "[2001:db8:2::2]:8080"] },
    victim: Victim { node: "client", target: "tcp://[2001:db8:2::2]:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(_: &mut Lab) -> Result<Broken> {
    Ok(Broken::healthy())
}
