//! # The name server fails
//!
//! ## What you see
//! Names fail with "Temporary failure in name resolution"; dig shows status SERVFAIL.
//!
//! ## What happens
//! The server was reached and could not answer: its own upstream does not answer, a zone did not load, or DNSSEC
//! validation failed.
//!
//! ## How netwhy knows
//! The reply to this question has response code SERVFAIL (or FORMERR, NOTIMP ...), from the server itself.
//!
//! ## Look-alikes
//! dns-timeout: no reply at all. dns-refused: the server does not serve us. dns-nxdomain: a definite answer.
//!
//! ## What to do
//! Look at the server's log; ask another server to tell a broken zone from a broken server.
//!
//! ## References
//! resolv.conf(5), getaddrinfo(3); RFC 1035 section 4.1.1 (response codes), RFC 8020. RFC 8914 (extended errors).

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::naming::{Naming, Said};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dns-servfail",
    title: "the name server answers with a server failure",
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
        |said| matches!(said, Said::Rcode(rcode) if rcode != "REFUSED"),
        |server, said| format!("name server {server} {} for {name}", said.words()),
        |server| vec![Fix::act(format!("look at the log of the name server {server}; dig +cd @{server} tells a DNSSEC failure from others"))],
    )
}
