//! # The name does not exist
//!
//! ## What you see
//! "Name or service not known" (EAI_NONAME), at once.
//!
//! ## What happens
//! A name server that was asked says the name does not exist, under every candidate the search list makes of it.
//!
//! ## How netwhy knows
//! The reply has response code NXDOMAIN for every candidate; what each server said is listed.
//!
//! ## Look-alikes
//! dns-servfail and dns-timeout: no definite answer. dns-no-address: the name exists without an address. dns-
//! nsswitch: no server is asked.
//!
//! ## What to do
//! Check the spelling and the search list; create the record if it ought to exist.
//!
//! ## References
//! resolv.conf(5), getaddrinfo(3); RFC 1035 section 4.1.1 (response codes), RFC 8020.

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::fix::{Fix, quote};
use crate::naming::{Naming, Said};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dns-nxdomain",
    title: "the name does not exist",
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
    let Some((server, _)) = servers.iter().find(|(_, said)| *said == Said::NxDomain) else {
        return Verdict::Silent;
    };
    if !names.failed() || servers.iter().any(|(_, said)| *said == Said::NoData) {
        return Verdict::Silent;
    }
    let name = &names.answers.name;
    let tried = names.answers.candidates.join(", ");
    let summary = match (name.contains('.'), names.resolver.search.is_empty()) {
        (false, true) => {
            format!("{name} does not exist, says {server}; no search domain is configured to complete it")
        }
        _ => format!("the name does not exist, says {server} (asked for {tried})"),
    };
    let mut finding = Finding::new(Locus::DnsName { name: name.clone(), rcode: "NXDOMAIN".into() }, summary);
    for (asked, said) in &servers {
        if *said != Said::NotAsked {
            finding = finding.evidence(names.evidence(*asked));
        }
    }
    finding
        .evidence(names.ev_application())
        .fix(Fix::act(format!(
            "check the spelling of {name} and the search list of {}, or create the record",
            names.resolver.file
        )))
        .verify(format!("dig @{server} {}", quote(name)))
        .proven()
}
