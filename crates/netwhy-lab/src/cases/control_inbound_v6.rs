//! Nothing is wrong; IPv6, asked on the server.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "control-inbound-v6",
    title: "healthy: IPv6, asked on the server",
    topology: Topology::TwoHosts,
    ask: Ask {
        node: "server",
        args: &["connect", "[2001:db8:1::2]:8080", "--inbound", "--from", "2001:db8:1::1"],
    },
    victim: Victim { node: "client", target: "tcp://[2001:db8:1::2]:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(_: &mut Lab) -> Result<Broken> {
    Ok(Broken::healthy())
}
