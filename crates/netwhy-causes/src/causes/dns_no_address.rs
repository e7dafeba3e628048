//! # The name exists and has no address
//!
//! ## What you see
//! "No address associated with hostname" (EAI_NODATA) or "Name or service not known".
//!
//! ## What happens
//! The name has records (MX, TXT, a service ...), and no A or AAAA record.
//!
//! ## How netwhy knows
//! The reply has response code NOERROR and no address, for every candidate and both families.
//!
//! ## Look-alikes
//! dns-nxdomain: the name itself does not exist.
//!
//! ## What to do
//! Use the right name, or add the address record.
//!
//! ## References
//! RFC 2308 section 2.2 (NODATA); getaddrinfo(3).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::fix::{Fix, quote};
use crate::naming::{Naming, Said};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dns-no-address",
    title: "the name exists and has no address of the wanted kind",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Name,
    scope: Scope::Question,
    needs: &["name-answers", "resolver"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let Some(names) = Naming::of(case) else { return Verdict::Silent };
    let servers = names.servers();
    let Some((server, _)) = servers.iter().find(|(_, said)| *said == Said::NoData) else {
        return Verdict::Silent;
    };
    if !names.failed() {
        return Verdict::Silent;
    }
    let name = &names.answers.name;
    let summary = format!("{name} exists, says {server}, and has no address");
    let mut finding = Finding::new(Locus::DnsName { name: name.clone(), rcode: "NOERROR".into() }, summary);
    for (asked, said) in &servers {
        if *said != Said::NotAsked {
            finding = finding.evidence(names.evidence(*asked));
        }
    }
    finding
        .evidence(names.ev_application())
        .fix(Fix::act(format!("add an A or AAAA record for {name}, or use the name of the service's host")))
        .verify(format!("dig @{server} {}", quote(name)))
        .proven()
}
