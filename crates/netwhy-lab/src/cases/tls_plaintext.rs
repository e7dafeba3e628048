//! The service on the port speaks plain text.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::certificates::Authority;
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "tls-plaintext",
    title: "a plaintext service is asked for TLS",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "tls://web.example.test:8443"] },
    victim: Victim {
        node: "client",
        target: "tls://web.example.test:8443",
        sees: &["tls not-tls", "tls failed", "tls alert"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.write_etc("hosts", "127.0.0.1\tlocalhost\n203.0.113.2\tweb.example.test\n")?;
    lab.trust(&Authority::new("Lab Root")?)?;
    lab.serve("server", "mail", "greet", &["[::]:8443", "220 mail.example.test ESMTP"])?;
    Ok(Broken::by("tls-plaintext", json!({"kind": "tls-endpoint"})).heal(Lab::proper_tls))
}
