//! The issuer has the name of a trusted root and another key: the signature is not the root's.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::certificates::{Authority, Wish};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "tls-bad-certificate",
    title: "the signature of the certificate is not its issuer's",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "tls://web.example.test:8443"] },
    victim: Victim {
        node: "client",
        target: "tls://web.example.test:8443",
        sees: &["tls unknown-issuer", "tls certificate"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.write_etc("hosts", "127.0.0.1\tlocalhost\n203.0.113.2\tweb.example.test\n")?;
    let ca = Authority::new("Lab Root")?;
    lab.trust(&ca)?;
    let impostor = Authority::new("Lab Root")?;
    let wish = Wish { name: "web.example.test", years: (2024, 2100) };
    let (chain, key) = lab.issue(&impostor, wish, &[])?;
    lab.serve("server", "tls", "tls", &["[::]:8443", &chain, &key])?;
    Ok(Broken::by("tls-bad-certificate", json!({"kind": "certificate"})).heal(Lab::proper_tls))
}
