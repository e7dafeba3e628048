//! # Something on the way drops SYNs with a certain option
//!
//! ## What you see
//! connect() times out from this host, and works from another system or with a feature switched off.
//!
//! ## What happens
//! A middlebox drops SYNs that ask for ECN, or carry selective acknowledgements, timestamps or a window scale that it
//! does not know.
//!
//! ## How netwhy knows
//! After silence it sends SYNs by hand, all at once, each from a port of its own: one as the kernel sends them here and
//! one without each option. Only those without a certain one are answered; the one with all of them is not.
//!
//! ## Look-alikes
//! A path that drops everything (path-or-remote-drop): no SYN is answered, whatever it carries. One of several paths that
//! is dead (one-bad-path): the SYN with all options is answered from another source port.
//!
//! ## What to do
//! Switch the option off on this host until the owner of the middlebox has repaired it (net.ipv4.tcp_ecn, tcp_sack,
//! tcp_timestamps, tcp_window_scaling).
//!
//! ## References
//! RFC 3168 section 6.1.1.1, RFC 7323 section 2, RFC 2018; tcp(7).

use netwhy_facts::attempt::{Attempt, Attempts, Outcome, Phase};
use netwhy_facts::question::Scenario;
use netwhy_facts::sysctl::Sysctls;
use netwhy_facts::{Absence, Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::trial;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "option-intolerance",
    title: "something on the way drops SYNs with a certain option",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Path,
    scope: Scope::FailedFlow,
    needs: &["attempts", "addresses", "capture", "sysctls"],
    explains: &["path-or-remote-drop"],
    judge,
};

/// Variant of an attempt, the option it leaves out, the setting that switches it, and its value for off.
const OPTIONS: [(&str, &str, &str, &str); 4] = [
    ("without-ecn", "ECN", "net.ipv4.tcp_ecn", "2"),
    ("without-sack", "selective acknowledgements", "net.ipv4.tcp_sack", "0"),
    ("without-timestamps", "timestamps", "net.ipv4.tcp_timestamps", "0"),
    ("without-window-scale", "a window scale", "net.ipv4.tcp_window_scaling", "0"),
];

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp || !case.timed_out() {
        return Verdict::Silent;
    }
    let Some(all) = case.facts.latest::<Attempts>().value() else { return Verdict::Silent };
    let of = |variant: &str| {
        all.0.iter().find(|a| {
            a.variant.as_deref() == Some(variant) && a.dst == case.flow.dst && a.dport == case.flow.dport
        })
    };
    let Some(control) = of(trial::AS_SENT) else { return Verdict::Silent };
    if let Outcome::Error { name, .. } = &control.outcome
        && control.phase == Phase::Socket
    {
        let needs = if matches!(name.as_str(), "EPERM" | "EACCES") {
            Absence::Denied("CAP_NET_RAW".into())
        } else {
            Absence::Failed(name.clone())
        };
        return Verdict::unknown("whether an option of the SYN is what gets lost", needs);
    }
    let tried: Vec<_> = OPTIONS.iter().filter_map(|option| Some((option, of(option.0)?))).collect();
    let bare = of(trial::WITHOUT_OPTIONS);
    let words = |variant: &str, a: &Attempt| {
        format!("{variant}: {}", if trial::answered(a) { "answered" } else { "no answer" })
    };
    let list: Vec<String> = std::iter::once(words("with all options", control))
        .chain(tried.iter().map(|(option, a)| words(&format!("without {}", option.1), a)))
        .chain(bare.map(|a| words("without any", a)))
        .collect();
    let evidence = Evidence::new("syns", format!("SYNs by hand, {}", list.join("; ")), "raw socket")
        .value(list)
        .window(control.elapsed_us);
    if trial::answered(control) {
        return Verdict::ruled_out(
            "a SYN with the same options from another source port was answered",
            vec![evidence],
        );
    }
    let answered: Vec<_> =
        tried.iter().filter(|(_, a)| trial::answered(a)).map(|(option, _)| *option).collect();
    let bare_answered = bare.is_some_and(trial::answered);
    let (option, firm) = match answered.as_slice() {
        [] if bare_answered => (None, false),
        [] => return Verdict::ruled_out("SYNs get no answer, whatever they carry", vec![evidence]),
        // Without all of them, that one is left out too.
        [one] => (Some(*one), bare.is_none() || bare_answered),
        _ => {
            return Verdict::ruled_out(
                "SYNs are lost whatever they leave out: not an option",
                vec![evidence],
            );
        }
    };
    let what = option.map_or("options", |o| o.1);
    let finding = Finding::new(
        Locus::RemoteEndpoint { address: case.flow.dst, port: case.flow.dport, proto: Proto::Tcp },
        format!(
            "SYNs to {} with {what} get no answer, without they do: something on the way drops them",
            case.flow.target()
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(evidence)
    .maybe(case.ev_capture())
    .fix(Fix::act("hand this over to the owner of the path: a middlebox drops what it does not know"));
    let now = |setting: &str| case.facts.value::<Sysctls>().and_then(|s| s.number(setting));
    let finding = match option {
        Some((_, name, setting, off)) => finding.fix(
            Fix::run(
                format!("until then, do without {name}"),
                format!("sysctl -w {setting}={off}"),
                now(setting).map(|n| format!("sysctl -w {setting}={n}")).unwrap_or_default(),
            )
            .risk("it concerns every connection of this network namespace"),
        ),
        None => finding,
    };
    finding.verify(case.ask_again()).outside().proven_if(firm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn client(answered: &[&str]) -> Scene {
        let mut scene = Scene::client("203.0.113.2", 80).timeout(3000);
        let mut all = scene.facts.value::<Attempts>().unwrap().clone();
        let variants = ["as-sent", "without-ecn", "without-sack", "without-timestamps", "without-options"];
        for variant in variants {
            let mut other = all.0[0].clone();
            other.variant = Some(variant.into());
            if answered.contains(&variant) {
                other.outcome = Outcome::Ok;
            }
            all.0.push(other);
        }
        scene.put(all);
        scene
    }

    #[test]
    fn an_answer_without_the_option_proves_it() {
        let f = proven(client(&["without-ecn", "without-options"]).judge(&CAUSE));
        assert!(f.outside && f.summary.contains("with ECN"), "{}", f.summary);
        assert_eq!(f.fix[1].command, "sysctl -w net.ipv4.tcp_ecn=2");
    }

    #[test]
    fn several_options_at_once_are_only_consistent() {
        assert!(consistent(client(&["without-options"]).judge(&CAUSE)).summary.contains("with options"));
        consistent(client(&["without-timestamps"]).judge(&CAUSE));
    }

    #[test]
    fn silence_chance_and_another_port_rule_it_out() {
        assert!(ruled_out(client(&[]).judge(&CAUSE)).contains("whatever they carry"));
        let chance = client(&["without-ecn", "without-sack", "without-options"]);
        assert!(ruled_out(chance.judge(&CAUSE)).contains("not an option"));
        let all = ["as-sent", "without-ecn", "without-sack", "without-timestamps", "without-options"];
        assert!(ruled_out(client(&all).judge(&CAUSE)).contains("another source port"));
    }

    #[test]
    fn without_the_privilege_it_says_so() {
        let mut scene = client(&[]);
        let mut all = scene.facts.value::<Attempts>().unwrap().clone();
        for a in all.0.iter_mut().filter(|a| a.variant.is_some()) {
            a.phase = Phase::Socket;
            a.outcome = Outcome::Error { call: "socket".into(), errno: 1, name: "EPERM".into() };
        }
        scene.put(all);
        unknown(scene.judge(&CAUSE));
    }

    #[test]
    fn without_the_experiment_nothing_is_said() {
        silent(Scene::client("203.0.113.2", 80).timeout(3000).judge(&CAUSE));
    }
}
