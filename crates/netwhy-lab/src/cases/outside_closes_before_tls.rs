//! The service closes every connection as soon as it has accepted it, before a TLS hello could be read: no name, version
//! or certificate can be the reason.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "outside-closes-before-tls",
    title: "outside: the service closes before the TLS hello",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "tls://203.0.113.2:8443"] },
    victim: Victim {
        node: "client",
        target: "tls://203.0.113.2:8443",
        sees: &["tls closed", "tls failed", "tls ECONNRESET", "tls EPIPE"],
    },
    fault,
    ruled_out: &["tls-closed"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.serve("server", "tls", "close", &["[::]:8443"])?;
    Ok(Broken::outside("reset-after-accept"))
}
