//! # A security policy forbids the call
//!
//! ## What you see
//! connect(), bind() or sendto() fails at once with EACCES or EPERM; the same program works elsewhere or as another user.
//!
//! ## What happens
//! A security module (SELinux, AppArmor, Smack, Landlock) or a seccomp filter denies the system call. No packet is made.
//!
//! ## How netwhy knows
//! The call failed at once, nothing left, the route is unicast, no rule was predicted to drop and no BPF program is
//! attached to the cgroup's socket hooks. connect() without an address, which sends nothing, is denied too, and netwhy's
//! own process runs under a seccomp filter: that proves seccomp. A denial in the kernel log, or a drop event with reason SECURITY_HOOK, proves it.
//!
//! ## Look-alikes
//! A prohibit route (route-type-deny): EACCES by lookup. An output rule for UDP (fw-drop-outbound) or a full connection
//! table (conntrack-full): EPERM from sendto(). A cgroup BPF program (bpf-drop): EPERM from connect().
//!
//! ## What to do
//! Read the denial (ausearch -m AVC, dmesg), and allow what the program needs in its policy.
//!
//! ## References
//! connect(2) EACCES EPERM; seccomp(2); security/security.c (security_socket_connect).

use netwhy_facts::attempt::{Attempts, NO_ADDRESS, Outcome};
use netwhy_facts::bpf::BpfPrograms;
use netwhy_facts::host::{Host, KernelLog};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "lsm-or-seccomp-deny",
    title: "a security policy forbids the call",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Process,
    scope: Scope::FailedFlow,
    needs: &[
        "attempts",
        "capture",
        "bpf",
        "kernel-log",
        "kernel-events",
        "links",
        "conntrack",
        "nft",
        "xtables",
        "addresses",
        "host",
    ],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let Some(errno @ ("EACCES" | "EPERM")) = case.errno() else { return Verdict::Silent };
    // Anything that was predicted to stop the flow explains the error better.
    if !case.forward_passes() || case.seen.requests_out > 0 || !case.icmp_remote().is_empty() {
        return Verdict::Silent;
    }
    let broadcast = matches!(case.flow.dst, std::net::IpAddr::V4(a) if a.is_broadcast());
    if broadcast {
        return Verdict::Silent; // EACCES without SO_BROADCAST
    }
    let denial = case.facts.latest::<KernelLog>().value().and_then(|log| {
        log.lines.iter().rev().map(|(_, _, text)| text).find(|t| {
            (t.contains("avc:") || t.contains("apparmor=\"DENIED\"") || t.contains("type=1326"))
                && ["connect", "send", "socket", "bind", "syscall", "net"].iter().any(|w| t.contains(w))
        })
    });
    // The same call without an address is denied, too: it is not about this target.
    let call = case.facts.latest::<Attempts>().value().and_then(|all| {
        all.0.iter().find(|a| {
            a.variant.as_deref() == Some(NO_ADDRESS)
                && matches!(&a.outcome, Outcome::Error { name, .. } if name == errno)
        })
    });
    let filtered = case.facts.value::<Host>().and_then(|h| h.seccomp) == Some(2);
    let event = case.drop_event(|f| f.reason == "SECURITY_HOOK").is_some();
    if denial.is_none() && !event && call.is_none() {
        if let Some(a) = case.bpf_absence().or_else(|| case.firewall_absence()) {
            return Verdict::unknown(
                format!("whether a program, a rule or a policy denies the call ({errno})"),
                a,
            );
        }
        let hooks = case.facts.get::<BpfPrograms>().value();
        if hooks.is_none_or(|b| b.0.iter().any(|p| p.cgroup.is_some())) {
            return Verdict::Silent;
        }
    }
    let module = match denial {
        Some(t) if t.contains("apparmor") => "AppArmor",
        Some(t) if t.contains("type=1326") => "seccomp",
        Some(_) => "SELinux",
        None if call.is_some() && filtered => "seccomp",
        None => "security module or seccomp",
    };
    Finding::new(
        Locus::SecurityPolicy { module: module.into(), detail: format!("{errno} for {}", case.flow.target()) },
        format!("{module} denies the call to {} ({errno}): no packet was made, and neither route nor rule explains it", case.flow.target()),
    )
    .maybe(case.ev_attempt())
    .maybe(denial.map(|t| Evidence::new("denial", t.trim().to_string(), "/dev/kmsg").command("ausearch -m AVC -ts recent; dmesg | grep -i denied")))
    .maybe(case.ev_drop_event(|f| f.reason == "SECURITY_HOOK"))
    .maybe(case.ev_capture())
    .maybe(call.map(|a| {
        let text = format!("connect() without any address fails with {errno} too: the call itself is denied");
        Evidence::new("call", text, "connect(2) with AF_UNSPEC").value(errno).window(a.elapsed_us)
    }))
    .maybe(filtered.then(|| {
        Evidence::new("seccomp", "this process runs under a seccomp filter", "/proc/self/status")
            .value(2)
            .command("grep Seccomp /proc/self/status")
    }))
    .fix(Fix::act(match module {
        "seccomp" => "allow connect in the seccomp filter of whoever started this: the container's profile (--security-opt seccomp=), or SystemCallFilter= of the systemd unit",
        _ => "read the denial (ausearch -m AVC -ts recent; dmesg) and allow what the program needs in its policy",
    }))
    .verify(case.ask_again())
    .proven_if(denial.is_some() || event || (call.is_some() && filtered))
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nft::Nft;
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn client() -> Scene {
        Scene::client("203.0.113.2", 80).with(BpfPrograms::default()).errno("EACCES", 0)
    }

    #[test]
    fn a_denial_in_the_log_proves_it() {
        let line =
            "audit: type=1400 avc:  denied  { name_connect } for pid=8 comm=\"app\" dest=80".to_string();
        let f = proven(client().with(KernelLog { lines: vec![(1, 5, line)], lost: 0 }).judge(&CAUSE));
        assert!(f.summary.starts_with("SELinux"), "{}", f.summary);
    }

    #[test]
    fn a_call_that_is_denied_without_an_address_under_a_filter_proves_seccomp() {
        let filter = Host { seccomp: Some(2), ..Host::default() };
        let denied = || Outcome::Error { call: "connect".into(), errno: 13, name: "EACCES".into() };
        let f = proven(client().varied(NO_ADDRESS, denied()).with(filter.clone()).judge(&CAUSE));
        assert!(f.summary.starts_with("seccomp"), "{}", f.summary);
        consistent(client().varied(NO_ADDRESS, Outcome::Ok).with(filter).judge(&CAUSE));
        consistent(client().varied(NO_ADDRESS, denied()).judge(&CAUSE));
    }

    #[test]
    fn an_unexplained_refusal_fits() {
        consistent(client().judge(&CAUSE));
    }

    #[test]
    fn a_rule_a_program_or_packets_that_left_explain_it_better() {
        silent(
            client().forward(&[Stage::Output], End::Dropped { locus: nft_rule("output", 1) }).judge(&CAUSE),
        );
        let program = netwhy_facts::bpf::BpfAttached {
            hook: "cgroup-connect4".into(),
            ifindex: None,
            cgroup: Some("/x".into()),
            netfilter: None,
            position: 0,
            prog_id: 1,
            name: "p".into(),
            tag: String::new(),
            link_id: None,
            run_cnt: netwhy_facts::Reading::NotAsked,
            holders: netwhy_facts::Reading::NotAsked,
        };
        silent(client().with(BpfPrograms(vec![program])).judge(&CAUSE));
        silent(client().request_out().judge(&CAUSE));
        silent(Scene::client("203.0.113.2", 80).timeout(3000).judge(&CAUSE));
    }

    #[test]
    fn rules_that_may_not_be_read_leave_it_open() {
        unknown(client().denied::<Nft>("CAP_NET_ADMIN").judge(&CAUSE));
    }
}
