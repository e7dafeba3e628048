//! # The service cannot have its port
//!
//! ## What you see
//! Clients get ECONNREFUSED. The service's log says "Address already in use", "Permission denied" or "Cannot assign
//! requested address".
//!
//! ## What happens
//! bind() or listen() failed: another socket holds the port without listening on it (EADDRINUSE), or a security policy
//! forbids it (EACCES).
//!
//! ## How netwhy knows
//! Nothing listens on the port and a socket of another kind of use is bound to it (listed since Linux 6.8); or the kernel
//! log holds a denial of name_bind for the port.
//!
//! ## Look-alikes
//! The service is simply not running (svc-not-listening): the port is free. It listens elsewhere (svc-bound-elsewhere).
//!
//! ## What to do
//! Free the port, give the service another one, or allow the bind in the policy.
//!
//! ## References
//! bind(2) EADDRINUSE EACCES EADDRNOTAVAIL; ip(7) ip_unprivileged_port_start.

use netwhy_facts::host::KernelLog;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "port-bind-failure",
    title: "the service cannot have its port",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Process,
    scope: Scope::FailedFlow,
    needs: &["sockets", "kernel-log", "attempts", "capture", "addresses"],
    explains: &["svc-not-listening"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if !matches!(case.forward.end, End::NoSocket { .. }) || !case.serves_here() {
        return Verdict::Silent;
    }
    let (_, port) = case.served_end();
    denied_by_policy(case, port).or_else(|| held_by_another(case, port)).unwrap_or(Verdict::Silent)
}

/// `avc: denied { name_bind } for pid=812 comm="httpd" src=8080 …`
fn denied_by_policy(case: &Case<'_>, port: u16) -> Option<Verdict> {
    let log = case.facts.latest::<KernelLog>().value()?;
    let word = format!("src={port}");
    let (_, _, line) = log
        .lines
        .iter()
        .rev()
        .find(|(_, _, text)| text.contains("name_bind") && text.split_whitespace().any(|w| w == word))?;
    let field = |name: &str| {
        let start = line.find(&format!("{name}="))? + name.len() + 1;
        line.get(start..)?.split_whitespace().next().map(|w| w.trim_matches('"').to_string())
    };
    let process = field("comm").unwrap_or_else(|| "a process".into());
    let finding = Finding::new(
        Locus::SecurityPolicy { module: "SELinux".into(), detail: format!("name_bind on port {port}") },
        format!("the security policy forbids {process} to bind port {port}, so nothing listens there"),
    )
    .evidence(
        Evidence::new("avc", line.trim().to_string(), "/dev/kmsg").command("ausearch -m AVC -ts recent"),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture())
    .fix(Fix::act(format!("allow the port for the service's type: semanage port -a -t TYPE -p tcp {port}")))
    .verify(case.ask_again());
    Some(finding.proven_if(case.refused()))
}

fn held_by_another(case: &Case<'_>, port: u16) -> Option<Verdict> {
    if case.flow.proto != Proto::Tcp {
        return None;
    }
    let sockets = case.sockets().ok()?;
    let holds = |s: &&netwhy_facts::socket::Socket| {
        s.proto == Proto::Tcp && s.lport == port && s.rport == 0 && s.state == "UNCONN" && s.netns == 0
    };
    let s = sockets.sockets.iter().find(holds)?;
    if sockets.sockets.iter().any(|s| s.lport == port && s.state == "LISTEN") {
        return None; // svc-bound-elsewhere
    }
    let process = service::owner_text(s);
    let finding = Finding::new(
        service::locus(s),
        format!(
            "{process} has bound {} and does not listen: no other service can have the port",
            s.local_text()
        ),
    )
    .evidence(
        Evidence::new("bound", format!("{process} holds {} without listening", s.local_text()), "sock_diag")
            .value(s.local_text())
            .command(format!("ss -tanp 'sport = :{port}'")),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture())
    .fix(Fix::act(format!("find out why {process} does not listen, or stop it and start the service")))
    .verify(case.ask_again());
    Some(finding.proven_if(case.refused()))
}

#[cfg(test)]
mod tests {
    use netwhy_facts::socket::Socket;
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn server(sockets: Vec<Socket>) -> Scene {
        let locus = Locus::MissingListener { proto: Proto::Tcp, address: ip("203.0.113.2"), port: 80 };
        Scene::inbound("203.0.113.2", 80)
            .forward(&[Stage::SocketLookup], End::NoSocket { locus })
            .sockets(sockets)
            .request_in()
            .reset_out()
    }
    fn bound() -> Socket {
        Socket { state: "UNCONN".into(), ..listener("0.0.0.0", 80, 0, 0) }
    }
    fn log(line: &str) -> KernelLog {
        KernelLog { lines: vec![(1, 5, line.to_string())], lost: 0 }
    }

    #[test]
    fn a_bound_socket_that_does_not_listen_is_named() {
        assert!(proven(server(vec![bound()]).judge(&CAUSE)).summary.contains("service (pid 100)"));
    }

    #[test]
    fn a_denial_in_the_log_names_the_policy() {
        let line = "audit: type=1400 avc:  denied  { name_bind } for  pid=8 comm=\"httpd\" src=80 scontext=x";
        let f = proven(server(vec![]).with(log(line)).judge(&CAUSE));
        assert!(f.summary.contains("httpd"), "{}", f.summary);
        silent(server(vec![]).with(log(&line.replace("src=80", "src=8080"))).judge(&CAUSE));
    }

    #[test]
    fn a_free_port_or_a_listener_is_another_cause() {
        silent(server(vec![]).judge(&CAUSE));
        silent(server(vec![bound(), listener("127.0.0.1", 80, 0, 4)]).judge(&CAUSE));
    }
}
