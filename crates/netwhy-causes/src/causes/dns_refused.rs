//! # The name server refuses to answer this host
//!
//! ## What you see
//! Names fail with "Temporary failure in name resolution" or "Name or service not known"; dig shows status REFUSED.
//!
//! ## What happens
//! The server's access list does not include this host, or it is authoritative only and does not recurse.
//!
//! ## How netwhy knows
//! The reply to this question has response code REFUSED.
//!
//! ## Look-alikes
//! dns-server-down: the port is closed and there is no reply. dns-servfail.
//!
//! ## What to do
//! Allow this host on the server, or use the resolver meant for it.
//!
//! ## References
//! resolv.conf(5), getaddrinfo(3); RFC 1035 section 4.1.1 (response codes), RFC 8020.

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::naming::{Naming, Said};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dns-refused",
    title: "the name server refuses to answer",
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
    let name = &names.answers.name;
    names.blame_servers(
        case,
        |said| matches!(said, Said::Rcode(rcode) if rcode == "REFUSED"),
        |server, _said| {
            format!("name server {server} refuses to answer this host, so {name} cannot be resolved")
        },
        |server| {
            vec![Fix::act(format!(
                "allow this host in the access list of {server}, or use the resolver meant for this network"
            ))]
        },
    )
}
