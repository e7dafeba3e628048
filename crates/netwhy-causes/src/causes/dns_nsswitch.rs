//! # The name service switch never asks a name server
//!
//! ## What you see
//! Programs say "Name or service not known" while dig and nslookup find the name: they bypass the switch.
//!
//! ## What happens
//! The hosts line of nsswitch.conf has no dns (or resolve) source, or an action before it ends the search.
//!
//! ## How netwhy knows
//! The line was read and names no source that asks a name server; an application gets no address, and no query
//! left.
//!
//! ## Look-alikes
//! dns-nxdomain: a server was asked and says no.
//!
//! ## What to do
//! Put dns into the hosts line.
//!
//! ## References
//! nsswitch.conf(5), getent(1).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::naming::Naming;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dns-nsswitch",
    title: "the name service switch never asks a name server",
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
    let sources = &names.resolver.nsswitch_hosts;
    let asks_dns = sources.iter().any(|s| s.starts_with("dns") || s.starts_with("resolve"));
    if !names.failed() || asks_dns || !names.answers.application.not_modelled.is_empty() {
        return Verdict::Silent;
    }
    let text = format!("hosts: {}", sources.join(" "));
    let locus = Locus::ConfigLine {
        file: "/etc/nsswitch.conf".into(),
        line: names.resolver.nsswitch_line,
        text: text.clone(),
    };
    let name = &names.answers.name;
    Finding::new(
        locus,
        format!("no name server is asked for {name}: line {text:?} of nsswitch.conf names none", text = text),
    )
    .evidence(
        Evidence::new("nsswitch", format!("nsswitch.conf has {text:?}"), "/etc/nsswitch.conf")
            .value(text.clone())
            .command("grep ^hosts /etc/nsswitch.conf"),
    )
    .evidence(names.ev_application())
    .fix(Fix::act("put dns at the end of the hosts line of /etc/nsswitch.conf"))
    .verify(format!("getent ahosts {}", quote(name)))
    .proven()
}
