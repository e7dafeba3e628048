//! The service accepts and closes at the first byte of the hello.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::certificates::Authority;
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "tls-closed",
    title: "the service closes during the TLS handshake",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "tls://web.example.test:8443"] },
    victim: Victim {
        node: "client",
        target: "tls://web.example.test:8443",
        sees: &["tls closed", "tls failed", "tls ECONNRESET", "tls EPIPE"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.write_etc("hosts", "127.0.0.1\tlocalhost\n203.0.113.2\tweb.example.test\n")?;
    let ca = Authority::new("Lab Root")?;
    lab.trust(&ca)?;
    lab.serve("server", "tls", "hang-up", &["[::]:8443"])?;
    Ok(Broken::by("tls-closed", json!({"kind": "tls-endpoint"})).heal(Lab::proper_tls))
}
