//! The handshake of a flow, and what the TLS causes share.

use netwhy_facts::tls::{CertProblem, Certificate, TlsHandshake, TlsHandshakes};
use netwhy_facts::{Locus, Reading};

use crate::case::{Case, counted};
use crate::cause::{Finding, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The handshake with the flow's address, when one was tried.
pub(crate) fn handshake<'a>(case: &Case<'a>) -> Option<&'a TlsHandshake> {
    match case.facts.latest::<TlsHandshakes>() {
        Reading::Known { value, .. } => value.0.iter().find(|h| h.peer.ip() == case.flow.dst),
        _ => None,
    }
}

/// Seconds since 1970 as a date people read.
pub(crate) fn date(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let doe = days.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{:02}", doy - (153 * mp + 2) / 5 + 1)
}

/// The certificate a problem is about: the one with that subject or issuer, else the leaf.
fn certificate<'a>(h: &'a TlsHandshake, subject: Option<&str>) -> Option<&'a Certificate> {
    subject.and_then(|s| h.chain.iter().find(|c| c.subject == s)).or(h.chain.first())
}

fn locus(h: &TlsHandshake, certificate: Option<&Certificate>) -> Locus {
    match certificate {
        Some(c) => Locus::Certificate {
            subject: c.subject.clone(),
            issuer: c.issuer.clone(),
            not_after: date(c.not_after_s),
        },
        None => Locus::TlsEndpoint { address: h.peer.to_string(), detail: "certificate".into() },
    }
}

/// The command that shows the peer's certificates.
fn shows(h: &TlsHandshake) -> String {
    let name = match h.server_name.as_str() {
        "" => String::new(),
        name => format!(" -servername {}", crate::fix::quote(name)),
    };
    format!("openssl s_client -connect {}{name} -showcerts </dev/null", h.peer)
}

/// A proven finding for each certificate problem that `which` turns into (subject it is about, summary, what to do).
pub(crate) fn blame_certificate(
    case: &Case<'_>,
    which: impl Fn(&TlsHandshake, &CertProblem) -> Option<(Option<String>, String, String)>,
) -> Verdict {
    let Some(h) = handshake(case) else { return Verdict::Silent };
    let found = h.problems.iter().filter_map(|problem| {
        let (subject, summary, todo) = which(h, problem)?;
        let certificate = certificate(h, subject.as_deref());
        Some(
            Finding::new(locus(h, certificate), summary)
                .evidence(ev_chain(h))
                .evidence(
                    Evidence::new(
                        "trusted-roots",
                        format!(
                            "checked against {} from {}",
                            counted(h.roots.1 as u64, "trusted root"),
                            h.roots.0
                        ),
                        h.roots.0.clone(),
                    )
                    .value(h.roots.1),
                )
                .maybe(case.ev_attempt())
                .fix(Fix::act(todo))
                .verify(case.ask_again())
                .proven(),
        )
    });
    Verdict::several(found.collect())
}

/// Evidence: the certificates the peer sent.
fn ev_chain(h: &TlsHandshake) -> Evidence {
    let chain: Vec<String> = h
        .chain
        .iter()
        .map(|c| {
            format!("{} by {} ({} to {})", c.subject, c.issuer, date(c.not_before_s), date(c.not_after_s))
        })
        .collect();
    Evidence::new("chain", format!("{} sent {}", h.peer, chain.join("; ")), "TLS handshake")
        .value(chain.join("; "))
        .window(h.elapsed_us)
        .command(shows(h))
}

/// A proven finding about the end point's TLS settings.
pub(crate) fn blame_endpoint(
    case: &Case<'_>,
    h: &TlsHandshake,
    detail: &str,
    summary: String,
    todo: &str,
) -> Verdict {
    Finding::new(Locus::TlsEndpoint { address: h.peer.to_string(), detail: detail.into() }, summary.clone())
        .evidence(
            Evidence::new(
                "handshake",
                format!("the handshake with {} ended: {detail}", h.peer),
                "TLS handshake",
            )
            .value(detail)
            .window(h.elapsed_us)
            .command(shows(h)),
        )
        .maybe(case.ev_attempt())
        .fix(Fix::act(todo))
        .verify(case.ask_again())
        .proven()
}

#[cfg(test)]
pub(crate) mod tests {
    use netwhy_facts::question::App;
    use netwhy_facts::tls::TlsOutcome;

    use super::*;

    /// The ids found for a handshake with these problems and this outcome.
    pub(crate) fn found(problems: Vec<CertProblem>, outcome: TlsOutcome) -> Vec<String> {
        let leaf = Certificate {
            subject: "CN=web.test".into(),
            issuer: "CN=Root".into(),
            names: vec!["web.test".into()],
            not_before_s: 0,
            not_after_s: 1_000_000_000,
            serial: "01".into(),
            is_ca: false,
            self_signed: false,
        };
        let handshake = TlsHandshake {
            peer: "203.0.113.2:443".parse().unwrap(),
            server_name: "web.test".into(),
            elapsed_us: 1000,
            outcome,
            chain: vec![leaf],
            problems,
            version: None,
            cipher: None,
            alpn: None,
            client_cert_requested: false,
            roots: ("/etc/ssl".into(), 1),
        };
        let scene = || {
            let mut scene = crate::testing::Scene::client("203.0.113.2", 443).attempted(
                1,
                netwhy_facts::attempt::Phase::Established,
                netwhy_facts::attempt::Outcome::Ok,
                vec![],
            );
            scene.question.target.app = App::Tls;
            scene.put(TlsHandshakes(vec![handshake.clone()]));
            scene
        };
        crate::causes::ALL
            .iter()
            .filter(|c| c.id.starts_with("tls-"))
            .filter(|c| scene().judge(c).finding().is_some())
            .map(|c| c.id.to_string())
            .collect()
    }

    #[test]
    fn each_certificate_problem_has_its_own_name() {
        let one = |problem| found(vec![problem], TlsOutcome::Done);
        let s = || "CN=web.test".to_string();
        assert_eq!(one(CertProblem::Expired { subject: s(), not_after_s: 1 }), ["tls-expired"]);
        assert_eq!(one(CertProblem::NotYetValid { subject: s(), not_before_s: 1 }), ["tls-not-yet-valid"]);
        let mismatch = CertProblem::NameMismatch { wanted: "a.test".into(), names: vec!["web.test".into()] };
        assert_eq!(one(mismatch), ["tls-name-mismatch"]);
        assert_eq!(one(CertProblem::UnknownIssuer { issuer: "CN=Root".into() }), ["tls-unknown-issuer"]);
        assert_eq!(
            one(CertProblem::MissingIntermediate { issuer: "CN=X".into() }),
            ["tls-missing-intermediate"]
        );
        assert_eq!(one(CertProblem::SelfSigned { subject: s() }), ["tls-self-signed"]);
        assert_eq!(one(CertProblem::BadSignature { subject: s() }), ["tls-bad-certificate"]);
        assert_eq!(one(CertProblem::Unparsable { position: 0, why: "x".into() }), ["tls-bad-certificate"]);
        assert!(found(vec![], TlsOutcome::Done).is_empty());
    }

    #[test]
    fn each_way_a_handshake_ends_has_its_own_name() {
        let one = |outcome| found(vec![], outcome);
        assert_eq!(
            one(TlsOutcome::Alert { code: 116, name: "certificate_required".into() }),
            ["tls-client-certificate"]
        );
        assert_eq!(one(TlsOutcome::Alert { code: 40, name: "handshake_failure".into() }), ["tls-alert"]);
        assert_eq!(
            one(TlsOutcome::NotTls { looks_like: "SSH".into(), first: "SSH-2.0".into() }),
            ["tls-plaintext"]
        );
        let none = TlsOutcome::NoCommon { what: "version".into(), server_speaks: vec!["TLSv1.0".into()] };
        assert_eq!(one(none), ["tls-no-common-version"]);
        assert_eq!(one(TlsOutcome::Closed { reset: true }), ["tls-closed"]);
        assert_eq!(one(TlsOutcome::Timeout), ["tls-silent"]);
    }

    #[test]
    fn dates_are_days() {
        assert_eq!(date(951_782_400), "2000-02-29");
    }
}
